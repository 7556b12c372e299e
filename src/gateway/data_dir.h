// The data directory: made on first use, locked by the one server that uses it, with a run directory short enough for
// Unix sockets. The lock ends with the process, however it ends. Threads: one.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace dormouse::gateway {

class DataDir {
 public:
  // Creates DIR, DIR/logs, DIR/models, DIR/golden and the run directory (0700), then takes DIR/lock.
  // Errors: kAlreadyExists (another server has it: its pid in the message), kPermissionDenied, kInvalidArgument.
  static Result<DataDir> open(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& run_directory() const { return run_directory_; }
  [[nodiscard]] bool run_directory_moved() const { return run_directory_moved_; }
  [[nodiscard]] std::string admin_socket() const { return run_directory_ + "/admin.sock"; }
  [[nodiscard]] std::string ledger_path() const { return path_ + "/ledger.db"; }
  // What API keys are remembered under; not in the ledger (gateway/keys/key_mac.h).
  [[nodiscard]] std::string pepper_path() const { return path_ + "/keys.pepper"; }
  [[nodiscard]] std::string limits_path() const { return path_ + "/limits.state"; }
  // Where workers keep what a model's first tokens were, to know a damaged one.
  [[nodiscard]] std::string golden_directory() const { return path_ + "/golden"; }
  // Where workers keep weights in the kernels' order.
  [[nodiscard]] std::string packed_directory() const { return path_ + "/packed"; }
  // The certificate remote workers know us by, and its key.
  [[nodiscard]] std::string tls_directory() const { return path_ + "/tls"; }
  // Uploaded files, batches and their results.
  [[nodiscard]] std::string files_directory() const { return path_ + "/files"; }
  [[nodiscard]] std::string log_directory() const { return path_ + "/logs"; }

 private:
  DataDir() = default;
  std::string path_;  // absolute
  std::string run_directory_;
  bool run_directory_moved_ = false;
  UniqueFd lock_;
};

// Where sockets of this data directory lie: DIR/run, or, where that is too long for a socket's name (107 bytes),
// $XDG_RUNTIME_DIR/dormouse-<crc> or /tmp/dormouse-<uid>-<crc>. Server and CLI compute the same.
// `runtime_dir`: the value of XDG_RUNTIME_DIR, may be empty.
[[nodiscard]] std::string run_directory_for(const std::string& absolute_data_dir, const std::string& runtime_dir);

}  // namespace dormouse::gateway
