// The low-level hash functions, which OpenSSL 3 calls deprecated: its one-call SHA256() looks the algorithm up, which
// makes megabytes of the library resident for a gateway that otherwise needs none of them.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "fleet/lease_token.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <array>
#include <cstddef>

namespace dormouse::fleet {

std::string sha256_hex(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, text.data(), text.size());
  SHA256_Final(digest.data(), &context);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : digest) {
    out.push_back(kDigits[byte >> 4U]);
    out.push_back(kDigits[byte & 15U]);
  }
  return out;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace dormouse::fleet
