// The encoders. A K-quant block is made in three steps: (1) for each group of 16 or 32 weights find the scale (and
// minimum) with the least weighted squared error, by trying integer grids around the plain max-based one and solving
// least squares for each; (2) round the groups' scales to the block's small integers under one half-precision factor;
// (3) requantise every weight with the factors a decoder will really see. Step 3 is what keeps step 2's rounding from
// adding up. The grids (how many, how far) are ggml's: finer ones were not worth their time there.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "quant/blocks.h"
#include "quant/codec.h"
#include "quant/codec_internal.h"
#include "quant/half.h"

namespace dormouse::quant {
namespace {

// Inputs are clamped to this: above every K-quant's largest value (65504 * 128 * 32 = 2.7e8), and small enough that
// sums of 256 cubes stay finite.
constexpr float kLargestInput = 1e9F;
// A group whose largest weight is below this is zero: half's smallest denormal times 1/63 is 9e-10 anyway.
constexpr float kSmallestGroup = 1e-15F;

// Rounds half to even, for |value| < 2^22 after the clamp. NaN gives low.
[[nodiscard]] inline int round_clamped(float value, int low, int high) {
  const float lo = static_cast<float>(low);
  const float hi = static_cast<float>(high);
  value = value > lo ? value : lo;
  value = value < hi ? value : hi;
  const float shifted = value + 12582912.0F;  // 1.5 * 2^23: the integer lies in the low mantissa bits
  return (std::bit_cast<std::int32_t>(shifted) & 0x007FFFFF) - 0x00400000;
}

[[nodiscard]] std::uint16_t half_saturated(float value) {
  return float_to_half(std::clamp(value, -kHalfMax, kHalfMax));
}

// A K-quant block's factor. Among half's denormals it is rounded away from zero, not to nearest: the largest group's
// integer can then shrink to fit, where it could not grow beyond its range.
[[nodiscard]] std::uint16_t block_factor(float value) {
  const std::uint16_t half = half_saturated(value);
  const bool is_denormal = (half & 0x7C00U) == 0;
  if (is_denormal && std::abs(half_to_float(half)) < std::abs(value)) return static_cast<std::uint16_t>(half + 1);
  return half;
}

struct Grid {
  int levels = 0;    // q in 0..levels
  float first = 0;   // the tried scales are (levels + first + step * i) / (max - min)
  float step = 0;
  int steps = 0;
  enum class Measure { kSquared, kAbsolute } measure = Measure::kSquared;
};

struct ScaleAndMin {
  float scale = 0;
  float min = 0;  // >= 0: w = scale * q - min
};

// Four floats side by side (GCC's and clang's vector type: plain SSE2 on x86-64, NEON on AArch64). The search spends
// its time in these loops, and the compiler does not vectorise float sums and clamps by itself. The order is fixed.
using Float4 = float __attribute__((vector_size(16)));
constexpr std::size_t kLanes = 4;

[[nodiscard]] inline Float4 load4(const float* from) {
  Float4 out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

[[nodiscard]] inline float add_up(Float4 v) { return (v[0] + v[2]) + (v[1] + v[3]); }

[[nodiscard]] inline Float4 spread(float value) { return Float4{value, value, value, value}; }

// round_clamped as floats: adding and subtracting 1.5 * 2^23 leaves the nearest integer.
[[nodiscard]] inline Float4 rounded_levels(Float4 value, Float4 low, Float4 high) {
  value = value > low ? value : low;
  value = value < high ? value : high;
  return (value + 12582912.0F) - 12582912.0F;
}

// Weighted sums of one candidate, for the 2x2 normal equations of x ~ scale * q + offset.
template <int kSize>
struct Fit {
  float scale = 0;
  float offset = 0;
  float error = 0;
  bool usable = false;

  static Fit solve(const float* x, const float* weight, float inverse, float min, const Grid& grid, float sum_w,
                   float sum_x) {
    Float4 lanes_q{};
    Float4 lanes_qq{};
    Float4 lanes_xq{};
    std::array<Float4, kSize / kLanes> q;
    const Float4 top = spread(static_cast<float>(grid.levels));
    for (std::size_t i = 0; i < kSize; i += kLanes) {
      const Float4 value = load4(x + i);
      const Float4 level = rounded_levels(inverse * (value - min), Float4{}, top);
      const Float4 weighted = load4(weight + i) * level;
      q[i / kLanes] = level;
      lanes_q += weighted;
      lanes_qq += weighted * level;
      lanes_xq += weighted * value;
    }
    const float sum_q = add_up(lanes_q);
    const float sum_qq = add_up(lanes_qq);
    const float sum_xq = add_up(lanes_xq);
    Fit fit;
    const float determinant = sum_w * sum_qq - sum_q * sum_q;
    if (!(determinant > 0)) return fit;
    fit.scale = (sum_w * sum_xq - sum_x * sum_q) / determinant;
    fit.offset = (sum_qq * sum_x - sum_q * sum_xq) / determinant;
    if (fit.offset > 0) {  // the format subtracts a minimum >= 0
      fit.offset = 0;
      fit.scale = sum_xq / sum_qq;
    }
    fit.measure(x, weight, q, grid);
    fit.usable = fit.scale > 0 && std::isfinite(fit.error);
    return fit;
  }

  void measure(const float* x, const float* weight, const std::array<Float4, kSize / kLanes>& q, const Grid& grid) {
    Float4 lanes{};
    for (std::size_t i = 0; i < kSize; i += kLanes) {
      const Float4 difference = scale * q[i / kLanes] + offset - load4(x + i);
      const Float4 magnitude = difference > 0 ? difference : -difference;
      const bool is_absolute = grid.measure == Grid::Measure::kAbsolute;
      lanes += load4(weight + i) * (is_absolute ? magnitude : difference * difference);
    }
    error = add_up(lanes);
  }
};

// Scale and minimum of one asymmetric group.
template <int kSize>
ScaleAndMin fit_scale_min(const float* x, const float* weight, const Grid& grid) {
  float min = std::min(*std::min_element(x, x + kSize), 0.0F);
  const float max = *std::max_element(x, x + kSize);
  float sum_w = 0;
  float sum_x = 0;
  for (int i = 0; i < kSize; ++i) {
    sum_w += weight[i];
    sum_x += weight[i] * x[i];
  }
  if (!(max - min > kSmallestGroup)) return {0, -min};

  // The plain grid first: what it gives is used as it is unless a fit beats it.
  const float levels = static_cast<float>(grid.levels);
  Fit<kSize> best;
  best.scale = (max - min) / levels;
  best.offset = min;
  std::array<Float4, kSize / kLanes> q;
  const float plain = levels / (max - min);
  for (std::size_t i = 0; i < kSize; i += kLanes) {
    q[i / kLanes] = rounded_levels(plain * (load4(x + i) - min), Float4{}, spread(levels));
  }
  best.measure(x, weight, q, grid);
  for (int step = 0; step <= grid.steps; ++step) {
    const float inverse = (grid.first + grid.step * static_cast<float>(step) + levels) / (max - min);
    // The grid is laid from the best minimum found so far: later candidates start from a better place.
    const Fit<kSize> fit = Fit<kSize>::solve(x, weight, inverse, best.offset, grid, sum_w, sum_x);
    if (fit.usable && fit.error < best.error) best = fit;
  }
  return {best.scale, -best.offset};
}

// Scale of one symmetric group, q in -levels..levels-1; signed so that the largest weight may sit on -levels.
template <int kSize>
float fit_scale(const float* x, const float* weight, int levels, int steps_each_side) {
  float extreme = 0;
  for (int i = 0; i < kSize; ++i) {
    if (std::abs(x[i]) > std::abs(extreme)) extreme = x[i];
  }
  if (!(std::abs(extreme) > kSmallestGroup)) return 0;
  const float top = static_cast<float>(levels);
  float best_scale = 0;
  float best_gain = 0;
  for (int step = -steps_each_side; step <= steps_each_side; ++step) {
    const float inverse = -(top + 0.1F * static_cast<float>(step)) / extreme;
    Float4 lanes_xq{};
    Float4 lanes_qq{};
    for (std::size_t i = 0; i < kSize; i += kLanes) {
      const Float4 value = load4(x + i);
      const Float4 q = rounded_levels(inverse * value, spread(-top), spread(top - 1));
      const Float4 weighted = load4(weight + i) * q;
      lanes_xq += weighted * value;
      lanes_qq += weighted * q;
    }
    const float sum_xq = add_up(lanes_xq);
    const float sum_qq = add_up(lanes_qq);
    // The error of the best scale for these q is sum(w x^2) - sum_xq^2 / sum_qq: the larger the second, the better.
    if (!(sum_qq > 0)) continue;
    const float gain = sum_xq / sum_qq * sum_xq;
    if (gain > best_gain) {
      best_gain = gain;
      best_scale = sum_xq / sum_qq;
    }
  }
  return best_scale;
}

[[nodiscard]] float inverse_or_zero(float value) {
  if (value == 0) return 0;
  const float inverse = 1.0F / value;
  return std::isfinite(inverse) ? inverse : 0;
}

void encode(const float* x, BlockQ8_0& block) {
  float largest = 0;
  for (int i = 0; i < kQ8Elements; ++i) largest = std::max(largest, std::abs(x[i]));
  // The integers use the unrounded factor: ggml's choice, so that files made here and there are equal byte by byte.
  const float d = largest / 127.0F;
  const float inverse = inverse_or_zero(d);
  block.d = half_saturated(d);
  for (int i = 0; i < kQ8Elements; ++i) {
    block.q[i] = static_cast<std::int8_t>(std::clamp(std::round(x[i] * inverse), -127.0F, 127.0F));
  }
}

void encode(const float* x, BlockQ2K& block) {
  constexpr Grid kGrid{.levels = 3, .first = -0.5F, .step = 0.1F, .steps = 15, .measure = Grid::Measure::kAbsolute};
  std::array<ScaleAndMin, 16> groups;
  float largest_scale = 0;
  float largest_min = 0;
  for (std::size_t g = 0; g < 16; ++g) {
    std::array<float, 16> weight;
    for (std::size_t i = 0; i < 16; ++i) weight[i] = std::abs(x[16 * g + i]);
    groups[g] = fit_scale_min<16>(x + 16 * g, weight.data(), kGrid);
    largest_scale = std::max(largest_scale, groups[g].scale);
    largest_min = std::max(largest_min, groups[g].min);
  }
  block = {};
  block.d = block_factor(largest_scale / 15.0F);
  block.dmin = block_factor(largest_min / 15.0F);
  const float d = half_to_float(block.d);
  const float dmin = half_to_float(block.dmin);
  const float scale_inverse = inverse_or_zero(d);
  const float min_inverse = inverse_or_zero(dmin);
  for (int g = 0; g < 16; ++g) {
    const ScaleAndMin& group = groups[static_cast<std::size_t>(g)];
    const int scale = round_clamped(scale_inverse * group.scale, 0, 15);
    const int min = round_clamped(min_inverse * group.min, 0, 15);
    block.scales[g] = static_cast<std::uint8_t>(scale | (min << 4));
    const float inverse = inverse_or_zero(d * static_cast<float>(scale));
    const float offset = dmin * static_cast<float>(min);
    std::uint8_t* q = block.q + 32 * (g / 8) + 16 * (g % 2);
    for (int l = 0; l < 16; ++l) {
      const int value = round_clamped((x[16 * g + l] + offset) * inverse, 0, 3);
      q[l] = static_cast<std::uint8_t>(q[l] | (value << (2 * (g % 8 / 2))));
    }
  }
}

void encode(const float* x, BlockQ3K& block) {
  std::array<float, 16> scales;
  float extreme = 0;
  for (std::size_t g = 0; g < 16; ++g) {
    std::array<float, 16> weight;
    for (std::size_t i = 0; i < 16; ++i) weight[i] = x[16 * g + i] * x[16 * g + i];
    scales[g] = fit_scale<16>(x + 16 * g, weight.data(), 4, 9);
    if (std::abs(scales[g]) > std::abs(extreme)) extreme = scales[g];
  }
  block = {};
  block.d = block_factor(extreme / -32.0F);
  const float d = half_to_float(block.d);
  const float scale_inverse = inverse_or_zero(d);
  for (int g = 0; g < 16; ++g) {
    const int scale = round_clamped(scale_inverse * scales[static_cast<std::size_t>(g)], -32, 31);
    set_q3_scale(block.scales, g, scale + 32);
    const float inverse = inverse_or_zero(d * static_cast<float>(scale));
    std::uint8_t* q = block.q + 32 * (g / 8) + 16 * (g % 2);
    std::uint8_t* high = block.high_mask + 16 * (g % 2);
    for (int l = 0; l < 16; ++l) {
      const int value = round_clamped(x[16 * g + l] * inverse, -4, 3) + 4;
      q[l] = static_cast<std::uint8_t>(q[l] | ((value & 3) << (2 * (g % 8 / 2))));
      high[l] = static_cast<std::uint8_t>(high[l] | ((value >> 2) << (g / 2)));
    }
  }
}

// What Q4_K and Q5_K share: the groups' scales and minima, packed. Returns the values 0..levels in order.
template <typename Block>
void encode_scale_min_32(const float* x, const Grid& grid, Block& block, std::uint8_t* values) {
  std::array<ScaleAndMin, 8> groups;
  float largest_scale = 0;
  float largest_min = 0;
  for (std::size_t g = 0; g < 8; ++g) {
    float sum_squares = 0;
    for (std::size_t i = 0; i < 32; ++i) sum_squares += x[32 * g + i] * x[32 * g + i];
    const float typical = std::sqrt(sum_squares / 32.0F);
    std::array<float, 32> weight;
    for (std::size_t i = 0; i < 32; ++i) weight[i] = typical + std::abs(x[32 * g + i]);
    groups[g] = fit_scale_min<32>(x + 32 * g, weight.data(), grid);
    largest_scale = std::max(largest_scale, groups[g].scale);
    largest_min = std::max(largest_min, groups[g].min);
  }
  block = {};
  block.d = block_factor(largest_scale / 63.0F);
  block.dmin = block_factor(largest_min / 63.0F);
  const float d = half_to_float(block.d);
  const float dmin = half_to_float(block.dmin);
  const float scale_inverse = inverse_or_zero(d);
  const float min_inverse = inverse_or_zero(dmin);
  for (int g = 0; g < 8; ++g) {
    const ScaleAndMin& group = groups[static_cast<std::size_t>(g)];
    const ScaleMin pair{round_clamped(scale_inverse * group.scale, 0, 63),
                        round_clamped(min_inverse * group.min, 0, 63)};
    set_q4_scale_min(block.scales, g, pair);
    const float inverse = inverse_or_zero(d * static_cast<float>(pair.scale));
    const float offset = dmin * static_cast<float>(pair.min);
    for (int l = 0; l < 32; ++l) {
      values[32 * g + l] =
          static_cast<std::uint8_t>(round_clamped((x[32 * g + l] + offset) * inverse, 0, grid.levels));
    }
  }
}

void encode(const float* x, BlockQ4K& block) {
  constexpr Grid kGrid{.levels = 15, .first = -1.0F, .step = 0.1F, .steps = 20};
  std::array<std::uint8_t, kSuperBlockElements> values;
  encode_scale_min_32(x, kGrid, block, values.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint8_t& q = block.q[32 * (i / 64) + i % 32];
    q = static_cast<std::uint8_t>(q | (values[i] << (4 * (i / 32 % 2))));
  }
}

void encode(const float* x, BlockQ5K& block) {
  constexpr Grid kGrid{.levels = 31, .first = -0.5F, .step = 0.1F, .steps = 15};
  std::array<std::uint8_t, kSuperBlockElements> values;
  encode_scale_min_32(x, kGrid, block, values.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint8_t& q = block.q[32 * (i / 64) + i % 32];
    q = static_cast<std::uint8_t>(q | ((values[i] & 15) << (4 * (i / 32 % 2))));
    std::uint8_t& high = block.high[i % 32];
    high = static_cast<std::uint8_t>(high | ((values[i] >> 4) << (i / 32)));
  }
}

void encode(const float* x, BlockQ6K& block) {
  std::array<float, 16> scales;
  float extreme = 0;
  for (std::size_t g = 0; g < 16; ++g) {
    std::array<float, 16> weight;
    for (std::size_t i = 0; i < 16; ++i) weight[i] = x[16 * g + i] * x[16 * g + i];
    scales[g] = fit_scale<16>(x + 16 * g, weight.data(), 32, 9);
    if (std::abs(scales[g]) > std::abs(extreme)) extreme = scales[g];
  }
  block = {};
  block.d = block_factor(extreme / -128.0F);
  const float d = half_to_float(block.d);
  const float scale_inverse = inverse_or_zero(d);
  for (int g = 0; g < 16; ++g) {
    const int scale = round_clamped(scale_inverse * scales[static_cast<std::size_t>(g)], -128, 127);
    block.scales[g] = static_cast<std::int8_t>(scale);
    const float inverse = inverse_or_zero(d * static_cast<float>(scale));
    for (int l = 0; l < 16; ++l) {
      const int value = round_clamped(x[16 * g + l] * inverse, -32, 31) + 32;
      const int quarter = g / 2;
      const int within = 16 * (g % 2) + l;
      std::uint8_t& low = block.low[64 * (quarter / 4) + 32 * (quarter % 2) + within];
      std::uint8_t& high = block.high[32 * (quarter / 4) + within];
      low = static_cast<std::uint8_t>(low | ((value & 15) << (4 * (quarter % 4 / 2))));
      high = static_cast<std::uint8_t>(high | ((value >> 4) << (2 * (quarter % 4))));
    }
  }
}

template <typename Block, std::size_t kElements>
void encode_blocks(const float* in, void* out, std::size_t n) {
  auto* bytes = static_cast<std::uint8_t*>(out);
  std::array<float, kElements> x;
  for (std::size_t i = 0; i < n; i += kElements, bytes += sizeof(Block)) {
    // std::clamp would let a NaN through; these two comparisons turn it into the lower bound.
    for (std::size_t l = 0; l < kElements; ++l) {
      const float value = in[i + l] > -kLargestInput ? in[i + l] : -kLargestInput;
      x[l] = value < kLargestInput ? value : kLargestInput;
    }
    Block block;
    encode(x.data(), block);
    std::memcpy(bytes, &block, sizeof block);
  }
}

template <std::uint16_t (*kConvert)(float)>
void encode_16(const float* in, void* out, std::size_t n) {
  auto* bytes = static_cast<std::uint8_t*>(out);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t word = kConvert(in[i]);
    std::memcpy(bytes + 2 * i, &word, sizeof word);
  }
}

}  // namespace

void quantize_row(TensorType type, const float* in, void* out, std::size_t n) {
  CHECK(n % traits(type).block_elements == 0);
  switch (type) {
    case TensorType::kF32: std::memcpy(out, in, n * sizeof(float)); return;
    case TensorType::kF16: return encode_16<float_to_half>(in, out, n);
    case TensorType::kBF16: return encode_16<float_to_bf16>(in, out, n);
    case TensorType::kQ8_0: return encode_blocks<BlockQ8_0, kQ8Elements>(in, out, n);
    case TensorType::kQ2_K: return encode_blocks<BlockQ2K, kSuperBlockElements>(in, out, n);
    case TensorType::kQ3_K: return encode_blocks<BlockQ3K, kSuperBlockElements>(in, out, n);
    case TensorType::kQ4_K: return encode_blocks<BlockQ4K, kSuperBlockElements>(in, out, n);
    case TensorType::kQ5_K: return encode_blocks<BlockQ5K, kSuperBlockElements>(in, out, n);
    case TensorType::kQ6_K: return encode_blocks<BlockQ6K, kSuperBlockElements>(in, out, n);
  }
}

}  // namespace dormouse::quant
