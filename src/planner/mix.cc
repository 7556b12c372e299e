#include "planner/mix.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>

#include "planner/replay.h"

namespace dormouse::planner {
namespace {

std::int64_t whole(double micros) {
  return std::llround(std::min(micros, static_cast<double>(kMostMicros)));
}

struct Level {
  std::vector<Arrival> taken;  // at the level's speed
  std::vector<Arrival> left;   // as they came
};

Level fill_level(std::span<const Arrival> arrivals, double speed, int slots) {
  Level out;
  std::priority_queue<std::int64_t, std::vector<std::int64_t>, std::greater<>> ends;
  for (const Arrival& arrival : arrivals) {
    while (!ends.empty() && ends.top() <= arrival.at_us) ends.pop();
    if (slots > 0 && ends.size() >= static_cast<std::size_t>(slots)) {
      out.left.push_back(arrival);
      continue;
    }
    const std::int64_t service_us = to_us(to_seconds(arrival.service_us) / speed);
    if (slots > 0) ends.push(arrival.at_us + service_us);
    out.taken.push_back({arrival.at_us, service_us});
  }
  return out;
}

// All levels' outcomes; the last one allowed takes the rest.
std::vector<Outcome> fill_levels(std::span<const Arrival> arrivals, const Timer& timer, const Tariff& tariff,
                                 double speed) {
  std::vector<Outcome> out;
  Level level;
  level.left.assign(arrivals.begin(), arrivals.end());
  while (!level.left.empty()) {
    level = fill_level(level.left, speed, timer.slots);
    if (out.size() + 1 == kMostLevels && !level.left.empty()) {
      for (const Arrival& arrival : level.left) {
        level.taken.push_back({arrival.at_us, to_us(to_seconds(arrival.service_us) / speed)});
      }
      std::sort(level.taken.begin(), level.taken.end(),
                [](const Arrival& a, const Arrival& b) { return a.at_us < b.at_us; });
      level.left.clear();
    }
    out.push_back(replay(level.taken, timer, tariff));
  }
  return out;
}

// An hour of a level that is not rented by the month.
double hour_micros_of(std::size_t level, const Tariff& tariff, double wake_s) {
  const auto hour = static_cast<double>(tariff.hour_micros);
  if (level <= 1 || !tariff.spot.has_value()) return hour;
  return std::min(hour, spot_hour_micros(*tariff.spot, wake_s));
}

// A month of everything that `reserved` levels below have left over.
std::int64_t burst_micros(std::span<const Arrival> left, std::size_t reserved, double months, const Timer& timer,
                          const Offer& offer) {
  Timer of_offer = timer;
  of_offer.slots = offer.slots;
  Tariff tariff = offer.tariff;
  tariff.fixed_month_micros = 0;
  double sum = 0;
  std::size_t level = reserved;
  for (Outcome& outcome : fill_levels(left, of_offer, tariff, offer.speed)) {
    Tariff of_level = tariff;
    of_level.hour_micros = whole(hour_micros_of(++level, tariff, timer.wake_s));
    outcome.paid_micros = hours_micros(of_level, outcome.paid_us);
    sum += static_cast<double>(month_micros(outcome, months, of_level));
  }
  return whole(sum);
}

}  // namespace

std::vector<double> level_hours(const Workload& workload, const Timer& timer) {
  std::vector<double> out;
  for (const Outcome& outcome : fill_levels(workload.arrivals, timer, {}, 1)) {
    out.push_back(to_seconds(outcome.awake_us) / 3'600 / workload.months);
  }
  return out;
}

double spot_hour_micros(const Spot& spot, double wake_s) {
  return static_cast<double>(spot.hour_micros) * (1 + spot.interruptions_per_hour * wake_s / 3'600);
}

Reservation reserve(std::span<const double> hours, const Tariff& tariff, double wake_s) {
  const auto stopped = static_cast<double>(tariff.stopped_hour_micros);
  const auto by_hour = [&](std::size_t index) {
    return hours[index] * hour_micros_of(index + 1, tariff, wake_s) +
           std::max(0.0, kHoursOfMonth - hours[index]) * stopped;
  };
  double rest = 0;
  for (std::size_t i = 0; i < hours.size(); ++i) rest += by_hour(i);
  double least = rest;
  Reservation out;
  out.on_demand_micros = whole(rest);
  if (tariff.month_micros.has_value()) {
    const auto month = static_cast<double>(*tariff.month_micros);
    out.monthly_micros = whole(month * static_cast<double>(hours.size()));
    // A level may be awake for longer than the one below it, so no rule for one level alone decides.
    for (std::size_t reserved = 1; reserved <= hours.size(); ++reserved) {
      rest -= by_hour(reserved - 1);
      const double micros = month * static_cast<double>(reserved) + rest;
      if (micros < least) least = micros, out.reserved = reserved;
    }
  }
  out.micros = whole(least);
  const std::size_t highest = hours.size();
  out.is_spot = highest > out.reserved && highest > 1 && tariff.spot.has_value() &&
                hour_micros_of(highest, tariff, wake_s) < static_cast<double>(tariff.hour_micros);
  return out;
}

std::optional<Mix> cheapest_mix(const Workload& workload, const Timer& timer, std::span<const Offer> offers) {
  if (offers.empty() || offers.size() > kMostOffers) return std::nullopt;
  std::optional<Mix> best;
  const auto try_bursts = [&](std::size_t base, std::size_t reserved, std::span<const Arrival> left,
                              std::int64_t base_micros) {
    for (std::size_t burst = 0; burst < offers.size(); ++burst) {
      const std::int64_t rest = burst_micros(left, reserved, workload.months, timer, offers[burst]);
      const std::int64_t micros = std::min(base_micros + rest, kMostMicros);
      if (!best.has_value() || micros < best->micros) best = Mix{base, reserved, burst, micros};
    }
  };
  try_bursts(0, 0, workload.arrivals, 0);
  for (std::size_t base = 0; base < offers.size(); ++base) {
    const std::optional<std::int64_t>& month = offers[base].tariff.month_micros;
    if (!month.has_value()) continue;
    std::vector<Arrival> left = workload.arrivals;
    std::int64_t base_micros = 0;
    for (std::size_t reserved = 1; reserved <= kMostLevels && !left.empty(); ++reserved) {
      if (*month >= best->micros - base_micros) break;  // these alone are dearer than the best
      base_micros += *month;
      left = fill_level(left, offers[base].speed, offers[base].slots).left;
      try_bursts(base, reserved, left, base_micros);
    }
  }
  return best;
}

}  // namespace dormouse::planner
