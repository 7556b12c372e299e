#include "planner/queueing.h"

#include <algorithm>
#include <cmath>

namespace dormouse::planner {
namespace {

// Sum and sum of squares of numbers whose variation is asked.
class Variation {
 public:
  void add(double value) {
    ++count_;
    sum_ += value;
    squares_ += value * value;
  }
  [[nodiscard]] double mean() const { return count_ > 0 ? sum_ / static_cast<double>(count_) : 0; }
  [[nodiscard]] double cv2() const {
    if (count_ < 2 || !(sum_ > 0)) return 1;
    return std::max(0.0, squares_ / static_cast<double>(count_) / (mean() * mean()) - 1);
  }

 private:
  std::int64_t count_ = 0;
  double sum_ = 0;
  double squares_ = 0;
};

double seconds(std::int64_t us) {
  return static_cast<double>(us) / static_cast<double>(kSecondUs);
}

std::span<const Arrival> busiest_stretch(std::span<const Arrival> arrivals, std::int64_t window_us) {
  std::size_t best = 0;
  std::size_t most = 0;
  for (std::size_t begin = 0, end = 0; end < arrivals.size(); ++end) {
    while (arrivals[end].at_us - arrivals[begin].at_us >= window_us) ++begin;
    if (end + 1 - begin <= most) continue;
    best = begin;
    most = end + 1 - begin;
  }
  return arrivals.subspan(best, most);
}

}  // namespace

Station station_of(const StepLine& line, const RequestShape& shape, int slots) {
  const double service_s = shape.prefill_s + shape.output_tokens * line.step_s(1);
  return {.service_s = service_s,
          .slowdown = service_s > 0 ? shape.output_tokens * line.k_s / service_s : 0,
          .slots = slots};
}

double most_rate(const Station& station) {
  return station.instances * station.slots / station.service_at(station.slots);
}

std::optional<double> mean_batch(const Station& station, double rate) {
  const double each = rate / station.instances;
  const double left = 1 - each * station.service_s * station.slowdown;
  if (left <= 0) return std::nullopt;
  const double batch = each * station.service_s * (1 - station.slowdown) / left;
  if (batch > station.slots) return std::nullopt;
  return batch;
}

double Waiting::longer_than(double seconds) const {
  return seconds < 0 ? 1 : share * std::exp(-decay * seconds);
}

double Waiting::percentile_s(double share_below) const {
  const double above = 1 - share_below;
  return above >= share ? 0 : std::log(share / above) / decay;
}

// `below`: the probability of at most all slots taken, over that of exactly all; the sum of the product form, taken
// from the empty house up, so that no factorial is formed. With slowdown 0 its inverse is Erlang's B.
std::optional<Waiting> waiting(const Station& station, double rate) {
  if (rate <= 0) return Waiting{.share = 0, .decay = most_rate(station)};
  const double most = most_rate(station);
  if (!(rate < most)) return std::nullopt;
  const int all = station.slots * station.instances;
  double below = 1;
  for (int n = 1; n <= all; ++n) {
    const double batch = std::max(1.0, static_cast<double>(n) / station.instances);
    below = 1 + below * n / station.service_at(batch) / rate;
  }
  const double at_or_beyond = 1 / (1 - rate / most);
  return Waiting{.share = at_or_beyond / (below - 1 + at_or_beyond), .decay = most - rate};
}

Peak busiest(std::span<const Arrival> arrivals, std::int64_t window_us) {
  const std::span<const Arrival> stretch = busiest_stretch(arrivals, window_us);
  Variation gaps;
  Variation services;
  for (std::size_t i = 0; i < stretch.size(); ++i) {
    services.add(seconds(stretch[i].service_us));
    if (i > 0) gaps.add(seconds(stretch[i].at_us - stretch[i - 1].at_us));
  }
  return {.rate = static_cast<double>(stretch.size()) / seconds(window_us),
          .service_s = services.mean(),
          .arrivals_cv2 = gaps.cv2(),
          .service_cv2 = services.cv2()};
}

Waiting corrected(const Waiting& waiting, const Peak& peak) {
  const double factor = (peak.arrivals_cv2 + peak.service_cv2) / 2;
  if (factor <= 0) return {.share = 0, .decay = waiting.decay};
  return {.share = waiting.share, .decay = waiting.decay / factor};
}

std::optional<int> instances_for(const Station& station, const Peak& peak, const Slo& slo, int most) {
  if (slo.of == Slo::Of::kLatency && slo.seconds < station.service_s) return std::nullopt;
  for (int n = 1; n <= most; ++n) {
    Station tried = station;
    tried.instances = n;
    const std::optional<Waiting> queue = waiting(tried, peak.rate);
    if (!queue.has_value()) continue;
    const double batch = std::max(1.0, mean_batch(tried, peak.rate).value_or(station.slots));
    const double served_s = slo.of == Slo::Of::kLatency ? tried.service_at(batch) : 0;
    if (corrected(*queue, peak).longer_than(slo.seconds - served_s) <= 1 - slo.share + 1e-12) return n;
  }
  return std::nullopt;
}

}  // namespace dormouse::planner
