// The scalar dequantisers. The order of operations is the format's definition (two roundings in w = d*s*q - m);
// changing it changes bits and breaks every golden.
#include <bit>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "quant/blocks.h"
#include "quant/codec.h"
#include "quant/codec_internal.h"
#include "quant/half.h"

namespace dormouse::quant {
namespace {

static_assert(std::endian::native == std::endian::little, "blocks are read as they lie in the file");

void decode(const BlockQ8_0& block, float* out) {
  const float d = half_to_float(block.d);
  for (int i = 0; i < kQ8Elements; ++i) out[i] = d * static_cast<float>(block.q[i]);
}

void decode(const BlockQ2K& block, float* out) {
  const float d = half_to_float(block.d);
  const float dmin = half_to_float(block.dmin);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(block.scales[group] & 15);
    const float min = dmin * static_cast<float>(block.scales[group] >> 4);
    const std::uint8_t* q = block.q + 32 * (group / 8) + 16 * (group % 2);
    const int shift = 2 * (group % 8 / 2);
    for (int l = 0; l < 16; ++l) *out++ = scale * static_cast<float>((q[l] >> shift) & 3) - min;
  }
}

void decode(const BlockQ3K& block, float* out) {
  const float d = half_to_float(block.d);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(q3_scale(block.scales, group) - 32);
    const std::uint8_t* q = block.q + 32 * (group / 8) + 16 * (group % 2);
    const std::uint8_t* high = block.high_mask + 16 * (group % 2);
    const int shift = 2 * (group % 8 / 2);
    for (int l = 0; l < 16; ++l) {
      const int low = (q[l] >> shift) & 3;
      const int offset = ((high[l] >> (group / 2)) & 1) != 0 ? 0 : 4;
      *out++ = scale * static_cast<float>(low - offset);
    }
  }
}

void decode(const BlockQ4K& block, float* out) {
  const float d = half_to_float(block.d);
  const float dmin = half_to_float(block.dmin);
  for (int group = 0; group < 8; ++group) {
    const ScaleMin pair = q4_scale_min(block.scales, group);
    const float scale = d * static_cast<float>(pair.scale);
    const float min = dmin * static_cast<float>(pair.min);
    const std::uint8_t* q = block.q + 32 * (group / 2);
    const int shift = 4 * (group % 2);
    for (int l = 0; l < 32; ++l) *out++ = scale * static_cast<float>((q[l] >> shift) & 15) - min;
  }
}

void decode(const BlockQ5K& block, float* out) {
  const float d = half_to_float(block.d);
  const float dmin = half_to_float(block.dmin);
  for (int group = 0; group < 8; ++group) {
    const ScaleMin pair = q4_scale_min(block.scales, group);
    const float scale = d * static_cast<float>(pair.scale);
    const float min = dmin * static_cast<float>(pair.min);
    const std::uint8_t* q = block.q + 32 * (group / 2);
    const int shift = 4 * (group % 2);
    for (int l = 0; l < 32; ++l) {
      const int value = ((q[l] >> shift) & 15) + (((block.high[l] >> group) & 1) << 4);
      *out++ = scale * static_cast<float>(value) - min;
    }
  }
}

void decode(const BlockQ6K& block, float* out) {
  const float d = half_to_float(block.d);
  for (int quarter = 0; quarter < 8; ++quarter) {
    const std::uint8_t* low = block.low + 64 * (quarter / 4) + 32 * (quarter % 2);
    const std::uint8_t* high = block.high + 32 * (quarter / 4);
    const int low_shift = 4 * (quarter % 4 / 2);
    const int high_shift = 2 * (quarter % 4);
    for (int l = 0; l < 32; ++l) {
      const float scale = d * static_cast<float>(block.scales[2 * quarter + l / 16]);
      const int value = ((low[l] >> low_shift) & 15) | (((high[l] >> high_shift) & 3) << 4);
      *out++ = scale * static_cast<float>(value - 32);
    }
  }
}

// Blocks come from a mapping at any address: the copy costs nothing measurable and needs no alignment.
template <typename Block, std::size_t kElements>
void decode_blocks(const void* in, float* out, std::size_t n) {
  const auto* bytes = static_cast<const std::uint8_t*>(in);
  for (std::size_t i = 0; i < n; i += kElements, bytes += sizeof(Block), out += kElements) {
    Block block;
    std::memcpy(&block, bytes, sizeof block);
    decode(block, out);
  }
}

template <float (*kConvert)(std::uint16_t)>
void decode_16(const void* in, float* out, std::size_t n) {
  const auto* bytes = static_cast<const std::uint8_t*>(in);
  for (std::size_t i = 0; i < n; ++i) {
    std::uint16_t word = 0;
    std::memcpy(&word, bytes + 2 * i, sizeof word);
    out[i] = kConvert(word);
  }
}

}  // namespace

void dequantize_row(TensorType type, const void* in, float* out, std::size_t n) {
  CHECK(n % traits(type).block_elements == 0);
  switch (type) {
    case TensorType::kF32: std::memcpy(out, in, n * sizeof(float)); return;
    case TensorType::kF16: return decode_16<half_to_float>(in, out, n);
    case TensorType::kBF16: return decode_16<bf16_to_float>(in, out, n);
    case TensorType::kQ8_0: return decode_blocks<BlockQ8_0, kQ8Elements>(in, out, n);
    case TensorType::kQ2_K: return decode_blocks<BlockQ2K, kSuperBlockElements>(in, out, n);
    case TensorType::kQ3_K: return decode_blocks<BlockQ3K, kSuperBlockElements>(in, out, n);
    case TensorType::kQ4_K: return decode_blocks<BlockQ4K, kSuperBlockElements>(in, out, n);
    case TensorType::kQ5_K: return decode_blocks<BlockQ5K, kSuperBlockElements>(in, out, n);
    case TensorType::kQ6_K: return decode_blocks<BlockQ6K, kSuperBlockElements>(in, out, n);
  }
}

}  // namespace dormouse::quant
