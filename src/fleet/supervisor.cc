#include "fleet/supervisor.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/crashpoint.h"
#include "base/log.h"
#include "fleet/supervisor_impl.h"

namespace dormouse::fleet {

namespace {

constexpr std::chrono::seconds kKillWait{5};

}  // namespace

std::string_view to_string(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::kUnknownDeployment: return "unknown_deployment";
    case RefusalReason::kQueueFull: return "queue_full";
    case RefusalReason::kQueueTimeout: return "queue_timeout";
    case RefusalReason::kLoadFailed: return "load_failed";
    case RefusalReason::kLedgerUnavailable: return "ledger_unavailable";
    case RefusalReason::kDraining: return "draining";
    case RefusalReason::kCancelled: return "cancelled";
  }
  return "load_failed";
}

void Cancellation::cancel() {
  if (std::exchange(cancelled_, true)) return;
  const std::function<void()> callback = std::exchange(callback_, nullptr);
  if (callback) callback();
}

// ---- Lease ----

Lease::Lease(Lease&& other) noexcept
    : anchor_(std::exchange(other.anchor_, {})),
      ticket_(std::exchange(other.ticket_, 0)),
      address_(std::move(other.address_)),
      token_(std::move(other.token_)),
      instance_id_(std::move(other.instance_id_)),
      epoch_(other.epoch_),
      woke_(other.woke_),
      waited_(other.waited_),
      price_(std::move(other.price_)),
      meter_(std::move(other.meter_)),
      mark_(other.mark_),
      share_(other.share_),
      clock_(other.clock_),
      tells_ends_(other.tells_ends_) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  release(LeaseOutcome::kCompleted);
  anchor_ = std::exchange(other.anchor_, {});
  ticket_ = std::exchange(other.ticket_, 0);
  address_ = std::move(other.address_);
  token_ = std::move(other.token_);
  instance_id_ = std::move(other.instance_id_);
  epoch_ = other.epoch_;
  woke_ = other.woke_;
  waited_ = other.waited_;
  price_ = std::move(other.price_);
  meter_ = std::move(other.meter_);
  mark_ = other.mark_;
  share_ = other.share_;
  clock_ = other.clock_;
  tells_ends_ = other.tells_ends_;
  return *this;
}

Lease::~Lease() {
  release(LeaseOutcome::kCompleted);
}

void Lease::release(LeaseOutcome outcome) {
  const policy::Ticket ticket = std::exchange(ticket_, 0);
  const std::shared_ptr<Anchor> alive = anchor_.lock();
  if (ticket == 0) return;
  share_ = meter_->leave(mark_, clock_->now());
  if (alive != nullptr) alive->impl->release(ticket, outcome);
}

policy::BusyMeter::Share Lease::share() const {
  if (share_.has_value()) return *share_;
  return meter_ != nullptr ? meter_->so_far(mark_, clock_->now()) : policy::BusyMeter::Share{};
}

Task<std::optional<LossReason>> Lease::why_lost(std::chrono::milliseconds wait) {
  const std::weak_ptr<Anchor> weak = anchor_;
  const std::string instance_id = instance_id_;
  std::optional<MonoTime> until;
  while (true) {
    std::string name;
    {
      const std::shared_ptr<Anchor> alive = weak.lock();
      if (alive == nullptr) co_return std::nullopt;
      Supervisor::Impl& impl = *alive->impl;
      for (const auto& [id, reason] : impl.ends) {
        if (id == instance_id) co_return reason;
      }
      const auto found = impl.by_instance.find(instance_id);
      if (found == impl.by_instance.end()) co_return std::nullopt;
      name = found->second.first;
      if (!until.has_value()) until = impl.options.clock->now() + wait;
    }
    const bool more = co_await Supervisor::Impl::changed(weak, name, *until);
    if (!more) co_return std::nullopt;
  }
}

std::shared_ptr<policy::BusyMeter> make_meter(const std::optional<InstancePrice>& price) {
  return std::make_shared<policy::BusyMeter>(price.has_value() ? std::optional(price->by_time) : std::nullopt);
}

// ---- Impl ----

Supervisor::Impl::Impl(Supervisor& owner, SupervisorOptions o)
    : options(std::move(o)),
      ends_told(*options.io),
      anchor(std::make_shared<Lease::Anchor>(this)),
      progress_timer(*options.io),
      schedule_timer(*options.io),
      random(options.random_seed != 0 ? options.random_seed : std::random_device{}()) {
  for (const auto& [name, driver] : options.drivers) driver->attach(owner);
  for (const ledger::Deployment& d : options.ledger->deployments_at_start()) last_epochs[d.name] = d.last_epoch;
  resume_survivors();
}

Slot* Supervisor::Impl::find(const std::string& name) {
  const auto found = slots.find(name);
  return found == slots.end() ? nullptr : found->second.get();
}

Driver* Supervisor::Impl::find_driver(const std::string& name) {
  for (const auto& [known, driver] : options.drivers) {
    if (known == name) return driver;
  }
  return nullptr;
}

void Supervisor::Impl::arm(Slot& slot) {
  const std::optional<MonoTime> next = slot.life.next_deadline();
  if (next == slot.armed_for) return;
  slot.armed_for = next;
  slot.timer.cancel();
  if (!next.has_value()) return;
  slot.timer.expires_after(std::max(Nanoseconds{0}, *next - options.clock->now()));
  const std::weak_ptr<Lease::Anchor> weak = anchor;
  slot.timer.async_wait([weak, name = slot.spec.name](const boost::system::error_code& ec) {
    const std::shared_ptr<Lease::Anchor> alive = weak.lock();
    if (ec || alive == nullptr) return;
    Slot* const found = alive->impl->find(name);
    if (found == nullptr) return;
    found->armed_for.reset();  // if the clock does not agree yet, dispatch arms it again
    alive->impl->dispatch(name, policy::event::Tick{});
  });
}

void Supervisor::Impl::wake_observers(Slot& slot) {
  for (Observer* const observer : slot.observers) observer->timer.cancel();
}

std::optional<policy::LifeStatus> Supervisor::Impl::peek(const std::weak_ptr<Lease::Anchor>& weak,
                                                         const std::string& name) {
  const std::shared_ptr<Lease::Anchor> alive = weak.lock();
  if (alive == nullptr) return std::nullopt;
  const Slot* const slot = alive->impl->find(name);
  if (slot == nullptr) return std::nullopt;
  return slot->life.status(alive->impl->options.clock->now());
}

Task<bool> Supervisor::Impl::changed(std::weak_ptr<Lease::Anchor> weak, std::string name, MonoTime until) {
  std::shared_ptr<Lease::Anchor> alive = weak.lock();
  if (alive == nullptr) co_return false;
  Slot* slot = alive->impl->find(name);
  const MonoTime now = alive->impl->options.clock->now();
  if (slot == nullptr || now >= until) co_return false;
  Observer observer(*alive->impl->options.io);
  observer.timer.expires_after(until - now);
  slot->observers.insert(&observer);
  alive.reset();
  // Resumed by a change (cancelled) or by time. Should the frame be destroyed instead, so is the supervisor: the loop
  // that ran both has ended.
  const auto [ec] = co_await observer.timer.async_wait(kTuple);
  alive = weak.lock();
  if (alive == nullptr) co_return false;
  slot = alive->impl->find(name);
  if (slot == nullptr) co_return false;
  slot->observers.erase(&observer);
  co_return ec == asio::error::operation_aborted;
}

void Supervisor::Impl::release(policy::Ticket ticket, LeaseOutcome outcome) {
  const auto found = leases.find(ticket);
  if (found == leases.end()) return;
  const std::string name = found->second;
  leases.erase(found);
  if (Slot* const slot = find(name)) slot->last_used = options.clock->now();
  dispatch(name, policy::event::Release{ticket, outcome == LeaseOutcome::kCompleted});
  crashpoint("fleet.released");
}

void Supervisor::Impl::arm_progress() {
  if (std::exchange(progress_armed, true)) return;
  progress_timer.expires_after(kProgressPeriod);
  const std::weak_ptr<Lease::Anchor> weak = anchor;
  progress_timer.async_wait([weak](const boost::system::error_code& ec) {
    const std::shared_ptr<Lease::Anchor> alive = weak.lock();
    if (ec || alive == nullptr) return;
    alive->impl->progress_armed = false;
    alive->impl->record_progress();
  });
}

void Supervisor::Impl::record_progress() {
  std::vector<ledger::SpanProgress> progress;
  const MonoTime now = options.clock->now();
  for (const auto& [name, slot] : slots) {
    const policy::LifeStatus status = slot->life.status(now);
    for (const policy::InstanceView& view : status.instances) {
      const auto found = slot->instances.find(view.id);
      if (found == slot->instances.end()) continue;
      progress.push_back({found->second.instance_id, view.alive.count() / 1000, view.busy.count() / 1000});
    }
  }
  if (progress.empty()) return;  // asleep: no timer, no writes
  options.ledger->record_progress(std::move(progress), {});
  arm_progress();
}

// ---- Supervisor ----

Supervisor::Supervisor(SupervisorOptions options) : impl_(std::make_unique<Impl>(*this, std::move(options))) {}
Supervisor::~Supervisor() = default;

Status Supervisor::put(DeploymentSpec spec) {
  if (impl_->find_driver(spec.driver) == nullptr) {
    return make_error(Code::kInvalidArgument, "deployment " + spec.name + ": no driver '" + spec.driver + "'");
  }
  const std::string name = spec.name;
  Slot* const known = impl_->find(name);
  if (known == nullptr) {
    const std::uint64_t last = impl_->last_epochs[name];
    policy::Life life(life_config(spec, false), last, impl_->options.clock->now());
    auto slot = std::make_unique<Slot>(*impl_->options.io, std::move(spec), std::move(life));
    Slot& made = *impl_->slots.emplace(name, std::move(slot)).first->second;
    impl_->take_back(made);
    impl_->configure(made);  // min > 0, or an open window, starts it now
    return {};
  }
  if (known->removed) return make_error(Code::kUnavailable, "deployment " + name + ": its last instance still drains");
  const bool other_model = known->spec.model_path != spec.model_path;
  known->spec = std::move(spec);
  impl_->configure(*known);
  if (other_model) impl_->dispatch(name, policy::event::ModelChanged{});
  return {};
}

Status Supervisor::remove(const std::string& name) {
  Slot* const slot = impl_->find(name);
  if (slot == nullptr || slot->removed) return make_error(Code::kNotFound, "no deployment '" + name + "'");
  slot->removed = true;
  impl_->dispatch(name, policy::event::Shutdown{});  // forgets the slot once nothing runs
  return {};
}

void Supervisor::model_changed(const std::string& name) {
  impl_->dispatch(name, policy::event::ModelChanged{});
}

bool Supervisor::has(const std::string& name) const {
  const Slot* const slot = impl_->find(name);
  return slot != nullptr && !slot->removed;
}

Task<std::optional<control::Ended>> Supervisor::ended(std::string request_id, std::chrono::milliseconds wait) {
  return impl_->ends_told.wait(std::move(request_id), wait);
}

void Supervisor::tick() {
  for (const auto& [name, slot] : impl_->slots) impl_->apply_window(*slot);
  std::vector<std::string> names;
  for (const auto& [name, slot] : impl_->slots) names.push_back(name);
  for (const std::string& name : names) impl_->dispatch(name, policy::event::Tick{});
}

Task<AcquireResult> Supervisor::acquire(AcquireRequest request) {
  Slot* const slot = impl_->find(request.deployment);
  if (slot == nullptr || slot->removed) {
    co_return tl::make_unexpected(Refusal{.reason = RefusalReason::kUnknownDeployment, .detail = {}});
  }
  Cancellation* const cancellation = request.cancellation;
  if (cancellation != nullptr && cancellation->is_cancelled()) {
    co_return tl::make_unexpected(Refusal{.reason = RefusalReason::kCancelled, .detail = {}});
  }
  const std::weak_ptr<Lease::Anchor> weak = impl_->anchor;
  PendingAcquire pending(*impl_->options.io);
  const policy::Ticket ticket = impl_->next_ticket++;
  slot->pending[ticket] = &pending;
  impl_->dispatch(request.deployment, policy::event::Request{ticket, request.tokens_estimate, request.max_wait,
                                                             request.prefix, request.keep_alive});
  if (pending.result.has_value()) co_return std::move(*pending.result);
  if (cancellation != nullptr) {
    std::function<void()> leave = [weak, ticket, &pending, &request] {
      const std::shared_ptr<Lease::Anchor> alive = weak.lock();
      if (alive == nullptr || pending.result.has_value()) return;
      pending.result.emplace(tl::unexpect, Refusal{.reason = RefusalReason::kCancelled, .detail = {}});
      pending.done.cancel();
      alive->impl->find(request.deployment)->pending.erase(ticket);
      alive->impl->dispatch(request.deployment, policy::event::Leave{ticket});
    };
    cancellation->on_cancel(std::move(leave));
  }
  // The policy bounds the wait: this timer is only the bell.
  pending.done.expires_at(asio::steady_timer::time_point::max());
  static_cast<void>(co_await pending.done.async_wait(kTuple));
  if (cancellation != nullptr) cancellation->on_cancel({});
  CHECK(pending.result.has_value());
  co_return std::move(*pending.result);
}

Task<Status> Supervisor::wake(std::string name, Nanoseconds wait) {
  if (!has(name)) co_return make_error(Code::kNotFound, "no deployment '" + name + "'");
  const std::weak_ptr<Lease::Anchor> weak = impl_->anchor;
  const Clock& clock = *impl_->options.clock;
  const MonoTime until = clock.now() + wait;
  impl_->dispatch(name, policy::event::Wake{});
  while (true) {
    const std::optional<policy::LifeStatus> status = Impl::peek(weak, name);
    if (!status.has_value()) co_return make_error(Code::kUnavailable, "deployment '" + name + "' is gone");
    if (status->state == policy::State::kReady) co_return Status{};
    if (status->instances.empty()) {
      co_return make_error(Code::kUnavailable, status->failure.empty() ? "did not start" : status->failure);
    }
    if (clock.now() >= until) {
      co_return make_error(Code::kDeadlineExceeded,
                           "deployment '" + name + "' is still " + std::string(to_string(status->state)));
    }
    static_cast<void>(co_await Impl::changed(weak, name, until));
  }
}

Task<Status> Supervisor::sleep(std::string name, Nanoseconds wait) {
  if (!has(name)) co_return make_error(Code::kNotFound, "no deployment '" + name + "'");
  const std::weak_ptr<Lease::Anchor> weak = impl_->anchor;
  const Clock& clock = *impl_->options.clock;
  const MonoTime until = clock.now() + wait;
  const std::optional<policy::LifeStatus> before = Impl::peek(weak, name);
  const policy::InstanceId newest = before->instances.empty() ? 0 : before->instances.back().id;
  impl_->dispatch(name, policy::event::Sleep{});
  while (true) {
    // A request may have woken the next one already: those we put to sleep are what counts.
    const std::optional<policy::LifeStatus> status = Impl::peek(weak, name);
    if (!status.has_value() || status->instances.empty() || status->instances.front().id > newest) co_return Status{};
    if (clock.now() >= until) {
      co_return make_error(Code::kDeadlineExceeded, "deployment '" + name + "' still finishes its requests");
    }
    static_cast<void>(co_await Impl::changed(weak, name, until));
  }
}

Status Supervisor::unload(const std::string& name) {
  if (!has(name)) return make_error(Code::kNotFound, "no deployment '" + name + "'");
  impl_->dispatch(name, policy::event::KeepAlive{});
  return {};
}

void Supervisor::Impl::kill_instances(const std::string& name) {
  Slot* const slot = find(name);
  if (slot == nullptr) return;
  for (const auto& [id, record] : slot->instances) {
    if (record.is_started) find_driver(record.driver)->stop(record.instance_id, StopMode::kKill);
  }
}

Task<void> Supervisor::shutdown(Nanoseconds grace) {
  const std::weak_ptr<Lease::Anchor> weak = impl_->anchor;
  const Clock& clock = *impl_->options.clock;
  std::vector<std::string> names;
  for (const auto& [name, slot] : impl_->slots) names.push_back(name);
  for (const std::string& name : names) impl_->dispatch(name, policy::event::Shutdown{});
  MonoTime until = clock.now() + grace;
  for (const StopMode mode : {StopMode::kGraceful, StopMode::kKill}) {
    if (mode == StopMode::kKill) {
      until = clock.now() + kKillWait;
      const std::shared_ptr<Lease::Anchor> alive = weak.lock();
      if (alive == nullptr) co_return;
      for (const std::string& name : names) alive->impl->kill_instances(name);
    }
    for (const std::string& name : names) {
      while (true) {
        const std::optional<policy::LifeStatus> status = Impl::peek(weak, name);
        if (!status.has_value() || status->instances.empty() || clock.now() >= until) break;
        static_cast<void>(co_await Impl::changed(weak, name, until));
      }
    }
  }
}

void Supervisor::on_started(const std::string& instance_id) {
  const auto found = impl_->by_instance.find(instance_id);
  if (found == impl_->by_instance.end()) return;
  const auto [name, id] = found->second;
  if (Slot* const slot = impl_->find(name)) {
    const auto record = slot->instances.find(id);
    if (record != slot->instances.end()) record->second.up_at = impl_->options.clock->now();
  }
  impl_->dispatch(name, policy::event::Started{id});
}

void Supervisor::on_start_failed(const std::string& instance_id, const Error& error) {
  const auto found = impl_->by_instance.find(instance_id);
  if (found == impl_->by_instance.end()) return;
  const auto [name, id] = found->second;
  impl_->dispatch(name, policy::event::StartFailed{id, error.message});
}

void Supervisor::on_exited(const std::string& instance_id, InstanceExit exit) {
  const auto found = impl_->by_instance.find(instance_id);
  if (found == impl_->by_instance.end()) return impl_->confirm_survivor(instance_id);
  const auto [name, id] = found->second;
  const std::string how =
      exit.signal != 0 ? "signal " + std::to_string(exit.signal) : "exit " + std::to_string(exit.exit_code);
  impl_->dispatch(name, policy::event::Exited{id, how, exit.out_of_memory});
}

void Supervisor::Impl::note(const std::string& instance_id, std::string text) {
  const auto found = by_instance.find(instance_id);
  if (found == by_instance.end()) return;
  Slot* const slot = find(found->second.first);
  if (slot == nullptr) return;
  const auto record = slot->instances.find(found->second.second);
  if (record != slot->instances.end()) record->second.note = std::move(text);
}

void Supervisor::on_start_progress(const std::string& instance_id, const std::string& what) {
  impl_->note(instance_id, what);
}

void Supervisor::on_stop_unconfirmed(const std::string& instance_id, const Error& why) {
  log_error("event=stop_unconfirmed instance={} error=\"{}\"", instance_id, why.message);
  impl_->note(instance_id, "cannot stop: " + why.message);
}

DeploymentStatus Supervisor::Impl::status_of(const Slot& slot) const {
  const MonoTime now = options.clock->now();
  const policy::LifeStatus life = slot.life.status(now);
  DeploymentStatus out;
  out.name = slot.spec.name;
  out.state = to_string(life.state);
  out.in_state = now - life.since;
  out.running = life.leases;
  out.waiting = life.waiting;
  out.consecutive_failures = life.consecutive_failures;
  out.failure = life.failure;
  out.wakes = life.wakes;
  out.load = life.load;
  if (life.sleeps_at.has_value()) out.idle_left = std::max(Nanoseconds{0}, *life.sleeps_at - now);
  if (life.backoff_until.has_value()) out.backoff_left = std::max(Nanoseconds{0}, *life.backoff_until - now);
  for (const policy::InstanceView& view : life.instances) {
    const auto found = slot.instances.find(view.id);
    if (found == slot.instances.end()) continue;
    const InstanceRecord& record = found->second;
    out.load_fraction = std::max(out.load_fraction, view.state == policy::State::kLoading ? record.load_fraction : 0.0);
    InstanceStatus& i = out.instances.emplace_back();
    i.instance_id = record.instance_id;
    i.state = to_string(view.state);
    i.reachable = view.is_reachable;
    i.epoch = view.id;
    if (record.address.has_value()) i.address = record.address->to_string();
    i.pid = record.pid;
    i.isa = record.ready.isa;
    i.alive = view.alive;
    i.busy = view.busy;
    i.awake = awake_time(record, view.alive, view.busy);
    i.context_length = record.ready.context_length;
    i.generated_tokens = record.stats.generated_tokens;
    i.running = view.leases;
    i.wake = record.wake;
    i.note = record.note;
    i.because = to_string(view.cause);
  }
  for (const WaitingStart& waiting : waiting_starts) {
    if (waiting.name == slot.spec.name) out.failure = "waits for memory that other deployments use";
  }
  if (out.instances.empty()) return out;
  out.awake_because = out.instances.front().because;
  if (slot.is_in_window) out.awake_because = "window";
  if (slot.spec.min_instances > 0) out.awake_because = "min";
  return out;
}

std::vector<DeploymentStatus> Supervisor::status() const {
  std::vector<DeploymentStatus> out;
  for (const auto& [name, slot] : impl_->slots) {
    if (!slot->removed) out.push_back(impl_->status_of(*slot));
  }
  return out;
}

}  // namespace dormouse::fleet
