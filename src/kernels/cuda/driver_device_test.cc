// Goal: what we ask of a driver is in order, its errors come out as ours, and everything is given back. Method: a fake
// driver of plain functions over one record; no card.
#include "kernels/cuda/driver_device.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/gpu_list.h"
#include "kernels/cuda/kernel_facts.h"

namespace dormouse::cuda {
namespace {

using namespace std::string_literals;

struct Launched {
  std::string kernel;
  bool overlaps = false;
  bool together = false;
  unsigned shared_bytes = 0;
  unsigned grid_y = 0;
  int first_word = 0;  // of the args
};

// What the driver was asked, and what it holds for us.
struct FakeDriver {
  int gpus = 1;
  int compute_major = 9;
  int fail_launches_with = 0;
  int fail_functions_with = 0;
  int fail_limits_with = 0;
  std::size_t stack_limit = 0;
  std::size_t free_bytes = 1000;
  std::vector<Launched> launches;
  std::vector<std::pair<std::string, int>> shared_wishes;
  std::vector<std::string> functions;
  int contexts = 0;
  int modules = 0;
  int streams = 0;
  int allocations = 0;
  int pinned = 0;
  int graphs = 0;
  int recordings = 0;
  bool is_capturing = false;
};
FakeDriver fake;

template <typename Handle>
Handle handle(std::uintptr_t number) {
  return reinterpret_cast<Handle>(number);
}

int fake_launch(const driver::LaunchConfig* config, driver::Function function, void** parameters, void** /*extra*/) {
  if (fake.fail_launches_with != 0) return fake.fail_launches_with;
  Launched launched{.kernel = fake.functions[reinterpret_cast<std::uintptr_t>(function) - 1],
                    .shared_bytes = config->shared_bytes,
                    .grid_y = config->grid[1],
                    .first_word = *static_cast<const int*>(parameters[0])};
  if (config->attribute_count == 1) {
    launched.together = config->attributes->id == driver::kCooperative && config->attributes->value[0] == 1;
    launched.overlaps =
        config->attributes->id == driver::kProgrammaticStreamSerialization && config->attributes->value[0] == 1;
  }
  fake.launches.push_back(std::move(launched));
  return 0;
}

int fake_find_function(driver::Function* function, driver::Module module, const char* name) {
  if (fake.fail_functions_with != 0) return fake.fail_functions_with;
  // The image that the kernel's file was compiled to, by its number.
  for (std::size_t i = 0; i < kKernelCount; ++i) {
    const KernelFacts& kernel = facts(static_cast<Kernel>(i));
    if (kernel.name == std::string(name) &&
        static_cast<std::uintptr_t>(kernel.file) + 1 != reinterpret_cast<std::uintptr_t>(module)) {
      return 500;
    }
  }
  fake.functions.emplace_back(name);
  *function = handle<driver::Function>(fake.functions.size());
  return 0;
}

int fake_attribute(int* value, int attribute, driver::Gpu /*gpu*/) {
  switch (attribute) {
    case driver::kComputeMajor: *value = fake.compute_major; return 0;
    case driver::kComputeMinor: *value = 5; return 0;
    case driver::kCooperativeLaunch: *value = 1; return 0;
    case driver::kSharedBytesPerBlockOptIn: *value = 100 << 10; return 0;
    default: *value = 7; return 0;
  }
}

void add_memory_calls(driver::Api& api) {
  api.memory_info = [](std::size_t* free, std::size_t* total) {
    *free = fake.free_bytes;
    *total = 1 << 20;
    return 0;
  };
  api.allocate = [](driver::Address* address, std::size_t bytes) {
    if (bytes > fake.free_bytes) return driver::kOutOfMemory;
    *address = static_cast<driver::Address>(++fake.allocations) << 20;
    return 0;
  };
  api.release = [](driver::Address /*address*/) { return --fake.allocations, 0; };
  api.allocate_host = [](void** memory, std::size_t /*bytes*/, unsigned /*flags*/) {
    *memory = handle<void*>(static_cast<std::uintptr_t>(++fake.pinned));
    return 0;
  };
  api.release_host = [](void* /*memory*/) { return --fake.pinned, 0; };
  api.copy_to_device = [](driver::Address, const void*, std::size_t, driver::Stream) { return 0; };
  api.copy_to_host = [](void*, driver::Address, std::size_t, driver::Stream) { return 0; };
  api.fill = [](driver::Address, unsigned char, std::size_t, driver::Stream) { return 0; };
}

void add_recording_calls(driver::Api& api) {
  api.begin_capture = [](driver::Stream, int) {
    if (std::exchange(fake.is_capturing, true)) return 900;
    return 0;
  };
  api.end_capture = [](driver::Stream, driver::Graph* graph) {
    if (!std::exchange(fake.is_capturing, false)) return 901;
    *graph = handle<driver::Graph>(static_cast<std::uintptr_t>(++fake.graphs));
    return 0;
  };
  api.instantiate = [](driver::GraphExec* exec, driver::Graph, unsigned long long) {
    *exec = handle<driver::GraphExec>(static_cast<std::uintptr_t>(++fake.recordings));
    return 0;
  };
  api.upload_graph = [](driver::GraphExec, driver::Stream) { return 0; };
  api.launch_graph = [](driver::GraphExec, driver::Stream) { return 0; };
  api.destroy_graph = [](driver::Graph) { return --fake.graphs, 0; };
  api.destroy_graph_exec = [](driver::GraphExec) { return --fake.recordings, 0; };
}

driver::Api fake_api() {
  driver::Api api;
  api.error_name = [](int code, const char** name) { return *name = code == 2 ? "OUT" : "BROKEN", 0; };
  api.error_text = [](int, const char** text) { return *text = "text", 0; };
  api.gpu_count = [](int* count) { return *count = fake.gpus, 0; };
  api.gpu = [](driver::Gpu* gpu, int ordinal) { return *gpu = ordinal, 0; };
  api.gpu_name = [](char* name, int, driver::Gpu) { return name[0] = 'F', 0; };
  api.gpu_bytes = [](std::size_t* bytes, driver::Gpu) { return *bytes = 1 << 20, 0; };
  api.gpu_attribute = fake_attribute;
  api.set_context_flags = [](driver::Gpu, unsigned) { return 0; };
  api.retain_context = [](driver::Context* context, driver::Gpu) {
    *context = handle<driver::Context>(static_cast<std::uintptr_t>(++fake.contexts));
    return 0;
  };
  api.release_context = [](driver::Gpu) { return --fake.contexts, 0; };
  api.set_current = [](driver::Context) { return 0; };
  api.create_stream = [](driver::Stream* stream, unsigned) {
    *stream = handle<driver::Stream>(static_cast<std::uintptr_t>(++fake.streams));
    return 0;
  };
  api.destroy_stream = [](driver::Stream) { return --fake.streams, 0; };
  api.synchronize = [](driver::Stream) { return fake.is_capturing ? 900 : 0; };
  api.load_module = [](driver::Module* module, const void*) {
    *module = handle<driver::Module>(static_cast<std::uintptr_t>(++fake.modules));
    return 0;
  };
  api.unload_module = [](driver::Module) { return --fake.modules, 0; };
  api.find_function = fake_find_function;
  api.set_function_attribute = [](driver::Function function, int attribute, int value) {
    if (attribute != driver::kMaxDynamicSharedBytes) return 1;
    fake.shared_wishes.emplace_back(fake.functions[reinterpret_cast<std::uintptr_t>(function) - 1], value);
    return 0;
  };
  api.function_attribute = [](int* value, int attribute, driver::Function function) {
    if (attribute != driver::kLocalBytes) return 1;
    *value = static_cast<int>(reinterpret_cast<std::uintptr_t>(function)) * 16;
    return 0;
  };
  api.set_limit = [](int limit, std::size_t value) {
    if (limit != driver::kStackLimit || fake.fail_limits_with != 0) return fake.fail_limits_with;
    fake.stack_limit = value;
    return 0;
  };
  api.launch = fake_launch;
  add_memory_calls(api);
  add_recording_calls(api);
  return api;
}

constexpr std::array<const void*, kKernelFiles> kImages{};
constexpr std::array kArchs = {75, 90};

class DriverDevice : public testing::Test {
 protected:
  DriverDevice() { fake = {}; }
  ~DriverDevice() override {
    device_.reset();
    EXPECT_EQ(fake.contexts + fake.modules + fake.streams + fake.allocations + fake.pinned, 0);
    EXPECT_EQ(fake.graphs + fake.recordings, 0);
    EXPECT_FALSE(fake.is_capturing);
  }
  static Result<std::unique_ptr<Device>> open(int ordinal = 0) {
    return open_gpu_with(fake_api(), {.images = kImages, .archs = kArchs}, ordinal);
  }
  void SetUp() override {
    auto opened = open();
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    device_ = *std::move(opened);
  }
  Status launch(Kernel kernel, bool overlaps = false, std::size_t shared_bytes = 0) {
    return device_->launch({.kernel = kernel,
                            .grid = {1, 3, 1},
                            .threads = 32,
                            .shared_bytes = shared_bytes,
                            .args = args_.data(),
                            .overlaps_previous = overlaps});
  }

  std::array<int, 1024> args_{42};
  std::unique_ptr<Device> device_;
};

TEST_F(DriverDevice, EveryKernelIsFoundInTheImageOfItsFile) {
  EXPECT_EQ(fake.functions.size(), kKernelCount);
  for (std::size_t i = 0; i < kKernelCount; ++i) {
    ASSERT_TRUE(launch(static_cast<Kernel>(i)).has_value());
    EXPECT_EQ(fake.launches.back().kernel, facts(static_cast<Kernel>(i)).name);
    EXPECT_EQ(fake.launches.back().first_word, 42);
    EXPECT_EQ(fake.launches.back().grid_y, 3U);
  }
}

TEST_F(DriverDevice, SharedMemoryBeyond48KiBIsAskedForOnceAKernel) {
  ASSERT_TRUE(launch(Kernel::k_matmul_few_k, false, 48 << 10).has_value());
  EXPECT_TRUE(fake.shared_wishes.empty());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(launch(Kernel::k_matmul_few_k, false, 60 << 10).has_value());
  ASSERT_EQ(fake.shared_wishes.size(), 1U);
  EXPECT_EQ(fake.shared_wishes[0], (std::pair{"matmul_few_k"s, 60 << 10}));
  const Status too_much = launch(Kernel::k_matmul_few_k, false, (100 << 10) + 1);
  ASSERT_FALSE(too_much.has_value());
  EXPECT_NE(too_much.error().message.find("matmul_few_k: shared memory is 102401, limit 102400"), std::string::npos);
}

TEST_F(DriverDevice, AKernelOverlapsOnlyAKernelRightBeforeIt) {
  const auto overlapped = [this] {
    EXPECT_TRUE(launch(Kernel::k_rotate_store, true).has_value());
    return fake.launches.back().overlaps;
  };
  EXPECT_FALSE(overlapped());  // nothing before it
  EXPECT_TRUE(overlapped());
  ASSERT_TRUE(device_->fill_zero(1 << 20, 16).has_value());
  EXPECT_FALSE(overlapped());
  ASSERT_TRUE(launch(Kernel::k_rotate_store).has_value());
  EXPECT_FALSE(fake.launches.back().overlaps);  // not asked for
  ASSERT_TRUE(device_->begin_recording().has_value());
  EXPECT_FALSE(overlapped());
  EXPECT_TRUE(overlapped());
  const Result<int> recording = device_->end_recording();
  ASSERT_TRUE(recording.has_value());
  ASSERT_TRUE(device_->replay(*recording).has_value());
  EXPECT_FALSE(overlapped());
}

// Blocks that wait for each other are all there before one begins, and neither side of such a launch overlaps it.
TEST_F(DriverDevice, BlocksThatRunTogetherSayItAndOverlapNothing) {
  ASSERT_TRUE(launch(Kernel::k_rotate_store).has_value());
  DecodeStepArgs args{};
  ASSERT_TRUE(device_
                  ->launch({.kernel = Kernel::k_decode_step_k,
                            .grid = {7, 1, 1},
                            .threads = 128,
                            .args = &args,
                            .overlaps_previous = true,
                            .together = true})
                  .has_value());
  EXPECT_TRUE(fake.launches.back().together);
  EXPECT_FALSE(fake.launches.back().overlaps);
  ASSERT_TRUE(launch(Kernel::k_rotate_store, true).has_value());
  EXPECT_FALSE(fake.launches.back().together);
  EXPECT_FALSE(fake.launches.back().overlaps);
}

// The largest of what the fake's functions have, 16 bytes times their number.
TEST_F(DriverDevice, StacksAreAsLargeAsKernelsNeedThem) {
  ASSERT_TRUE(device_->fit_stacks().has_value());
  EXPECT_EQ(fake.stack_limit, 16 * kKernelCount);
  fake.fail_limits_with = 700;
  EXPECT_EQ(device_->fit_stacks().error().message, "cuda: fitting stacks: BROKEN (700, text)");
}

TEST_F(DriverDevice, OlderCardsNeverOverlap) {
  device_.reset();
  fake = {};
  fake.compute_major = 7;
  SetUp();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(launch(Kernel::k_rotate_store, true).has_value());
  EXPECT_FALSE(fake.launches.back().overlaps);
}

TEST_F(DriverDevice, AFailureInARecordingEndsIt) {
  ASSERT_TRUE(device_->begin_recording().has_value());
  fake.fail_launches_with = 700;
  const Status failed = launch(Kernel::k_matmul_many_k);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, Code::kInternal);
  EXPECT_EQ(failed.error().message, "cuda: launching matmul_many_k: BROKEN (700, text)");
  EXPECT_FALSE(fake.is_capturing);
  EXPECT_FALSE(device_->end_recording().has_value());
  fake.fail_launches_with = 0;
  ASSERT_TRUE(device_->begin_recording().has_value());
  // A launch that no card would run fails before the driver hears of it.
  EXPECT_FALSE(device_->launch({.kernel = Kernel::k_matmul_many_k, .threads = 33, .args = args_.data()}).has_value());
  EXPECT_FALSE(fake.is_capturing);
  ASSERT_TRUE(device_->begin_recording().has_value());
  EXPECT_FALSE(device_->synchronize().has_value());
  EXPECT_FALSE(fake.is_capturing);
}

TEST_F(DriverDevice, NoMemoryIsOverloadedAndSaysHowMuchThereIs) {
  const Result<DevicePointer> refused = device_->allocate(5'000'000);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kOverloaded);
  EXPECT_EQ(refused.error().message, "cuda: no memory for 5.0 MB: 0.0 MB of 1.0 MB are free");
  const Result<DevicePointer> kept = device_->allocate(100);
  const Result<DevicePointer> released = device_->allocate(0);
  ASSERT_TRUE(kept.has_value() && released.has_value());
  EXPECT_NE(device_->allocate_pinned(10), nullptr);
  device_->release(*released);
  EXPECT_EQ(fake.allocations, 1);  // the rest goes back with the device: ~DriverDevice looks
}

TEST_F(DriverDevice, WhatCannotBeOpenedSaysWhyAndHoldsNothing) {
  device_.reset();
  EXPECT_EQ(open(1).error().message, "cuda:1: this machine has 1 GPU");
  EXPECT_EQ(open(1).error().code, Code::kNotFound);
  fake.compute_major = 10;
  EXPECT_EQ(open().error().message, "cuda:0: F has compute capability 10.5, this build holds kernels for 7.5, 9.0");
  EXPECT_EQ(open().error().code, Code::kNotFound);
  fake.compute_major = 9;
  fake.fail_functions_with = 500;
  EXPECT_EQ(open().error().message, "cuda: finding the kernel embed_rows: BROKEN (500, text)");
  fake.fail_functions_with = 0;
  EXPECT_EQ(fake.contexts + fake.modules + fake.streams, 0);
}

TEST(GpuList, MachineCodeRunsOnTheSameMajorAndALaterMinor) {
  constexpr std::array kCode = {75, 80, 90};
  const auto runs = [&](int major, int minor) {
    DeviceInfo gpu;
    gpu.compute_major = major;
    gpu.compute_minor = minor;
    return has_code_for(kCode, gpu);
  };
  EXPECT_TRUE(runs(7, 5));
  EXPECT_FALSE(runs(7, 0));
  EXPECT_TRUE(runs(8, 0));
  EXPECT_TRUE(runs(8, 9));
  EXPECT_TRUE(runs(9, 0));
  EXPECT_FALSE(runs(10, 0));
}

}  // namespace
}  // namespace dormouse::cuda
