// What serving several requests at once costs each of them, from measurements: Timer's slowdown. PURE.
#pragma once

#include <span>

#include "base/result.h"

namespace dormouse::planner {

// With so many at once a decode step (or a request alike in each measurement) took so long.
struct BatchPoint {
  int at_once = 1;
  double step_s = 0;
};

// The slowdown that fits best: step(b) = step(1) x (1 + slowdown (b - 1)), by least squares through step(1). Faster
// than alone is 0, slower than one after another is 1: the ends of what a replay takes.
// Errors: kInvalidArgument: nothing at 1, nothing above 1, at_once below 1, a step that is not a time above 0.
[[nodiscard]] Result<double> slowdown_of(std::span<const BatchPoint> curve);

}  // namespace dormouse::planner
