// The device that tests of the CUDA engine run on: the emulated one or, with DORMOUSE_TEST_GPU=n, a card, where they
// take seconds. Test code only.
#pragma once

#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "kernels/cuda/device.h"

namespace dormouse::engine {

inline bool is_on_card() {
  return std::getenv("DORMOUSE_TEST_GPU") != nullptr;
}
inline Result<std::unique_ptr<cuda::Device>> open_device() {
  if (!is_on_card()) return cuda::open_emulated();
  const std::string_view number = std::getenv("DORMOUSE_TEST_GPU");
  int ordinal = 0;
  std::from_chars(number.data(), number.data() + number.size(), ordinal);
  return cuda::open_gpu(ordinal);
}

using Launches = std::array<int, static_cast<std::size_t>(cuda::Kernel::kCount)>;

// Which kernels a step was made of.
class CountingDevice final : public cuda::Device {
 public:
  CountingDevice(std::unique_ptr<cuda::Device> device, Launches& launches)
      : device_(std::move(device)), launches_(launches) {}
  [[nodiscard]] const cuda::DeviceInfo& info() const override { return device_->info(); }
  Result<std::uint64_t> free_bytes() override { return device_->free_bytes(); }
  Status fit_stacks() override { return device_->fit_stacks(); }
  Result<cuda::DevicePointer> allocate(std::uint64_t bytes) override { return device_->allocate(bytes); }
  void release(cuda::DevicePointer memory) override { device_->release(memory); }
  void* allocate_pinned(std::uint64_t bytes) override { return device_->allocate_pinned(bytes); }
  void release_pinned(void* memory) override { device_->release_pinned(memory); }
  Status upload(cuda::DevicePointer to, const void* from, std::uint64_t bytes) override {
    return device_->upload(to, from, bytes);
  }
  Status upload_all(std::span<const cuda::Upload> uploads) override { return device_->upload_all(uploads); }
  Status download(void* to, cuda::DevicePointer from, std::uint64_t bytes) override {
    return device_->download(to, from, bytes);
  }
  Status fill_zero(cuda::DevicePointer to, std::uint64_t bytes) override { return device_->fill_zero(to, bytes); }
  Status launch(const cuda::Launch& launch) override {
    ++launches_[static_cast<std::size_t>(launch.kernel)];
    return device_->launch(launch);
  }
  Status synchronize() override { return device_->synchronize(); }
  Status begin_recording() override { return device_->begin_recording(); }
  Result<int> end_recording() override { return device_->end_recording(); }
  Status replay(int recording) override { return device_->replay(recording); }

 private:
  std::unique_ptr<cuda::Device> device_;
  Launches& launches_;
};

}  // namespace dormouse::engine
