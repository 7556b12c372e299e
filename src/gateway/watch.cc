#include "gateway/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>
#include <vector>

#include "base/log.h"

namespace dormouse::gateway {
namespace {

constexpr const char* kChildDriver = "process";  // its instances are processes of this machine

}  // namespace

Watch::Watch(Services services, WatchOptions options)
    : services_(services),
      options_(std::move(options)),
      timer_(services.io),
      sampler_(services.clock, options_.sources) {
  services_.metrics.set_on_finished([this](const Call& call) { on_finished(call); });
}

Watch::~Watch() {
  services_.metrics.set_on_finished({});
  sampling_thread_.join();
}

void Watch::start() {
  Task<void> running = run(this, alive_);
  asio::co_spawn(services_.io, std::move(running), asio::detached);
}

Task<void> Watch::run(Watch* self, std::weak_ptr<int> alive) {
  while (!alive.expired()) {
    self->timer_.expires_after(self->options_.period);
    const auto [ec] = co_await self->timer_.async_wait(kTuple);
    if (ec || alive.expired()) co_return;
    self->look();
  }
}

void Watch::look() {
  const std::vector<fleet::DeploymentStatus> fleet = services_.fleet.status();
  instances_.clear();
  for (const fleet::DeploymentStatus& status : fleet) {
    for (const fleet::InstanceStatus& instance : status.instances) instances_[status.name] += instance.state == "ready";
    judge(status);
  }
  std::erase_if(observed_, [this](const auto& entry) { return services_.deployments.find(entry.first) == nullptr; });
  std::erase_if(failed_, [this](const std::string& name) { return services_.deployments.find(name) == nullptr; });
  sample(fleet);
  ask_for_hours();
}

void Watch::judge(const fleet::DeploymentStatus& status) {
  if (status.state == "failed" && failed_.insert(status.name).second) raise(failed_alert(status.name));
  if (status.state == "ready" && failed_.erase(status.name) > 0) raise(recovered_alert(status.name));
  const Deployment* const deployment = services_.deployments.find(status.name);
  if (deployment == nullptr || !observed_.contains(status.name)) return;
  switch (observed(*deployment).speed.update(services_.clock.now())) {
    case policy::Degraded::Change::kNone: return;
    case policy::Degraded::Change::kRaised: {
      const SpeedView speed = speed_of(status.name);
      log_warn("event=degraded deployment={} tokens_per_second={:.1f} expected={:.1f}", status.name,
               speed.measured.value_or(0), speed.expected.value_or(0));
      return raise(degraded_alert(status.name, speed));
    }
    case policy::Degraded::Change::kCleared: {
      const SpeedView speed = speed_of(status.name);
      log_info("event=degraded_over deployment={} tokens_per_second={:.1f}", status.name, speed.measured.value_or(0));
      return raise(speed_is_back_alert(status.name, speed));
    }
  }
}

// Once an hour: what the ledger has of this month's awake time, against the hours from which a month's rent is cheaper.
void Watch::ask_for_hours() {
  const MonoTime now = services_.clock.now();
  if (hours_asked_.has_value() && now - *hours_asked_ < std::chrono::hours(1)) return;
  hours_asked_ = now;
  const Month month = options_.month(services_.clock.wall());
  ledger::UsageQuery query;
  query.by = ledger::UsageBy::kDeployment;
  query.begin_us = month.begin.us;
  std::weak_ptr<int> alive = alive_;
  asio::io_context& io = services_.io;
  // The ledger may answer on a thread of its own.
  services_.ledger.usage(std::move(query), [this, alive, &io, name = month.name](auto answer) {
    if (!answer.has_value()) return;
    asio::post(io, [this, alive, name, report = *std::move(answer)] {
      if (!alive.expired()) judge_hours(report.rows, name);
    });
  });
}

void Watch::judge_hours(const std::vector<ledger::UsageRow>& rows, const std::string& month) {
  constexpr double kNear = 0.8;
  for (const ledger::UsageRow& row : rows) {
    const Deployment* const deployment = services_.deployments.find(row.deployment);
    if (deployment == nullptr) continue;
    const std::optional<double> break_even = advice_for(*deployment).break_even_hours;
    const double hours = static_cast<double>(row.waking_us + row.busy_us + row.idle_us) / 3.6e9;
    if (!break_even.has_value() || hours < kNear * *break_even) continue;
    if (!near_break_even_.insert(month + " " + row.deployment).second) continue;
    raise(break_even_alert(row.deployment, hours, *break_even));
  }
  std::erase_if(near_break_even_, [&month](const std::string& told) { return !told.starts_with(month); });
}

void Watch::raise(Alert alert) const {
  if (options_.raise) options_.raise(std::move(alert));
}

Watch::Observed& Watch::observed(const Deployment& deployment) {
  const catalog::DeploymentRules& rules = deployment.rules;
  std::string what = fmt::format("{} {} {} {} {}", deployment.model_path, rules.runtime, rules.driver,
                                 rules.instance_type, rules.threads);
  Observed& out = observed_[deployment.name];
  if (out.what != what) out = Observed{};
  out.what = std::move(what);
  out.speed.expect(advice_for(deployment).expected_tokens_per_second);
  return out;
}

Advice Watch::advice_for(const Deployment& deployment) const {
  return options_.advisor == nullptr ? Advice{} : options_.advisor->advice_for(deployment);
}

// An answer counts with the number that ran beside it on its instance. They are counted over the deployment; spread
// evenly, rounded up, an error accuses nobody.
void Watch::on_finished(const Call& call) {
  if (call.deployment.empty() || call.completion_tokens < 2) return;
  const Deployment* const deployment = services_.deployments.find(call.deployment);
  if (deployment == nullptr) return;
  const auto found = instances_.find(call.deployment);
  const std::int64_t instances = found == instances_.end() ? 1 : std::max<std::int64_t>(1, found->second);
  const policy::Degraded::Answer answer{.tokens = call.completion_tokens - 1,
                                        .decode_time = call.decode_time,
                                        .together = (call.together + instances - 1) / instances};
  observed(*deployment).speed.observe(answer, services_.clock.now());
}

SpeedView Watch::speed_of(const std::string& deployment) const {
  SpeedView out;
  const auto found = observed_.find(deployment);
  if (found == observed_.end()) return out;
  const policy::Degraded::Verdict verdict = found->second.speed.verdict();
  out.measured = verdict.measured;
  out.expected = verdict.expected;
  out.is_learned = verdict.is_learned;
  out.is_degraded = verdict.is_degraded;
  if (!verdict.is_degraded) return out;
  if (verdict.since.has_value()) {
    out.since_s = static_cast<double>((services_.clock.now() - *verdict.since).count()) / 1e9;
  }
  const Deployment* const known = services_.deployments.find(deployment);
  if (known == nullptr) return out;
  const Advice advice = advice_for(*known);
  out.next_type = advice.next_type;
  out.next_price = advice.next_price;
  return out;
}

void Watch::sample(const std::vector<fleet::DeploymentStatus>& fleet) {
  std::vector<SampledInstance> instances;
  bool is_any_awake = false;
  for (const fleet::DeploymentStatus& status : fleet) {
    const Deployment* const deployment = services_.deployments.find(status.name);
    is_any_awake = is_any_awake || !status.instances.empty();
    if (deployment == nullptr || deployment->rules.driver != kChildDriver) continue;
    for (const fleet::InstanceStatus& instance : status.instances) {
      if (instance.pid > 0) {
        instances.push_back({instance.instance_id, status.name, static_cast<pid_t>(instance.pid)});
      }
    }
  }
  if (is_sampling_) return;  // the last one still waits for NVML
  is_sampling_ = true;
  std::weak_ptr<int> alive = alive_;
  asio::io_context& io = services_.io;
  // The pool's thread is joined before this object goes; what it posts may come after.
  asio::post(sampling_thread_, [this, alive, is_any_awake, &io, awake = std::move(instances)] {
    Vitals now;
    if (is_any_awake) {
      now = sampler_.sample(awake);
    } else {
      sampler_.rest();
    }
    asio::post(io, [this, alive, read = std::move(now)]() mutable {
      if (alive.expired()) return;
      vitals_ = std::move(read);
      is_sampling_ = false;
    });
  });
}

}  // namespace dormouse::gateway
