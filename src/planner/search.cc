#include "planner/search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

namespace dormouse::planner {
namespace {

constexpr std::array kShares{0.5, 0.75, 0.9, 0.95, 0.99, 0.999};  // of gaps, to be stayed through beyond the grid
constexpr double kMostTimeoutS = 4 * 3'600;
constexpr std::size_t kMostGaps = 1'000'000;  // every so many-th is enough for where to look
constexpr double kLeastGoal = 1e-6;           // so that a goal of none at all can be missed by less or by more, too
constexpr int kRounds = 2;
constexpr int kBetween = 7;  // of a round, on either side of the best

double rounded_up_to_ms(double seconds) {
  return std::ceil(seconds * 1e3) / 1e3;
}

// Timeouts that stay through such shares of the gaps of an instance that never sleeps. Queues are left out: this only
// says where to look.
std::vector<double> gap_timeouts(const std::vector<Arrival>& arrivals) {
  std::vector<std::int64_t> gaps;
  const std::size_t step = arrivals.size() / kMostGaps + 1;
  std::int64_t free_us = 0;
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    if (i > 0 && i % step == 0) gaps.push_back(std::max<std::int64_t>(0, arrivals[i].at_us - free_us));
    free_us = std::max(free_us, arrivals[i].at_us + arrivals[i].service_us);
  }
  std::vector<double> out;
  if (gaps.empty()) return out;
  for (const double share : kShares) {
    const auto nth = gaps.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(gaps.size() - 1));
    std::nth_element(gaps.begin(), nth, gaps.end());
    out.push_back(rounded_up_to_ms(to_seconds(*nth)));
  }
  return out;
}

// By how much of the goal it is missed: 0 where it is met, 1 for twice what is allowed.
double miss(const Forecast& forecast, const Goal& goal) {
  const auto over = [](double value, const std::optional<double>& most) {
    return most.has_value() ? std::max(0.0, value - *most) / std::max(*most, kLeastGoal) : 0;
  };
  return over(forecast.cold_share, goal.cold_share_max) + over(forecast.p99_s, goal.p99_s_max);
}

class Search {
 public:
  Search(const Workload& workload, const Timer& timer, const Tariff& tariff, const Goal& goal)
      : workload_(workload), timer_(timer), tariff_(tariff), goal_(goal) {}

  void add(std::vector<double> timeouts_s) {
    const auto is_there = [this](double timeout_s) {
      return std::any_of(out_.rows.begin(), out_.rows.end(),
                         [&](const TimeoutRow& row) { return row.timeout_s == timeout_s; });
    };
    std::sort(timeouts_s.begin(), timeouts_s.end());
    timeouts_s.erase(std::unique(timeouts_s.begin(), timeouts_s.end()), timeouts_s.end());
    std::erase_if(timeouts_s, is_there);
    const std::vector<Outcome> outcomes = replay_all(workload_.arrivals, timeouts_s, timer_, tariff_);
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      out_.rows.push_back({.timeout_s = timeouts_s[i],
                           .forecast = a_month_of(outcomes[i], workload_.months),
                           .micros = month_micros(outcomes[i], workload_.months, tariff_)});
    }
    std::sort(out_.rows.begin(), out_.rows.end(),
              [](const TimeoutRow& a, const TimeoutRow& b) { return a.timeout_s < b.timeout_s; });
    choose();
  }

  // Timeouts between the best and its neighbours.
  [[nodiscard]] std::vector<double> around_best() const {
    std::vector<double> out;
    const std::size_t at = out_.nearest;
    const double here = out_.rows[at].timeout_s;
    for (const std::size_t other : {at > 0 ? at - 1 : at, std::min(at + 1, out_.rows.size() - 1)}) {
      const double step = (out_.rows[other].timeout_s - here) / (kBetween + 1);
      for (int i = 1; i <= kBetween; ++i) out.push_back(rounded_up_to_ms(here + step * i));
    }
    return out;
  }

  TimeoutSearch finish() {
    std::vector<std::size_t> by_bill(out_.rows.size());
    for (std::size_t i = 0; i < by_bill.size(); ++i) by_bill[i] = i;
    const auto key = [this](std::size_t i) { return std::pair(out_.rows[i].micros, out_.rows[i].forecast.p99_s); };
    std::sort(by_bill.begin(), by_bill.end(), [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
    // From the cheapest on, each that is quicker than all before; equals stand or fall together.
    std::pair<std::int64_t, double> last{};
    double quickest = HUGE_VAL;
    for (const std::size_t i : by_bill) {
      const double p99_s = out_.rows[i].forecast.p99_s;
      out_.rows[i].is_on_front = p99_s < quickest || key(i) == last;
      if (p99_s < quickest) last = key(i);
      quickest = std::min(quickest, p99_s);
    }
    return std::move(out_);
  }

 private:
  void choose() {
    const auto key = [this](const TimeoutRow& row) {
      return std::tuple(miss(row.forecast, goal_), row.micros, row.forecast.p99_s, row.timeout_s);
    };
    const auto found = std::min_element(out_.rows.begin(), out_.rows.end(),
                                        [&](const auto& a, const auto& b) { return key(a) < key(b); });
    out_.nearest = static_cast<std::size_t>(found - out_.rows.begin());
    out_.best = miss(found->forecast, goal_) > 0 ? std::nullopt : std::optional(out_.nearest);
  }

  const Workload& workload_;  // the caller's, for the time of a search
  const Timer timer_;
  const Tariff tariff_;
  const Goal goal_;
  TimeoutSearch out_;
};

}  // namespace

TimeoutSearch search_timeouts(const Workload& workload, const Timer& timer, const Tariff& tariff, const Goal& goal) {
  std::vector<double> first = gap_timeouts(workload.arrivals);
  std::erase_if(first, [](double timeout_s) { return timeout_s > kMostTimeoutS; });
  first.insert(first.end(), kTimeoutGridS.begin(), kTimeoutGridS.end());
  first.push_back(timer.idle_timeout_s);
  Search search(workload, timer, tariff, goal);
  search.add(std::move(first));
  for (int round = 0; round < kRounds; ++round) search.add(search.around_best());
  return search.finish();
}

}  // namespace dormouse::planner
