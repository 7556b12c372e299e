// What the worker program says of this machine's GPUs: `dormouse` itself holds no kernels and loads no driver. Owner:
// the caller; blocks for as long as a driver takes to start.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dormouse::cli {

struct WorkerGpu {
  std::string name;
  std::string compute;
  std::int64_t memory_bytes = 0;
  bool has_kernels = false;
  bool is_tested = false;
  bool is_sampling_tested = false;
  std::string untested_paths;
};
struct WorkerGpus {
  std::string kernels_for;
  std::string driver;
  std::string problem;
  std::vector<WorkerGpu> gpus;
};

// Runs `<worker> doctor --json`. Errors: kNotFound (no worker program), kDeadlineExceeded (15 s), kInternal (an answer
// that is none).
[[nodiscard]] Result<WorkerGpus> ask_worker(const std::string& worker, const std::vector<std::string>& environment);
[[nodiscard]] Result<WorkerGpus> parse_worker_gpus(std::string_view json);

}  // namespace dormouse::cli
