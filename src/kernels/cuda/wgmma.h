// Hopper's matrix product of a group of four warps (wgmma): c[64, N] += a[64, 16] b[16, N], a in registers as mma_f16
// has it (warp w of the group the rows 16w ..), b in shared memory, in the background. Only sm_90a has it; elsewhere a
// kernel made of it must not be launched and does nothing. The long operand lists are why this is a file of its own.
#pragma once

#include <cstdint>

#include "kernels/cuda/simt.h"

namespace dormouse::cuda {

#if defined(__CUDACC__) && defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define DORMOUSE_HAS_WGMMA 1
#else
#define DORMOUSE_HAS_WGMMA 0
#endif

#if defined(__CUDACC__)

// Whether a kernel made of it need have a body.
inline constexpr bool kHasWgmma = DORMOUSE_HAS_WGMMA != 0;

// Of b: [N rows][128 bytes, 64 halves of k], 16-byte chunks swapped by row % 8 (the 128-byte swizzle), 1 KiB aligned;
// `k16`: which 16 of the 64.
DEVICE std::uint64_t wgmma_operand(const unsigned char* b, int k16) {
  constexpr std::uint64_t kEightRows = std::uint64_t{1024 >> 4} << 32;
  constexpr std::uint64_t kSwizzle128 = std::uint64_t{1} << 62;
  const std::uint64_t address = (shared_address(b) + 32 * k16) >> 4 & 0x3FFF;
  return address | std::uint64_t{1} << 16 | kEightRows | kSwizzle128;
}

#if DORMOUSE_HAS_WGMMA
// Registers that products in the background read or write are not touched between this and wgmma_wait().
DEVICE void wgmma_begin() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
DEVICE void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kPending>
DEVICE void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
// Behind wgmma_wait(): to the compiler, what is read of c below is made here and not where its products were asked for.
template <int kTiles>
DEVICE void wgmma_ended(float (&c)[kTiles][4]) {
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
    asm volatile("" : "+f"(c[n][0]), "+f"(c[n][1]), "+f"(c[n][2]), "+f"(c[n][3])::"memory");
  }
}
// What copies brought to shared memory is seen by the products that follow the next barrier.
DEVICE void publish_to_wgmma() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
DEVICE void wgmma_f16(float (&c)[8][4], const std::uint32_t (&a)[4], std::uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, "
      "%14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, p, 1, 1, 0;\n}\n"
      : "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]), "+f"(c[1][2]),
        "+f"(c[1][3]), "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]), "+f"(c[3][0]), "+f"(c[3][1]),
        "+f"(c[3][2]), "+f"(c[3][3]), "+f"(c[4][0]), "+f"(c[4][1]), "+f"(c[4][2]), "+f"(c[4][3]), "+f"(c[5][0]),
        "+f"(c[5][1]), "+f"(c[5][2]), "+f"(c[5][3]), "+f"(c[6][0]), "+f"(c[6][1]), "+f"(c[6][2]), "+f"(c[6][3]),
        "+f"(c[7][0]), "+f"(c[7][1]), "+f"(c[7][2]), "+f"(c[7][3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
}
DEVICE void wgmma_f16(float (&c)[16][4], const std::uint32_t (&a)[4], std::uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, "
      "%13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, "
      "%35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, "
      "%57, %58, %59, %60, %61, %62, %63}, "
      "{%64, %65, %66, %67}, %68, p, 1, 1, 0;\n}\n"
      : "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]), "+f"(c[1][2]),
        "+f"(c[1][3]), "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]), "+f"(c[3][0]), "+f"(c[3][1]),
        "+f"(c[3][2]), "+f"(c[3][3]), "+f"(c[4][0]), "+f"(c[4][1]), "+f"(c[4][2]), "+f"(c[4][3]), "+f"(c[5][0]),
        "+f"(c[5][1]), "+f"(c[5][2]), "+f"(c[5][3]), "+f"(c[6][0]), "+f"(c[6][1]), "+f"(c[6][2]), "+f"(c[6][3]),
        "+f"(c[7][0]), "+f"(c[7][1]), "+f"(c[7][2]), "+f"(c[7][3]), "+f"(c[8][0]), "+f"(c[8][1]), "+f"(c[8][2]),
        "+f"(c[8][3]), "+f"(c[9][0]), "+f"(c[9][1]), "+f"(c[9][2]), "+f"(c[9][3]), "+f"(c[10][0]), "+f"(c[10][1]),
        "+f"(c[10][2]), "+f"(c[10][3]), "+f"(c[11][0]), "+f"(c[11][1]), "+f"(c[11][2]), "+f"(c[11][3]), "+f"(c[12][0]),
        "+f"(c[12][1]), "+f"(c[12][2]), "+f"(c[12][3]), "+f"(c[13][0]), "+f"(c[13][1]), "+f"(c[13][2]), "+f"(c[13][3]),
        "+f"(c[14][0]), "+f"(c[14][1]), "+f"(c[14][2]), "+f"(c[14][3]), "+f"(c[15][0]), "+f"(c[15][1]), "+f"(c[15][2]),
        "+f"(c[15][3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
}
#else
DEVICE void wgmma_begin() {}
DEVICE void wgmma_commit() {}
template <int kPending>
DEVICE void wgmma_wait() {}
template <int kTiles>
DEVICE void wgmma_ended(float (&)[kTiles][4]) {}
DEVICE void publish_to_wgmma() {}
template <int kTiles>
DEVICE void wgmma_f16(float (&)[kTiles][4], const std::uint32_t (&)[4], std::uint64_t, int) {}
#endif

#else

// Emulated a warp at a time, at once.
inline constexpr bool kHasWgmma = true;
inline std::uint64_t wgmma_operand(const unsigned char* b, int k16) {
  return reinterpret_cast<std::uint64_t>(b) + static_cast<std::uint64_t>(32 * k16);
}
inline void wgmma_begin() {}
inline void wgmma_commit() {}
template <int kPending>
void wgmma_wait() {}
template <int kTiles>
void wgmma_ended(float (&)[kTiles][4]) {}
inline void publish_to_wgmma() {}

template <int kTiles>
void wgmma_f16(float (&c)[kTiles][4], const std::uint32_t (&a)[4], std::uint64_t b, int add) {
  const auto half_at = [b](int row, int k) {
    // The swizzle goes by the address: chunk bits ^ row bits.
    const std::uint64_t plain = b + static_cast<std::uint64_t>(128 * row + 2 * k);
    std::uint16_t bits = 0;
    std::memcpy(&bits, reinterpret_cast<const void*>(plain ^ (plain >> 7 & 7) << 4), sizeof bits);
    return static_cast<std::uint32_t>(bits);
  };
  const int row = lane_index() / 4;
  const int k = 2 * (lane_index() % 4);
  for (int n = 0; n < kTiles; ++n) {
    if (add == 0) c[n][0] = c[n][1] = c[n][2] = c[n][3] = 0;
    mma_f16(c[n], a, half_at(8 * n + row, k) | half_at(8 * n + row, k + 1) << 16,
            half_at(8 * n + row, k + 8) | half_at(8 * n + row, k + 9) << 16);
  }
}

#endif

}  // namespace dormouse::cuda
