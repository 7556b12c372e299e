// The packed 6-bit scales of Q3_K, Q4_K and Q5_K, both ways. Shared by decode and encode only.
#pragma once

#include <cstdint>

namespace dormouse::quant {

// 0..63; the weight's factor is this minus 32.
[[nodiscard]] constexpr int q3_scale(const std::uint8_t* scales, int group) {
  const int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
  const int high = (scales[8 + group % 4] >> (2 * (group / 4))) & 3;
  return low | (high << 4);
}

// `scales` starts zeroed.
constexpr void set_q3_scale(std::uint8_t* scales, int group, int value) {
  const int low_shift = group < 8 ? 0 : 4;
  scales[group % 8] = static_cast<std::uint8_t>(scales[group % 8] | ((value & 15) << low_shift));
  std::uint8_t& high = scales[8 + group % 4];
  high = static_cast<std::uint8_t>(high | ((value >> 4) << (2 * (group / 4))));
}

struct ScaleMin {
  int scale = 0;  // 0..63
  int min = 0;    // 0..63
};

[[nodiscard]] constexpr ScaleMin q4_scale_min(const std::uint8_t* scales, int group) {
  if (group < 4) return {scales[group] & 63, scales[group + 4] & 63};
  return {(scales[group + 4] & 15) | ((scales[group - 4] >> 6) << 4),
          (scales[group + 4] >> 4) | ((scales[group] >> 6) << 4)};
}

// `scales` starts zeroed; groups in any order.
constexpr void set_q4_scale_min(std::uint8_t* scales, int group, ScaleMin pair) {
  if (group < 4) {
    scales[group] = static_cast<std::uint8_t>(scales[group] | pair.scale);
    scales[group + 4] = static_cast<std::uint8_t>(scales[group + 4] | pair.min);
    return;
  }
  scales[group + 4] = static_cast<std::uint8_t>((pair.scale & 15) | ((pair.min & 15) << 4));
  scales[group - 4] = static_cast<std::uint8_t>(scales[group - 4] | ((pair.scale >> 4) << 6));
  scales[group] = static_cast<std::uint8_t>(scales[group] | ((pair.min >> 4) << 6));
}

}  // namespace dormouse::quant
