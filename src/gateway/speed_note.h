// How fast a deployment's streams are, against what is expected of them, and what a person should read of it. Plain
// values and words; policy/degraded.h judges, watch.h fills them in.
#pragma once

#include <optional>
#include <string>

namespace dormouse::gateway {

struct SpeedView {
  std::optional<double> measured;  // tokens a second of one stream, of the last minutes; nullopt: too few answers
  std::optional<double> expected;  // nullopt: neither told nor learned yet
  bool is_learned = false;
  bool is_degraded = false;
  double since_s = 0;      // slow for so long; with is_degraded only
  std::string next_type;   // the instance type that would do better; empty: none is known
  std::string next_price;  // "¥2.50/h"; empty: not known
};

// "12.0 tok/s where 30.0 are expected, for 7 min; perhaps ...; consider T4 at ¥2.50/h". Empty when all is well.
[[nodiscard]] std::string speed_note_en(const SpeedView& speed);
[[nodiscard]] std::string speed_note_zh(const SpeedView& speed);

}  // namespace dormouse::gateway
