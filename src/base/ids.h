// Identifiers of our own making. A client's request id is only ever an attribute (reliability notes R-24).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/clock.h"

namespace dormouse {

// A version-7 UUID (RFC 9562): 48 bits of wall milliseconds, then random; sorts by time. 36 characters.
// Source of randomness: getrandom(2). Threads: any.
[[nodiscard]] std::string make_uuid_v7(WallTime now);

// What every id made at or after `now` follows, as text.
[[nodiscard]] std::string uuid_v7_bound(WallTime now);

// `bytes` random bytes as lowercase hex: lease tokens, one-time logins. Threads: any.
[[nodiscard]] std::string random_hex(int bytes);

// `characters` of 0-9A-Za-z, each with the same probability: 5.95 bits a character. Threads: any.
[[nodiscard]] std::string random_base62(std::size_t characters);

// CRC-32 (IEEE 802.3, reflected), as zlib computes it.
[[nodiscard]] std::uint32_t crc32(const void* data, std::size_t size, std::uint32_t seed = 0);

}  // namespace dormouse
