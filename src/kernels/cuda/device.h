// The seam between the engine and a GPU: memory, copies, launches, recorded steps. Two sides: a card through the CUDA
// driver, which is loaded at run time (driver_device.cc), and the emulation on the CPU (emulated_device.cc), which the
// tests use. Everything is ordered as on one stream: what is enqueued first is done first. Owner and caller: the engine
// thread. Errors are the device's own words with Code::kInternal; out of memory is kOverloaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "kernels/cuda/kernel_list.h"

namespace dormouse::cuda {

// An address on the device; arithmetic on it is the caller's. The emulation's are host addresses.
using DevicePointer = std::uint64_t;

struct DeviceInfo {
  std::string name;  // as the driver says it; "emulated"
  int compute_major = 0;
  int compute_minor = 0;
  int multiprocessors = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t l2_bytes = 0;
  std::size_t shared_bytes_per_block = 0;  // the most a launch may ask for
  bool runs_together = false;  // Launch::together
  bool is_emulated = false;
};

struct Launch {
  Kernel kernel{};
  int grid[3] = {1, 1, 1};
  int threads = 0;
  std::size_t shared_bytes = 0;
  const void* args = nullptr;  // the kernel's args struct; copied before launch() returns
  // May begin before the previous kernel of the stream ends (sm_90; simt.h, wait_for_previous).
  bool overlaps_previous = false;
  // All blocks run at once and may wait for each other: at most one a multiprocessor. Never overlaps.
  bool together = false;
};

struct Upload {
  DevicePointer to;
  const void* from;
  std::uint64_t bytes;
};

class Device {
 public:
  virtual ~Device() = default;

  [[nodiscard]] virtual const DeviceInfo& info() const = 0;
  // Bytes nobody uses now. Errors: kInternal.
  virtual Result<std::uint64_t> free_bytes() = 0;

  // Room for threads' stacks as kernels need it, instead of 1 KB for each thread that may run (277 MB on an H200).
  // Errors: kInternal, and everything is as it was.
  virtual Status fit_stacks() = 0;

  // 256-byte aligned at least. Errors: kOverloaded naming the size and what is free.
  virtual Result<DevicePointer> allocate(std::uint64_t bytes) = 0;
  virtual void release(DevicePointer memory) = 0;
  // Host memory that copies go from and to at full speed and without waiting; null: not to be had.
  virtual void* allocate_pinned(std::uint64_t bytes) = 0;
  virtual void release_pinned(void* memory) = 0;

  // Enqueued. From pinned memory it does not wait, and the bytes must stay until synchronize().
  virtual Status upload(DevicePointer to, const void* from, std::uint64_t bytes) = 0;
  // Much at once from pageable memory, by several threads; done when it returns.
  virtual Status upload_all(std::span<const Upload> uploads) = 0;
  virtual Status download(void* to, DevicePointer from, std::uint64_t bytes) = 0;
  virtual Status fill_zero(DevicePointer to, std::uint64_t bytes) = 0;
  virtual Status launch(const Launch& launch) = 0;
  // Until everything enqueued is done. Errors of earlier launches come out here.
  virtual Status synchronize() = 0;

  // Between the two, launches, fills, uploads from pinned memory and downloads to it are recorded, not done. One that
  // fails ends the recording.
  virtual Status begin_recording() = 0;
  // A recording's number, for replay(); good until the device closes.
  virtual Result<int> end_recording() = 0;
  virtual Status replay(int recording) = 0;
};

// The machine's GPU `ordinal`. Errors: kNotFound (no driver, no such GPU, or a build without kernels: says which),
// kInternal.
[[nodiscard]] Result<std::unique_ptr<Device>> open_gpu(int ordinal);
// All kernels on the CPU, thousands of times slower.
[[nodiscard]] std::unique_ptr<Device> open_emulated();

}  // namespace dormouse::cuda
