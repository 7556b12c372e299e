// A file with a secret in it, for as long as a command needs it: mode 0600, gone with this object. Blocking; small.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace dormouse::fleet {

class SecretFile {
 public:
  // Never follows or reuses what lies at `path`. Errors: kAlreadyExists, kNotFound (directory), kUnavailable.
  static Result<SecretFile> write(const std::string& path, std::string_view content);
  ~SecretFile();
  SecretFile(SecretFile&& other) noexcept;
  SecretFile& operator=(SecretFile&& other) noexcept;

 private:
  explicit SecretFile(std::string path) : path_(std::move(path)) {}
  std::string path_;  // empty: moved from
};

}  // namespace dormouse::fleet
