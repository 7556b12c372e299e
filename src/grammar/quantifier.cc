#include "grammar/quantifier.h"

#include <fmt/format.h>

#include <charconv>

#include "grammar/grammar.h"

namespace dormouse::grammar {
namespace {

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

Result<std::uint64_t> take_count(std::string_view& text) {
  std::uint64_t out = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (ec != std::errc{} || out > kMaxNodes) {
    return make_error(Code::kInvalidArgument, fmt::format("{{}} needs counts up to {}", kMaxNodes));
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return out;
}

Result<RepeatBounds> take_braces(std::string_view& text) {
  TRY(const std::uint64_t min, take_count(text));
  RepeatBounds out{.min = min, .max = min};
  if (take(text, ',')) {
    out.max.reset();
    if (!text.starts_with('}')) {
      TRY(out.max, take_count(text));
    }
  }
  if (!take(text, '}')) return make_error(Code::kInvalidArgument, "{ needs {m}, {m,} or {m,n}");
  if (out.max.has_value() && *out.max < out.min) {
    return make_error(Code::kInvalidArgument, "{m,n} with n less than m");
  }
  return out;
}

}  // namespace

Result<Quantifier> read_quantifier(std::string_view text) {
  if (text.starts_with('*')) return Quantifier{RepeatBounds{.min = 0, .max = std::nullopt}, 1};
  if (text.starts_with('+')) return Quantifier{RepeatBounds{.min = 1, .max = std::nullopt}, 1};
  if (text.starts_with('?')) return Quantifier{RepeatBounds{.min = 0, .max = 1}, 1};
  std::string_view rest = text;
  if (!take(rest, '{')) return Quantifier{};
  TRY(const RepeatBounds bounds, take_braces(rest));
  return Quantifier{bounds, text.size() - rest.size()};
}

}  // namespace dormouse::grammar
