#include "kernels/cuda/emulator.h"

#include <ucontext.h>

#include <array>
#include <csetjmp>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace dormouse::cuda::emulator {
namespace {

constexpr int kLanes = 32;
constexpr std::size_t kStackBytes = 128U << 10;

enum class State { kReady, kInWarp, kInBlock, kInGrid, kDone };

// A fiber begins by its context and goes on by its jump: swapcontext() would ask the kernel for the signal mask each
// time, which is a third of what a test takes.
struct Fiber {
  ucontext_t context{};
  jmp_buf jump{};
  bool has_begun = false;
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
  Fiber* running = nullptr;
  int waiting = 0;
  int living = 0;
  int votes = 0;    // of those who have come to the barrier
  int counted = 0;  // what they came to at the last one
};

struct Grid {
  std::vector<Block> blocks;  // those that are there at once
  Block* running = nullptr;
  const std::function<void()>* body = nullptr;
  jmp_buf scheduler{};
  Order order = Order::kForwards;
};

Grid& the_grid() {
  static Grid grid;
  return grid;
}
Block& the_block() {
  return *the_grid().running;
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
  (*the_grid().body)();
  Block& block = the_block();
  Fiber& me = *block.running;
  me.state = State::kDone;
  --block.warps[static_cast<std::size_t>(me.place.thread / kLanes)].living;
  --block.living;
  release_block(block);
  longjmp(the_grid().scheduler, 1);
}

void wait(State state) {
  Fiber& me = *the_block().running;
  me.state = state;
  if (_setjmp(me.jump) == 0) longjmp(the_grid().scheduler, 1);
}

// Until the fiber waits or ends. Apart, and with nothing to come back to: what a caller has in registers is its own.
[[gnu::noinline]] void resume(Grid& grid, Fiber& fiber) {
  if (_setjmp(grid.scheduler) != 0) return;
  if (std::exchange(fiber.has_begun, true)) longjmp(fiber.jump, 1);
  setcontext(&fiber.context);
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
    if (fiber.stack == nullptr) fiber.stack = std::make_unique_for_overwrite<unsigned char[]>(kStackBytes);
    fiber.state = State::kReady;
    fiber.has_begun = false;
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

// Until every thread has ended or waits; whether any ran.
bool run_block(Grid& grid, Block& block) {
  grid.running = &block;
  bool has_run = false;
  for (bool moved = true; moved && block.living > 0;) {
    moved = false;
    const std::size_t count = block.fibers.size();
    for (std::size_t i = 0; i < count; ++i) {
      Fiber& fiber = block.fibers[grid.order == Order::kForwards ? i : count - 1 - i];
      if (fiber.state != State::kReady) continue;
      moved = has_run = true;
      block.running = &fiber;
      resume(grid, fiber);
    }
  }
  return has_run;
}

bool run_blocks(Grid& grid, std::size_t count) {
  for (bool moved = true, living = true; living;) {
    if (!std::exchange(moved, false)) return false;
    living = false;
    for (std::size_t i = 0; i < count; ++i) {
      Block& block = grid.blocks[grid.order == Order::kForwards ? i : count - 1 - i];
      moved = run_block(grid, block) || moved;
      living = living || block.living > 0;
    }
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

void await_grid() {
  wait(State::kInGrid);
}

void notify_grid() {
  for (Block& block : the_grid().blocks) {
    for (Fiber& fiber : block.fibers) {
      if (fiber.state == State::kInGrid) fiber.state = State::kReady;
    }
  }
}

void set_order(Order order) {
  the_grid().order = order;
}

bool run(const Shape& shape, const std::function<void()>& body) {
  Grid& grid = the_grid();
  grid.body = &body;
  const std::size_t all = static_cast<std::size_t>(shape.grid[0]) * static_cast<std::size_t>(shape.grid[1]) *
                          static_cast<std::size_t>(shape.grid[2]);
  const std::size_t at_once = shape.together ? all : 1;
  if (grid.blocks.size() < at_once) grid.blocks.resize(at_once);
  std::size_t next = 0;
  for (int z = 0; z < shape.grid[2]; ++z) {
    for (int y = 0; y < shape.grid[1]; ++y) {
      for (int x = 0; x < shape.grid[0]; ++x) {
        prepare(grid.blocks[next], shape, {x, y, z});
        if (++next < at_once) continue;
        if (!run_blocks(grid, at_once)) return false;
        next = 0;
      }
    }
  }
  return true;
}

}  // namespace dormouse::cuda::emulator
