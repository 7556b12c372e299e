#include "kernels/cuda/emulator.h"

#include <ucontext.h>

#include <array>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace dormouse::cuda::emulator {
namespace {

constexpr int kLanes = 32;
constexpr std::size_t kStackBytes = 128U << 10;

enum class State { kReady, kInWarp, kInBlock, kDone };

struct Fiber {
  ucontext_t context{};
  std::unique_ptr<unsigned char[]> stack;
  Place place;
  State state = State::kReady;
};

struct WarpSlots {
  // Two sets: a lane may be at the next exchange while others still read this one.
  std::array<std::array<unsigned char, kLanes * kSlotBytes>, 2> slots{};
  int set = 0;
  int waiting = 0;
  int living = 0;
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<WarpSlots> warps;
  std::vector<unsigned char> shared;
  const std::function<void()>* body = nullptr;
  ucontext_t scheduler{};
  Fiber* running = nullptr;
  int waiting = 0;
  int living = 0;
  int votes = 0;    // of those who have come to the barrier
  int counted = 0;  // what they came to at the last one
  Order order = Order::kForwards;
};

Block& the_block() {
  static Block block;
  return block;
}

void release_block(Block& block) {
  if (block.waiting < block.living || block.living == 0) return;
  block.counted = std::exchange(block.votes, 0);
  for (Fiber& fiber : block.fibers) {
    if (fiber.state == State::kInBlock) fiber.state = State::kReady;
  }
  block.waiting = 0;
}

void enter() {
  Block& block = the_block();
  (*block.body)();
  Fiber& me = *block.running;
  me.state = State::kDone;
  --block.warps[static_cast<std::size_t>(me.place.thread / kLanes)].living;
  --block.living;
  release_block(block);
  swapcontext(&me.context, &block.scheduler);
}

void wait(State state) {
  Block& block = the_block();
  Fiber& me = *block.running;
  me.state = state;
  swapcontext(&me.context, &block.scheduler);
}

void prepare(Block& block, const Shape& shape, const std::array<int, 3>& at) {
  const auto threads = static_cast<std::size_t>(shape.threads);
  if (block.fibers.size() != threads) block.fibers = std::vector<Fiber>(threads);
  block.warps.assign((threads + kLanes - 1) / kLanes, {});
  block.shared.assign(shape.shared_bytes + 1024, 0xFF);
  // Kernels may count on 1 KiB alignment, as on the card.
  unsigned char* shared = block.shared.data();
  shared += (1024 - reinterpret_cast<std::uintptr_t>(shared) % 1024) % 1024;
  block.waiting = 0;
  block.votes = 0;
  block.living = shape.threads;
  for (std::size_t i = 0; i < threads; ++i) {
    Fiber& fiber = block.fibers[i];
    if (fiber.stack == nullptr) fiber.stack = std::make_unique<unsigned char[]>(kStackBytes);
    fiber.state = State::kReady;
    fiber.place.thread = static_cast<int>(i);
    fiber.place.threads = shape.threads;
    std::memcpy(fiber.place.block, at.data(), sizeof fiber.place.block);
    std::memcpy(fiber.place.grid, shape.grid, sizeof fiber.place.grid);
    fiber.place.shared = shared;
    ++block.warps[i / kLanes].living;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
  }
}

bool run_block(Block& block) {
  while (block.living > 0) {
    bool moved = false;
    const std::size_t count = block.fibers.size();
    for (std::size_t i = 0; i < count; ++i) {
      Fiber& fiber = block.fibers[block.order == Order::kForwards ? i : count - 1 - i];
      if (fiber.state != State::kReady) continue;
      moved = true;
      block.running = &fiber;
      swapcontext(&block.scheduler, &fiber.context);
    }
    if (!moved) return false;
  }
  return true;
}

}  // namespace

const Place& current() {
  return the_block().running->place;
}

void sync_block() {
  Block& block = the_block();
  ++block.waiting;
  if (block.waiting >= block.living) {
    release_block(block);
    return;
  }
  wait(State::kInBlock);
}

// Nobody comes to the next barrier before all have read what this one counted.
int count_block(bool mine) {
  Block& block = the_block();
  block.votes += mine ? 1 : 0;
  sync_block();
  return block.counted;
}

const unsigned char* exchange(const void* mine, std::size_t bytes) {
  Block& block = the_block();
  const int thread = block.running->place.thread;
  const auto warp_at = static_cast<std::size_t>(thread / kLanes);
  WarpSlots& warp = block.warps[warp_at];
  const auto set = static_cast<std::size_t>(warp.set);
  unsigned char* slots = warp.slots[set].data();
  if (bytes > 0) std::memcpy(slots + static_cast<std::size_t>(thread % kLanes) * kSlotBytes, mine, bytes);
  if (++warp.waiting < warp.living) {
    wait(State::kInWarp);
    return slots;
  }
  warp.waiting = 0;
  warp.set = 1 - warp.set;
  for (std::size_t i = warp_at * kLanes; i < (warp_at + 1) * kLanes && i < block.fibers.size(); ++i) {
    if (block.fibers[i].state == State::kInWarp) block.fibers[i].state = State::kReady;
  }
  return slots;
}

void set_order(Order order) {
  the_block().order = order;
}

bool run(const Shape& shape, const std::function<void()>& body) {
  Block& block = the_block();
  block.body = &body;
  for (int z = 0; z < shape.grid[2]; ++z) {
    for (int y = 0; y < shape.grid[1]; ++y) {
      for (int x = 0; x < shape.grid[0]; ++x) {
        prepare(block, shape, {x, y, z});
        if (!run_block(block)) return false;
      }
    }
  }
  return true;
}

}  // namespace dormouse::cuda::emulator
