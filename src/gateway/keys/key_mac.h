// How a key is remembered without being known: HMAC-SHA-256 of it under a secret of this house, the pepper, which lies
// in a file beside the ledger and never in it. One derived key a purpose (HKDF labels, requirement S-42), so that a
// value made for one is of no use for another. Threads: any, once made.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dormouse::gateway {

using Digest = std::array<unsigned char, 32>;

// RFC 2104 and RFC 5869 (32 bytes of output) with SHA-256.
[[nodiscard]] Digest hmac_sha256(std::string_view key, std::string_view text);
[[nodiscard]] Digest hkdf_sha256(std::string_view secret, std::string_view salt, std::string_view label);
[[nodiscard]] std::string to_hex(const Digest& digest);
// Looks at all of both, whatever they are. False: another size.
[[nodiscard]] bool is_same(std::string_view a, std::string_view b);

// DIR/keys.pepper, mode 0600: a line a version, "1 <64 hex characters>"; the greatest version makes, all check.
class Pepper {
 public:
  // Errors: kNotFound (no file), kPermissionDenied (others may read it, or we may not), kDataLoss (not such a file).
  static Result<Pepper> read(const std::string& path);
  // Makes it, with version 1, durable before this returns. Errors: kAlreadyExists and those of the disk.
  static Result<Pepper> create(const std::string& path);

  [[nodiscard]] std::int64_t newest() const { return keys_.rbegin()->first; }
  [[nodiscard]] bool has(std::int64_t version) const { return keys_.contains(version); }
  // Lowercase hex. A version that is not there counts as the newest: the work is the same, the answer is nobody's.
  [[nodiscard]] std::string mac(std::int64_t version, std::string_view key) const;

 private:
  static Result<Pepper> parse(std::string_view text, const std::string& path);
  std::map<std::int64_t, Digest> keys_;  // derived for the purpose, never empty
};

}  // namespace dormouse::gateway
