#include "planner/interval.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "planner/tariff.h"
#include "planner/traffic.h"

namespace dormouse::planner {
namespace {

constexpr std::size_t kDraws = 1'000;
constexpr std::size_t kOneInTwenty = kDraws / 20;
constexpr std::size_t kWorkdays = 5;
constexpr std::size_t kWeekdays = 7;
constexpr double kDaysOfMonth = kHoursOfMonth / 24;
constexpr double kNormal95 = 1.645;

using Days = std::vector<double>;

double sum_of(const Days& days) {
  return std::accumulate(days.begin(), days.end(), 0.0);
}

// Days that are like each other.
std::vector<Days> kinds_of(std::span<const std::int64_t> day_micros, std::size_t first_weekday) {
  std::vector<Days> kinds(2);
  for (std::size_t day = 0; day < day_micros.size(); ++day) {
    kinds[(first_weekday + day) % kWeekdays < kWorkdays ? 0 : 1].push_back(static_cast<double>(day_micros[day]));
  }
  if (kinds[0].size() > 1 && kinds[1].size() > 1) return kinds;
  kinds[0].insert(kinds[0].end(), kinds[1].begin(), kinds[1].end());
  kinds.pop_back();
  return kinds;
}

// How far the sum of days drawn with replacement lies from theirs. Such draws scatter around the mean of the sample,
// not of the truth, by (n - 1) / n of the variance: taken back.
double drawn_error(const Days& days, double mean, std::mt19937_64& random) {
  double out = 0;
  for (std::size_t i = 0; i < days.size(); ++i) out += days[random() % days.size()] - mean;
  const auto count = static_cast<double>(days.size());
  return out * std::sqrt(count / (count - 1));
}

}  // namespace

std::optional<Interval> bill_interval(std::span<const std::int64_t> day_micros, std::uint64_t seed,
                                      std::size_t first_weekday) {
  if (day_micros.size() < kFewestDays) return std::nullopt;
  const std::vector<Days> kinds = kinds_of(day_micros, first_weekday);
  double total = 0;
  for (const Days& days : kinds) total += sum_of(days);
  std::mt19937_64 random(seed);
  std::vector<double> errors(kDraws, 0);
  for (const Days& days : kinds) {
    const double mean = sum_of(days) / static_cast<double>(days.size());
    for (double& error : errors) error += drawn_error(days, mean, random);
  }
  std::sort(errors.begin(), errors.end());
  // Of few days the scatter itself is not well known: as wide as Student's t is against the normal law, first term.
  const auto freedom = static_cast<double>(day_micros.size() - kinds.size());
  const double wider = 1 + (kNormal95 * kNormal95 + 1) / (4 * freedom);
  const double to_month = kDaysOfMonth / static_cast<double>(day_micros.size());
  const double low = (total + wider * errors[kOneInTwenty]) * to_month;
  const double high = (total + wider * errors[kDraws - 1 - kOneInTwenty]) * to_month;
  const auto most = static_cast<double>(kMostMicros);
  return Interval{.low_micros = std::llround(std::clamp(low, 0.0, most)),
                  .high_micros = std::llround(std::clamp(high, 0.0, most)),
                  .days = day_micros.size()};
}

}  // namespace dormouse::planner
