#include "gateway/speed_note.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace dormouse::gateway {
namespace {

int minutes_of(const SpeedView& speed) {
  return std::max(1, static_cast<int>(std::lround(speed.since_s / 60)));
}

}  // namespace

std::string speed_note_en(const SpeedView& speed) {
  if (!speed.is_degraded || !speed.expected.has_value()) return {};
  std::string out = fmt::format(
      "degraded: {:.1f} tok/s a stream where {:.1f} are {}, for {} min; perhaps another program uses the GPU or CPU",
      speed.measured.value_or(0), *speed.expected, speed.is_learned ? "usual" : "expected", minutes_of(speed));
  if (speed.next_type.empty()) return out + "; if not, consider a larger instance type";
  out += "; if not, consider " + speed.next_type;
  return speed.next_price.empty() ? out : out + " at " + speed.next_price;
}

std::string speed_note_zh(const SpeedView& speed) {
  if (!speed.is_degraded || !speed.expected.has_value()) return {};
  std::string out = fmt::format(
      "变慢：单路 {:.1f} tok/s，{} {:.1f} tok/s，已持续 {} 分钟；可能有其他程序占用 GPU 或 CPU",
      speed.measured.value_or(0), speed.is_learned ? "平时为" : "预期为", *speed.expected, minutes_of(speed));
  if (speed.next_type.empty()) return out + "；若没有，可考虑更大的机型";
  out += "；若没有，可考虑 " + speed.next_type;
  return speed.next_price.empty() ? out : out + fmt::format("（{}）", speed.next_price);
}

}  // namespace dormouse::gateway
