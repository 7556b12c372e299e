// Runs blocks of GPU threads on the CPU, one block at a time or all together, each thread a fiber on its own small
// stack. Test code and the `emulated` device only. One host thread uses it at a time.
#pragma once

#include <cstddef>
#include <functional>

namespace dormouse::cuda::emulator {

// What a lane hands to the others of its warp at most.
inline constexpr std::size_t kSlotBytes = 64;

struct Place {
  int thread = 0;
  int threads = 0;
  int block[3] = {};
  int grid[3] = {};
  unsigned char* shared = nullptr;
};
// Of the thread that runs now.
const Place& current();

// Waits until every thread of the block has come here (threads that returned count as come).
void sync_block();
// The same, and of how many of them `mine` is true.
int count_block(bool mine);
// Hands `bytes` <= kSlotBytes of this lane to its warp and waits for all lanes: [32][kSlotBytes], good until the next.
const unsigned char* exchange(const void* mine, std::size_t bytes);

// Lets the other threads of the grid run until one of them calls notify_grid().
void await_grid();
void notify_grid();

enum class Order { kForwards, kBackwards };
// Which ready thread runs first: a kernel's result must not depend on it.
void set_order(Order order);

struct Shape {
  int grid[3] = {1, 1, 1};
  int threads = 32;  // a multiple of 32
  std::size_t shared_bytes = 0;
  bool together = false;  // all blocks are there at once
};
// Runs body() once per thread. False: threads waited for each other for ever (a barrier not all of them reach, a
// notification that does not come).
// Shared memory is filled with 0xFF (NaN) before each block.
bool run(const Shape& shape, const std::function<void()>& body);

}  // namespace dormouse::cuda::emulator
