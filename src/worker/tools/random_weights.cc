#include "worker/tools/random_weights.h"

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "quant/blocks.h"
#include "quant/half.h"

namespace dormouse::worker {
namespace {

using quant::float_to_half;

void fill_bytes(NoiseSource& noise, void* out, std::size_t count) {
  auto* bytes = static_cast<std::uint8_t*>(out);
  for (; count >= 8; count -= 8, bytes += 8) {
    const std::uint64_t word = noise.next();
    std::memcpy(bytes, &word, 8);
  }
  const std::uint64_t word = noise.next();
  std::memcpy(bytes, &word, count);
}

// Blocks differ by 20 % either way, so that a factor taken from the wrong block shows.
std::uint16_t factor(NoiseSource& noise, float value) {
  return float_to_half(value * (0.8F + 0.4F * noise.uniform()));
}

// In each format: q is uniform over its levels (standard deviation s = sqrt((levels^2 - 1) / 12)), the groups' integer
// scales are uniform in the upper half of their range (root mean square r), and the factor is sigma / (s * r).
// Where a format subtracts a minimum, dmin is chosen so that min == scale makes the group's mean zero; the minima
// differ from the scales in their lowest bits (6 % of sigma), so that code which takes one for the other is found out.
constexpr float kRms6BitScale = 48.5F;  // 40..55 and 32..63
constexpr float kRms4BitScale = 11.7F;  // 8..15
constexpr float kRmsQ3Scale = 24.0F;    // 16..31
constexpr float kRmsQ6Scale = 97.0F;    // 64..127

void fill(NoiseSource& noise, float sigma, quant::BlockQ8_0& block) {
  fill_bytes(noise, block.q, sizeof block.q);
  for (std::int8_t& q : block.q) q = static_cast<std::int8_t>(q == -128 ? -127 : q);  // encoders never write -128
  block.d = factor(noise, sigma / 73.6F);
}

void fill(NoiseSource& noise, float sigma, quant::BlockQ2K& block) {
  fill_bytes(noise, block.q, sizeof block.q);
  fill_bytes(noise, block.scales, sizeof block.scales);
  for (std::uint8_t& scale : block.scales) {
    const std::uint32_t value = 8U | (scale & 7U);
    const std::uint32_t min = value ^ ((scale >> 3) & 1U);
    scale = static_cast<std::uint8_t>(value | (min << 4));
  }
  const float d = quant::half_to_float(factor(noise, sigma / (1.118F * kRms4BitScale)));
  block.d = float_to_half(d);
  block.dmin = float_to_half(1.5F * d);
}

void fill(NoiseSource& noise, float sigma, quant::BlockQ3K& block) {
  fill_bytes(noise, block.q, sizeof block.q);
  fill_bytes(noise, block.high_mask, sizeof block.high_mask);
  fill_bytes(noise, block.scales, sizeof block.scales);
  // The two high bits: 3 (16..31 after the offset) or 0 (-32..-17). Both signs occur: q's mean of -1/2 cancels.
  for (int i = 8; i < 12; ++i) {
    const std::uint32_t low = block.scales[i] & 0x55U;
    block.scales[i] = static_cast<std::uint8_t>(low | (low << 1));
  }
  block.d = factor(noise, sigma / (2.345F * kRmsQ3Scale));
}

// 6-bit scales 32..63 with nearly equal minima.
template <typename Block>
void fill_scale_min(NoiseSource& noise, float d, float mean, Block& block) {
  fill_bytes(noise, block.scales, sizeof block.scales);
  for (int g = 0; g < 4; ++g) {
    // Groups 0..3 in the low six bits (bit 5 set, 40..63), groups 4..7's high bits (2 or 3, 32..63) in the top two.
    const std::uint32_t low = 40U + (block.scales[g] & 15U);
    const std::uint32_t high = 2U | ((block.scales[g] >> 4) & 1U);
    block.scales[g] = static_cast<std::uint8_t>(low | (high << 6));
    block.scales[g + 4] = static_cast<std::uint8_t>(block.scales[g] ^ (block.scales[g + 4] & 3U));
    const std::uint32_t nibble = block.scales[g + 8] & 15U;
    const std::uint32_t min_nibble = nibble ^ ((block.scales[g + 8] >> 4) & 3U);
    block.scales[g + 8] = static_cast<std::uint8_t>(nibble | (min_nibble << 4));
  }
  block.d = float_to_half(d);
  block.dmin = float_to_half(quant::half_to_float(block.d) * mean);
}

void fill(NoiseSource& noise, float sigma, quant::BlockQ4K& block) {
  fill_bytes(noise, block.q, sizeof block.q);
  const float d = quant::half_to_float(factor(noise, sigma / (4.61F * kRms6BitScale)));
  fill_scale_min(noise, d, 7.5F, block);
}

void fill(NoiseSource& noise, float sigma, quant::BlockQ5K& block) {
  fill_bytes(noise, block.q, sizeof block.q);
  fill_bytes(noise, block.high, sizeof block.high);
  const float d = quant::half_to_float(factor(noise, sigma / (9.23F * kRms6BitScale)));
  fill_scale_min(noise, d, 15.5F, block);
}

void fill(NoiseSource& noise, float sigma, quant::BlockQ6K& block) {
  fill_bytes(noise, block.low, sizeof block.low);
  fill_bytes(noise, block.high, sizeof block.high);
  fill_bytes(noise, block.scales, sizeof block.scales);
  for (std::int8_t& scale : block.scales) {
    const int magnitude = 64 + (scale & 63);
    scale = static_cast<std::int8_t>(scale < 0 ? -magnitude : magnitude);  // both signs: q's mean of -1/2 cancels
  }
  block.d = factor(noise, sigma / (18.48F * kRmsQ6Scale));
}

template <typename Block>
void fill_blocks(NoiseSource& noise, float sigma, void* out, std::uint64_t blocks) {
  auto* bytes = static_cast<std::uint8_t*>(out);
  for (std::uint64_t i = 0; i < blocks; ++i, bytes += sizeof(Block)) {
    Block block;
    fill(noise, sigma, block);
    std::memcpy(bytes, &block, sizeof block);
  }
}

// The sum of four uniform 16-bit numbers: close to normal, four weights' worth of noise in one step.
float near_normal(NoiseSource& noise, float sigma) {
  const std::uint64_t word = noise.next();
  const auto sum =
      static_cast<float>((word & 0xFFFFU) + ((word >> 16) & 0xFFFFU) + ((word >> 32) & 0xFFFFU) + (word >> 48));
  // Mean 2 * 65535, standard deviation 65536 / sqrt(3).
  return (sum - 131070.0F) * (sigma * 1.7320508F / 65536.0F);
}

void fill_f32(NoiseSource& noise, float sigma, void* out, std::uint64_t n) {
  auto* bytes = static_cast<std::uint8_t*>(out);
  for (std::uint64_t i = 0; i < n; ++i) {
    const float value = sigma == 0 ? 0.9F + 0.2F * noise.uniform() : near_normal(noise, sigma);
    std::memcpy(bytes + 4 * i, &value, sizeof value);
  }
}

template <std::uint16_t (*kConvert)(float)>
void fill_16(NoiseSource& noise, float sigma, void* out, std::uint64_t n) {
  auto* bytes = static_cast<std::uint8_t*>(out);
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::uint16_t value = kConvert(near_normal(noise, sigma));
    std::memcpy(bytes + 2 * i, &value, sizeof value);
  }
}

}  // namespace

void fill_random_weights(TensorType type, float sigma, NoiseSource& noise, void* out, std::uint64_t n) {
  CHECK(n % traits(type).block_elements == 0);
  const std::uint64_t blocks = n / traits(type).block_elements;
  switch (type) {
    case TensorType::kF32: return fill_f32(noise, sigma, out, n);
    case TensorType::kF16: return fill_16<quant::float_to_half>(noise, sigma, out, n);
    case TensorType::kBF16: return fill_16<quant::float_to_bf16>(noise, sigma, out, n);
    case TensorType::kQ8_0: return fill_blocks<quant::BlockQ8_0>(noise, sigma, out, blocks);
    case TensorType::kQ2_K: return fill_blocks<quant::BlockQ2K>(noise, sigma, out, blocks);
    case TensorType::kQ3_K: return fill_blocks<quant::BlockQ3K>(noise, sigma, out, blocks);
    case TensorType::kQ4_K: return fill_blocks<quant::BlockQ4K>(noise, sigma, out, blocks);
    case TensorType::kQ5_K: return fill_blocks<quant::BlockQ5K>(noise, sigma, out, blocks);
    case TensorType::kQ6_K: return fill_blocks<quant::BlockQ6K>(noise, sigma, out, blocks);
  }
}

}  // namespace dormouse::worker
