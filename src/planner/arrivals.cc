#include "planner/arrivals.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace dormouse::planner {
namespace {

constexpr int kOfAUser = 8;
constexpr double kPauseS = 20;
constexpr double kLastUserS = 600;  // before the window's end

class Maker {
 public:
  Maker(const Traffic& traffic, Pattern pattern, std::uint64_t seed)
      : traffic_(traffic),
        pattern_(pattern),
        random_(seed),
        within_(0, traffic.window_s()),
        user_within_(0, traffic.window_s() - std::min(kLastUserS, traffic.window_s() / 2)) {}

  void add_day(std::int64_t begin_us, std::vector<Arrival>& out) {
    const auto count = static_cast<int>(std::lround(traffic_.requests_per_day));
    switch (pattern_) {
      case Pattern::kRandom:
        for (int i = 0; i < count; ++i) add(begin_us, within_(random_), out);
        break;
      case Pattern::kEven:
        for (int i = 0; i < count; ++i) add(begin_us, traffic_.window_s() * (i + 0.5) / count, out);
        break;
      case Pattern::kSessions:
        for (int i = 0; i < count; i += kOfAUser) add_user(begin_us, std::min(kOfAUser, count - i), out);
        break;
    }
  }

 private:
  void add(std::int64_t begin_us, double at_s, std::vector<Arrival>& out) const {
    out.push_back({begin_us + to_us(at_s), to_us(traffic_.service_s)});
  }

  void add_user(std::int64_t begin_us, int requests, std::vector<Arrival>& out) {
    double at_s = user_within_(random_);
    for (int i = 0; i < requests; ++i) {
      add(begin_us, at_s, out);
      at_s += pause_(random_);
    }
  }

  const Traffic traffic_;
  const Pattern pattern_;
  std::mt19937_64 random_;
  std::uniform_real_distribution<double> within_;
  std::uniform_real_distribution<double> user_within_;
  std::exponential_distribution<double> pause_{1 / kPauseS};
};

}  // namespace

Workload make_arrivals(const Traffic& traffic, Pattern pattern, int months, std::uint64_t seed) {
  Workload out;
  out.months = months;
  Maker maker(traffic, pattern, seed);
  const auto days = static_cast<std::int64_t>(std::lround(traffic.active_days));
  const std::int64_t month_us = std::max(static_cast<std::int64_t>(kHoursOfMonth) * kHourUs, days * kDayUs);
  for (int month = 0; month < months; ++month) {
    for (std::int64_t day = 0; day < days; ++day) maker.add_day(month * month_us + day * kDayUs, out.arrivals);
  }
  std::sort(out.arrivals.begin(), out.arrivals.end(),
            [](const Arrival& a, const Arrival& b) { return a.at_us < b.at_us; });
  return out;
}

}  // namespace dormouse::planner
