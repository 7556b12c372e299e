#include "kernels/cuda/driver_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "kernels/cuda/driver_upload.h"
#include "kernels/cuda/gpu_list.h"
#include "kernels/cuda/kernel_facts.h"
#include "kernels/cuda/kernel_images.h"

namespace dormouse::cuda {
namespace {

using driver::kSuccess;

// Dynamic shared memory beyond this is had only by asking for it, once a function.
constexpr std::size_t kSharedBytesUnasked = 48U << 10;
// The first architecture whose kernels may begin before their predecessors end.
constexpr int kOverlapMajor = 9;

struct LoadedKernel {
  driver::Function function = nullptr;
  std::size_t shared_bytes = kSharedBytesUnasked;  // that it may be launched with
};

class GpuDevice final : public Device {
 public:
  explicit GpuDevice(const driver::Api& api) : api_(api) {}
  GpuDevice(const GpuDevice&) = delete;
  GpuDevice& operator=(const GpuDevice&) = delete;
  ~GpuDevice() override;

  Status open(const KernelCode& code, int ordinal);

  [[nodiscard]] const DeviceInfo& info() const override { return info_; }
  Result<std::uint64_t> free_bytes() override;
  Status fit_stacks() override;
  Result<DevicePointer> allocate(std::uint64_t bytes) override;
  void release(DevicePointer memory) override;
  void* allocate_pinned(std::uint64_t bytes) override;
  void release_pinned(void* memory) override;
  Status upload(DevicePointer to, const void* from, std::uint64_t bytes) override;
  Status upload_all(std::span<const Upload> uploads) override;
  Status download(void* to, DevicePointer from, std::uint64_t bytes) override;
  Status fill_zero(DevicePointer to, std::uint64_t bytes) override;
  Status launch(const Launch& launch) override;
  Status synchronize() override;
  Status begin_recording() override;
  Result<int> end_recording() override;
  Status replay(int recording) override;

 private:
  [[nodiscard]] Status checked(int code, const char* doing) const;
  Status enqueued(int code, const char* doing, const char* what = "");
  Status open_context();
  Status load_kernels(std::span<const void* const> images);
  void stop_recording();

  const driver::Api api_;
  DeviceInfo info_;
  driver::Gpu gpu_ = 0;
  driver::Context context_ = nullptr;  // the primary one: needs no version of its own, and is made once a process
  driver::Stream stream_ = nullptr;
  std::vector<driver::Module> modules_;
  std::array<LoadedKernel, kKernelCount> kernels_{};
  std::vector<driver::GraphExec> recordings_;
  std::vector<DevicePointer> memory_;
  std::vector<void*> pinned_;
  bool is_recording_ = false;
  // Only a kernel right behind a kernel may overlap it: behind a copy the driver has no such order to give.
  bool last_is_kernel_ = false;
};

Status GpuDevice::checked(int code, const char* doing) const {
  if (code == kSuccess) return {};
  return driver::make_driver_error(api_, code, doing);
}

// Of an operation of the stream. One that fails ends a recording: a stream left in capture would refuse all that
// follows.
Status GpuDevice::enqueued(int code, const char* doing, const char* what) {
  if (code == kSuccess) return {};
  stop_recording();
  return driver::make_driver_error(api_, code, fmt::format("{}{}", doing, what));
}

void GpuDevice::stop_recording() {
  if (!std::exchange(is_recording_, false)) return;
  driver::Graph graph = nullptr;
  if (api_.end_capture(stream_, &graph) == kSuccess && graph != nullptr) api_.destroy_graph(graph);
  last_is_kernel_ = false;
}

// Nothing can be done about a failure here: after a fault on the card every call fails, and the end of the process
// gives everything back.
GpuDevice::~GpuDevice() {
  if (context_ == nullptr) return;
  if (stream_ != nullptr) {
    stop_recording();
    api_.synchronize(stream_);
  }
  for (const driver::GraphExec recording : recordings_) api_.destroy_graph_exec(recording);
  for (const DevicePointer memory : memory_) api_.release(memory);
  for (void* const memory : pinned_) api_.release_host(memory);
  for (const driver::Module module : modules_) api_.unload_module(module);
  if (stream_ != nullptr) api_.destroy_stream(stream_);
  api_.set_current(nullptr);
  api_.release_context(gpu_);
}

Status GpuDevice::open(const KernelCode& code, int ordinal) {
  TRY(const std::vector<DeviceInfo> gpus, list_gpus_with(api_));
  if (ordinal < 0 || static_cast<std::size_t>(ordinal) >= gpus.size()) {
    return make_error(Code::kNotFound, fmt::format("cuda:{}: this machine has {} GPU{}", ordinal, gpus.size(),
                                                   gpus.size() == 1 ? "" : "s"));
  }
  info_ = gpus[static_cast<std::size_t>(ordinal)];
  if (!has_code_for(code.archs, info_)) {
    return make_error(Code::kNotFound,
                      fmt::format("cuda:{}: {} has compute capability {}.{}, this build holds kernels for {}", ordinal,
                                  info_.name, info_.compute_major, info_.compute_minor, arch_words(code.archs)));
  }
  TRY_STATUS(checked(api_.gpu(&gpu_, ordinal), "finding the GPU"));
  const SystemClock clock;
  const MonoTime begin = clock.now();
  TRY_STATUS(open_context());
  const MonoTime made = clock.now();
  TRY_STATUS(load_kernels(code.images));
  const std::chrono::duration<double, std::milli> context = made - begin;
  const std::chrono::duration<double, std::milli> kernels = clock.now() - made;
  log_info("event=device_open context_ms={:.0f} kernels_ms={:.0f}", context.count(), kernels.count());
  return {};
}

Status GpuDevice::open_context() {
  // Spinning, because a step of one stream is about a millisecond and the interrupt that wakes a blocked thread would
  // add some 50 us to each; the engine thread waits only while somebody waits for it. Fails when another library has
  // made the context already: then its choice holds.
  api_.set_context_flags(gpu_, driver::kScheduleSpin);
  TRY_STATUS(checked(api_.retain_context(&context_, gpu_), "making a context"));
  TRY_STATUS(checked(api_.set_current(context_), "taking the context"));
  return checked(api_.create_stream(&stream_, driver::kStreamNonBlocking), "making a stream");
}

Status GpuDevice::load_kernels(std::span<const void* const> images) {
  CHECK(images.size() == kKernelFiles);
  for (const void* const image : images) {
    driver::Module module = nullptr;
    TRY_STATUS(checked(api_.load_module(&module, image), "loading kernels"));
    modules_.push_back(module);
  }
  for (std::size_t i = 0; i < kKernelCount; ++i) {
    const KernelFacts& kernel = facts(static_cast<Kernel>(i));
    driver::Function& function = kernels_[i].function;
    const driver::Module module = modules_[static_cast<std::size_t>(kernel.file)];
    TRY_STATUS(enqueued(api_.find_function(&function, module, kernel.name), "finding the kernel ", kernel.name));
    // Now: a kernel loaded at its first launch may want the device to stand still, which a recording cannot give.
    if (api_.load_function == nullptr) continue;
    TRY_STATUS(enqueued(api_.load_function(function), "loading the kernel ", kernel.name));
  }
  return {};
}

Result<std::uint64_t> GpuDevice::free_bytes() {
  std::size_t free = 0;
  std::size_t total = 0;
  TRY_STATUS(checked(api_.memory_info(&free, &total), "asking for free memory"));
  return std::uint64_t{free};
}

Status GpuDevice::fit_stacks() {
  int most = 0;
  for (const LoadedKernel& kernel : kernels_) {
    int bytes = 0;
    TRY_STATUS(checked(api_.function_attribute(&bytes, driver::kLocalBytes, kernel.function), "asking for a stack"));
    most = std::max(most, bytes);
  }
  return checked(api_.set_limit(driver::kStackLimit, static_cast<std::size_t>(most)), "fitting stacks");
}

Result<DevicePointer> GpuDevice::allocate(std::uint64_t bytes) {
  driver::Address address = 0;
  // Zero bytes is the one size that the driver calls invalid.
  const int code = api_.allocate(&address, std::max<std::uint64_t>(bytes, 1));
  if (code == driver::kOutOfMemory) {
    const Result<std::uint64_t> free = free_bytes();
    return make_error(
        Code::kOverloaded,
        fmt::format("cuda: no memory for {:.1f} MB: {:.1f} MB of {:.1f} MB are free", static_cast<double>(bytes) / 1e6,
                    static_cast<double>(free.value_or(0)) / 1e6, static_cast<double>(info_.total_bytes) / 1e6));
  }
  TRY_STATUS(checked(code, "allocating memory"));
  memory_.push_back(address);
  return address;
}

void GpuDevice::release(DevicePointer memory) {
  const auto found = std::find(memory_.begin(), memory_.end(), memory);
  CHECK(found != memory_.end());
  memory_.erase(found);
  api_.release(memory);
}

void* GpuDevice::allocate_pinned(std::uint64_t bytes) {
  void* memory = nullptr;
  if (api_.allocate_host(&memory, std::max<std::uint64_t>(bytes, 1), 0) != kSuccess) return nullptr;
  pinned_.push_back(memory);
  return memory;
}

void GpuDevice::release_pinned(void* memory) {
  const auto found = std::find(pinned_.begin(), pinned_.end(), memory);
  CHECK(found != pinned_.end());
  pinned_.erase(found);
  api_.release_host(memory);
}

Status GpuDevice::upload(DevicePointer to, const void* from, std::uint64_t bytes) {
  last_is_kernel_ = false;
  if (bytes == 0) return {};
  return enqueued(api_.copy_to_device(to, from, bytes, stream_), "copying to the device");
}

Status GpuDevice::upload_all(std::span<const Upload> uploads) {
  // Six fill 50 GB/s of PCIe 5; a machine of few cores uses what it has.
  constexpr int kMostThreads = 6;
  last_is_kernel_ = false;
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  return upload_pieces(api_, context_, uploads, std::clamp(cores, 1, kMostThreads));
}

Status GpuDevice::download(void* to, DevicePointer from, std::uint64_t bytes) {
  last_is_kernel_ = false;
  if (bytes == 0) return {};
  return enqueued(api_.copy_to_host(to, from, bytes, stream_), "copying from the device");
}

Status GpuDevice::fill_zero(DevicePointer to, std::uint64_t bytes) {
  last_is_kernel_ = false;
  if (bytes == 0) return {};
  return enqueued(api_.fill(to, 0, bytes, stream_), "filling memory");
}

Status GpuDevice::launch(const Launch& launch) {
  if (Status fits = check_launch(launch, info_.shared_bytes_per_block); !fits.has_value()) {
    stop_recording();
    return fits;
  }
  const KernelFacts& kernel = facts(launch.kernel);
  LoadedKernel& loaded = kernels_[static_cast<std::size_t>(launch.kernel)];
  if (launch.shared_bytes > loaded.shared_bytes) {
    const auto bytes = static_cast<int>(launch.shared_bytes);
    TRY_STATUS(enqueued(api_.set_function_attribute(loaded.function, driver::kMaxDynamicSharedBytes, bytes),
                        "asking for shared memory for ", kernel.name));
    loaded.shared_bytes = launch.shared_bytes;
  }
  driver::LaunchAttribute overlap{.id = driver::kProgrammaticStreamSerialization, .value = {1}};
  driver::LaunchAttribute together{.id = driver::kCooperative, .value = {1}};
  driver::LaunchConfig config;
  for (std::size_t i = 0; i < 3; ++i) config.grid[i] = static_cast<unsigned>(launch.grid[i]);
  config.block[0] = static_cast<unsigned>(launch.threads);
  config.block[1] = config.block[2] = 1;
  config.shared_bytes = static_cast<unsigned>(launch.shared_bytes);
  config.stream = stream_;
  if (launch.together) {
    config.attributes = &together;
    config.attribute_count = 1;
  } else if (launch.overlaps_previous && last_is_kernel_ && info_.compute_major >= kOverlapMajor) {
    config.attributes = &overlap;
    config.attribute_count = 1;
  }
  void* parameters[] = {const_cast<void*>(launch.args)};  // read, never written
  TRY_STATUS(enqueued(api_.launch(&config, loaded.function, parameters, nullptr), "launching ", kernel.name));
  last_is_kernel_ = !launch.together;
  return {};
}

Status GpuDevice::synchronize() {
  last_is_kernel_ = false;
  return enqueued(api_.synchronize(stream_), "waiting for the device");
}

Status GpuDevice::begin_recording() {
  if (is_recording_) return make_error(Code::kInternal, "cuda: a recording is already under way");
  // Relaxed: the one thread that uses this device does nothing that a recording had to be protected from.
  TRY_STATUS(checked(api_.begin_capture(stream_, driver::kCaptureRelaxed), "beginning a recording"));
  is_recording_ = true;
  last_is_kernel_ = false;
  return {};
}

Result<int> GpuDevice::end_recording() {
  if (!std::exchange(is_recording_, false)) return make_error(Code::kInternal, "cuda: no recording is under way");
  last_is_kernel_ = false;
  driver::Graph graph = nullptr;
  TRY_STATUS(checked(api_.end_capture(stream_, &graph), "ending a recording"));
  driver::GraphExec recording = nullptr;
  const Status made = checked(api_.instantiate(&recording, graph, 0), "making a recording ready");
  api_.destroy_graph(graph);
  TRY_STATUS(made);
  recordings_.push_back(recording);
  // So that the first replay costs no more than the others.
  TRY_STATUS(checked(api_.upload_graph(recording, stream_), "uploading a recording"));
  return static_cast<int>(recordings_.size()) - 1;
}

Status GpuDevice::replay(int recording) {
  CHECK(recording >= 0);
  CHECK(static_cast<std::size_t>(recording) < recordings_.size());
  last_is_kernel_ = false;
  return enqueued(api_.launch_graph(recordings_[static_cast<std::size_t>(recording)], stream_),
                  "replaying a recording");
}

}  // namespace

Result<std::unique_ptr<Device>> open_gpu_with(const driver::Api& api, const KernelCode& code, int ordinal) {
  auto device = std::make_unique<GpuDevice>(api);
  TRY_STATUS(device->open(code, ordinal));
  return std::unique_ptr<Device>(std::move(device));
}

Result<std::unique_ptr<Device>> open_gpu(int ordinal) {
  const KernelCode code{.images = kernel_images(), .archs = kernel_archs()};
  if (code.images.empty()) {
    return make_error(Code::kNotFound, "this build holds no GPU kernels (docs/cuda.md says how to make one that does)");
  }
  TRY(const driver::Api api, driver::load());
  return open_gpu_with(api, code, ordinal);
}

}  // namespace dormouse::cuda
