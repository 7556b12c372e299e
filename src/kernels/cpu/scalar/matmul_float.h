// Matrix products of F32, F16 and BF16 weights with float activations: rule 3 of kernels.h. Included once, by table.cc.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/kernels.h"
#include "quant/half.h"

namespace dormouse::kernels {
namespace {

// The 16 partial sums of rule 3 to one.
inline float reduce_16(float* sums) {
  for (int width = 8; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) sums[l] += sums[l + width];
  }
  return sums[0];
}

struct WeightF32 {
  static constexpr std::size_t kBytes = 4;
  static float load(const std::uint8_t* in) {
    float out = 0;
    std::memcpy(&out, in, sizeof out);
    return out;
  }
};

struct WeightF16 {
  static constexpr std::size_t kBytes = 2;
  static float load(const std::uint8_t* in) {
    std::uint16_t word = 0;
    std::memcpy(&word, in, sizeof word);
    return quant::half_to_float(word);
  }
};

struct WeightBF16 {
  static constexpr std::size_t kBytes = 2;
  static float load(const std::uint8_t* in) {
    std::uint16_t word = 0;
    std::memcpy(&word, in, sizeof word);
    return quant::bf16_to_float(word);
  }
};

template <typename Weight>
void matmul_float(const MatmulArgs& args) {
  for (std::int32_t row = args.row_begin; row < args.row_end; ++row) {
    const std::uint8_t* weights = args.weights + row * args.weight_row_bytes;
    for (std::int32_t i = 0; i < args.m; ++i) {
      const auto* x = reinterpret_cast<const float*>(args.activations + i * args.activation_row_bytes);
      float sums[16] = {};
      for (std::int32_t j = 0; j < args.k; ++j) {
        const float w = Weight::load(weights + static_cast<std::size_t>(j) * Weight::kBytes);
        sums[j % 16] = __builtin_fmaf(x[j], w, sums[j % 16]);
      }
      args.out[i * args.out_stride + row] = reduce_16(sums);
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
