#include "loadtest/percentiles.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/nearest_rank.h"

namespace dormouse::loadtest {
namespace {

constexpr double kSmallestGap = 1e-6;
constexpr double kWidth = 1.01;
constexpr std::size_t kBuckets = 2'250;  // 1e-6 * 1.01^2249 = 5,245 s

}  // namespace

std::optional<Percentiles> percentiles_of(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return Percentiles{nearest_rank(values, 500), nearest_rank(values, 950), nearest_rank(values, 990),
                     sum / static_cast<double>(values.size())};
}

GapCounts::GapCounts() : counts_(kBuckets, 0) {}

void GapCounts::add(double gap_s) {
  const double steps = std::ceil(std::log(std::max(gap_s, kSmallestGap) / kSmallestGap) / std::log(kWidth));
  const double bucket = std::clamp(steps, 0.0, static_cast<double>(kBuckets - 1));
  ++counts_[static_cast<std::size_t>(bucket)];
  ++total_;
  sum_s_ += gap_s;
}

double GapCounts::percentile(std::int64_t percent) const {
  std::int64_t left = std::max<std::int64_t>((percent * total_ + 99) / 100, 1);
  std::size_t bucket = 0;
  while (left > counts_[bucket]) left -= counts_[bucket++];
  return kSmallestGap * std::pow(kWidth, static_cast<double>(bucket));
}

std::optional<Percentiles> GapCounts::percentiles() const {
  if (total_ == 0) return std::nullopt;
  return Percentiles{percentile(50), percentile(95), percentile(99), sum_s_ / static_cast<double>(total_)};
}

}  // namespace dormouse::loadtest
