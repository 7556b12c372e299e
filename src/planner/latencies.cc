#include "planner/latencies.h"

#include <numeric>

#include "planner/traffic.h"

namespace dormouse::planner {

std::uint64_t Latencies::count() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

std::uint64_t Latencies::middle_of(std::uint64_t bucket) {
  if (bucket < 2 * kOfOctave) return bucket;
  const std::uint64_t shift = bucket / kOfOctave - 1;
  return ((bucket - shift * kOfOctave) << shift) + ((std::uint64_t{1} << shift) - 1) / 2;
}

double Latencies::mean_s() const {
  const std::uint64_t requests = count();
  if (requests == 0) return 0;
  return static_cast<double>(sum_us_) / static_cast<double>(requests) / static_cast<double>(kSecondUs);
}

double Latencies::at_share_s(double share) const {
  const auto before = static_cast<std::uint64_t>(share * static_cast<double>(count()));
  std::uint64_t seen = 0;
  for (std::uint64_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += counts_[bucket];
    if (seen > before) return to_seconds(static_cast<std::int64_t>(middle_of(bucket)));
  }
  return 0;
}

}  // namespace dormouse::planner
