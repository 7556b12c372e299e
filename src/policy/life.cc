#include "policy/life.h"

#include <algorithm>
#include <utility>

namespace dormouse::policy {
namespace {

constexpr Nanoseconds kOneSecond = std::chrono::seconds(1);

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
    case Cause::kLoad: return "load";
  }
  return "request";
}

Life::Life(LifeConfig config, InstanceId last_instance, MonoTime now)
    : config_(config), last_instance_(last_instance), since_(now) {}

std::vector<Effect> Life::handle(const Event& event, Now now) {
  effects_.clear();
  std::visit([this, now](const auto& e) { on(e, now); }, event);
  looked_at_ = now.mono;
  expire(now);
  demand_.set(load(), now.mono);
  decide(now);
  if (state() != last_state_) {
    last_state_ = state();
    since_ = now.mono;
  }
  return std::exchange(effects_, {});
}

State Life::state_of(Stage stage) {
  switch (stage) {
    case Stage::kIntent:
    case Stage::kStarting: return State::kStarting;
    case Stage::kLoading: return State::kLoading;
    case Stage::kReady: return State::kReady;
    case Stage::kDraining: return State::kDraining;
    case Stage::kStopping: return State::kStopping;
  }
  return State::kAsleep;
}

// One that serves is what a caller cares about; then one on its way up, the furthest first; then what still ends.
State Life::state() const {
  constexpr Stage kOrder[] = {Stage::kReady,  Stage::kLoading,  Stage::kStarting,
                              Stage::kIntent, Stage::kDraining, Stage::kStopping};
  for (const Stage stage : kOrder) {
    if (count(stage, stage) > 0) return state_of(stage);
  }
  if (given_up_) return State::kFailed;
  return backoff_until_.has_value() ? State::kBackoff : State::kAsleep;
}

int Life::count(Stage first, Stage last) const {
  return static_cast<int>(std::count_if(instances_.begin(), instances_.end(), [first, last](const Instance& i) {
    return i.stage >= first && i.stage <= last;
  }));
}

bool Life::has(InstanceId id) const {
  return std::any_of(instances_.begin(), instances_.end(), [id](const Instance& i) { return i.id == id; });
}

Life::Instance* Life::find(InstanceId id) {
  const auto found = std::find_if(instances_.begin(), instances_.end(), [id](const Instance& i) { return i.id == id; });
  return found == instances_.end() ? nullptr : &*found;
}

// ---- the decision, taken after every event ----
//  1. Shutting down: nobody waits; what is ready drains, what loads is stopped at once. Nothing starts.
//  2. Instances are ready:
//     2a. whoever waits is granted one that has room, in order of arrival: the one with the fewest leases, or one that
//         served the same beginning of a prompt unless it has clearly more;
//     2b. its model changed, or none may run any more, and it has no lease: drain it;
//     2c. idle for the timeout, and more than min: drain it;
//     2d. more than scale_window ever asked for, nothing loads or ends, and it is up for as long: drain the one
//         with the fewest leases (they finish first).
//  3. An instance drains and its last lease is back: stop it.
//  4. None exists:
//     4a. nothing may run (max 0) or it has failed for good: whoever waits is refused;
//     4b. backing off after a failed load: refused, with the rest of the backoff as advice;
//     4c. backing off after a first crash: they wait for its end.
//  5. Nothing is on its way up or down and no backoff runs: start one if wanted (wanted() has the order of causes).
void Life::decide(Now now) {
  if (shutdown_) decide_shutdown(now.mono);  // 1
  decide_ready(now.mono);                    // 2
  for (Instance& i : instances_) {
    if (i.stage == Stage::kDraining && i.leases == 0) stop(i, Ending::kSleep, i.reason, false, now.mono);  // 3
  }
  if (instances_.empty()) {
    if (config_.max_instances <= 0 || given_up_) return refuse_all(Refused::kLoadFailed, Nanoseconds{0});  // 4a
    if (backoff_until_.has_value() && !holds_waiters_through_backoff()) {                                  // 4b, 4c
      return refuse_all(Refused::kLoadFailed, std::max(kOneSecond, *backoff_until_ - now.mono));
    }
  }
  decide_start(now.mono);  // 5
}

void Life::decide_shutdown(MonoTime now) {
  refuse_all(Refused::kDraining, Nanoseconds{0});
  for (Instance& i : instances_) {
    if (i.stage == Stage::kReady) drain(i, "shutdown", now);
    if (i.stage == Stage::kStarting || i.stage == Stage::kLoading) stop(i, Ending::kSleep, "shutdown", false, now);
  }
}

void Life::decide_ready(MonoTime now) {
  grant_all(now);  // 2a
  int ready = count(Stage::kReady, Stage::kReady);
  const int keep = suspended_ ? 0 : config_.min_instances;
  for (Instance& i : instances_) {
    if (i.stage != Stage::kReady) continue;
    const std::optional<MonoTime> idle_at = idle_deadline(i);
    const bool unwanted = i.is_outdated || config_.max_instances <= 0;
    if (unwanted && i.leases == 0) {  // 2b
      drain(i, i.is_outdated ? "model_changed" : "disabled", now);
      --ready;
    } else if (ready > keep && idle_at.has_value() && now >= *idle_at) {  // 2c
      drain(i, "idle_timeout", now);
      --ready;
    }
  }
  scale_down(now);  // 2d
}

void Life::scale_down(MonoTime now) {
  const int ready = count(Stage::kReady, Stage::kReady);
  if (ready < 2 || ready != static_cast<int>(instances_.size())) return;
  const int bound = std::max(config_.max_instances, 1);
  const int least_wanted = suspended_ ? 0 : config_.min_instances;
  const int needed = std::max({1, least_wanted, demand_.most_desired(now, config_.scale_window)});
  if (ready <= std::min(needed, bound)) return;
  Instance* least = nullptr;  // of equal ones the newest: the oldest has the most pages
  for (Instance& i : instances_) {
    if (least == nullptr || i.leases <= least->leases) least = &i;
  }
  // Over max, which somebody has just lowered, it goes at once.
  const bool is_young = now < least->requested_at + std::max(config_.scale_window, 10 * least->load_time);
  if (is_young && ready <= bound) return;
  drain(*least, "scale_down", now);
}

void Life::decide_start(MonoTime now) {
  if (shutdown_ || given_up_ || backoff_until_.has_value()) return;
  const int ready = count(Stage::kReady, Stage::kReady);
  if (ready != static_cast<int>(instances_.size()) || ready >= config_.max_instances) return;
  const std::optional<Cause> cause = wanted(now);
  if (cause.has_value()) start(*cause, now);
}

// The first instance follows whoever waits, at once. Further ones follow the load, and rarely.
std::optional<Cause> Life::wanted(MonoTime now) {
  const int ready = static_cast<int>(instances_.size());
  if (ready == 0) {
    if (!waiters_.empty()) return Cause::kRequest;
    if (wake_wanted_) return Cause::kWake;
  }
  if (suspended_ || ledger_retry_at_.has_value()) return std::nullopt;
  if (ready < config_.min_instances) return Cause::kMin;
  const bool is_spaced = !last_load_start_.has_value() || now >= *last_load_start_ + config_.scale_window;
  if (ready > 0 && is_spaced && demand_.desired(now) > ready) return Cause::kLoad;
  return std::nullopt;
}

// A crash ends requests that were being served: their one retry must find a place to wait. Crashing again without one
// good answer in between is no accident any more.
bool Life::holds_waiters_through_backoff() const {
  return last_failure_was_crash_ && consecutive_failures_ <= 1;
}

// ---- idleness ----

Nanoseconds Life::idle_timeout() const {
  constexpr Nanoseconds kLeastAuto = std::chrono::seconds(30);
  const Nanoseconds own = config_.idle_auto ? std::max(load_time_, kLeastAuto) : config_.idle_timeout;
  if (!keep_alive_.has_value()) return own;
  const Nanoseconds longest = config_.keep_alive_max.value_or(own);
  return *keep_alive_ < Nanoseconds{0} ? longest : std::min(*keep_alive_, longest);
}

// When it may go to sleep. What is paid for whole is used up: until a tenth of the increment, at most a minute, is
// left.
std::optional<MonoTime> Life::idle_deadline(const Instance& i) const {
  if (i.stage != Stage::kReady || i.leases > 0 || i.lost_since.has_value()) return std::nullopt;
  const MonoTime idle_at = i.idle_since + idle_timeout();
  const Nanoseconds increment = config_.billing_increment;
  if (increment <= Nanoseconds{0}) return idle_at;
  const Nanoseconds margin = std::min<Nanoseconds>(increment / 10, std::chrono::minutes(1));
  const Nanoseconds alive = idle_at - i.requested_at;
  const MonoTime paid_until = i.requested_at + (alive + increment - Nanoseconds{1}) / increment * increment;
  return std::max(idle_at, paid_until + (-margin));
}

// Of all of them, if nobody comes.
std::optional<MonoTime> Life::sleeps_at() const {
  if (!suspended_ && config_.min_instances > 0) return std::nullopt;
  std::optional<MonoTime> out;
  for (const Instance& i : instances_) {
    if (i.stage != Stage::kReady) continue;
    const std::optional<MonoTime> at = idle_deadline(i);
    if (!at.has_value()) return std::nullopt;
    if (!out.has_value() || *at > *out) out = at;
  }
  return out;
}

// ---- what time alone brings ----

void Life::expire(Now now) {
  expire_waiters(now.mono);
  if (backoff_until_.has_value() && now.mono >= *backoff_until_) backoff_until_.reset();
  if (ledger_retry_at_.has_value() && now.mono >= *ledger_retry_at_) ledger_retry_at_.reset();
  for (Instance& i : instances_) expire(i, now.mono);
}

void Life::expire(Instance& i, MonoTime now) {
  if (i.stage == Stage::kIntent) return;
  if (i.stage == Stage::kStopping) {
    if (now < i.stage_since + config_.exit_deadline) return;
    i.stage_since = now;
    effects_.push_back(effect::Stop{i.id, true});
    return;
  }
  const bool is_up = i.stage >= Stage::kReady;
  if (i.lost_since.has_value() && now >= *i.lost_since + config_.lease_time_to_live) {
    return stop(i, is_up ? Ending::kCrashed : Ending::kLoadFailed, "lease_expired", true, now);
  }
  if (!is_up) {
    if (now >= i.requested_at + config_.load_deadline) stop(i, Ending::kLoadFailed, "load_deadline", true, now);
    return;
  }
  if (is_watched(i) && now >= hang_deadline(i)) return stop(i, Ending::kCrashed, "hung", true, now);
  if (i.stage == Stage::kDraining) {
    if (now >= i.stage_since + config_.drain_deadline) stop(i, Ending::kSleep, "drain_deadline", true, now);
  } else if (now >= i.stage_since + config_.good_after) {
    consecutive_failures_ = 0;
  }
}

void Life::expire_waiters(MonoTime now) {
  std::erase_if(waiters_, [this, now](const Waiter& w) {
    if (now < w.give_up_at) return false;
    outstanding_tokens_ -= w.tokens;
    effects_.push_back(effect::Refuse{w.ticket, Refused::kQueueTimeout, kOneSecond});
    return true;
  });
}

bool Life::is_watched(const Instance& i) const {
  return i.pending && i.leases > 0 && !i.lost_since.has_value();
}

MonoTime Life::hang_deadline(const Instance& i) const {
  const bool is_known = i.slow_step > Nanoseconds{0};
  const Nanoseconds stalled =
      is_known ? std::max(config_.hang_silent, 5 * i.slow_step) : std::max(config_.hang_stalled, 5 * i.longest_step);
  return std::min(i.heard_at + config_.hang_silent, i.steps_moved_at + stalled);
}

std::optional<MonoTime> Life::deadline_of(const Instance& i) const {
  std::optional<MonoTime> out;
  if (i.lost_since.has_value() && i.stage < Stage::kStopping) earliest(out, *i.lost_since + config_.lease_time_to_live);
  switch (i.stage) {
    case Stage::kIntent: return std::nullopt;
    case Stage::kStarting:
    case Stage::kLoading: earliest(out, i.requested_at + config_.load_deadline); break;
    case Stage::kDraining: earliest(out, i.stage_since + config_.drain_deadline); [[fallthrough]];
    case Stage::kReady:
      if (is_watched(i)) earliest(out, hang_deadline(i));
      break;
    case Stage::kStopping: earliest(out, i.stage_since + config_.exit_deadline); break;
  }
  return out;
}

// Averages move while nothing happens: with room to scale and something to scale, once a second.
std::optional<MonoTime> Life::next_deadline() const {
  std::optional<MonoTime> out;
  for (const Waiter& w : waiters_) earliest(out, w.give_up_at);
  if (backoff_until_.has_value()) earliest(out, *backoff_until_);
  if (ledger_retry_at_.has_value()) earliest(out, *ledger_retry_at_);
  const int keep = suspended_ ? 0 : config_.min_instances;
  const int ready = count(Stage::kReady, Stage::kReady);
  for (const Instance& i : instances_) {
    if (const auto at = deadline_of(i)) earliest(out, *at);
    if (ready <= keep) continue;
    if (const auto at = idle_deadline(i)) earliest(out, *at);
  }
  const bool may_grow = config_.max_instances > 1 && !leases_.empty();
  if (ready > 1 || may_grow) earliest(out, looked_at_ + kOneSecond);
  return out;
}

// ---- requests ----

void Life::on(const event::Request& e, Now now) {
  suspended_ = false;
  keep_alive_ = e.keep_alive;
  const Nanoseconds wait = std::min(e.max_wait.value_or(config_.max_wait), config_.max_wait);
  const std::int64_t tokens = std::max<std::int64_t>(0, e.tokens);
  std::int64_t waiting_tokens = 0;
  for (const Waiter& w : waiters_) waiting_tokens += w.tokens;
  const bool full = static_cast<std::int64_t>(waiters_.size()) >= config_.max_waiters ||
                    (!waiters_.empty() && tokens > config_.max_waiting_tokens - waiting_tokens);
  const bool has_place = waiters_.empty() && place_for(e.prefix) != nullptr;
  if (full && !has_place) {
    effects_.push_back(effect::Refuse{e.ticket, Refused::kQueueFull, kOneSecond});
    return;
  }
  // One that has its place is granted within this very event: it need not be a wait that could expire.
  const MonoTime give_up_at = has_place ? now.mono + kOneSecond : now.mono + wait;
  const bool woke = count(Stage::kReady, Stage::kReady) == 0;
  waiters_.push_back({e.ticket, tokens, e.prefix, now.mono, give_up_at, woke});
  outstanding_tokens_ += tokens;
}

void Life::on(const event::Leave& e, Now /*now*/) {
  std::erase_if(waiters_, [this, &e](const Waiter& w) {
    if (w.ticket != e.ticket) return false;
    outstanding_tokens_ -= w.tokens;
    return true;
  });
}

void Life::on(const event::Release& e, Now now) {
  const auto found = leases_.find(e.ticket);
  if (found == leases_.end()) return;
  outstanding_tokens_ -= found->second.tokens;
  Instance* const i = find(found->second.instance);
  leases_.erase(found);
  if (e.completed) consecutive_failures_ = 0;
  if (i == nullptr || --i->leases > 0) return;
  mark_busy(*i, now.mono);
  i->idle_since = now.mono;
}

// The ready one with the fewest leases, the oldest of equals; one that knows the prefix may have a few more.
Life::Instance* Life::place_for(std::uint64_t prefix) {
  constexpr std::int64_t kAffinityWorth = 2;  // leases; and a quarter of what the least loaded has
  Instance* least = nullptr;
  Instance* knows = nullptr;
  for (Instance& i : instances_) {
    const bool has_room = i.max_sequences == 0 || i.leases < i.max_sequences;
    if (i.stage != Stage::kReady || i.lost_since.has_value() || !has_room) continue;
    if (least == nullptr || i.leases < least->leases) least = &i;
    const bool has_prefix = prefix != 0 && std::find(i.prefixes.begin(), i.prefixes.end(), prefix) != i.prefixes.end();
    if (has_prefix && (knows == nullptr || i.leases < knows->leases)) knows = &i;
  }
  if (knows != nullptr && knows->leases <= least->leases + kAffinityWorth + least->leases / 4) return knows;
  return least;
}

void Life::grant_all(MonoTime now) {
  std::size_t granted = 0;
  for (; granted < waiters_.size(); ++granted) {
    Instance* const i = place_for(waiters_[granted].prefix);
    if (i == nullptr) break;
    grant(waiters_[granted], *i, now);
  }
  waiters_.erase(waiters_.begin(), waiters_.begin() + static_cast<std::ptrdiff_t>(granted));
}

void Life::grant(const Waiter& w, Instance& i, MonoTime now) {
  constexpr std::size_t kMaxPrefixes = 64;
  const bool is_first = i.leases++ == 0;
  if (is_first && !i.busy_since.has_value()) i.busy_since = now;
  leases_.emplace(w.ticket, LeaseRecord{i.id, w.tokens});
  // The clock of a stall starts with work. Of work that was done between two of its reports the worker says nothing:
  // without leases nothing of ours is pending.
  if (is_first || !i.pending) i.steps_moved_at = now;
  i.pending = true;
  i.heard_at = now;
  if (w.prefix != 0) {
    std::erase(i.prefixes, w.prefix);
    if (i.prefixes.size() >= kMaxPrefixes) i.prefixes.erase(i.prefixes.begin());
    i.prefixes.push_back(w.prefix);
  }
  effects_.push_back(effect::Grant{w.ticket, i.id, w.woke, now - w.since});
}

void Life::refuse_all(Refused reason, Nanoseconds retry_after) {
  for (const Waiter& w : waiters_) {
    outstanding_tokens_ -= w.tokens;
    effects_.push_back(effect::Refuse{w.ticket, reason, retry_after});
  }
  waiters_.clear();
}

// In instances' worth of work: by sequences, by KV tokens, by time at the rate they have shown; the largest.
double Life::load() const {
  const auto requests = static_cast<double>(leases_.size() + waiters_.size());
  const auto tokens = static_cast<double>(outstanding_tokens_);
  double out = 0;
  const auto count_by = [&out](double work, double at_target) {
    if (at_target > 0) out = std::max(out, work / at_target);
  };
  count_by(requests, config_.utilisation * static_cast<double>(max_sequences_));
  count_by(tokens, config_.utilisation * static_cast<double>(kv_tokens_));
  count_by(tokens, tokens_per_second_ * std::chrono::duration<double>(config_.backlog).count());
  return out;
}

// ---- verbs and configuration ----

// Nobody's running or waiting request is touched, and nothing that `min` keeps awake sleeps.
void Life::on(const event::KeepAlive& e, Now /*now*/) {
  keep_alive_ = e.idle;
}

void Life::on(const event::Wake& /*e*/, Now now) {
  suspended_ = false;
  keep_alive_.reset();
  given_up_ = false;
  backoff_until_.reset();
  consecutive_failures_ = 0;
  wake_wanted_ = true;
  for (Instance& i : instances_) {
    if (i.stage != Stage::kReady) continue;
    i.idle_since = now.mono;
    wake_wanted_ = false;
  }
}

void Life::on(const event::Sleep& /*e*/, Now now) {
  suspended_ = true;
  wake_wanted_ = false;
  for (Instance& i : instances_) {
    if (i.stage == Stage::kReady) drain(i, "sleep_verb", now.mono);
    // On the way up with nobody waiting: no reason to finish the load.
    if ((i.stage == Stage::kStarting || i.stage == Stage::kLoading) && waiters_.empty()) {
      stop(i, Ending::kSleep, "sleep_verb", false, now.mono);
    }
  }
}

void Life::on(const event::Evict& /*e*/, Now now) {
  for (Instance& i : instances_) {
    if (i.stage == Stage::kReady && i.leases == 0) drain(i, "evicted", now.mono);
  }
}

void Life::on(const event::Configure& e, Now /*now*/) {
  config_ = e.config;
}

void Life::on(const event::ModelChanged& /*e*/, Now /*now*/) {
  given_up_ = false;
  backoff_until_.reset();
  consecutive_failures_ = 0;
  for (Instance& i : instances_) i.is_outdated = true;
}

void Life::on(const event::Shutdown& /*e*/, Now /*now*/) {
  shutdown_ = true;
}

void Life::on(const event::Tick& /*e*/, Now /*now*/) {}

LifeStatus Life::status(MonoTime now) const {
  LifeStatus out;
  out.state = state();
  out.since = since_;
  out.leases = static_cast<std::int64_t>(leases_.size());
  out.waiting = static_cast<std::int64_t>(waiters_.size());
  for (const Waiter& w : waiters_) out.waiting_tokens += w.tokens;
  out.load = load();
  out.sleeps_at = sleeps_at();
  out.backoff_until = backoff_until_;
  out.consecutive_failures = consecutive_failures_;
  out.failure = failure_;
  out.wakes = wakes_;
  for (const Instance& i : instances_) {
    out.instances.push_back({.id = i.id,
                             .state = state_of(i.stage),
                             .cause = i.cause,
                             .leases = i.leases,
                             .alive = now - i.requested_at,
                             .busy = busy(i, now),
                             .is_reachable = !i.lost_since.has_value()});
  }
  return out;
}

}  // namespace dormouse::policy
