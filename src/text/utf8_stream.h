// Bytes of tokens in, whole UTF-8 characters out. Half a character waits for its other half; bytes that can never
// become one are replaced by U+FFFD at the end of their sequence. Threads: one.
#pragma once

#include <string>
#include <string_view>

namespace dormouse::text {

[[nodiscard]] bool is_valid_utf8(std::string_view bytes);

class Utf8Stream {
 public:
  // Returns what is complete now. At most 3 bytes are held back.
  [[nodiscard]] std::string push(std::string_view bytes);
  // The end: a held-back tail becomes U+FFFD.
  [[nodiscard]] std::string finish();

 private:
  std::string pending_;
};

}  // namespace dormouse::text
