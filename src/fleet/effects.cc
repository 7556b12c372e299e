// From a policy's effects to deeds: ledger, driver, channel, callers.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/check.h"
#include "base/crashpoint.h"
#include "base/ids.h"
#include "base/log.h"
#include "fleet/lease_token.h"
#include "fleet/supervisor_impl.h"

namespace dormouse::fleet {
namespace {

constexpr int kLeaseTokenBytes = 32;
constexpr std::size_t kMaxEnds = 64;

RefusalReason reason_of(policy::Refused refused) {
  switch (refused) {
    case policy::Refused::kQueueFull: return RefusalReason::kQueueFull;
    case policy::Refused::kQueueTimeout: return RefusalReason::kQueueTimeout;
    case policy::Refused::kLoadFailed: return RefusalReason::kLoadFailed;
    case policy::Refused::kLedgerUnavailable: return RefusalReason::kLedgerUnavailable;
    case policy::Refused::kDraining: return RefusalReason::kDraining;
  }
  return RefusalReason::kLoadFailed;
}

ledger::SpanPhase phase_of(policy::Phase phase) {
  switch (phase) {
    case policy::Phase::kRequested: return ledger::SpanPhase::kRequested;
    case policy::Phase::kUp: return ledger::SpanPhase::kUp;
    case policy::Phase::kReady: return ledger::SpanPhase::kReady;
    case policy::Phase::kDrain: return ledger::SpanPhase::kDrain;
    case policy::Phase::kDown: return ledger::SpanPhase::kDown;
  }
  return ledger::SpanPhase::kDown;
}

// nullopt: an orderly end, which a lease may still outlive while it drains.
std::optional<LossReason> loss_of(const std::string& reason) {
  if (reason == "hung") return LossReason::kHung;
  if (reason == "golden_mismatch") return LossReason::kGoldenMismatch;
  if (reason == "out_of_memory") return LossReason::kOutOfMemory;
  if (reason == "crashed" || reason == "worker_failed" || reason == "load_failed" || reason == "lease_expired") {
    return LossReason::kCrashed;
  }
  return std::nullopt;
}

std::int64_t microseconds(Nanoseconds d) {
  return d.count() / 1000;
}

void log_failed_write(std::string_view what, const Status& status) {
  if (!status.has_value()) log_error("event=ledger_write_failed what={} error=\"{}\"", what, status.error().message);
}

// Keeps the socket alive for as long as the write takes.
Task<void> write_to(std::shared_ptr<Link> link, std::string text) {
  const Status written = co_await link->socket->write(std::move(text));
  if (!written.has_value()) log_debug("event=control_write_failed error=\"{}\"", written.error().message);
}

}  // namespace

AwakeTime& AwakeTime::operator+=(const AwakeTime& other) {
  waking += other.waking;
  busy += other.busy;
  idle += other.idle;
  return *this;
}

// One that never became ready was waking all its life.
AwakeTime awake_time(const InstanceRecord& record, Nanoseconds alive, Nanoseconds busy) {
  AwakeTime out;
  out.waking = record.has_been_ready ? std::min(alive, record.wake.whole()) : alive;
  out.busy = std::min(busy, alive - out.waking);
  out.idle = alive - out.waking - out.busy;
  return out;
}

policy::LifeConfig life_config(const DeploymentSpec& spec, bool is_in_window) {
  policy::LifeConfig out;
  out.idle_timeout = spec.idle_timeout;
  out.idle_auto = spec.idle_auto;
  out.keep_alive_max = spec.keep_alive_max;
  out.min_instances = std::max(spec.min_instances, is_in_window ? std::min(1, spec.max_instances) : 0);
  out.max_instances = spec.max_instances;
  out.billing_increment = spec.billing_increment;
  out.scale_window = spec.scale_window;
  out.max_waiters = spec.max_waiters;
  out.max_waiting_tokens = spec.max_waiting_tokens;
  out.max_wait = spec.max_wait;
  out.load_deadline = spec.load_deadline;
  out.hang_silent = spec.hang_after;
  out.exit_deadline = spec.exit_deadline;
  out.lease_time_to_live = spec.lease_time_to_live;
  return out;
}

void Supervisor::Impl::dispatch(const std::string& name, const policy::Event& event) {
  Slot* const slot = find(name);
  if (slot == nullptr) return;
  CHECK(!dispatching);  // effects only post: an event inside an event would reorder them
  dispatching = true;
  const policy::State before = slot->life.state();
  const std::vector<policy::Effect> effects = slot->life.handle(event, {options.clock->now(), random()});
  for (const policy::Effect& effect : effects) {
    std::visit([this, slot](const auto& e) { carry_out(*slot, e); }, effect);
  }
  dispatching = false;
  const policy::State after = slot->life.state();
  if (before != after) {
    log_info("event=life deployment={} from={} to={}", name, to_string(before), to_string(after));
  }
  arm(*slot);
  wake_observers(*slot);
  // An intent the sleep verb overtook leaves a record without an instance.
  std::erase_if(slot->instances, [slot](const auto& entry) { return !slot->life.has(entry.first); });
  if (slot->removed && !slot->life.has_any() && slot->pending.empty()) slots.erase(name);
  admit_waiting_starts();
}

void Supervisor::Impl::carry_out(Slot& slot, const policy::effect::WriteIntent& e) {
  InstanceRecord record;
  record.instance_id = make_uuid_v7(options.clock->wall());
  record.lease_token = random_hex(kLeaseTokenBytes);
  record.lease_sha256 = sha256_hex(record.lease_token);
  record.driver = slot.spec.driver;
  record.cause = to_string(e.cause);
  const auto is_base = [&slot](const auto& entry) {
    return slot.spec.base_price.has_value() && entry.second.price.has_value() &&
           entry.second.price->version == slot.spec.base_price->version;
  };
  const auto base_count = std::count_if(slot.instances.begin(), slot.instances.end(), is_base);
  record.price = base_count < slot.spec.base_instances ? slot.spec.base_price : slot.spec.price;
  record.meter = make_meter(record.price);
  crashpoint("fleet.intent");
  ledger::StartIntent intent;
  intent.instance_id = record.instance_id;
  intent.deployment = slot.spec.name;
  intent.driver = record.driver;
  intent.lease_sha256 = record.lease_sha256;
  intent.epoch = e.instance;
  intent.cause = to_string(e.cause);
  if (record.price.has_value()) intent.price_version = record.price->version;
  last_epochs[slot.spec.name] = e.instance;
  slot.instances.insert_or_assign(e.instance, std::move(record));
  asio::io_context* const io = options.io;
  std::weak_ptr<Lease::Anchor> weak = anchor;
  // The ledger may answer on its own thread: only the io_context is touched there.
  options.ledger->record_intent(std::move(intent), [io, weak, name = slot.spec.name, id = e.instance](Status status) {
    asio::post(*io, [weak, name, id, status = std::move(status)] {
      const std::shared_ptr<Lease::Anchor> alive = weak.lock();
      if (alive == nullptr) return;
      if (status.has_value()) return alive->impl->dispatch(name, policy::event::IntentDurable{id});
      log_failed_write("intent", status);
      Slot* const found = alive->impl->find(name);
      if (found != nullptr) found->instances.erase(id);
      alive->impl->dispatch(name, policy::event::IntentFailed{id});
    });
  });
}

void Supervisor::Impl::carry_out(Slot& slot, const policy::effect::Start& e) {
  by_instance[slot.instances.at(e.instance).instance_id] = {slot.spec.name, e.instance};
  start_when_it_fits(slot, e.instance);
}

void Supervisor::Impl::start_now(Slot& slot, policy::InstanceId id) {
  InstanceRecord& record = slot.instances.at(id);
  crashpoint("fleet.starting");
  record.is_started = true;
  record.asked_at = options.clock->now();
  StartSpec spec;
  spec.instance_id = record.instance_id;
  spec.deployment = slot.spec.name;
  spec.model_path = slot.spec.model_path;
  spec.instance_type = slot.spec.instance_type;
  spec.lease_token = record.lease_token;
  spec.epoch = id;
  spec.lease_time_to_live = slot.spec.lease_time_to_live;
  spec.worker_arguments = slot.spec.worker_arguments;
  spec.adopt_arguments = slot.spec.adopt_arguments;
  find_driver(record.driver)->start(std::move(spec));
  arm_progress();
}

void Supervisor::Impl::carry_out(Slot& slot, const policy::effect::TellDrain& e) {
  const auto found = slot.instances.find(e.instance);
  if (found != slot.instances.end()) send(found->second.link, control::Drain{});
}

void Supervisor::Impl::carry_out(Slot& slot, const policy::effect::Stop& e) {
  const auto found = slot.instances.find(e.instance);
  if (found == slot.instances.end()) return;
  if (forget_waiting_start(slot.spec.name, e.instance)) {
    return post_event(slot.spec.name, policy::event::Exited{e.instance, "not started"});
  }
  found->second.is_stopping = true;
  const StopMode mode = e.kill ? StopMode::kKill : StopMode::kGraceful;
  find_driver(found->second.driver)->stop(found->second.instance_id, mode);
}

void Supervisor::Impl::carry_out(Slot& slot, const policy::effect::Grant& e) {
  const InstanceRecord& record = slot.instances.at(e.instance);
  Lease lease;
  lease.anchor_ = anchor;
  lease.ticket_ = e.ticket;
  lease.address_ = record.address.value_or(http::Address{});
  if (lease.address_.kind == http::Address::Kind::kTcp) lease.token_ = record.lease_token;
  lease.instance_id_ = record.instance_id;
  lease.epoch_ = e.instance;
  lease.woke_ = e.woke;
  lease.waited_ = e.waited;
  lease.price_ = record.price;
  lease.clock_ = options.clock;
  lease.meter_ = record.meter;
  lease.tells_ends_ = slot.spec.adopt_arguments.empty();
  lease.mark_ = record.meter->enter(options.clock->now());
  leases[e.ticket] = slot.spec.name;
  slot.last_used = options.clock->now();
  crashpoint("fleet.granting");
  const auto found = slot.pending.find(e.ticket);
  CHECK(found != slot.pending.end());  // whoever goes away says Leave first
  found->second->result.emplace(std::move(lease));
  found->second->done.cancel();
  slot.pending.erase(found);
}

void Supervisor::Impl::carry_out(Slot& slot, const policy::effect::Refuse& e) {
  const auto found = slot.pending.find(e.ticket);
  CHECK(found != slot.pending.end());
  Refusal refusal;
  refusal.reason = reason_of(e.reason);
  refusal.retry_after = e.retry_after;
  if (e.reason == policy::Refused::kLoadFailed) refusal.detail = slot.life.status(options.clock->now()).failure;
  found->second->result.emplace(tl::unexpect, std::move(refusal));
  found->second->done.cancel();
  slot.pending.erase(found);
}

void Supervisor::Impl::carry_out(Slot& slot, const policy::effect::Span& e) {
  const auto found = slot.instances.find(e.instance);
  if (found == slot.instances.end()) return;
  const std::string instance_id = found->second.instance_id;
  const std::optional<LossReason> loss = loss_of(e.reason);
  // Of a child that crashed the exit, which follows at once, may know more: memory.
  const bool exit_follows =
      loss == LossReason::kCrashed && e.phase == policy::Phase::kDrain && found->second.driver == ledger::kChildDriver;
  if (loss.has_value() && !exit_follows) remember_end(instance_id, *loss);
  const auto done = [](const Status& status) { log_failed_write("span", status); };
  const std::int64_t since_us = microseconds(e.since_request);
  const bool is_down = e.phase == policy::Phase::kDown;
  // First: what it was busy with belongs to the time that ends here.
  if (is_down) options.ledger->record_progress({{instance_id, since_us, microseconds(e.busy)}}, done);
  options.ledger->record_span({instance_id, phase_of(e.phase), since_us, e.reason}, done);
  if (!is_down) return;
  // The driver has confirmed it: for a process its end and the return of its memory are one.
  options.ledger->record_span({instance_id, ledger::SpanPhase::kConfirmed, since_us, ""}, done);
  log_info("event=instance_down deployment={} instance={} reason={} alive_ms={}", slot.spec.name, instance_id, e.reason,
           since_us / 1000);
  if (!loss.has_value()) remember_end(instance_id, LossReason::kStopped);
  const AwakeTime awake = awake_time(found->second, e.since_request, e.busy);
  if (options.observer.on_end) options.observer.on_end(slot.spec.name, awake);
  by_instance.erase(instance_id);
  slot.instances.erase(found);
}

void Supervisor::Impl::send(const std::shared_ptr<Link>& link, const control::Message& message) {
  if (link == nullptr) return;
  asio::co_spawn(*options.io, write_to(link, control::encode(message)), asio::detached);
}

// The first reason is the cause; what follows from it (the kill's exit) is not.
void Supervisor::Impl::remember_end(const std::string& instance_id, LossReason reason) {
  for (const auto& [id, known] : ends) {
    if (id == instance_id) return;
  }
  if (ends.size() >= kMaxEnds) ends.erase(ends.begin());
  ends.emplace_back(instance_id, reason);
}

}  // namespace dormouse::fleet
