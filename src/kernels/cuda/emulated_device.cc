// The device seam without a card. It is as late as a card may be: what is enqueued happens at synchronize() or when a
// result is fetched, so that a test sees an argument changed too early or a result read too soon.
#include "kernels/cuda/emulated_device.h"

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernels/cuda/emulator.h"

namespace dormouse::cuda {
namespace {

// A T4's, the smallest card that we serve: a launch that fits here fits everywhere.
constexpr int kComputeMajor = 7;
constexpr int kComputeMinor = 5;
constexpr int kMultiprocessors = 40;
constexpr std::uint64_t kTotalBytes = 15'800'000'000;
constexpr std::uint64_t kL2Bytes = 4U << 20;
constexpr std::size_t kSharedBytesPerBlock = 64U << 10;

constexpr std::align_val_t kAlignment{1024};
// What nobody wrote reads as NaN.
constexpr unsigned char kUnwritten = 0xFF;

struct FreeAligned {
  void operator()(unsigned char* memory) const { ::operator delete(memory, kAlignment); }
};
using Memory = std::unique_ptr<unsigned char, FreeAligned>;
struct Block {
  Memory memory{};
  std::uint64_t bytes = 0;
};

struct Operation {
  enum class Kind : std::uint8_t { kCopy, kZero, kLaunch };
  Kind kind = Kind::kCopy;
  // kCopy, kZero. From `bytes` if those are there: of memory that is not pinned the caller may be done with.
  void* to = nullptr;
  const void* from = nullptr;
  std::uint64_t size = 0;
  // kLaunch: the args struct
  std::vector<unsigned char> bytes{};
  Launch launch{};
};

class EmulatedDevice final : public Device {
 public:
  explicit EmulatedDevice(const EmulatedKernels& kernels) : kernels_(kernels) {
    info_.name = "emulated";
    info_.compute_major = kComputeMajor;
    info_.compute_minor = kComputeMinor;
    info_.multiprocessors = kMultiprocessors;
    info_.total_bytes = kTotalBytes;
    info_.l2_bytes = kL2Bytes;
    info_.shared_bytes_per_block = kSharedBytesPerBlock;
    info_.runs_together = true;
    info_.is_emulated = true;
  }

  [[nodiscard]] const DeviceInfo& info() const override { return info_; }
  Result<std::uint64_t> free_bytes() override { return kTotalBytes - used_bytes_; }
  Status fit_stacks() override { return {}; }
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
  using Blocks = std::map<std::uintptr_t, Block>;

  Status refuse(std::string why);
  Status enqueue(Operation operation);
  Status carry_out(const Operation& operation);
  [[nodiscard]] static bool is_inside(const Blocks& blocks, std::uintptr_t begin, std::uint64_t bytes);
  static Blocks::iterator find(Blocks& blocks, std::uintptr_t begin);

  const EmulatedKernels kernels_;
  DeviceInfo info_;
  Blocks memory_;
  Blocks pinned_;
  std::uint64_t used_bytes_ = 0;
  std::vector<Operation> queue_;
  bool is_recording_ = false;
  std::vector<Operation> recorded_;
  std::vector<std::vector<Operation>> recordings_;
};

Block make_block(std::uint64_t bytes) {
  auto* const memory = static_cast<unsigned char*>(::operator new(bytes, kAlignment, std::nothrow));
  if (memory != nullptr) std::memset(memory, kUnwritten, bytes);
  return {.memory = Memory(memory), .bytes = bytes};
}

bool EmulatedDevice::is_inside(const Blocks& blocks, std::uintptr_t begin, std::uint64_t bytes) {
  auto next = blocks.upper_bound(begin);
  if (next == blocks.begin()) return false;
  const auto& [block_begin, block] = *--next;
  const std::uint64_t offset = begin - block_begin;
  return offset <= block.bytes && bytes <= block.bytes - offset;
}

EmulatedDevice::Blocks::iterator EmulatedDevice::find(Blocks& blocks, std::uintptr_t begin) {
  const auto found = blocks.find(begin);
  CHECK(found != blocks.end());
  return found;
}

// As a card does: a failed operation ends a recording.
Status EmulatedDevice::refuse(std::string why) {
  is_recording_ = false;
  recorded_.clear();
  return make_error(Code::kInternal, "cuda (emulated): " + std::move(why));
}

Result<DevicePointer> EmulatedDevice::allocate(std::uint64_t bytes) {
  const std::uint64_t free = kTotalBytes - used_bytes_;
  Block block = bytes <= free ? make_block(bytes) : Block{};
  if (block.memory == nullptr) {
    return make_error(Code::kOverloaded,
                      fmt::format("cuda (emulated): no memory for {:.1f} MB: {:.1f} MB are free",
                                  static_cast<double>(bytes) / 1e6, static_cast<double>(free) / 1e6));
  }
  used_bytes_ += bytes;
  const auto address = reinterpret_cast<std::uintptr_t>(block.memory.get());
  memory_.emplace(address, std::move(block));
  return DevicePointer{address};
}

void EmulatedDevice::release(DevicePointer memory) {
  const auto found = find(memory_, memory);
  used_bytes_ -= found->second.bytes;
  memory_.erase(found);
}

void* EmulatedDevice::allocate_pinned(std::uint64_t bytes) {
  Block block = make_block(bytes);
  void* const memory = block.memory.get();
  if (memory != nullptr) pinned_.emplace(reinterpret_cast<std::uintptr_t>(memory), std::move(block));
  return memory;
}

void EmulatedDevice::release_pinned(void* memory) {
  pinned_.erase(find(pinned_, reinterpret_cast<std::uintptr_t>(memory)));
}

Status EmulatedDevice::enqueue(Operation operation) {
  (is_recording_ ? recorded_ : queue_).push_back(std::move(operation));
  return {};
}

Status EmulatedDevice::upload_all(std::span<const Upload> uploads) {
  for (const Upload& one : uploads) TRY_STATUS(upload(one.to, one.from, one.bytes));
  return synchronize();
}

Status EmulatedDevice::upload(DevicePointer to, const void* from, std::uint64_t bytes) {
  if (!is_inside(memory_, to, bytes)) return refuse(fmt::format("upload of {} bytes beyond an allocation", bytes));
  Operation operation{.to = reinterpret_cast<void*>(to), .from = from, .size = bytes};
  if (!is_inside(pinned_, reinterpret_cast<std::uintptr_t>(from), bytes)) {
    if (is_recording_) return refuse("a recorded upload must be from pinned memory");
    const auto* const begin = static_cast<const unsigned char*>(from);
    operation.bytes.assign(begin, begin + bytes);
  }
  return enqueue(std::move(operation));
}

Status EmulatedDevice::download(void* to, DevicePointer from, std::uint64_t bytes) {
  if (!is_inside(memory_, from, bytes)) return refuse(fmt::format("download of {} bytes beyond an allocation", bytes));
  const bool is_pinned = is_inside(pinned_, reinterpret_cast<std::uintptr_t>(to), bytes);
  if (is_recording_ && !is_pinned) return refuse("a recorded download must be to pinned memory");
  TRY_STATUS(enqueue({.to = to, .from = reinterpret_cast<const void*>(from), .size = bytes}));
  return is_pinned ? Status{} : synchronize();
}

Status EmulatedDevice::fill_zero(DevicePointer to, std::uint64_t bytes) {
  if (!is_inside(memory_, to, bytes)) return refuse(fmt::format("fill of {} bytes beyond an allocation", bytes));
  return enqueue({.kind = Operation::Kind::kZero, .to = reinterpret_cast<void*>(to), .size = bytes});
}

Status EmulatedDevice::launch(const Launch& launch) {
  if (const Status fits = check_launch(launch, kSharedBytesPerBlock); !fits.has_value()) {
    return refuse(fits.error().message);
  }
  const auto* const args = static_cast<const unsigned char*>(launch.args);
  Operation operation{.kind = Operation::Kind::kLaunch, .launch = launch};
  operation.bytes.assign(args, args + facts(launch.kernel).args_bytes);
  operation.launch.args = nullptr;
  return enqueue(std::move(operation));
}

Status EmulatedDevice::carry_out(const Operation& operation) {
  switch (operation.kind) {
    case Operation::Kind::kCopy:
      std::memcpy(operation.to, operation.bytes.empty() ? operation.from : operation.bytes.data(), operation.size);
      return {};
    case Operation::Kind::kZero: std::memset(operation.to, 0, operation.size); return {};
    case Operation::Kind::kLaunch: break;
  }
  const Launch& launch = operation.launch;
  const EmulatedKernel kernel = kernels_[static_cast<std::size_t>(launch.kernel)];
  const emulator::Shape shape{.grid = {launch.grid[0], launch.grid[1], launch.grid[2]},
                              .threads = launch.threads,
                              .shared_bytes = launch.shared_bytes,
                              .together = launch.together};
  if (emulator::run(shape, [&] { kernel(operation.bytes.data()); })) return {};
  return make_error(Code::kInternal, fmt::format("cuda (emulated): threads of {} wait for each other for ever",
                                                 facts(launch.kernel).name));
}

Status EmulatedDevice::synchronize() {
  if (is_recording_) return refuse("synchronize() inside a recording");
  const std::vector<Operation> queue = std::exchange(queue_, {});
  for (const Operation& operation : queue) TRY_STATUS(carry_out(operation));
  return {};
}

Status EmulatedDevice::begin_recording() {
  if (is_recording_) return refuse("a recording is already under way");
  is_recording_ = true;
  return {};
}

Result<int> EmulatedDevice::end_recording() {
  if (!std::exchange(is_recording_, false)) return refuse("no recording is under way").error();
  recordings_.push_back(std::exchange(recorded_, {}));
  return static_cast<int>(recordings_.size()) - 1;
}

Status EmulatedDevice::replay(int recording) {
  CHECK(recording >= 0);
  CHECK(static_cast<std::size_t>(recording) < recordings_.size());
  if (is_recording_) return refuse("replay() inside a recording");
  for (const Operation& operation : recordings_[static_cast<std::size_t>(recording)]) queue_.push_back(operation);
  return {};
}

}  // namespace

std::unique_ptr<Device> open_emulated_with(const EmulatedKernels& kernels) {
  return std::make_unique<EmulatedDevice>(kernels);
}

}  // namespace dormouse::cuda
