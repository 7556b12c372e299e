// simt.h for g++: every thread of a block is a fiber (emulator.h); blocks run one after the other. Correctness only: a
// launch takes milliseconds where a card takes microseconds. The order in which ready threads run is the test's choice
// (forwards, backwards), which shows most missing barriers.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/cuda/emulator.h"
#include "quant/half.h"

#define DEVICE inline

namespace dormouse::cuda {

inline int thread_index() {
  return emulator::current().thread;
}
inline int thread_count() {
  return emulator::current().threads;
}
inline int lane_index() {
  return emulator::current().thread % 32;
}
inline int warp_index() {
  return emulator::current().thread / 32;
}
inline int block_x() {
  return emulator::current().block[0];
}
inline int block_y() {
  return emulator::current().block[1];
}
inline int block_z() {
  return emulator::current().block[2];
}
inline int grid_x() {
  return emulator::current().grid[0];
}
inline unsigned char* shared_memory() {
  return emulator::current().shared;
}

inline void sync_block() {
  emulator::sync_block();
}
inline int sync_block_count(bool mine) {
  return emulator::count_block(mine);
}
inline void sync_warp() {
  emulator::exchange(nullptr, 0);
}

template <typename T>
T shuffle(T value, int lane) {
  T out;
  std::memcpy(&out, emulator::exchange(&value, sizeof value) + lane * emulator::kSlotBytes, sizeof out);
  return out;
}
template <typename T>
T shuffle_xor(T value, int mask) {
  return shuffle(value, lane_index() ^ mask);
}

inline std::uint32_t warp_largest(std::uint32_t value) {
  for (int mask = 16; mask > 0; mask /= 2) {
    const std::uint32_t other = shuffle_xor(value, mask);
    value = other > value ? other : value;
  }
  return value;
}

inline int fetch_add(int* at, int value) {
  const int before = *at;
  *at += value;
  return before;
}

template <typename T>
T load_once(const T* from) {
  return *from;
}
template <typename T>
T load_constant(const T* from) {
  return *from;
}

inline void prefetch_l2(const void*) {}
inline float half_to_float(std::uint16_t bits) {
  return quant::half_to_float(bits);
}
inline std::uint16_t float_to_half(float x) {
  return quant::float_to_half(x);
}
inline std::uint32_t pack_halves(float low, float high) {
  return static_cast<std::uint32_t>(float_to_half(low)) | static_cast<std::uint32_t>(float_to_half(high)) << 16;
}
inline float low_half(std::uint32_t pair) {
  return half_to_float(static_cast<std::uint16_t>(pair));
}
inline float high_half(std::uint32_t pair) {
  return half_to_float(static_cast<std::uint16_t>(pair >> 16));
}

// A product of halves is exact in a double, and so is its sum with a half in the ranges kernels use.
inline std::uint32_t half2_fma(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  const auto one = [](double x, double y, double z) { return static_cast<float>(x * y + z); };
  return pack_halves(one(low_half(a), low_half(b), low_half(c)), one(high_half(a), high_half(b), high_half(c)));
}
inline std::uint32_t half2_mul(std::uint32_t a, std::uint32_t b) {
  return pack_halves(low_half(a) * low_half(b), high_half(a) * high_half(b));
}
inline std::uint32_t half2_sub(std::uint32_t a, std::uint32_t b) {
  return pack_halves(low_half(a) - low_half(b), high_half(a) - high_half(b));
}

inline std::uint32_t permute_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t selector) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(b) << 32 | a;
  std::uint32_t out = 0;
  for (unsigned i = 0; i < 4; ++i) {
    out |= static_cast<std::uint32_t>(bytes >> (8 * ((selector >> (4 * i)) & 7)) & 0xFF) << (8 * i);
  }
  return out;
}
inline int dp4a(std::uint32_t a, std::uint32_t b, int c) {
  for (int i = 0; i < 4; ++i) {
    c += static_cast<int>(a >> (8 * i) & 0xFF) * static_cast<std::int8_t>(b >> (8 * i) & 0xFF);
  }
  return c;
}
inline int dp4a_signed(std::uint32_t a, std::uint32_t b, int c) {
  for (int i = 0; i < 4; ++i) {
    c += static_cast<std::int8_t>(a >> (8 * i) & 0xFF) * static_cast<std::int8_t>(b >> (8 * i) & 0xFF);
  }
  return c;
}
inline float fast_exp2(float x) {
  return std::exp2(x);
}
inline float fast_divide(float a, float b) {
  return a / b;
}
inline float bits_to_float(std::uint32_t bits) {
  float x = 0;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline std::uint32_t float_to_bits(float x) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float fmaf(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline float fmaxf(float a, float b) {
  return std::fmax(a, b);
}
inline float sqrtf(float a) {
  return std::sqrt(a);
}

inline void mma_f16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  // As floats already: each half is used by eight lanes.
  float mine[12];
  const std::uint32_t words[6] = {a[0], a[1], a[2], a[3], b0, b1};
  for (int i = 0; i < 6; ++i) {
    mine[2 * i] = low_half(words[i]);
    mine[2 * i + 1] = high_half(words[i]);
  }
  const unsigned char* all = emulator::exchange(mine, sizeof mine);
  const auto half_of = [all](int lane, int word, int which) {
    return reinterpret_cast<const float*>(all + lane * emulator::kSlotBytes)[2 * word + which];
  };
  const int group = lane_index() / 4;
  const int pair = lane_index() % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = group + 8 * (i / 2);
    const int column = 2 * pair + i % 2;
    float sum = c[i];
    for (int k = 0; k < 16; ++k) {
      sum += half_of(row % 8 * 4 + k % 8 / 2, (row >= 8 ? 1 : 0) + (k >= 8 ? 2 : 0), k % 2) *
             half_of(column * 4 + k % 8 / 2, 4 + (k >= 8 ? 1 : 0), k % 2);
    }
    c[i] = sum;
  }
}

inline void ldmatrix(std::uint32_t (&r)[4], const void* row, bool transposed) {
  const unsigned char* all = emulator::exchange(&row, sizeof row);
  const auto at = [all](int matrix, int line, int column) {
    const unsigned char* from = nullptr;
    std::memcpy(&from, all + (8 * matrix + line) * emulator::kSlotBytes, sizeof from);
    std::uint16_t bits = 0;
    std::memcpy(&bits, from + 2 * column, sizeof bits);
    return static_cast<std::uint32_t>(bits);
  };
  const int group = lane_index() / 4;
  const int pair = 2 * (lane_index() % 4);
  for (int i = 0; i < 4; ++i) {
    r[i] = transposed ? at(i, pair, group) | at(i, pair + 1, group) << 16
                      : at(i, group, pair) | at(i, group, pair + 1) << 16;
  }
}
inline void ldmatrix_x4(std::uint32_t (&r)[4], const void* row) {
  ldmatrix(r, row, false);
}
inline void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row) {
  ldmatrix(r, row, true);
}

// At once; a kernel that forgets to wait is not found here but by racecheck on a card.
inline void copy_async16(void* to, const void* from, bool there) {
  if (there) {
    std::memcpy(to, from, 16);
  } else {
    std::memset(to, 0, 16);
  }
}
inline void copy_async_commit() {}
template <int kPending>
void copy_async_wait() {}
inline void prefetch_bytes(const void*, int) {}
inline void arrive_grid(std::uint32_t* arrivals, std::uint32_t all) {
  *arrivals = *arrivals + 1 < all ? *arrivals + 1 : 0;
  emulator::notify_grid();
}
inline void await_grid(const std::uint32_t* arrivals, std::uint32_t count) {
  while (*arrivals < count) emulator::await_grid();
}
template <typename T>
T load_fresh(const T* from) {
  return *from;
}
inline void wait_for_previous() {}
inline void let_next_begin() {}

}  // namespace dormouse::cuda
