// DIR/limits.state: how full the buckets were, so that a restart is no second helping. Text, a line a holder, checked
// by a CRC; written beside and renamed, not synced: after a power failure the buckets are full again anyway. Threads:
// any; the file is a few kilobytes and no write waits for the disk.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "gateway/limits/limiter.h"

namespace dormouse::gateway {

struct LimitState {
  MonoTime at;  // of the boot that wrote it
  WallTime at_wall;
  std::vector<BucketState> buckets;
};

[[nodiscard]] std::string write_limit_state(const LimitState& state);
// Errors: kDataLoss.
[[nodiscard]] Result<LimitState> read_limit_state(const std::string& text);
// How long ago that was, by the boot clock or, after another boot, by the wall clock; never more than a minute, in
// which every bucket fills, and never negative.
[[nodiscard]] Nanoseconds age_of(const LimitState& state, MonoTime now, WallTime wall);

// Errors: kNotFound, kDataLoss, kUnavailable.
[[nodiscard]] Result<LimitState> load_limit_state(const std::string& path);
[[nodiscard]] Status save_limit_state(const std::string& path, const LimitState& state);

}  // namespace dormouse::gateway
