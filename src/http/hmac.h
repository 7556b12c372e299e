// Keyed hashes and base64, for those who sign what they send. Threads: any.
#pragma once

#include <string>
#include <string_view>

namespace dormouse::http {

// base64(HMAC-SHA256(key, text)), RFC 2104 and RFC 4648 section 4.
[[nodiscard]] std::string hmac_sha256_base64(std::string_view key, std::string_view text);
// RFC 4648 section 4.
[[nodiscard]] std::string base64(std::string_view text);
// RFC 3986: all but letters, digits and -._~ as %XX.
[[nodiscard]] std::string percent_encode(std::string_view text);
// What is no %XX stays as it is.
[[nodiscard]] std::string percent_decode(std::string_view text);

}  // namespace dormouse::http
