// The secret a worker proves itself with. Pure functions.
#pragma once

#include <string>
#include <string_view>

namespace dormouse::fleet {

// Lowercase hex of SHA-256: what the ledger keeps instead of the token.
[[nodiscard]] std::string sha256_hex(std::string_view text);
// Takes as long for a wrong token as for the right one of the same length.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace dormouse::fleet
