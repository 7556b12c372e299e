#include "worker/number_switch.h"

#include <fmt/format.h>

#include <charconv>

namespace dormouse::worker {

Result<std::int64_t> number_switch(std::string_view flag, std::string_view text, std::int64_t min, std::int64_t max) {
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || value < min || value > max) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("{}: a whole number from {} to {} is wanted, got '{}'", flag, min, max, text));
  }
  return value;
}

}  // namespace dormouse::worker
