// F32, F16 and BF16 weights with float activations: 16 lanes are two vectors. Included once, by table.cc.
// Napkin: one activation row reads each weight once (2 or 4 bytes) for one FMA, far below what a core can do: memory is
// the limit. Many rows: 2 weight rows x 3 activation rows hold 12 accumulators; 12 FMA per 10 loads, 2 FMA a cycle
// would be 32 multiply-adds a cycle, the loads allow about 25.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

// sum[l] += sum[l + 8], [l + 4], [l + 2], [l + 1].
inline float reduce_16(__m256 low, __m256 high) {
  const __m256 eight = _mm256_add_ps(low, high);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
}

struct WeightF32 {
  static constexpr std::int64_t kBytes = 4;
  static __m256 load(const std::uint8_t* in) { return _mm256_loadu_ps(reinterpret_cast<const float*>(in)); }
};

struct WeightF16 {
  static constexpr std::int64_t kBytes = 2;
  static __m256 load(const std::uint8_t* in) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)));
  }
};

struct WeightBF16 {
  static constexpr std::int64_t kBytes = 2;
  static __m256 load(const std::uint8_t* in) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
};

// kRows weight rows, weight_stride bytes apart, times kActs activation rows; out[act * out_stride + row].
template <typename Weight, int kRows, int kActs>
inline void float_tile(const std::uint8_t* weights, std::int64_t weight_stride, const std::uint8_t* activations,
                       std::int64_t activation_stride, std::int32_t k, float* out, std::int64_t out_stride) {
  __m256 low[kRows][kActs];
  __m256 high[kRows][kActs];
  for (int r = 0; r < kRows; ++r) {
    for (int a = 0; a < kActs; ++a) low[r][a] = high[r][a] = _mm256_setzero_ps();
  }
  // 1 KiB ahead in each row: the hardware stops at page borders. Only single rows are read from memory.
  constexpr std::int64_t kAhead = 1024;
  for (std::int64_t j = 0; j < k; j += 16) {
    __m256 x[kActs][2];
    for (int a = 0; a < kActs; ++a) {
      const auto* at = reinterpret_cast<const float*>(activations + a * activation_stride) + j;
      x[a][0] = _mm256_loadu_ps(at);
      x[a][1] = _mm256_loadu_ps(at + 8);
    }
    for (int r = 0; r < kRows; ++r) {
      const std::uint8_t* at = weights + r * weight_stride + j * Weight::kBytes;
      if (kActs == 1) _mm_prefetch(reinterpret_cast<const char*>(at + kAhead), _MM_HINT_T0);
      const __m256 w0 = Weight::load(at);
      const __m256 w1 = Weight::load(at + 8 * Weight::kBytes);
      for (int a = 0; a < kActs; ++a) {
        low[r][a] = _mm256_fmadd_ps(x[a][0], w0, low[r][a]);
        high[r][a] = _mm256_fmadd_ps(x[a][1], w1, high[r][a]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int a = 0; a < kActs; ++a) out[a * out_stride + r] = reduce_16(low[r][a], high[r][a]);
  }
}

template <typename Weight, int kRows>
inline void float_rows(const MatmulArgs& args, const std::uint8_t* weights, std::int64_t weight_stride, float* out) {
  const std::uint8_t* x = args.activations;
  const std::int64_t stride = args.activation_row_bytes;
  std::int32_t i = 0;
  for (; i + 3 <= args.m; i += 3) {
    float_tile<Weight, kRows, 3>(weights, weight_stride, x + i * stride, stride, args.k, out + i * args.out_stride,
                                 args.out_stride);
  }
  if (args.m - i == 2) {
    float_tile<Weight, kRows, 2>(weights, weight_stride, x + i * stride, stride, args.k, out + i * args.out_stride,
                                 args.out_stride);
  }
  if (args.m - i == 1) {
    float_tile<Weight, kRows, 1>(weights, weight_stride, x + i * stride, stride, args.k, out + i * args.out_stride,
                                 args.out_stride);
  }
}

template <typename Weight>
void matmul_float(const MatmulArgs& args) {
  std::int32_t row = args.row_begin;
  if (args.m == 1) {
    for (; row + 4 <= args.row_end; row += 4) {
      float_tile<Weight, 4, 1>(args.weights + row * args.weight_row_bytes, args.weight_row_bytes, args.activations,
                               args.activation_row_bytes, args.k, args.out + row, args.out_stride);
    }
  }
  // From a few activation rows on the conversion is worth doing once.
  const bool convert = Weight::kBytes != 4 && args.m > 3;
  auto* panel = reinterpret_cast<float*>(args.scratch);
  for (; row < args.row_end; row += 2) {
    const std::uint8_t* weights = args.weights + row * args.weight_row_bytes;
    const bool pair = row + 1 < args.row_end;
    if (!convert) {
      if (pair) {
        float_rows<Weight, 2>(args, weights, args.weight_row_bytes, args.out + row);
      } else {
        float_rows<Weight, 1>(args, weights, args.weight_row_bytes, args.out + row);
      }
      continue;
    }
    for (int r = 0; r < (pair ? 2 : 1); ++r) {
      for (std::int64_t j = 0; j < args.k; j += 8) {
        _mm256_store_ps(panel + r * std::int64_t{args.k} + j,
                        Weight::load(weights + r * args.weight_row_bytes + j * Weight::kBytes));
      }
    }
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(panel);
    if (pair) {
      float_rows<WeightF32, 2>(args, bytes, std::int64_t{args.k} * 4, args.out + row);
    } else {
      float_rows<WeightF32, 1>(args, bytes, std::int64_t{args.k} * 4, args.out + row);
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
