// A small model file in memory: three matrices in the wrong order, a norm, and a matrix of a
// layer that the model does not have. Test code only.
#pragma once

#include <cstdint>
#include <vector>

#include "gguf/hostile_file.h"

namespace dormouse::pack {

inline std::vector<std::uint8_t> small_model() {
  constexpr std::uint32_t kF32 = 0;
  constexpr std::uint32_t kQ8 = 8;
  constexpr std::uint32_t kQ4K = 12;
  gguf::HostileFile out(5, 2);
  out.key("general.architecture", gguf::ValueType::kString).text("qwen3");
  out.key("qwen3.block_count", gguf::ValueType::kUint32).number(std::uint32_t{1});
  out.tensor("token_embd.weight", {256, 33}, kQ8, 0);               // 33 x 8 x 34 = 8,976, padded to 8,992
  out.tensor("blk.0.ffn_down.weight", {512, 20}, kQ4K, 8992);       // 20 x 2 x 144 = 5,760
  out.tensor("blk.0.attn_norm.weight", {256}, kF32, 8992 + 5760);   // 1,024
  out.tensor("blk.0.attn_q.weight", {256, 16}, kQ4K, 8992 + 6784);  // 2,304
  out.tensor("blk.1.attn_q.weight", {1, 8}, kF32, 8992 + 6784 + 2304);
  out.data(8992 + 6784 + 2304 + 32);
  std::vector<std::uint8_t> bytes(out.bytes().begin(), out.bytes().end());
  std::uint32_t state = 1;  // noise in the data section, so that checksums see something
  for (std::size_t i = bytes.size() - 18000; i < bytes.size(); ++i) {
    state = state * 1664525U + 1013904223U;
    bytes[i] = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

}  // namespace dormouse::pack
