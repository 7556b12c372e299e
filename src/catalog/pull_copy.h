// The part of a pull that needs no network: copying, hashing, looking at what came. Blocking; threads: any.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "catalog/pull.h"

namespace dormouse::catalog {

// Of the whole file. `on_step` is told how far it is every few megabytes; false: stop. Errors: kCancelled, the disk's.
[[nodiscard]] Result<std::string> sha256_of(int fd, const std::function<bool(std::int64_t)>& on_step);

// A .gguf begins as one: what is saved of a login page does not. Errors: kInvalidArgument.
[[nodiscard]] Status check_looks(int fd, std::string_view name);

// Of the file system that `directory` lies in, or will; nullopt: nobody knows.
[[nodiscard]] std::optional<std::int64_t> free_bytes(const std::string& directory);
// Errors: kTooLarge, saying how much is missing.
[[nodiscard]] Status check_free_space(const std::string& directory, std::int64_t bytes);

struct LocalCopy {
  std::string from;    // a path or file://
  std::string to;      // appears whole or not at all
  std::string sha256;  // empty: whatever it is
};
// Shares the blocks where the file system can (reflink), else copies: a hard link would be changed together with the
// user's own file. Errors: kNotFound, kDataLoss (another sha256),
// kInvalidArgument (no file, empty, no GGUF), kTooLarge, kCancelled.
Result<Pulled> copy_local(const LocalCopy& copy, const std::function<void(const PullProgress&)>& on_progress,
                          const std::stop_token& stop);

}  // namespace dormouse::catalog
