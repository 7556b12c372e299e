// The part of Life that hears of instances and moves them: their news, transitions, spans.
#include <algorithm>
#include <utility>

#include "policy/life.h"

namespace dormouse::policy {
namespace {

constexpr Nanoseconds kOneSecond = std::chrono::seconds(1);

// Uniform in (0, limit]: "full jitter"; not zero, so that a failure is always a state one can see.
Nanoseconds jittered(Nanoseconds limit, std::uint64_t random) {
  const auto range = static_cast<std::uint64_t>(std::max<std::int64_t>(1, limit.count()));
  return Nanoseconds{static_cast<std::int64_t>(random % range) + 1};
}

}  // namespace

void Life::start(Cause cause, MonoTime now) {
  Instance i;
  i.id = ++last_instance_;
  i.cause = cause;
  i.requested_at = now;
  i.stage_since = now;
  instances_.push_back(i);
  if (cause == Cause::kLoad) last_load_start_ = now;
  effects_.push_back(effect::WriteIntent{i.id, cause});
}

void Life::on(const event::IntentDurable& e, Now now) {
  Instance* const i = find(e.instance);
  if (i == nullptr || i->stage != Stage::kIntent) return;
  if (shutdown_ || (suspended_ && waiters_.empty())) {  // overtaken by the sleep verb: an intent, and no start
    return forget(e.instance);
  }
  enter(*i, Stage::kStarting, now.mono);
  span(*i, Phase::kRequested, now.mono, "");
  effects_.push_back(effect::Start{e.instance});
}

void Life::on(const event::IntentFailed& e, Now now) {
  const Instance* const i = find(e.instance);
  if (i == nullptr || i->stage != Stage::kIntent) return;
  forget(e.instance);
  wake_wanted_ = false;
  if (instances_.empty()) refuse_all(Refused::kLedgerUnavailable, kOneSecond);
  ledger_retry_at_ = now.mono + kOneSecond;  // not a failure of the model: no backoff, and a request tries at once
}

void Life::on(const event::Started& e, Now now) {
  Instance* const i = find(e.instance);
  if (i == nullptr) return;
  span(*i, Phase::kUp, now.mono, "");
  if (i->stage == Stage::kStarting) enter(*i, Stage::kLoading, now.mono);
}

void Life::on(const event::StartFailed& e, Now now) {
  const Instance* const i = find(e.instance);
  if (i == nullptr || i->stage == Stage::kIntent) return;
  span(*i, Phase::kDown, now.mono, "start_failed");
  const Ending ending = i->ending;
  // A worker that said why it cannot go on is stopped before its driver has seen it run: its word is the reason.
  std::string why = i->fault.empty() ? e.message : i->fault;
  forget(e.instance);
  last_failure_was_crash_ = false;
  if (ending != Ending::kSleep) failed(std::move(why), now);
}

void Life::on(const event::Ready& e, Now now) {
  Instance* const i = find(e.instance);
  if (i == nullptr) return;
  // Started and Ready come by different ways; a quick worker's word may be first.
  if (i->stage < Stage::kStarting || i->stage > Stage::kReady) return;
  i->max_sequences = std::max<std::int64_t>(0, e.max_sequences);
  max_sequences_ = i->max_sequences;
  kv_tokens_ = std::max<std::int64_t>(0, e.kv_tokens);
  if (i->stage == Stage::kReady) return;  // it called again, and says again what it can do
  enter(*i, Stage::kReady, now.mono);
  i->idle_since = now.mono;
  i->load_time = now.mono - i->requested_at;
  load_time_ = i->load_time;
  wake_wanted_ = false;
  failure_.clear();
  ++wakes_;
  span(*i, Phase::kReady, now.mono, "");
}

void Life::on(const event::WorkerFailed& e, Now now) {
  Instance* const i = find(e.instance);
  if (i == nullptr || i->stage == Stage::kIntent || i->stage == Stage::kStopping) return;
  const bool was_ready = i->stage >= Stage::kReady;
  const bool golden = e.fault == event::Fault::kGoldenMismatch;
  i->fault = e.message;
  const char* const reason = golden                                  ? "golden_mismatch"
                             : e.fault == event::Fault::kOutOfMemory ? "out_of_memory"
                                                                     : "worker_failed";
  stop(*i, was_ready || golden ? Ending::kCrashed : Ending::kLoadFailed, reason, true, now.mono);
}

// A local worker's end of the channel is its end; one that lost only the channel cannot be told anything any more. One
// of another machine may dial again: until then nothing is granted to it.
void Life::on(const event::LinkLost& e, Now now) {
  Instance* const i = find(e.instance);
  if (i == nullptr || i->stage == Stage::kIntent || i->stage == Stage::kStopping) return;
  if (e.where == event::Whereabouts::kRemote) {
    if (!i->lost_since.has_value()) i->lost_since = now.mono;
    return;
  }
  const bool was_ready = i->stage >= Stage::kReady;
  stop(*i, was_ready ? Ending::kCrashed : Ending::kLoadFailed, "crashed", true, now.mono);
}

void Life::on(const event::LinkBack& e, Now now) {
  Instance* const i = find(e.instance);
  if (i == nullptr || !i->lost_since.has_value() || i->stage == Stage::kStopping) return;
  i->lost_since.reset();
  i->heard_at = now.mono;  // the silence was the network's, not a hang
  i->steps_moved_at = now.mono;
  if (i->leases == 0) i->idle_since = now.mono;
}

void Life::on(const event::TakenBack& e, Now now) {
  if (find(e.instance) != nullptr) return;
  Instance i;
  i.id = e.instance;
  i.cause = e.cause;
  i.requested_at = now.mono + (-e.alive);
  i.stage_since = now.mono;
  i.idle_since = now.mono;
  i.busy = e.busy;
  i.stage = e.reached == Phase::kRequested ? Stage::kStarting : Stage::kLoading;
  if (e.reached == Phase::kReady) {
    i.stage = Stage::kReady;
    i.lost_since = now.mono + (-e.lost_for);
    i.max_sequences = 1;  // until it says again how many: its channel is back a moment before that
  }
  last_instance_ = std::max(last_instance_, i.id);
  instances_.push_back(i);
}

void Life::on(const event::Exited& e, Now now) {
  Instance* const found = find(e.instance);
  if (found == nullptr || found->stage == Stage::kIntent) return;
  Instance& i = *found;
  if (i.ending == Ending::kNone) {  // nobody asked it to
    const bool was_ready = i.stage >= Stage::kReady;
    i.ending = was_ready ? Ending::kCrashed : Ending::kLoadFailed;
    if (i.stage == Stage::kDraining && i.leases == 0) i.ending = Ending::kSleep;  // it obeyed TellDrain
    if (i.lost_since.has_value()) i.reason = "lease_expired";  // it ended itself before we gave it up: the same end
    if (i.reason.empty()) i.reason = was_ready ? "crashed" : "load_failed";
  }
  // Its channel's end was seen first; now it is known what that was.
  if (e.out_of_memory && (i.reason == "crashed" || i.reason == "load_failed")) i.reason = "out_of_memory";
  if (i.fault.empty()) i.fault = i.reason + ": " + e.how;
  gone(i, now);
}

void Life::on(const event::Stats& e, Now now) {
  Instance* const i = find(e.instance);
  if (i == nullptr) return;
  i->heard_at = now.mono;
  i->slow_step = std::max(Nanoseconds{0}, e.slow_step);
  if (e.steps != i->steps) {
    // Not divided by the steps made: among them may have been one long one.
    if (i->pending) i->longest_step = std::max(i->longest_step, now.mono - i->steps_moved_at);
    i->steps = e.steps;
    i->steps_moved_at = now.mono;
  }
  i->pending = e.pending > 0;
  if (!i->pending) i->steps_moved_at = now.mono;
  learn_rate(*i, e, now.mono);
}

// What it makes in a second with a batch to work on; a single stream says little of what more of them would get. The
// best is kept and fades, so that a slow minute of the machine does not start instances.
void Life::learn_rate(Instance& i, const event::Stats& e, MonoTime now) {
  constexpr std::int64_t kSaturated = 8;  // sequences
  constexpr double kFading = 0.98;        // a sample, one a second
  const bool is_saturated = e.pending >= kSaturated;
  const double seconds = std::chrono::duration<double>(now - i.tokens_at).count();
  if (is_saturated && i.was_saturated && seconds > 0.5 && e.tokens >= i.tokens) {
    const double rate = static_cast<double>(e.tokens - i.tokens) / seconds;
    tokens_per_second_ = std::max(rate, kFading * tokens_per_second_ + (1 - kFading) * rate);
  }
  i.was_saturated = is_saturated;
  i.tokens = e.tokens;
  i.tokens_at = now;
}

// ---- transitions ----

void Life::enter(Instance& i, Stage stage, MonoTime now) {
  i.stage = stage;
  i.stage_since = now;
}

void Life::drain(Instance& i, std::string reason, MonoTime now) {
  enter(i, Stage::kDraining, now);
  i.reason = reason;
  span(i, Phase::kDrain, now, std::move(reason));
  effects_.push_back(effect::TellDrain{i.id});
}

void Life::stop(Instance& i, Ending ending, std::string reason, bool kill, MonoTime now) {
  if (i.stage < Stage::kDraining) span(i, Phase::kDrain, now, reason);
  enter(i, Stage::kStopping, now);
  i.ending = ending;
  i.reason = std::move(reason);
  effects_.push_back(effect::Stop{i.id, kill});
}

// It is confirmed gone. Leases it had are lost; their Release comes later and finds nothing.
void Life::gone(Instance& i, Now now) {
  mark_busy(i, now.mono);
  span(i, Phase::kDown, now.mono, i.reason);
  const Ending ending = i.ending;
  std::string fault = std::move(i.fault);
  forget(i.id);
  if (ending == Ending::kSleep) return;
  last_failure_was_crash_ = ending == Ending::kCrashed;
  failed(std::move(fault), now);
}

void Life::forget(InstanceId id) {
  std::erase_if(leases_, [this, id](const auto& entry) {
    if (entry.second.instance != id) return false;
    outstanding_tokens_ -= entry.second.tokens;
    return true;
  });
  std::erase_if(instances_, [id](const Instance& i) { return i.id == id; });
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

void Life::span(const Instance& i, Phase phase, MonoTime now, std::string reason) {
  effects_.push_back(effect::Span{i.id, phase, now - i.requested_at, busy(i, now), std::move(reason)});
}

void Life::mark_busy(Instance& i, MonoTime now) {
  if (!i.busy_since.has_value()) return;
  i.busy += now - *i.busy_since;
  i.busy_since.reset();
}

Nanoseconds Life::busy(const Instance& i, MonoTime now) {
  return i.busy + (i.busy_since.has_value() ? now - *i.busy_since : Nanoseconds{0});
}

}  // namespace dormouse::policy
