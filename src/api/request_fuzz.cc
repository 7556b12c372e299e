// Any bytes: a request or an error of the table; what parses is written back and parses to the same. First byte picks
// chat, completion or somebody's chunk.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/generation.h"

namespace {

namespace api = dormouse::api;

template <typename Parse>
void round_trip(std::string_view bytes, Parse parse) {
  auto got = parse(bytes);
  if (!got) {
    static_cast<void>(api::error_body(got.error()));
    return;
  }
  got->ignored_fields.clear();
  const auto again = parse(api::to_json(*got));
  if (!again || *again != *got) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: round_trip(bytes, api::parse_chat_request); break;
    case 1: round_trip(bytes, api::parse_completion_request); break;
    default: static_cast<void>(api::parse_chunk(bytes));
  }
  return 0;
}
