#include "planner/batch_curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace dormouse::planner {

Result<double> slowdown_of(std::span<const BatchPoint> curve) {
  double alone_s = 0;  // the mean of what was measured at 1
  double times_alone = 0;
  for (const BatchPoint& point : curve) {
    if (point.at_once < 1 || !(point.step_s > 0) || !std::isfinite(point.step_s)) {
      return make_error(Code::kInvalidArgument,
                        fmt::format("batch curve: {} at once took {} s: want 1 or more at once and a time above 0",
                                    point.at_once, point.step_s));
    }
    if (point.at_once > 1) continue;
    alone_s += point.step_s;
    ++times_alone;
  }
  if (times_alone == 0) return make_error(Code::kInvalidArgument, "batch curve: measure one alone too, at_once 1");
  alone_s /= times_alone;
  double product = 0;
  double square = 0;
  for (const BatchPoint& point : curve) {
    const double others = point.at_once - 1;
    product += others * (point.step_s / alone_s - 1);
    square += others * others;
  }
  if (square == 0) return make_error(Code::kInvalidArgument, "batch curve: measure several at once too, at_once 2");
  return std::clamp(product / square, 0.0, 1.0);
}

}  // namespace dormouse::planner
