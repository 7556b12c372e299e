#include "policy/life.h"

#include <algorithm>
#include <utility>

namespace dormouse::policy {
namespace {

constexpr Nanoseconds kOneSecond = std::chrono::seconds(1);

// Uniform in (0, limit]: "full jitter"; not zero, so that a failure is always a state one can see.
Nanoseconds jittered(Nanoseconds limit, std::uint64_t random) {
  const auto range = static_cast<std::uint64_t>(std::max<std::int64_t>(1, limit.count()));
  return Nanoseconds{static_cast<std::int64_t>(random % range) + 1};
}

void earliest(std::optional<MonoTime>& out, MonoTime candidate) {
  if (!out.has_value() || candidate < *out) out = candidate;
}

}  // namespace

std::string_view to_string(State state) {
  switch (state) {
    case State::kAsleep: return "asleep";
    case State::kStarting: return "starting";
    case State::kLoading: return "loading";
    case State::kReady: return "ready";
    case State::kDraining: return "draining";
    case State::kStopping: return "stopping";
    case State::kBackoff: return "backoff";
    case State::kFailed: return "failed";
  }
  return "asleep";
}

std::string_view to_string(Cause cause) {
  switch (cause) {
    case Cause::kRequest: return "request";
    case Cause::kWake: return "wake";
    case Cause::kMin: return "min";
  }
  return "request";
}

Life::Life(LifeConfig config, InstanceId last_instance, MonoTime now)
    : config_(config), last_instance_(last_instance), since_(now) {}

std::vector<Effect> Life::handle(const Event& event, Now now) {
  effects_.clear();
  std::visit([this, now](const auto& e) { on(e, now); }, event);
  expire(now);
  decide(now);
  if (state() != last_state_) {
    last_state_ = state();
    since_ = now.mono;
  }
  return std::exchange(effects_, {});
}

State Life::state() const {
  if (!instance_.has_value()) {
    if (given_up_) return State::kFailed;
    return backoff_until_.has_value() ? State::kBackoff : State::kAsleep;
  }
  switch (instance_->stage) {
    case Stage::kIntent:
    case Stage::kStarting: return State::kStarting;
    case Stage::kLoading: return State::kLoading;
    case Stage::kReady: return State::kReady;
    case Stage::kDraining: return State::kDraining;
    case Stage::kStopping: return State::kStopping;
  }
  return State::kAsleep;
}

// ---- the decision, taken after every event ----
//  1. Shutting down: nobody waits; the instance is drained (a loading one is stopped at once). Nothing else happens.
//  2. An instance is ready (one whose link is lost: only 2b; whoever waits goes on waiting for its return or its end):
//     2a. whoever waits is granted, in order of arrival;
//     2b. its model changed, or none may run any more, and no lease is out: drain it;
//     2c. idle for the timeout and nothing wants it awake: drain it.
//  3. An instance is on its way up or down: whoever waits goes on waiting (down: it starts again after the exit, 4d).
//     3a. draining and the last lease is back: stop it.
//  4. There is none:
//     4a. nothing may run (max 0) or it has failed for good: whoever waits is refused;
//     4b. backing off after a failed load: refused, with the rest of the backoff as advice;
//     4c. backing off after a first crash: they wait for its end;
//     4d. somebody wants it: write the intent, and start when that is durable.
void Life::decide(Now now) {
  if (shutdown_) {  // 1
    refuse_all(Refused::kDraining, Nanoseconds{0});
    if (instance_.has_value() && instance_->stage == Stage::kReady) drain("shutdown", now.mono);
    const bool rising = instance_.has_value() && instance_->stage < Stage::kReady && instance_->stage > Stage::kIntent;
    if (rising) stop(Ending::kSleep, "shutdown", false, now.mono);
  }
  if (instance_.has_value()) {
    if (instance_->stage == Stage::kReady) {  // 2
      if (is_serving()) grant_all(now.mono);  // 2a
      const std::optional<MonoTime> idle_at = idle_deadline();
      const bool unwanted = restart_ || config_.max_instances <= 0;
      if (unwanted && leases_.empty()) {  // 2b
        drain(restart_ ? "model_changed" : "disabled", now.mono);
      } else if (idle_at.has_value() && now.mono >= *idle_at) {  // 2c
        drain("idle_timeout", now.mono);
      }
    }
    if (instance_->stage == Stage::kDraining && leases_.empty()) {  // 3a
      stop(Ending::kSleep, instance_->reason, false, now.mono);
    }
    return;  // 3
  }
  if (config_.max_instances <= 0 || given_up_) return refuse_all(Refused::kLoadFailed, Nanoseconds{0});  // 4a
  if (backoff_until_.has_value()) {
    if (holds_waiters_through_backoff()) return;                                                         // 4c
    return refuse_all(Refused::kLoadFailed, std::max(kOneSecond, *backoff_until_ - now.mono));           // 4b
  }
  const std::optional<Cause> cause = wanted();
  if (cause.has_value() && !shutdown_) start(*cause, now.mono);  // 4d
}

std::optional<Cause> Life::wanted() const {
  if (!waiters_.empty()) return Cause::kRequest;
  if (wake_wanted_) return Cause::kWake;
  if (config_.min_instances > 0 && !suspended_ && !ledger_retry_at_.has_value()) return Cause::kMin;
  return std::nullopt;
}

// A crash ends requests that were being served: their one retry must find a place to wait. Crashing again without one
// good answer in between is no accident any more.
bool Life::holds_waiters_through_backoff() const { return last_failure_was_crash_ && consecutive_failures_ <= 1; }

std::optional<MonoTime> Life::idle_deadline() const {
  if (!is_serving() || !leases_.empty()) return std::nullopt;
  if (config_.min_instances > 0 && !suspended_) return std::nullopt;
  return instance_->idle_since + config_.idle_timeout;
}

// ---- what time alone brings ----

void Life::expire(Now now) {
  expire_waiters(now.mono);
  if (backoff_until_.has_value() && now.mono >= *backoff_until_) backoff_until_.reset();
  if (ledger_retry_at_.has_value() && now.mono >= *ledger_retry_at_) ledger_retry_at_.reset();
  if (!instance_.has_value()) return;
  expire_link(now);
  Instance& i = *instance_;
  switch (i.stage) {
    case Stage::kIntent: return;
    case Stage::kStarting:
    case Stage::kLoading:
      if (now.mono >= i.requested_at + config_.load_deadline) {
        stop(Ending::kLoadFailed, "load_deadline", true, now.mono);
      }
      return;
    case Stage::kReady:
      if (now.mono >= i.stage_since + config_.good_after) consecutive_failures_ = 0;
      if (may_hang() && now.mono >= hang_deadline()) stop(Ending::kCrashed, "hung", true, now.mono);
      return;
    case Stage::kDraining:
      if (may_hang() && now.mono >= hang_deadline()) {
        stop(Ending::kCrashed, "hung", true, now.mono);
      } else if (now.mono >= i.stage_since + config_.drain_deadline) {
        stop(Ending::kSleep, "drain_deadline", true, now.mono);
      }
      return;
    case Stage::kStopping:
      if (now.mono >= i.stage_since + config_.exit_deadline) {
        i.stage_since = now.mono;
        effects_.push_back(effect::Stop{i.id, true});
      }
      return;
  }
}

void Life::expire_link(Now now) {
  const Instance& i = *instance_;
  if (!i.link_lost_at.has_value() || now.mono < *i.link_lost_at + config_.lease_time_to_live) return;
  stop(i.stage >= Stage::kReady ? Ending::kCrashed : Ending::kLoadFailed, "lease_expired", true, now.mono);
}

void Life::expire_waiters(MonoTime now) {
  std::erase_if(waiters_, [this, now](const Waiter& w) {
    if (now < w.give_up_at) return false;
    effects_.push_back(effect::Refuse{w.ticket, Refused::kQueueTimeout, kOneSecond});
    return true;
  });
}

MonoTime Life::hang_deadline() const {
  const Instance& i = *instance_;
  const Nanoseconds stalled = std::max(config_.hang_stalled, 5 * i.longest_step);
  return std::min(i.heard_at + config_.hang_silent, i.steps_moved_at + stalled);
}

bool Life::is_serving() const {
  return instance_.has_value() && instance_->stage == Stage::kReady && !instance_->link_lost_at.has_value();
}

// Of one that cannot be heard nothing is known.
bool Life::may_hang() const {
  return instance_->pending && !leases_.empty() && !instance_->link_lost_at.has_value();
}

std::optional<MonoTime> Life::next_deadline() const {
  std::optional<MonoTime> out = idle_deadline();
  for (const Waiter& w : waiters_) earliest(out, w.give_up_at);
  if (backoff_until_.has_value()) earliest(out, *backoff_until_);
  if (ledger_retry_at_.has_value()) earliest(out, *ledger_retry_at_);
  if (!instance_.has_value()) return out;
  const Instance& i = *instance_;
  if (i.link_lost_at.has_value()) earliest(out, *i.link_lost_at + config_.lease_time_to_live);
  switch (i.stage) {
    case Stage::kIntent: break;
    case Stage::kStarting:
    case Stage::kLoading: earliest(out, i.requested_at + config_.load_deadline); break;
    case Stage::kDraining: earliest(out, i.stage_since + config_.drain_deadline); [[fallthrough]];
    case Stage::kReady:
      if (may_hang()) earliest(out, hang_deadline());
      break;
    case Stage::kStopping: earliest(out, i.stage_since + config_.exit_deadline); break;
  }
  return out;
}

// ---- requests ----

void Life::on(const event::Request& e, Now now) {
  suspended_ = false;
  const Nanoseconds wait = std::min(e.max_wait.value_or(config_.max_wait), config_.max_wait);
  std::int64_t tokens = 0;
  for (const Waiter& w : waiters_) tokens += w.tokens;
  const bool serving = is_serving();
  const bool full = static_cast<std::int64_t>(waiters_.size()) >= config_.max_waiters ||
                    (!waiters_.empty() && e.tokens > config_.max_waiting_tokens - tokens);
  if (full && !serving) {
    effects_.push_back(effect::Refuse{e.ticket, Refused::kQueueFull, kOneSecond});
    return;
  }
  // A ready instance grants it within this very event: it need not be a wait that could expire.
  const MonoTime give_up_at = serving ? now.mono + kOneSecond : now.mono + wait;
  waiters_.push_back({e.ticket, std::max<std::int64_t>(0, e.tokens), now.mono, give_up_at, !serving});
}

void Life::on(const event::Leave& e, Now /*now*/) {
  std::erase_if(waiters_, [&e](const Waiter& w) { return w.ticket == e.ticket; });
}

void Life::on(const event::Release& e, Now now) {
  if (leases_.erase(e.ticket) == 0) return;
  if (e.completed) consecutive_failures_ = 0;
  if (!instance_.has_value() || !leases_.empty()) return;
  mark_busy(now.mono);
  instance_->idle_since = now.mono;
}

void Life::grant_all(MonoTime now) {
  Instance& i = *instance_;
  for (const Waiter& w : waiters_) {
    if (leases_.empty() && !i.busy_since.has_value()) i.busy_since = now;
    leases_.emplace(w.ticket, i.id);
    if (!i.pending) i.steps_moved_at = now;  // the clock of a stall starts with work
    i.pending = true;
    i.heard_at = now;
    effects_.push_back(effect::Grant{w.ticket, i.id, w.woke, now - w.since});
  }
  waiters_.clear();
}

void Life::refuse_all(Refused reason, Nanoseconds retry_after) {
  for (const Waiter& w : waiters_) effects_.push_back(effect::Refuse{w.ticket, reason, retry_after});
  waiters_.clear();
}

// ---- verbs and configuration ----

void Life::on(const event::Wake& /*e*/, Now now) {
  suspended_ = false;
  given_up_ = false;
  backoff_until_.reset();
  consecutive_failures_ = 0;
  const bool serving = instance_.has_value() && instance_->stage == Stage::kReady;
  if (serving) instance_->idle_since = now.mono;
  wake_wanted_ = !serving;
}

void Life::on(const event::Sleep& /*e*/, Now now) {
  suspended_ = true;
  wake_wanted_ = false;
  if (!instance_.has_value()) return;
  const Stage stage = instance_->stage;
  if (stage == Stage::kReady) drain("sleep_verb", now.mono);
  // On the way up with nobody waiting: no reason to finish the load.
  if ((stage == Stage::kStarting || stage == Stage::kLoading) && waiters_.empty()) {
    stop(Ending::kSleep, "sleep_verb", false, now.mono);
  }
}

void Life::on(const event::Configure& e, Now /*now*/) { config_ = e.config; }

void Life::on(const event::ModelChanged& /*e*/, Now /*now*/) {
  given_up_ = false;
  backoff_until_.reset();
  consecutive_failures_ = 0;
  restart_ = instance_.has_value();
}

void Life::on(const event::Shutdown& /*e*/, Now /*now*/) { shutdown_ = true; }

void Life::on(const event::Tick& /*e*/, Now /*now*/) {}

// ---- the instance's own news ----

void Life::start(Cause cause, MonoTime now) {
  Instance i;
  i.id = ++last_instance_;
  i.cause = cause;
  i.requested_at = now;
  i.stage_since = now;
  instance_ = i;
  restart_ = false;
  effects_.push_back(effect::WriteIntent{i.id, cause});
}

void Life::on(const event::IntentDurable& e, Now now) {
  if (!is_instance(e.instance) || instance_->stage != Stage::kIntent) return;
  if (shutdown_ || (suspended_ && waiters_.empty())) {  // overtaken by the sleep verb: an intent, and no start
    instance_.reset();
    return;
  }
  enter(Stage::kStarting, now.mono);
  span(Phase::kRequested, now.mono, "");
  effects_.push_back(effect::Start{e.instance});
}

void Life::on(const event::IntentFailed& e, Now now) {
  if (!is_instance(e.instance) || instance_->stage != Stage::kIntent) return;
  instance_.reset();
  wake_wanted_ = false;
  refuse_all(Refused::kLedgerUnavailable, kOneSecond);
  ledger_retry_at_ = now.mono + kOneSecond;  // not a failure of the model: no backoff, and a request tries at once
}

void Life::on(const event::Started& e, Now now) {
  if (!is_instance(e.instance)) return;
  span(Phase::kUp, now.mono, "");
  if (instance_->stage == Stage::kStarting) enter(Stage::kLoading, now.mono);
}

void Life::on(const event::StartFailed& e, Now now) {
  if (!is_instance(e.instance) || instance_->stage == Stage::kIntent) return;
  span(Phase::kDown, now.mono, "start_failed");
  const Ending ending = instance_->ending;
  instance_.reset();
  leases_.clear();
  last_failure_was_crash_ = false;
  if (ending != Ending::kSleep) failed(e.message, now);
}

void Life::on(const event::Ready& e, Now now) {
  if (!is_instance(e.instance)) return;
  // Started and Ready come by different ways; a quick worker's word may be first.
  if (instance_->stage != Stage::kStarting && instance_->stage != Stage::kLoading) return;
  enter(Stage::kReady, now.mono);
  instance_->idle_since = now.mono;
  wake_wanted_ = false;
  failure_.clear();
  ++wakes_;
  span(Phase::kReady, now.mono, "");
}

void Life::on(const event::WorkerFailed& e, Now now) {
  if (!is_instance(e.instance) || instance_->stage == Stage::kIntent || instance_->stage == Stage::kStopping) return;
  const bool was_ready = instance_->stage >= Stage::kReady;
  const bool golden = e.fault == event::Fault::kGoldenMismatch;
  instance_->fault = e.message;
  stop(was_ready || golden ? Ending::kCrashed : Ending::kLoadFailed, golden ? "golden_mismatch" : "worker_failed", true,
       now.mono);
}

// A local worker's end of the channel is its end; one that lost only the channel cannot be told anything any more. A
// remote one may only be out of reach: its lease runs from here.
void Life::on(const event::LinkLost& e, Now now) {
  if (!is_instance(e.instance)) return;
  if (e.where == event::Whereabouts::kRemote) {
    const Stage stage = instance_->stage;
    const bool lives = stage != Stage::kIntent && stage != Stage::kStopping;
    if (lives && !instance_->link_lost_at.has_value()) instance_->link_lost_at = now.mono;
    return;
  }
  if (instance_->stage == Stage::kReady || instance_->stage == Stage::kDraining) {
    stop(Ending::kCrashed, "crashed", true, now.mono);
  } else if (instance_->stage == Stage::kLoading || instance_->stage == Stage::kStarting) {
    stop(Ending::kLoadFailed, "crashed", true, now.mono);
  }
}

void Life::on(const event::LinkBack& e, Now now) {
  if (!is_instance(e.instance) || !instance_->link_lost_at.has_value()) return;
  instance_->link_lost_at.reset();
  // The silence was the network's, not a hang.
  instance_->heard_at = now.mono;
  instance_->steps_moved_at = now.mono;
  if (leases_.empty()) instance_->idle_since = now.mono;
}

void Life::on(const event::Exited& e, Now now) {
  if (!is_instance(e.instance) || instance_->stage == Stage::kIntent) return;
  Instance& i = *instance_;
  if (i.ending == Ending::kNone) {  // nobody asked it to
    const bool was_ready = i.stage >= Stage::kReady;
    i.ending = was_ready ? Ending::kCrashed : Ending::kLoadFailed;
    if (i.stage == Stage::kDraining && leases_.empty()) i.ending = Ending::kSleep;  // it obeyed TellDrain
    // Out of reach it may have ended itself before we gave it up: the same end.
    if (i.link_lost_at.has_value()) i.reason = "lease_expired";
    if (i.reason.empty()) i.reason = was_ready ? "crashed" : "load_failed";
  }
  if (i.fault.empty()) i.fault = i.reason + ": " + e.how;
  gone(now);
}

void Life::on(const event::Stats& e, Now now) {
  if (!is_instance(e.instance)) return;
  Instance& i = *instance_;
  i.heard_at = now.mono;
  if (e.steps != i.steps) {
    // Not divided by the steps made: among them may have been one long one.
    if (i.pending) i.longest_step = std::max(i.longest_step, now.mono - i.steps_moved_at);
    i.steps = e.steps;
    i.steps_moved_at = now.mono;
  }
  i.pending = e.pending > 0;
  if (!i.pending) i.steps_moved_at = now.mono;
}

// ---- transitions ----

void Life::enter(Stage stage, MonoTime now) {
  instance_->stage = stage;
  instance_->stage_since = now;
}

void Life::drain(std::string reason, MonoTime now) {
  enter(Stage::kDraining, now);
  instance_->reason = reason;
  span(Phase::kDrain, now, std::move(reason));
  effects_.push_back(effect::TellDrain{instance_->id});
}

void Life::stop(Ending ending, std::string reason, bool kill, MonoTime now) {
  if (instance_->stage < Stage::kDraining) span(Phase::kDrain, now, reason);
  enter(Stage::kStopping, now);
  instance_->link_lost_at.reset();
  instance_->ending = ending;
  instance_->reason = std::move(reason);
  effects_.push_back(effect::Stop{instance_->id, kill});
}

// It is confirmed gone. Leases it had are lost; their Release comes later and finds nothing.
void Life::gone(Now now) {
  mark_busy(now.mono);
  const Instance i = *instance_;
  span(Phase::kDown, now.mono, i.reason);
  instance_.reset();
  leases_.clear();
  restart_ = false;
  if (i.ending == Ending::kSleep) return;
  last_failure_was_crash_ = i.ending == Ending::kCrashed;
  failed(i.fault, now);
}

void Life::failed(std::string why, Now now) {
  failure_ = std::move(why);
  wake_wanted_ = false;
  ++consecutive_failures_;
  if (consecutive_failures_ >= config_.failures_to_give_up) {
    given_up_ = true;
    return;
  }
  Nanoseconds limit = config_.backoff_first;
  for (int n = 1; n < consecutive_failures_ && limit < config_.backoff_max; ++n) limit *= 2;
  backoff_until_ = now.mono + jittered(std::min(limit, config_.backoff_max), now.random);
}

void Life::span(Phase phase, MonoTime now, std::string reason) {
  effects_.push_back(
      effect::Span{instance_->id, phase, now - instance_->requested_at, busy(now), std::move(reason)});
}

void Life::mark_busy(MonoTime now) {
  Instance& i = *instance_;
  if (!i.busy_since.has_value()) return;
  i.busy += now - *i.busy_since;
  i.busy_since.reset();
}

Nanoseconds Life::busy(MonoTime now) const {
  const Instance& i = *instance_;
  return i.busy + (i.busy_since.has_value() ? now - *i.busy_since : Nanoseconds{0});
}

LifeStatus Life::status(MonoTime now) const {
  LifeStatus out;
  out.state = state();
  out.since = since_;
  out.leases = static_cast<std::int64_t>(leases_.size());
  out.waiting = static_cast<std::int64_t>(waiters_.size());
  for (const Waiter& w : waiters_) out.waiting_tokens += w.tokens;
  out.sleeps_at = idle_deadline();
  out.backoff_until = backoff_until_;
  out.consecutive_failures = consecutive_failures_;
  out.failure = failure_;
  out.wakes = wakes_;
  if (!instance_.has_value()) return out;
  out.instance = instance_->id;
  out.cause = instance_->cause;
  out.alive = now - instance_->requested_at;
  out.busy = busy(now);
  return out;
}

}  // namespace dormouse::policy
