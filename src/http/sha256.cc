#include "http/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <string_view>

#include "base/check.h"

namespace dormouse::http {

void Sha256::Free::operator()(EVP_MD_CTX* context) const {
  EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr);
  CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void Sha256::update(const void* data, std::size_t size) {
  CHECK(EVP_DigestUpdate(context_.get(), data, size) == 1);
}

std::string Sha256::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(context_.get(), hash.data(), &size) == 1);
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (unsigned i = 0; i < size; ++i) out += {kHex[hash[i] >> 4U], kHex[hash[i] & 15U]};
  return out;
}

}  // namespace dormouse::http
