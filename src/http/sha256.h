// SHA-256 of bytes that come in pieces. Threads: one at a time.
#pragma once

#include <openssl/types.h>

#include <cstddef>
#include <memory>
#include <string>

namespace dormouse::http {

class Sha256 {
 public:
  Sha256();
  void update(const void* data, std::size_t size);
  // 64 lowercase hexadecimal digits; once.
  [[nodiscard]] std::string finish();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const;
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace dormouse::http
