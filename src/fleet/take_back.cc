// What an earlier gateway started on other machines and did not live to end. Its drivers look for it from the first
// moment, so that nobody takes it for a stranger; its deployment takes it back, and its worker calls again with its
// lease; what no deployment takes back is ended.
#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"
#include "fleet/supervisor_impl.h"

namespace dormouse::fleet {
namespace {

policy::Cause cause_of(std::string_view text) {
  for (const policy::Cause cause : {policy::Cause::kWake, policy::Cause::kMin, policy::Cause::kLoad}) {
    if (to_string(cause) == text) return cause;
  }
  return policy::Cause::kRequest;
}

policy::Phase phase_of(ledger::SpanPhase phase) {
  if (phase == ledger::SpanPhase::kReady) return policy::Phase::kReady;
  return phase == ledger::SpanPhase::kUp ? policy::Phase::kUp : policy::Phase::kRequested;
}

}  // namespace

void Supervisor::Impl::resume_survivors() {
  const MonoTime now = options.clock->now();
  for (const ledger::Survivor& found : options.ledger->recovery().survivors) {
    const ledger::StartIntent& intent = found.intent;
    const Nanoseconds alive = std::chrono::microseconds(found.alive_us);
    // Until the next look at the ledger's time it was watched, though nobody wrote that down.
    const Nanoseconds unwatched =
        std::max<Nanoseconds>(Nanoseconds{0}, std::chrono::microseconds(found.unwatched_us) - kProgressPeriod);
    survivors.push_back({found, now + (-alive), now + (-unwatched)});
    Driver* const driver = find_driver(intent.driver);
    if (driver != nullptr) driver->resume(intent.instance_id, alive);
  }
}

std::vector<SurvivorRecord> Supervisor::Impl::take_survivors(const std::string& deployment) {
  const auto is_other = [&deployment](const SurvivorRecord& s) { return s.found.intent.deployment != deployment; };
  const auto mine = std::stable_partition(survivors.begin(), survivors.end(), is_other);
  std::vector<SurvivorRecord> out(mine, survivors.end());
  survivors.erase(mine, survivors.end());
  return out;
}

// Those whose worker has had no gateway for longer than its lease have ended themselves.
void Supervisor::Impl::take_back(Slot& slot) {
  const MonoTime now = options.clock->now();
  for (const SurvivorRecord& survivor : take_survivors(slot.spec.name)) {
    const ledger::StartIntent& intent = survivor.found.intent;
    if (find_driver(intent.driver) == nullptr) {
      let_go(survivor, "driver_gone");
      continue;
    }
    if (now - survivor.unwatched_since >= slot.spec.lease_time_to_live) {
      let_go(survivor, "lease_expired");
      continue;
    }
    InstanceRecord record;
    record.instance_id = intent.instance_id;
    record.lease_sha256 = intent.lease_sha256;
    record.driver = intent.driver;
    if (intent.price_version.has_value() && survivor.found.price.has_value()) {
      record.price = InstancePrice{*intent.price_version, *survivor.found.price};
    }
    record.meter = make_meter(record.price);
    record.is_started = true;
    record.asked_at = survivor.requested_at;
    record.has_been_ready = survivor.found.phase == ledger::SpanPhase::kReady;
    record.load_fraction = record.has_been_ready ? 1 : 0;
    slot.instances.insert_or_assign(intent.epoch, std::move(record));
    by_instance[intent.instance_id] = {slot.spec.name, intent.epoch};
    log_info("event=taken_back deployment={} instance={} epoch={} driver={}", slot.spec.name, intent.instance_id,
             intent.epoch, intent.driver);
    dispatch(slot.spec.name, policy::event::TakenBack{.instance = intent.epoch,
                                                      .reached = phase_of(survivor.found.phase),
                                                      .cause = cause_of(intent.cause),
                                                      .alive = now - survivor.requested_at,
                                                      .busy = std::chrono::microseconds(survivor.found.busy_us),
                                                      .lost_for = now - survivor.unwatched_since});
    arm_progress();
  }
}

// Its span ends when somebody was last known to watch it; it is confirmed when its driver says so.
void Supervisor::Impl::let_go(const SurvivorRecord& survivor, const std::string& reason) {
  const ledger::StartIntent& intent = survivor.found.intent;
  log_warn("event=not_taken_back deployment={} instance={} reason={}", intent.deployment, intent.instance_id, reason);
  const std::int64_t down_us = survivor.found.alive_us - survivor.found.unwatched_us;
  record_end(intent.instance_id, ledger::SpanPhase::kDown, down_us, reason);
  Driver* const driver = find_driver(intent.driver);
  if (driver == nullptr) return;  // nobody can end it but its own lease
  leaving_survivors[intent.instance_id] = survivor.requested_at;
  driver->stop(intent.instance_id, StopMode::kGraceful);
}

void Supervisor::Impl::confirm_survivor(const std::string& instance_id) {
  const auto found = leaving_survivors.find(instance_id);
  if (found == leaving_survivors.end()) return;
  const Nanoseconds alive = options.clock->now() - found->second;
  record_end(instance_id, ledger::SpanPhase::kConfirmed, alive.count() / 1'000, "");
  leaving_survivors.erase(found);
}

void Supervisor::Impl::record_end(const std::string& instance_id, ledger::SpanPhase phase, std::int64_t since_us,
                                  const std::string& reason) {
  options.ledger->record_span({instance_id, phase, since_us, reason}, [](const Status& status) {
    if (!status.has_value()) log_error("event=ledger_write_failed what=span error=\"{}\"", status.error().message);
  });
}

void Supervisor::end_survivors(const std::string& deployment) {
  for (const SurvivorRecord& survivor : impl_->take_survivors(deployment)) {
    impl_->let_go(survivor, "deployment_changed");
  }
}

void Supervisor::end_survivors() {
  for (const SurvivorRecord& survivor : std::exchange(impl_->survivors, {})) {
    impl_->let_go(survivor, "deployment_gone");
  }
}

}  // namespace dormouse::fleet
