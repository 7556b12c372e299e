// Percentiles by nearest rank (base/nearest_rank.h). PURE.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace dormouse::loadtest {

struct Percentiles {
  double p50 = 0;
  double p95 = 0;
  double p99 = 0;
  double mean = 0;
  friend bool operator==(const Percentiles&, const Percentiles&) = default;
};

// nullopt: no values.
[[nodiscard]] std::optional<Percentiles> percentiles_of(std::vector<double> values);

// The gaps between the pieces of answers: one a token, too many to keep. Counted in buckets 1 % wide from 1 us to over
// an hour, so that a percentile is at most 1 % above the exact one; the mean is exact. 18 KB.
class GapCounts {
 public:
  GapCounts();
  void add(double gap_s);  // >= 0
  [[nodiscard]] std::optional<Percentiles> percentiles() const;

 private:
  [[nodiscard]] double percentile(std::int64_t percent) const;

  std::vector<std::int64_t> counts_;
  std::int64_t total_ = 0;
  double sum_s_ = 0;
};

}  // namespace dormouse::loadtest
