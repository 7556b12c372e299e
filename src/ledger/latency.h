// Durations counted by eighths of an octave: a percentile read from the counts is at most 12.5 % above the true one,
// whatever the number of requests. Pure.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace dormouse::ledger {

// us >= 1: 8 buckets from each power of two to the next, of equal width; below 8 us a bucket a microsecond.
[[nodiscard]] constexpr std::int64_t latency_bucket(std::int64_t us) {
  if (us < 8) return std::max<std::int64_t>(us, 0);
  const auto value = static_cast<std::uint64_t>(us);
  const int octave = static_cast<int>(std::bit_width(value)) - 1;  // at least 3
  return (octave - 2) * 8 + static_cast<std::int64_t>((value >> (octave - 3)) & 7);
}

// The first duration that is no longer in the bucket.
[[nodiscard]] constexpr std::int64_t latency_bucket_end_us(std::int64_t bucket) {
  if (bucket < 8) return bucket + 1;
  const std::int64_t octave = bucket / 8 + 2;
  return (8 + bucket % 8 + 1) << (octave - 3);
}

static_assert(latency_bucket(7) == 7 && latency_bucket(8) == 8 && latency_bucket(16) == 16);
static_assert(latency_bucket_end_us(latency_bucket(1'000'000)) > 1'000'000);
static_assert(latency_bucket_end_us(latency_bucket(1'000'000)) <= 1'125'000);

}  // namespace dormouse::ledger
