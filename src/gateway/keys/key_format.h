// What an API key looks like (docs/keys.md): lsk_<kid>_<secret><crc>, 64 characters.
//   lsk  a key for inference; lsa: one for looking and changing (read, admin). What secret scanners look for.
//   kid  10 of 0-9A-Za-z: public, names the key in lists, logs and bills
//   secret  43 of them: 256 bits
//   crc  6 of them: CRC-32 of all before it, so that a typing error never reaches the table of keys
// Pure. Threads: any.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/caller.h"

namespace dormouse::gateway {

inline constexpr std::size_t kKidCharacters = 10;
inline constexpr std::size_t kSecretCharacters = 43;
inline constexpr std::size_t kCrcCharacters = 6;
inline constexpr std::size_t kPrefixCharacters = 4;  // "lsk_"
inline constexpr std::size_t kKeyCharacters =
    kPrefixCharacters + kKidCharacters + 1 + kSecretCharacters + kCrcCharacters;
static_assert(kKeyCharacters == 64);
inline constexpr std::size_t kHintCharacters = 4;

// "lsk_" or "lsa_".
[[nodiscard]] std::string_view key_prefix(Scope scope);

[[nodiscard]] std::string make_kid();
[[nodiscard]] bool is_kid(std::string_view text);
// A new secret for `kid`, as the one whole key that is ever shown. `kid` is one.
[[nodiscard]] std::string make_key(Scope scope, std::string_view kid);

// The kid of what may be a key; nullopt: its shape or its checksum is wrong, whatever it is. Points into `key`.
[[nodiscard]] std::optional<std::string_view> kid_of(std::string_view key);
// The last characters of a key, by which people tell two secrets of one kid apart. They are of the checksum: 24 bits
// about 256.
[[nodiscard]] std::string_view hint_of(std::string_view key);

[[nodiscard]] std::string_view to_string(Scope scope);
[[nodiscard]] std::optional<Scope> scope_of(std::string_view text);

}  // namespace dormouse::gateway
