// Runs dormouse-worker as a child process: one process group each, output into logs/<deployment>.log, watched through
// its pidfd, ended by SIGTERM, grace, SIGKILL.
// Threads: the io_context's, which must be the thread that lives as long as the process (PDEATHSIG is bound to it).
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "fleet/driver.h"
#include "http/asio.h"

namespace dormouse::fleet {

struct ProcessDriverOptions {
  asio::io_context* io = nullptr;
  std::string worker_path;     // the dormouse-worker binary
  std::string run_directory;   // sockets w-<n>.sock and lease files; a short path (socket names hold 107 bytes)
  std::string log_directory;
  std::string control_address; // "unix:RUN/admin.sock"
  std::string golden_directory;  // empty: no --golden-dir
  std::string packed_directory;  // empty: no --packed-dir
  std::vector<std::string> environment;  // "NAME=value": what a worker may see (see allowed_environment)
  std::chrono::milliseconds grace{10'000};      // SIGTERM to SIGKILL
  std::size_t log_bytes = 4U << 20;             // a log file is renamed to .1 beyond this
  std::string vmstat_path = "/proc/vmstat";     // where the system counts whom it killed for memory
};

// Of the process's own environment, what a worker may see: PATH, HOME, LANG, TZ, LC_*, OMP_*, CUDA_*, DORMOUSE_* (but
// no lease, which is one worker's).
[[nodiscard]] std::vector<std::string> allowed_environment(const char* const* environment);

class ProcessDriver final : public Driver {
 public:
  // Sweeps what an earlier gateway left (lease files: pid + start time + boot id, so that no reused pid is hit),
  // becomes subreaper. Blocking; call before the loop runs. Errors: kInvalidArgument (paths), kPermissionDenied.
  static Result<std::unique_ptr<ProcessDriver>> create(ProcessDriverOptions options);
  ~ProcessDriver() override;  // kills and reaps what still runs
  ProcessDriver(const ProcessDriver&) = delete;
  ProcessDriver& operator=(const ProcessDriver&) = delete;

  void attach(DriverEvents& events) override;
  void start(StartSpec spec) override;
  void stop(const std::string& instance_id, StopMode mode) override;
  [[nodiscard]] std::vector<std::string> list() const override;
  [[nodiscard]] int swept() const;  // left-overs ended at create()

 private:
  struct Impl;
  explicit ProcessDriver(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dormouse::fleet
