// Any bytes: an error, or a message that is the same after another trip over the wire.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "control/messages.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto got = dormouse::control::decode({reinterpret_cast<const char*>(data), size});
  if (!got) return 0;
  const std::string text = dormouse::control::encode(*got);
  const auto again = dormouse::control::decode(text);
  if (!again || dormouse::control::encode(*again) != text) std::abort();
  return 0;
}
