// Goal: the emulation keeps the order of the device seam, is as late as a card and as strict. Method: kernels of the
// test's own under our kernels' names.
#include "kernels/cuda/emulated_device.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include "kernels/cuda/simt.h"

namespace dormouse::cuda {
namespace {

constexpr int kCountOf = 64;

// out[i] = 2 * partials[i], a thread each.
void twice(const void* raw) {
  const auto& args = *static_cast<const CombineSplitsArgs*>(raw);
  const int i = block_x() * thread_count() + thread_index();
  args.out[i] = 2 * args.partials[i];
}
// Half of the threads never come.
void half_a_barrier(const void* /*raw*/) {
  if (thread_index() < 32) {
    sync_block();
  } else {
    sync_warp();
    shuffle(0, 0);
    if (thread_index() == 32) sync_block();
    shuffle(0, 0);
  }
}

EmulatedKernels test_kernels() {
  EmulatedKernels out{};
  out[static_cast<std::size_t>(Kernel::k_combine_splits)] = twice;
  out[static_cast<std::size_t>(Kernel::k_rope_table)] = half_a_barrier;
  return out;
}

class EmulatedDevice : public testing::Test {
 protected:
  EmulatedDevice() : device_(open_emulated_with(test_kernels())) {
    in_ = *device_->allocate(kBytes);
    out_ = *device_->allocate(kBytes);
    pinned_ = static_cast<float*>(device_->allocate_pinned(kBytes));
  }
  static constexpr std::uint64_t kBytes = kCountOf * sizeof(float);

  Status launch_twice() {
    CombineSplitsArgs args{};
    args.partials = reinterpret_cast<const float*>(in_);
    args.out = reinterpret_cast<float*>(out_);
    return device_->launch({.kernel = Kernel::k_combine_splits, .grid = {2, 1, 1}, .threads = 32, .args = &args});
  }
  float fetch(DevicePointer from, std::size_t index) {
    std::array<float, kCountOf> host{};
    EXPECT_TRUE(device_->download(host.data(), from, kBytes).has_value());
    return host[index];
  }
  void fill_pinned(float value) {
    for (int i = 0; i < kCountOf; ++i) pinned_[i] = value + static_cast<float>(i);
  }

  std::unique_ptr<Device> device_;
  DevicePointer in_ = 0;
  DevicePointer out_ = 0;
  float* pinned_ = nullptr;
};

TEST_F(EmulatedDevice, OperationsHappenInTheirOrder) {
  fill_pinned(1);
  ASSERT_TRUE(device_->upload(in_, pinned_, kBytes).has_value());
  ASSERT_TRUE(launch_twice().has_value());
  EXPECT_EQ(fetch(out_, 0), 2);
  EXPECT_EQ(fetch(out_, 63), 128);
  ASSERT_TRUE(device_->fill_zero(in_, kBytes).has_value());
  ASSERT_TRUE(launch_twice().has_value());
  EXPECT_EQ(fetch(out_, 63), 0);
}

TEST_F(EmulatedDevice, PinnedMemoryIsReadAndWrittenLate) {
  fill_pinned(1);
  ASSERT_TRUE(device_->upload(in_, pinned_, kBytes).has_value());
  fill_pinned(100);  // too early: a card may not have read it yet
  EXPECT_EQ(fetch(in_, 0), 100);
  std::array<float, kCountOf> pageable{5};
  ASSERT_TRUE(device_->upload(in_, pageable.data(), kBytes).has_value());
  pageable[0] = 6;
  ASSERT_TRUE(device_->download(pinned_, in_, kBytes).has_value());
  EXPECT_EQ(pinned_[0], 100);  // too early
  ASSERT_TRUE(device_->synchronize().has_value());
  EXPECT_EQ(pinned_[0], 5);
}

TEST_F(EmulatedDevice, ARecordingIsDoneAtEachReplayAndNotBefore) {
  ASSERT_TRUE(device_->fill_zero(out_, kBytes).has_value());
  ASSERT_TRUE(device_->begin_recording().has_value());
  ASSERT_TRUE(device_->upload(in_, pinned_, kBytes).has_value());
  ASSERT_TRUE(launch_twice().has_value());
  const Result<int> recording = device_->end_recording();
  ASSERT_TRUE(recording.has_value());
  EXPECT_EQ(fetch(out_, 0), 0);
  for (const float value : {3.0F, 7.0F}) {
    fill_pinned(value);
    ASSERT_TRUE(device_->replay(*recording).has_value());
    EXPECT_EQ(fetch(out_, 1), 2 * (value + 1));
  }
}

TEST_F(EmulatedDevice, ARecordingCopiesPinnedMemoryOnly) {
  std::array<float, kCountOf> pageable{};
  ASSERT_TRUE(device_->begin_recording().has_value());
  EXPECT_FALSE(device_->upload(in_, pageable.data(), kBytes).has_value());
  EXPECT_FALSE(device_->end_recording().has_value());  // the failure ended it
  ASSERT_TRUE(device_->begin_recording().has_value());
  EXPECT_FALSE(device_->download(pageable.data(), in_, kBytes).has_value());
  ASSERT_TRUE(device_->begin_recording().has_value());
  EXPECT_FALSE(device_->synchronize().has_value());
}

TEST_F(EmulatedDevice, ABarrierThatNotAllReachIsAnErrorThatNamesTheKernel) {
  RopeTableArgs args{};
  ASSERT_TRUE(device_->launch({.kernel = Kernel::k_rope_table, .threads = 64, .args = &args}).has_value());
  const Status status = device_->synchronize();
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, Code::kInternal);
  EXPECT_NE(status.error().message.find("rope_table"), std::string::npos);
  fill_pinned(1);  // and the device goes on
  ASSERT_TRUE(device_->upload(in_, pinned_, kBytes).has_value());
  ASSERT_TRUE(launch_twice().has_value());
  EXPECT_EQ(fetch(out_, 0), 2);
}

TEST_F(EmulatedDevice, LaunchesThatNoCardRunsAreRefused) {
  CombineSplitsArgs args{};
  const auto refused = [&](Launch launch) {
    launch.kernel = Kernel::k_combine_splits;
    launch.args = &args;
    return !device_->launch(launch).has_value();
  };
  EXPECT_TRUE(refused({.threads = 48}));
  EXPECT_TRUE(refused({.threads = 160}));
  EXPECT_TRUE(refused({.threads = 0}));
  EXPECT_TRUE(refused({.grid = {0, 1, 1}, .threads = 32}));
  EXPECT_TRUE(refused({.grid = {1, 1 << 16, 1}, .threads = 32}));
  EXPECT_TRUE(refused({.threads = 32, .shared_bytes = (64 << 10) + 1}));
}

TEST_F(EmulatedDevice, MemoryHasBoundsAndAnEnd) {
  EXPECT_TRUE(std::isnan(fetch(in_, 0)));  // nobody wrote it
  EXPECT_FALSE(device_->upload(in_ + 4, pinned_, kBytes).has_value());
  EXPECT_FALSE(device_->fill_zero(in_ - 4, 4).has_value());
  EXPECT_EQ(in_ % 1024, 0U);
  const std::uint64_t before = *device_->free_bytes();
  const Result<DevicePointer> refused = device_->allocate(before + 1);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kOverloaded);
  device_->release(in_);
  EXPECT_EQ(*device_->free_bytes(), before + kBytes);
}

}  // namespace
}  // namespace dormouse::cuda
