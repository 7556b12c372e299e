// Rows of floats to what products read (CodedRows): by quantise_rows for many rows, and by each block of matmul_few for
// itself where there is one. A warp takes 256 values at a time, eight neighbours a lane.
#pragma once

#include "kernels/cuda/matmul_args.h"
#include "kernels/cuda/simt.h"

namespace dormouse::cuda {

struct Eight {
  float x[8];
};
template <class Made = MadeBefore>
DEVICE Eight load_eight(const float* from) {
  Eight out;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const Words4 w = Made::load(reinterpret_cast<const Words4*>(from) + i);
    out.x[4 * i] = bits_to_float(w.x);
    out.x[4 * i + 1] = bits_to_float(w.y);
    out.x[4 * i + 2] = bits_to_float(w.z);
    out.x[4 * i + 3] = bits_to_float(w.w);
  }
  return out;
}

DEVICE float swiglu(float gate, float up) {
  constexpr float kLog2E = 1.44269504F;
  return fast_divide(gate, 1.0F + fast_exp2(-kLog2E * gate)) * up;
}

// The largest magnitude as bits, over groups of `lanes` neighbouring lanes: a NaN is simply the largest.
DEVICE std::uint32_t largest_bits(const Eight& v, int lanes) {
  std::uint32_t largest = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const std::uint32_t magnitude = float_to_bits(v.x[i]) & 0x7FFFFFFFU;
    largest = magnitude > largest ? magnitude : largest;
  }
  if (lanes == kWarp) return warp_largest(largest);
  for (int mask = lanes / 2; mask > 0; mask /= 2) {
    const std::uint32_t other = shuffle_xor(largest, mask);
    largest = other > largest ? other : largest;
  }
  return largest;
}

struct Scaling {
  float inverse;  // codes are x * inverse; 0: all codes are 0
  float scale;
};
// To int8: kernels.h, KernelTable::quantize_q8_k.
DEVICE Scaling int8_scaling(std::uint32_t largest) {
  const float amax = bits_to_float(largest);
  if (largest >= 0x7F800000U) return {0.0F, bits_to_float(0x7FC00000U)};
  if (amax < 1e-30F) return {0.0F, 0.0F};
  return {127.0F / amax, amax / 127.0F};
}
// To halves: a power of two that brings the largest to 2^13 .. 2^14, far from overflow and from denormals.
DEVICE Scaling halves_scaling(std::uint32_t largest) {
  if (largest >= 0x7F800000U) return {0.0F, bits_to_float(0x7FC00000U)};
  if (bits_to_float(largest) < 1e-30F) return {0.0F, 0.0F};
  const std::uint32_t exponent = (largest >> 23) - 13;
  return {bits_to_float((254 - exponent) << 23), bits_to_float(exponent << 23)};
}

DEVICE Words4 pack_eight(const float (&q)[8]) {
  return {pack_halves(q[0], q[1]), pack_halves(q[2], q[3]), pack_halves(q[4], q[5]), pack_halves(q[6], q[7])};
}
// A lane's eight codes where a row has them. Permuted: of the lane's 32 columns, matmul_wide.cuh.
DEVICE void store_codes(std::uint16_t* block, const Words4& codes, bool permuted) {
  const int lane = lane_index();
  if (!permuted) {
    *reinterpret_cast<Words4*>(block + 8 * lane) = codes;
    return;
  }
  auto* to = reinterpret_cast<std::uint32_t*>(block + lane / 4 * 32 + 2 * (lane % 4));
  to[0] = codes.x;
  to[4] = codes.y;
  to[8] = codes.z;
  to[12] = codes.w;
}
DEVICE std::uint16_t integer_half(int value) {
  return float_to_half(static_cast<float>(value));
}

// Sums of 16 codes (two lanes) and 32 (four lanes) of one block of 256.
DEVICE void store_sums(const CodedRows& out, std::int64_t block_row, int sum) {
  const int lane = lane_index();
  const int of16 = sum + shuffle_xor(sum, 1);
  const int of32 = of16 + shuffle_xor(of16, 2);
  if (lane % 2 == 0) out.sums16[block_row * 16 + lane / 2] = integer_half(of16);
  if (lane % 4 != 0) return;
  out.sums32[block_row * 16 + lane / 4] = integer_half(of32 >> 4);
  out.sums32[block_row * 16 + 8 + lane / 4] = integer_half(of32 & 15);
}

DEVICE void code_halves(const CodedRows& out, const Eight& v, int row, int block, std::int64_t k, bool permuted) {
  const Scaling s = halves_scaling(largest_bits(v, kWarp));
  const std::int64_t at = row * k + 256 * block;
  float high[8];
  float low[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float scaled = s.inverse == 0.0F ? 0.0F : v.x[i] * s.inverse;
    high[i] = half_to_float(float_to_half(scaled));
    low[i] = scaled - high[i];
  }
  store_codes(out.codes + at, pack_eight(high), permuted);
  store_codes(out.codes + out.rows * k + at, pack_eight(low), permuted);
  if (lane_index() == 0) out.scales[std::int64_t{block} * out.rows + row] = s.scale;
}

// One block of 256 values of row `row`.
DEVICE void code_block(const CodedRows& out, Coding coding, const Eight& v, int row, int block, std::int64_t k,
                       bool permuted) {
  if (coding == Coding::kHalves) return code_halves(out, v, row, block, k, permuted);
  const int lane = lane_index();
  const Scaling s = int8_scaling(largest_bits(v, coding == Coding::kK ? kWarp : 4));
  float q[8];
  int sum = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    q[i] = s.inverse == 0.0F ? 0.0F : (v.x[i] * s.inverse + 12582912.0F) - 12582912.0F;
    sum += static_cast<int>(q[i]);
  }
  store_codes(out.codes + row * k + 256 * block, pack_eight(q), permuted);
  if (coding == Coding::kQ8_0) {
    if (lane % 4 == 0) out.scales[(8 * std::int64_t{block} + lane / 4) * out.rows + row] = s.scale;
    return;
  }
  if (lane == 0) out.scales[std::int64_t{block} * out.rows + row] = s.scale;
  store_sums(out, std::int64_t{block} * out.rows + row, sum);
}

// The sum of squares of a block of 256, every lane the same bits.
DEVICE float block_square(const Eight& v) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) sum = fmaf(v.x[i], v.x[i], sum);
  return warp_sum(sum);
}

// Of a row whose blocks' sums of squares are `squares`: lane l adds blocks l, l + 32, ..., then the lanes are added.
DEVICE float norm_inverse(const float* squares, int k, float epsilon) {
  float sum = 0;
  for (int block = lane_index(); block < k / 256; block += kWarp) sum += squares[block];
  return 1.0F / sqrtf(warp_sum(sum) / static_cast<float>(k) + epsilon);
}

// Codes one row with all warps of the block. `squares`: shared, [k / 256] floats, when there is a norm. Ends with what
// is written not yet seen by the other warps. The order of the norm's sum is fixed by k alone.
DEVICE void code_row(const CodedRows& out, Coding coding, const float* x, const float* norm, int row, int k,
                     float epsilon, float* squares, bool permuted) {
  const int blocks = k / 256;
  const int warps = thread_count() / kWarp;
  float inverse = 1.0F;
  if (norm != nullptr) {
    for (int block = warp_index(); block < blocks; block += warps) {
      const float square = block_square(load_eight(x + 256 * block + 8 * lane_index()));
      if (lane_index() == 0) squares[block] = square;
    }
    sync_block();
    inverse = norm_inverse(squares, k, epsilon);
  }
  for (int block = warp_index(); block < blocks; block += warps) {
    const int column = 256 * block + 8 * lane_index();
    Eight v = load_eight(x + column);
    if (norm != nullptr) {
      const Eight w = load_eight(norm + column);
#pragma unroll
      for (int i = 0; i < 8; ++i) v.x[i] = v.x[i] * inverse * w.x[i];
    }
    code_block(out, coding, v, row, block, k, permuted);
  }
}

// Grid x: rows. Shared: k / 256 floats.
DEVICE void quantise_rows(const QuantiseArgs& args) {
  let_next_begin();
  wait_for_previous();
  const int row = block_x();
  const std::int64_t from = args.row_index == nullptr ? row : args.row_index[row];
  code_row(args.out, args.coding, args.x + from * args.x_stride, args.norm, row, args.k, args.epsilon,
           reinterpret_cast<float*>(shared_memory()), args.permuted != 0);
}

}  // namespace dormouse::cuda
