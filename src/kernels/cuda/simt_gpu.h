// simt.h for nvcc. Inline PTX only where CUDA C++ has no word for it. sm_75 has neither cp.async nor the 16-deep half
// product; both are put together from what it has.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#define DEVICE __device__ __forceinline__

namespace dormouse::cuda {

DEVICE int thread_index() {
  return static_cast<int>(threadIdx.x);
}
DEVICE int thread_count() {
  return static_cast<int>(blockDim.x);
}
DEVICE int lane_index() {
  return static_cast<int>(threadIdx.x) % 32;
}
DEVICE int warp_index() {
  return static_cast<int>(threadIdx.x) / 32;
}
DEVICE int block_x() {
  return static_cast<int>(blockIdx.x);
}
DEVICE int block_y() {
  return static_cast<int>(blockIdx.y);
}
DEVICE int block_z() {
  return static_cast<int>(blockIdx.z);
}
DEVICE int grid_x() {
  return static_cast<int>(gridDim.x);
}

extern __shared__ __align__(1024) unsigned char dormouse_shared[];
DEVICE unsigned char* shared_memory() {
  return dormouse_shared;
}

DEVICE void sync_block() {
  __syncthreads();
}
// Of how many threads of the block `mine` is true.
DEVICE int sync_block_count(bool mine) {
  return __syncthreads_count(mine ? 1 : 0);
}
DEVICE void sync_warp() {
  __syncwarp();
}

template <typename T>
DEVICE T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xFFFFFFFFU, value, mask);
}
template <typename T>
DEVICE T shuffle(T value, int lane) {
  return __shfl_sync(0xFFFFFFFFU, value, lane);
}

// Of all lanes of the warp.
DEVICE std::uint32_t warp_largest(std::uint32_t value) {
#if __CUDA_ARCH__ >= 800
  return __reduce_max_sync(0xFFFFFFFFU, value);
#else
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) value = max(value, shuffle_xor(value, mask));
  return value;
#endif
}

// What was there before; in any order with the other threads of the block.
DEVICE int fetch_add(int* at, int value) {
  return atomicAdd(at, value);
}

// A value nobody reads again soon: keeps L1 for what is.
template <typename T>
DEVICE T load_once(const T* from) {
  if constexpr (sizeof(T) == 16) {
    const uint4 v = __ldcs(reinterpret_cast<const uint4*>(from));
    return {v.x, v.y, v.z, v.w};
  } else if constexpr (sizeof(T) == 8) {
    const uint2 v = __ldcs(reinterpret_cast<const uint2*>(from));
    return {v.x, v.y};
  } else {
    return __ldcs(from);
  }
}
// The 128 bytes around an address to the L2.
DEVICE void prefetch_l2(const void* p) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}
// Constant while the kernel runs.
template <typename T>
DEVICE T load_constant(const T* from) {
  return __ldg(from);
}

DEVICE float half_to_float(std::uint16_t bits) {
  return __half2float(__ushort_as_half(bits));
}
DEVICE std::uint16_t float_to_half(float x) {
  return __half_as_ushort(__float2half_rn(x));
}
DEVICE std::uint32_t pack_halves(float low, float high) {
  const __half2 h = __floats2half2_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&h);
}
DEVICE float low_half(std::uint32_t pair) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(pair)));
}
DEVICE float high_half(std::uint32_t pair) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(pair >> 16)));
}

// On pairs of halves, rounded once.
DEVICE std::uint32_t half2_fma(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  const __half2 r =
      __hfma2(*reinterpret_cast<__half2*>(&a), *reinterpret_cast<__half2*>(&b), *reinterpret_cast<__half2*>(&c));
  return *reinterpret_cast<const std::uint32_t*>(&r);
}
DEVICE std::uint32_t half2_mul(std::uint32_t a, std::uint32_t b) {
  const __half2 r = __hmul2_rn(*reinterpret_cast<__half2*>(&a), *reinterpret_cast<__half2*>(&b));
  return *reinterpret_cast<const std::uint32_t*>(&r);
}
DEVICE std::uint32_t half2_sub(std::uint32_t a, std::uint32_t b) {
  const __half2 r = __hsub2_rn(*reinterpret_cast<__half2*>(&a), *reinterpret_cast<__half2*>(&b));
  return *reinterpret_cast<const std::uint32_t*>(&r);
}

// Byte i of the result is byte `selector` nibble i of the eight bytes b:a.
DEVICE std::uint32_t permute_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t selector) {
  return __byte_perm(a, b, selector);
}
// c + the sum of four products of an unsigned byte of a and a signed byte of b.
DEVICE int dp4a(std::uint32_t a, std::uint32_t b, int c) {
  int out;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(c));
  return out;
}
// The same where both are signed.
DEVICE int dp4a_signed(std::uint32_t a, std::uint32_t b, int c) {
  int out;
  asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(c));
  return out;
}
// 2 ulp, denormals are 0: exp2f takes four instructions where this is one.
DEVICE float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// Off by 2 units in the last place at most; 0 for divisors above 2^126.
DEVICE float fast_divide(float a, float b) {
  return __fdividef(a, b);
}
DEVICE float bits_to_float(std::uint32_t bits) {
  return __uint_as_float(bits);
}
DEVICE std::uint32_t float_to_bits(float x) {
  return __float_as_uint(x);
}

// c[16, 8] += a[16, 16] b[16, 8], halves into floats; fragments as PTX's mma.m16n8k16 lays them out.
DEVICE void mma_f16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(b0));
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[2]), "r"(a[3]), "r"(b1));
#endif
}

DEVICE std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}
// Four 8x8 matrices of halves; lane l gives the address of row l % 8 of matrix l / 8. Transposed: columns come as rows.
DEVICE void ldmatrix_x4(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
DEVICE void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

// 16 bytes from global to shared memory, in the background; `there` false: zeros.
DEVICE void copy_async16(void* to, const void* from, bool there) {
#if __CUDA_ARCH__ >= 800
  const int bytes = there ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes)
               : "memory");
#else
  *reinterpret_cast<uint4*>(to) = there ? *reinterpret_cast<const uint4*>(from) : make_uint4(0, 0, 0, 0);
#endif
}
DEVICE void copy_async_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// Until at most `kPending` groups of this thread are under way.
template <int kPending>
DEVICE void copy_async_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

// Brings `bytes`, a multiple of 16, at a 16-byte aligned address to L2 in the background; one lane asks. A hint.
DEVICE void prefetch_bytes(const void* from, int bytes) {
#if __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(__cvta_generic_to_global(from)), "r"(bytes)
               : "memory");
#endif
}

// Barriers of a grid whose blocks run together (Launch::together): one thread of a block calls these. What the block's
// threads wrote before the sync_block() before arrive_grid() is seen, by load_fresh(), behind the sync_block() after
// await_grid(). The last of `all` arrivals makes the count 0 again, for the next launch.
DEVICE void arrive_grid(std::uint32_t* arrivals, std::uint32_t all) {
  __threadfence();
  atomicInc(arrivals, all - 1);
}
DEVICE void await_grid(const std::uint32_t* arrivals, std::uint32_t count) {
  std::uint32_t now;
  do {
    asm volatile("ld.global.relaxed.gpu.u32 %0, [%1];" : "=r"(now) : "l"(arrivals) : "memory");
  } while (now < count);
  __threadfence();
}
// What another block of a running grid wrote: not from this multiprocessor's L1.
template <typename T>
DEVICE T load_fresh(const T* from) {
  if constexpr (sizeof(T) == 16) {
    const uint4 v = __ldcg(reinterpret_cast<const uint4*>(from));
    return *reinterpret_cast<const T*>(&v);
  } else {
    return __ldcg(from);
  }
}

// Programmatic dependent launch: a kernel may begin while the one before it in the stream still runs; what that one
// writes may be read after wait_for_previous(). Before sm_90 kernels of a stream do not overlap.
DEVICE void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
DEVICE void let_next_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

}  // namespace dormouse::cuda
