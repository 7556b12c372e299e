#include "planner/sensitivity.h"

#include <array>
#include <cmath>

#include "planner/closed_form.h"

namespace dormouse::planner {
namespace {

constexpr std::array kWakesS{0.0, 5.0, 10.0, 30.0, 60.0, 120.0};
constexpr std::array kPriceFactors{0.5, 0.75, 1.0, 1.5, 2.0};
constexpr std::array kVolumeFactors{0.5, 1.0, 2.0, 5.0};
// Source: cost notes, section 0: OVH's monthly is "about 50 %", the popular article's list is 23 %.
constexpr double kLeastMonthShare = 0.35;
constexpr std::int64_t kMostHourMicros = 100'000'000'000;

Case case_of(double value, const Traffic& traffic, const Timer& timer, const Tariff& tariff) {
  Case out{.value = value, .micros = {}, .cheaper = {}};
  const std::optional<Expected> month = expected_month(traffic, timer);
  if (!month.has_value()) return out;
  out.micros = expected_micros(*month, tariff);
  if (!out.micros.has_value() || !tariff.month_micros.has_value()) return out;
  const std::int64_t monthly = *tariff.month_micros + tariff.fixed_month_micros;
  out.cheaper = *out.micros < monthly ? Cheaper::kByTheHour : Cheaper::kByTheMonth;
  return out;
}

}  // namespace

Sensitivity sensitivity_of(const Traffic& traffic, const Timer& timer, const Tariff& tariff) {
  Sensitivity out;
  for (const double wake_s : kWakesS) {
    Timer changed = timer;
    changed.wake_s = wake_s;
    out.wake_s.push_back(case_of(wake_s, traffic, changed, tariff));
  }
  for (const double factor : kPriceFactors) {
    Tariff changed = tariff;
    changed.hour_micros = std::llround(static_cast<double>(tariff.hour_micros) * factor);
    out.hour_price.push_back(case_of(factor, traffic, timer, changed));
  }
  for (const double factor : kVolumeFactors) {
    Traffic changed = traffic;
    changed.requests_per_day *= factor;
    out.volume.push_back(case_of(factor, changed, timer, tariff));
  }
  return out;
}

std::vector<PriceDoubt> price_doubts(const Tariff& tariff) {
  std::vector<PriceDoubt> out;
  const bool is_absurd = tariff.hour_micros <= 0 || tariff.hour_micros > kMostHourMicros;
  if (is_absurd) out.push_back(PriceDoubt::kHourAbsurd);
  const double hours = static_cast<double>(tariff.hour_micros) * kHoursOfMonth;
  if (!is_absurd && tariff.month_micros.has_value()) {
    const auto month = static_cast<double>(*tariff.month_micros);
    if (month < kLeastMonthShare * hours) out.push_back(PriceDoubt::kMonthTooLow);
    if (month > hours) out.push_back(PriceDoubt::kMonthTooHigh);
  }
  if (tariff.spot.has_value() && tariff.spot->hour_micros > tariff.hour_micros) {
    out.push_back(PriceDoubt::kSpotTooHigh);
  }
  return out;
}

}  // namespace dormouse::planner
