#include "planner/fleet_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/nearest_rank.h"

namespace dormouse::planner {
namespace {

constexpr std::int64_t kYearUs = 365 * kDayUs;
constexpr std::size_t kMostRequests = 10'000'000;
constexpr std::int64_t kMostTokens = 1'000'000'000'000'000;  // a hundred million a request

std::int64_t us(Nanoseconds time) {
  return time.count() / 1'000;
}

Nanoseconds from_us(std::int64_t us) {
  return std::chrono::microseconds(us);
}

Error invalid(std::string message) {
  return make_error(Code::kInvalidArgument, std::move(message));
}

Status check_time(const char* field, Nanoseconds time) {
  if (time >= Nanoseconds{0} && time <= from_us(kYearUs)) return {};
  return invalid(fmt::format("{}: {} s; want 0 to a year", field, static_cast<double>(time.count()) / 1e9));
}

Status check_rules(const FleetRules& rules) {
  const policy::LifeConfig& life = rules.life;
  if (life.max_instances < 1 || life.max_instances > kMostInstances) {
    return invalid(fmt::format("max_instances: {}; want 1 to {}", life.max_instances, kMostInstances));
  }
  if (life.min_instances < 0 || life.min_instances > life.max_instances) {
    return invalid(
        fmt::format("min_instances: {}; want 0 to max_instances, {}", life.min_instances, life.max_instances));
  }
  if (rules.world.max_sequences < 0 || rules.world.max_sequences > kMostSlots) {
    return invalid(fmt::format("slots: {}; want 1 to {}, or 0 for no limit", rules.world.max_sequences, kMostSlots));
  }
  if (!(rules.world.slowdown >= 0) || rules.world.slowdown > 1) {
    return invalid(fmt::format("slowdown: {}; want 0 to 1", rules.world.slowdown));
  }
  if (!(life.utilisation > 0) || life.utilisation > 1) {
    return invalid(fmt::format("utilisation: {}; want above 0, at most 1", life.utilisation));
  }
  if (rules.world.kv_tokens < 0 || life.max_waiters < 0) return invalid("kv_tokens, max_waiters: below zero");
  if (rules.world.load_time >= life.load_deadline) {
    return invalid(fmt::format("wake: {} s is not within load_deadline: no load would ever end",
                               static_cast<double>(rules.world.load_time.count()) / 1e9));
  }
  if (rules.world.exit_time > Nanoseconds{0} && rules.world.exit_time >= life.exit_deadline) {
    return invalid(fmt::format("exit: {} s is not within exit_deadline: no stop would be seen to end",
                               static_cast<double>(rules.world.exit_time.count()) / 1e9));
  }
  if (life.hang_silent <= std::chrono::seconds(1)) {
    return invalid("hang_silent: want above 1 s, which is how often an instance reports");
  }
  for (const auto& [field, time] : {std::pair("wake", rules.world.load_time),
                                    {"exit", rules.world.exit_time},
                                    {"idle_timeout", life.idle_timeout},
                                    {"billing_increment", life.billing_increment},
                                    {"scale_window", life.scale_window},
                                    {"max_wait", life.max_wait},
                                    {"load_deadline", life.load_deadline},
                                    {"drain_deadline", life.drain_deadline},
                                    {"exit_deadline", life.exit_deadline}}) {
    TRY_STATUS(check_time(field, time));
  }
  return {};
}

Status check_asked(const Workload& workload) {
  TRY_STATUS(check_workload(workload));
  if (!workload.arrivals.empty()) return {};
  return invalid("workload: no request: a fleet of nothing needs no plan");
}

std::vector<policy::SimulatedRequest> requests_of(const Workload& workload) {
  const auto count = static_cast<std::int64_t>(workload.arrivals.size());
  const std::int64_t tokens = workload.input_tokens / count + workload.output_tokens / count;
  std::vector<policy::SimulatedRequest> out;
  out.reserve(workload.arrivals.size());
  for (const Arrival& arrival : workload.arrivals) {
    out.push_back({from_us(arrival.at_us), from_us(arrival.service_us), tokens});
  }
  return out;
}

// Sorts them.
Times times_of(std::vector<Nanoseconds>& values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto at = [&values](std::uint64_t per_mille) {
    return static_cast<double>(nearest_rank(values, per_mille).count()) / 1e9;
  };
  double sum = 0;
  for (const Nanoseconds value : values) sum += static_cast<double>(value.count()) / 1e9;
  return {.mean_s = sum / static_cast<double>(values.size()), .p50_s = at(500), .p95_s = at(950), .p99_s = at(990)};
}

// A refused request waits for ever, and so does a cut one.
double kept_share(const FleetRun& run, const policy::SimulationResult& sorted, const Slo& slo) {
  const bool is_wait = slo.of == Slo::Of::kWait;
  const std::vector<Nanoseconds>& times = is_wait ? sorted.waited : sorted.took;
  const auto is_within = [&slo](Nanoseconds time) { return static_cast<double>(time.count()) / 1e9 <= slo.seconds; };
  const auto within = std::partition_point(times.begin(), times.end(), is_within) - times.begin();
  const std::int64_t kept = std::max<std::int64_t>(0, within - (is_wait ? run.cut : 0));
  return static_cast<double>(kept) / static_cast<double>(run.requests);
}

std::vector<std::int64_t> levels_of(const std::vector<policy::SimulatedSession>& sessions) {
  std::vector<std::pair<std::int64_t, int>> changes;  // one that ends makes room before one that begins
  for (const policy::SimulatedSession& session : sessions) {
    changes.emplace_back(us(session.from), 1);
    changes.emplace_back(us(session.to), -1);
  }
  std::sort(changes.begin(), changes.end());
  std::vector<std::int64_t> out;
  std::size_t up = 0;
  std::int64_t since_us = 0;
  for (const auto& [at_us, change] : changes) {
    for (std::size_t k = 0; k < up; ++k) out[k] += at_us - since_us;
    since_us = at_us;
    up = change > 0 ? up + 1 : up - 1;
    out.resize(std::max(out.size(), up));
  }
  return out;
}

void add_session(FleetRun& run, const policy::SimulatedSession& session, const Tariff& tariff) {
  const std::int64_t up_us = us(session.to) - us(session.from);
  const std::int64_t waking_us = std::min(us(session.waking), up_us);
  const std::int64_t busy_us = std::min(us(session.busy), up_us - waking_us);
  const std::int64_t idle_us = up_us - waking_us - busy_us;
  run.up_us += up_us;
  run.waking_us += waking_us;
  run.busy_us += busy_us;
  run.idle_us += idle_us;
  const bool is_idle_paid = tariff.idle == Paid::kYes || tariff.increment == Increment::kPrepaid;
  const std::int64_t free_us = (tariff.waking == Paid::kYes ? 0 : waking_us) + (is_idle_paid ? 0 : idle_us);
  run.paid_us += paid_us(tariff, up_us - free_us);
}

FleetRun simulate_checked(const std::vector<policy::SimulatedRequest>& requests, double months, const FleetRules& rules,
                          const Tariff& tariff, const std::optional<Slo>& slo) {
  policy::SimulatedWorld world = rules.world;
  world.lasts = from_us(std::llround(months * kHoursOfMonth * static_cast<double>(kHourUs)));
  return counted(policy::simulate(rules.life, world, requests), tariff, slo);
}

Status check_slo(const Slo& slo) {
  if (!(slo.seconds >= 0) || !std::isfinite(slo.seconds)) {
    return invalid(fmt::format("slo: {} s; want seconds from 0", slo.seconds));
  }
  if (slo.share > 0 && slo.share <= 1) return {};
  return invalid(fmt::format("slo: a share of {}; want above 0, at most 1 (0.99: 99 of 100 requests)", slo.share));
}

Station station_of(const FleetRules& rules, const Peak& peak) {
  return {.service_s = peak.service_s,
          .slowdown = rules.world.slowdown,
          .slots = static_cast<int>(rules.world.max_sequences)};
}

}  // namespace

Status check_workload(const Workload& workload) {
  if (workload.arrivals.size() > kMostRequests) {
    return invalid(fmt::format("workload: {} requests; want {} at most: take a part of them", workload.arrivals.size(),
                               kMostRequests));
  }
  // Months may hold a little less than their last request's end: never more than ten years either.
  if (!(workload.months > 0) || workload.months > 120) {
    return invalid(fmt::format("workload: {} months; want above 0, at most 120", workload.months));
  }
  for (const std::int64_t tokens : {workload.input_tokens, workload.output_tokens}) {
    if (tokens < 0 || tokens > kMostTokens) {
      return invalid(fmt::format("workload: {} tokens; want 0 to {}", tokens, kMostTokens));
    }
  }
  std::int64_t last_us = 0;
  for (std::size_t i = 0; i < workload.arrivals.size(); ++i) {
    const Arrival& arrival = workload.arrivals[i];
    if (arrival.at_us < last_us || arrival.at_us > kMostUs) {
      return invalid(fmt::format("workload: request {} comes at {} us; want them in order, from 0 to ten years", i + 1,
                                 arrival.at_us));
    }
    if (arrival.service_us < 0 || arrival.service_us > kDayUs) {
      return invalid(fmt::format("workload: request {} takes {} us; want 0 to a day", i + 1, arrival.service_us));
    }
    last_us = arrival.at_us;
  }
  return {};
}

FleetRun counted(policy::SimulationResult result, const Tariff& tariff, const std::optional<Slo>& slo) {
  FleetRun out;
  out.requests = result.served + result.refused;
  out.served = result.served;
  out.refused = result.refused;
  out.cut = result.cut;
  out.cold = result.woke;
  out.starts = result.starts;
  out.most_instances = result.most_instances;
  out.waited = times_of(result.waited);
  out.latency = times_of(result.took);
  if (slo.has_value()) out.kept_share = kept_share(out, result, *slo);
  for (const policy::SimulatedSession& session : result.sessions) add_session(out, session, tariff);
  out.level_us = levels_of(result.sessions);
  out.paid_micros = hours_micros(tariff, out.paid_us);
  return out;
}

Result<FleetRun> run_fleet(const Workload& workload, const FleetRules& rules, const Tariff& tariff,
                           const std::optional<Slo>& slo) {
  TRY_STATUS(check_asked(workload));
  TRY_STATUS(check_rules(rules));
  if (slo.has_value()) TRY_STATUS(check_slo(*slo));
  return simulate_checked(requests_of(workload), workload.months, rules, tariff, slo);
}

std::int64_t month_micros(const FleetRun& run, double months, const Tariff& tariff) {
  const double up_h = static_cast<double>(run.up_us) / static_cast<double>(kHourUs) / months;
  const double stopped_h = std::max(0.0, kHoursOfMonth * static_cast<double>(run.level_us.size()) - up_h);
  const double stopped = stopped_h * static_cast<double>(tariff.stopped_hour_micros);
  return std::llround(static_cast<double>(run.paid_micros) / months + stopped) + tariff.fixed_month_micros;
}

Result<FleetAnswer> size_for(const Workload& workload, const FleetRules& rules, const Tariff& tariff,
                             const std::optional<Slo>& slo, Kept kept, int most) {
  TRY_STATUS(check_asked(workload));
  if (slo.has_value()) TRY_STATUS(check_slo(*slo));
  if (most < 1 || most > kMostInstances) return invalid(fmt::format("most: {}; want 1 to {}", most, kMostInstances));
  FleetRules tried = rules;
  tried.life.max_instances = most;
  tried.life.min_instances = 0;
  TRY_STATUS(check_rules(tried));
  FleetAnswer out;
  const Peak peak = busiest(workload.arrivals);
  if (slo.has_value() && rules.world.max_sequences > 0) {
    out.guess = instances_for(station_of(rules, peak), peak, *slo, most);
  }
  const std::vector<policy::SimulatedRequest> requests = requests_of(workload);
  for (int n = 1; n <= most; ++n) {
    tried.life.max_instances = n;
    tried.life.min_instances = kept == Kept::kAlways ? n : std::min(rules.life.min_instances, n);
    FleetRow row{.instances = n, .run = simulate_checked(requests, workload.months, tried, tariff, slo)};
    if (n > 1 && row.run.most_instances < n) break;
    row.micros = month_micros(row.run, workload.months, tariff);
    row.keeps = slo.has_value() && row.run.kept_share >= slo->share;
    if (row.keeps && !out.instances.has_value()) out.instances = n;
    out.rows.push_back(std::move(row));
  }
  return out;
}

}  // namespace dormouse::planner
