// Any bytes, cut in two at every place (of the first 64) and byte by byte: valid UTF-8 at every push, one total.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "text/utf8_stream.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dormouse::text::is_valid_utf8;
  using dormouse::text::Utf8Stream;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Utf8Stream whole;
  std::string want = whole.push(bytes);
  want += whole.finish();
  CHECK(is_valid_utf8(want));
  CHECK(is_valid_utf8(bytes) == (want == bytes));
  for (std::size_t cut = 0; cut <= std::min<std::size_t>(size, 64); ++cut) {
    Utf8Stream stream;
    std::string got = stream.push(bytes.substr(0, cut));
    CHECK(is_valid_utf8(got));
    CHECK(cut - std::min(cut, got.size()) <= 3);
    got += stream.push(bytes.substr(cut));
    got += stream.finish();
    CHECK(got == want);
  }
  Utf8Stream stream;
  std::string got;
  for (std::size_t i = 0; i < size; ++i) {
    const std::string part = stream.push(bytes.substr(i, 1));
    CHECK(is_valid_utf8(part));
    got += part;
  }
  CHECK(got + stream.finish() == want);
  return 0;
}
