#include "gateway/plan_advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/nearest_rank.h"
#include "catalog/config_file.h"
#include "gateway/deployments.h"
#include "gateway/office_hours.h"
#include "gateway/tariff_of.h"
#include "policy/schedule.h"

namespace dormouse::gateway {
namespace {

using planner::Arrival;
using planner::kSecondUs;

constexpr double kSecondsOfDay = 86'400;
// That a deployment may be told.
constexpr double kLeastTimeoutS = std::chrono::duration<double>(catalog::kMinIdleTimeout).count();
constexpr std::int64_t kMinuteUs = 60 * kSecondUs;

template <typename Enum, std::size_t n>
std::optional<Enum> find_text(const std::array<std::string_view, n>& texts, std::string_view text) {
  const auto found = std::find(texts.begin(), texts.end(), text);
  if (found == texts.end()) return std::nullopt;
  return static_cast<Enum>(found - texts.begin());
}

constexpr std::array<std::string_view, 7> kVerdicts = {"change",      "best",     "unreachable",      "too_few_days",
                                                       "no_requests", "unpriced", "several_instances"};
constexpr std::array<std::string_view, 4> kReasons = {"waiting", "office_hours", "goal", "unused_instances"};

std::vector<policy::Window> windows_of(const std::vector<std::string>& texts) {
  std::vector<policy::Window> out;
  for (const std::string& text : texts) {
    const Result<policy::Window> window = policy::parse_window(text);
    if (window.has_value()) out.push_back(*window);  // checked before it became a rule
  }
  return out;
}

bool is_open(const MeasuredPeriod& period, const std::vector<policy::Window>& windows, std::int64_t at_us) {
  const std::chrono::seconds offset(period.zone.offset_s(at_us / kSecondUs));
  return policy::is_awake(windows, WallTime{at_us}, offset);
}

// Whether a month is paid whole; on another type than its own perhaps there is no such price.
bool is_rented(const MeasuredPeriod& period) {
  return period.rules.billing != "hourly" && period.type.month_micros.has_value();
}

// Puts every choice on one scale. Borrows the period.
class Judge {
 public:
  Judge(const MeasuredPeriod& period, planner::Tariff tariff, double months, const std::stop_token& stop)
      : period_(period),
        tariff_(tariff),
        months_(months),
        stop_(stop),
        timer_(timer_of(period)),
        all_(workload_of(period).arrivals) {}

  // Under these windows; those of the choices asked for next.
  void open(std::vector<std::string> awake) {
    awake_ = std::move(awake);
    inside_.clear();
    outside_.clear();
    window_ = {};
    const std::vector<policy::Window> windows = windows_of(awake_);
    if (windows.empty()) return;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      const bool is_inside = is_open(period_, windows, period_.workload.requests[i].at_us);
      (is_inside ? inside_ : outside_).push_back(all_[i]);
    }
    measure_windows(windows);
    warm_ = planner::replay(inside_, planner::never_sleeping(timer_), tariff_);
  }

  // An instance that a window wakes is ready before its first request, and it goes with the window's end: what comes
  // within a timeout after that is counted as cold.
  [[nodiscard]] Choice timer(double idle_timeout_s) const {
    planner::Timer timer = timer_;
    timer.idle_timeout_s = idle_timeout_s;
    const bool has_window = !awake_.empty();
    planner::Outcome sum = planner::replay(has_window ? outside_ : all_, timer, tariff_);
    Choice out;
    out.idle_timeout_s = idle_timeout_s;
    out.awake = awake_;
    out.p99_s = std::max(sum.p99_s, has_window ? warm_.p99_s : 0.0);
    if (has_window) {
      sum.requests += warm_.requests;
      sum.awake_us += window_.awake_us;
      sum.busy_us += warm_.busy_us;
      sum.paid_us += tariff_.idle == planner::Paid::kYes ? window_.paid_us : warm_.busy_us;
      sum.paid_micros = planner::hours_micros(tariff_, sum.paid_us);
    }
    out.micros = planner::month_micros(sum, months_, tariff_);
    out.awake_s = static_cast<double>(sum.awake_us) / kSecondUs / months_;
    out.idle_s = out.awake_s - static_cast<double>(sum.busy_us + sum.waking_us) / kSecondUs / months_;
    if (sum.requests > 0) out.cold_share = static_cast<double>(sum.cold_requests) / static_cast<double>(sum.requests);
    return out;
  }

  // One that is never asleep, at this price a month.
  [[nodiscard]] Choice always(Choice::Kind kind, std::int64_t micros) const {
    const planner::Outcome outcome = planner::replay(all_, planner::never_sleeping(timer_), tariff_);
    Choice out;
    out.kind = kind;
    out.micros = micros;
    out.awake_s = planner::kHoursOfMonth * 3'600;
    out.idle_s = out.awake_s - static_cast<double>(outcome.busy_us) / kSecondUs / months_;
    out.p99_s = outcome.p99_s;
    return out;
  }

  [[nodiscard]] std::optional<Choice> monthly(std::int64_t instances) const {
    if (!tariff_.month_micros.has_value()) return std::nullopt;
    return always(Choice::Kind::kMonthly, *tariff_.month_micros * instances + tariff_.fixed_month_micros);
  }

  // As the rules are.
  [[nodiscard]] Choice now() {
    const catalog::DeploymentRules& rules = period_.rules;
    const double timeout_s = std::chrono::duration<double>(idle_after(rules)).count();
    const std::int64_t rented = rules.billing == "monthly" ? rules.max_instances : rules.min_instances;
    if (is_rented(period_)) return monthly(std::max<std::int64_t>(1, rented)).value();
    if (rules.min_instances > 0) {
      Choice out = always(Choice::Kind::kTimer, 0);
      const bool is_idle_paid = tariff_.idle == planner::Paid::kYes;
      const double paid_s =
          is_idle_paid ? out.awake_s * static_cast<double>(rules.min_instances) : out.awake_s - out.idle_s;
      out.micros = std::llround(paid_s / 3'600 * static_cast<double>(tariff_.hour_micros)) + tariff_.fixed_month_micros;
      out.idle_timeout_s = timeout_s;
      out.awake = rules.awake;
      return out;
    }
    open(rules.awake);
    return timer(timeout_s);
  }

  // The cheapest timer, with each of these windows or without, that `accepts` takes. nullopt: none, or told to stop.
  template <typename Accepts>
  [[nodiscard]] std::optional<Choice> cheapest(const std::vector<std::vector<std::string>>& windows, Accepts accepts) {
    std::optional<Choice> best;
    for (const std::vector<std::string>& awake : windows) {
      open(awake);
      for (const double timeout_s : planner::kTimeoutGridS) {
        if (timeout_s < kLeastTimeoutS) continue;
        if (stop_.stop_requested()) return std::nullopt;
        Choice one = timer(timeout_s);
        if (accepts(one) && (!best.has_value() || one.micros < best->micros)) best = std::move(one);
      }
    }
    return best;
  }

 private:
  struct WindowTime {
    std::int64_t awake_us = 0;
    std::int64_t paid_us = 0;
  };
  // To the minute, as windows are.
  void measure_windows(const std::vector<policy::Window>& windows) {
    std::int64_t open_us = 0;
    const auto close = [&] {
      if (open_us > 0) window_.paid_us += planner::paid_us(tariff_, open_us);
      window_.awake_us += std::exchange(open_us, 0);
    };
    for (std::int64_t at_us = period_.begin_us; at_us < period_.end_us; at_us += kMinuteUs) {
      if (is_open(period_, windows, at_us)) {
        open_us += std::min(kMinuteUs, period_.end_us - at_us);
      } else {
        close();
      }
    }
    close();
  }

  const MeasuredPeriod& period_;
  const planner::Tariff tariff_;
  const double months_;
  const std::stop_token stop_;
  const planner::Timer timer_;
  const std::vector<Arrival> all_;
  std::vector<std::string> awake_;
  std::vector<Arrival> inside_;
  std::vector<Arrival> outside_;
  planner::Outcome warm_;
  WindowTime window_;
};

// What keeps callers as well off as `now` does, or as the goal says.
auto accepts_of(const Choice& now, const planner::Goal& goal) {
  const double cold_share = goal.cold_share_max.value_or(now.cold_share + kColdMargin);
  const double p99_s = goal.p99_s_max.value_or(now.p99_s * (1 + kLatencyMargin));
  return [cold_share, p99_s](const Choice& one) { return one.cold_share <= cold_share && one.p99_s <= p99_s; };
}

std::vector<std::vector<std::string>> windows_to_try(const MeasuredPeriod& period,
                                                     const std::optional<OfficeHours>& office) {
  std::vector<std::vector<std::string>> out = {{}};
  if (!period.rules.awake.empty()) out.push_back(period.rules.awake);
  if (office.has_value()) out.push_back({office->window});
  return out;
}

std::optional<Verdict> obstacle(const MeasuredPeriod& period) {
  if (!period.type.hour_micros.has_value() || *period.type.hour_micros <= 0) return Verdict::kUnpriced;
  if (period.workload.requests.empty()) return Verdict::kNoRequests;
  return std::nullopt;
}

// Instances that the rules allow and nobody needed: those that are rented cost money.
void advise_max(const MeasuredPeriod& period, PlanAdvice& out) {
  const std::int64_t needed = std::max({std::int64_t{1}, period.rules.min_instances, period.workload.most_instances});
  if (period.workload.most_instances == 0 || period.workload.refused > 0 || period.rules.max_instances <= needed)
    return;
  out.verdict = Verdict::kChange;
  out.max = needed;
  out.why.push_back({Reason::kUnusedInstances, static_cast<double>(period.workload.most_instances)});
  if (period.rules.billing != "monthly" || !is_rented(period)) return;
  const std::int64_t saved = (period.rules.max_instances - needed) * *period.type.month_micros;
  out.saving_micros += saved;
  if (out.then.has_value()) out.then->micros -= saved;
}

void advise_timer(const MeasuredPeriod& period, const Choice& best, const std::optional<OfficeHours>& office,
                  PlanAdvice& out) {
  const Choice& now = *out.now;
  out.verdict = Verdict::kChange;
  out.saving_micros = now.micros - best.micros;
  out.then = best;
  const std::string timeout =
      catalog::duration_text(std::chrono::milliseconds(std::llround(best.idle_timeout_s * 1'000)));
  if (timeout != catalog::idle_text(period.rules)) out.idle_timeout = timeout;
  if (best.awake != period.rules.awake) out.awake = best.awake;
  if (now.awake_s > 0 && out.saving_micros > 0) out.why.push_back({Reason::kWaiting, now.idle_s / now.awake_s});
  if (out.saving_micros <= 0) out.why.push_back({Reason::kGoal, now.cold_share});
  if (out.awake.has_value() && !out.awake->empty() && office.has_value()) {
    out.why.push_back({Reason::kOfficeHours, office->share});
  }
}

Error stopped() {
  return make_error(Code::kCancelled, "plan: stopped");
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  return kVerdicts.at(static_cast<std::size_t>(verdict));
}
std::optional<Verdict> verdict_of(std::string_view text) {
  return find_text<Verdict>(kVerdicts, text);
}
std::string_view to_string(Reason reason) {
  return kReasons.at(static_cast<std::size_t>(reason));
}
std::optional<Reason> reason_of(std::string_view text) {
  return find_text<Reason>(kReasons, text);
}

double MeasuredPeriod::days() const {
  return static_cast<double>(end_us - begin_us) / kSecondUs / kSecondsOfDay;
}

// Less than a day is taken as all of one: what came in an hour says nothing of the other 729.
double MeasuredPeriod::months() const {
  return std::max(1.0, days()) * 24 / planner::kHoursOfMonth;
}

ledger::MeasuredWorkload join(std::vector<ledger::MeasuredWorkload> parts) {
  ledger::MeasuredWorkload out;
  std::size_t requests = 0;
  for (const ledger::MeasuredWorkload& part : parts) requests += part.requests.size();
  out.requests.reserve(requests);
  for (ledger::MeasuredWorkload& part : parts) {
    out.requests.insert(out.requests.end(), part.requests.begin(), part.requests.end());
    part.requests = {};
    out.wakes_us.insert(out.wakes_us.end(), part.wakes_us.begin(), part.wakes_us.end());
    out.is_cut = out.is_cut || part.is_cut;
    out.input_tokens += part.input_tokens;
    out.output_tokens += part.output_tokens;
    out.refused += part.refused;
    out.wakes += part.wakes;
    out.most_at_once = std::max(out.most_at_once, part.most_at_once);
    out.most_instances = std::max(out.most_instances, part.most_instances);
    out.made_us = part.made_us;
    out.complete_since_us = part.complete_since_us;
  }
  return out;
}

MeasuredWake wake_of(const ledger::MeasuredWorkload& workload) {
  MeasuredWake out;
  out.wakes = workload.wakes;
  std::vector<std::int64_t> sorted = workload.wakes_us;
  if (sorted.empty()) return out;
  std::sort(sorted.begin(), sorted.end());
  out.median_s = static_cast<double>(nearest_rank(sorted, 500)) / kSecondUs;
  out.p95_s = static_cast<double>(nearest_rank(sorted, 950)) / kSecondUs;
  return out;
}

planner::Timer timer_of(const MeasuredPeriod& period) {
  planner::Timer out;
  out.idle_timeout_s = std::chrono::duration<double>(idle_after(period.rules)).count();
  if (!period.workload.wakes_us.empty()) out.wake_s = wake_of(period.workload).median_s;
  out.wake_s = period.wake_s.value_or(out.wake_s);
  const std::int64_t at_once = std::max<std::int64_t>(1, period.workload.most_at_once);
  out.slots = at_once > planner::kMostPlanSlots ? 0 : static_cast<int>(at_once);  // 0: no limit worth the name
  return out;
}

planner::Workload workload_of(const MeasuredPeriod& period) {
  planner::Workload out;
  const WallTime day = period.zone.day_begin({period.begin_us});
  const std::int64_t monday_us = day.us - weekday_of(period.zone.local(day)) * planner::kDayUs;
  out.arrivals.reserve(period.workload.requests.size());
  for (const ledger::MeasuredRequest& r : period.workload.requests) {
    out.arrivals.push_back({r.at_us - monday_us, std::min(r.service_us, planner::kMostServiceUs)});
  }
  out.months = period.months();
  out.input_tokens = period.workload.input_tokens;
  out.output_tokens = period.workload.output_tokens;
  return out;
}

Result<PlanAdvice> advise(const MeasuredPeriod& period, const planner::Goal& goal, const std::stop_token& stop) {
  PlanAdvice out;
  out.days = period.days();
  out.requests = static_cast<std::int64_t>(period.workload.requests.size());
  out.currency = period.type.currency;
  if (const std::optional<Verdict> why = obstacle(period)) {
    out.verdict = *why;
    return out;
  }
  if (out.days < kLeastDays) {
    out.verdict = Verdict::kTooFewDays;
    return out;
  }
  if (period.workload.most_instances > 1) {
    out.verdict = Verdict::kSeveralInstances;
    advise_max(period, out);
    return out;
  }
  Judge judge(period, tariff_of(period.type), period.months(), stop);
  out.now = judge.now();
  out.then = out.now;
  out.monthly = judge.monthly(1);
  out.verdict = Verdict::kBest;
  // What is rented costs the same however long it sleeps.
  if (!is_rented(period) && period.rules.min_instances == 0) {
    const std::optional<OfficeHours> office = office_hours(period);
    const auto accepts = accepts_of(*out.now, goal);
    const std::optional<Choice> best = judge.cheapest(windows_to_try(period, office), accepts);
    if (stop.stop_requested()) return stopped();
    const std::int64_t least = std::llround(kLeastSaving * static_cast<double>(out.now->micros));
    const bool is_better = best.has_value() && out.now->micros - best->micros > least;
    if (!accepts(*out.now) && !best.has_value()) out.verdict = Verdict::kUnreachable;
    if (best.has_value() && (is_better || !accepts(*out.now))) advise_timer(period, *best, office, out);
  }
  advise_max(period, out);
  return out;
}

Result<Hindsight> look_back(const MeasuredPeriod& period, const ledger::Bill& bill, const std::stop_token& stop) {
  Hindsight out;
  out.month = bill.month;
  out.requests = static_cast<std::int64_t>(period.workload.requests.size());
  out.currency = period.type.currency;
  bool is_foreign = false;
  for (const ledger::BillLine& line : bill.lines) {
    if (line.currency == out.currency) {
      out.paid_micros = line.total_micros;
    } else {
      is_foreign = is_foreign || line.total_micros > 0;
    }
  }
  if (const std::optional<Verdict> why = obstacle(period)) {
    out.verdict = *why;
    return out;
  }
  // Part of it had no price, or another currency's: no sum to hold anything against.
  const bool ran_unpriced = std::any_of(bill.unpriced.begin(), bill.unpriced.end(),
                                        [](const ledger::UnpricedTime& time) { return time.awake_us > 0; });
  if (ran_unpriced || is_foreign || !out.paid_micros.has_value()) {
    out.verdict = Verdict::kUnpriced;
    return out;
  }
  if (period.begin_us > std::max(bill.begin_us, period.workload.made_us)) {
    out.verdict = Verdict::kTooFewDays;
    return out;
  }
  if (period.workload.most_instances > 1) {
    out.verdict = Verdict::kSeveralInstances;
    return out;
  }
  planner::Tariff tariff = tariff_of(period.type);
  tariff.stopped_hour_micros = 0;
  tariff.fixed_month_micros = 0;
  Judge judge(period, tariff, 1, stop);
  const Choice now = judge.now();
  out.best = judge.monthly(1);
  std::optional<Choice> timer = judge.cheapest(windows_to_try(period, office_hours(period)), accepts_of(now, {}));
  if (stop.stop_requested()) return stopped();
  const bool timer_wins = timer.has_value() && (!out.best.has_value() || timer->micros < out.best->micros);
  if (timer_wins) out.best = std::move(timer);
  const bool is_cheaper = out.best.has_value() && out.best->micros < *out.paid_micros;
  out.verdict = is_cheaper ? Verdict::kChange : Verdict::kBest;
  return out;
}

}  // namespace dormouse::gateway
