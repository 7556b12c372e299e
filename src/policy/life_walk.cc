#include "policy/life_walk.h"

#include <algorithm>
#include <iterator>

namespace dormouse::policy {

LifeWalk::LifeWalk(LifeConfig config) : config_(config), life_(config, 0, clock_.now()) {
  send(event::Tick{});
}

bool LifeWalk::send(const Event& event) {
  random_ = random_ * 6364136223846793005ULL + 1442695040888963407ULL;
  for (const Effect& effect : life_.handle(event, {clock_.now(), random_ >> 11})) apply(effect);
  std::erase_if(things_, [](const auto& entry) { return entry.second.world == World::kDurable; });  // overtaken
  check();
  return broken_.empty();
}

void LifeWalk::note_intent(const effect::WriteIntent& intent) {
  for (const auto& [id, thing] : things_) {
    if (thing.world != World::kReady) fail("1: an intent while another instance is on its way up or down");
  }
  if (intent.instance <= last_id_) fail("an instance id was used twice");
  last_id_ = intent.instance;
  if (intent.cause == Cause::kLoad) {
    if (things_.empty()) fail("the first instance follows requests, not load");
    const bool too_soon = last_load_start_.has_value() && clock_.now() < *last_load_start_ + config_.scale_window;
    if (too_soon) fail("6: two starts for load within the spacing");
    last_load_start_ = clock_.now();
  }
  things_[intent.instance] = Thing{};
  most_at_once_ = std::max(most_at_once_, static_cast<int>(things_.size()));
  if (static_cast<int>(things_.size()) > config_.max_instances) fail("1: more than max");
}

void LifeWalk::note_grant(const effect::Grant& grant) {
  if (waiting_.erase(grant.ticket) == 0) fail("2: a grant for one who does not wait");
  const auto found = things_.find(grant.instance);
  if (found == things_.end() || found->second.world != World::kReady) fail("5: a grant of one that is not ready");
  if (found == things_.end()) return;
  if (found->second.is_lost) fail("5: a grant of one that cannot be reached");
  leased_[grant.ticket] = grant.instance;
  const std::int64_t most = found->second.max_sequences;
  if (most > 0 && leases_of(grant.instance) > most) fail("5: a grant of one that has no room");
  ++grants_;
}

void LifeWalk::note_span(const effect::Span& span) {
  if (span.phase != Phase::kDrain) return;
  const auto found = things_.find(span.instance);
  const bool is_ready = found != things_.end() && found->second.world == World::kReady;
  if (span.reason == "idle_timeout" && (leases_of(span.instance) > 0 || !is_ready)) {
    fail("4: drained for idleness while in use or loading");
  }
  if (span.reason != "scale_down") return;
  for (const auto& [id, thing] : things_) {
    if (thing.world != World::kReady) fail("4: scaled down while another is on its way");
  }
}

void LifeWalk::apply(const Effect& effect) {
  if (const auto* intent = std::get_if<effect::WriteIntent>(&effect)) {
    note_intent(*intent);
  } else if (const auto* start = std::get_if<effect::Start>(&effect)) {
    const auto found = things_.find(start->instance);
    if (found == things_.end() || found->second.world != World::kDurable) fail("a start without its durable intent");
    things_[start->instance].world = World::kStarting;
    ++starts_;
  } else if (const auto* stop = std::get_if<effect::Stop>(&effect)) {
    const auto found = things_.find(stop->instance);
    if (found == things_.end() || found->second.world == World::kIntent) fail("stop of nothing");
    if (found != things_.end()) found->second.world = World::kExiting;
  } else if (const auto* grant = std::get_if<effect::Grant>(&effect)) {
    note_grant(*grant);
  } else if (const auto* refuse = std::get_if<effect::Refuse>(&effect)) {
    if (waiting_.erase(refuse->ticket) == 0) fail("2: a refusal for one who does not wait");
  } else if (const auto* span = std::get_if<effect::Span>(&effect)) {
    note_span(*span);
  }
}

std::int64_t LifeWalk::leases_of(InstanceId id) const {
  return std::count_if(leased_.begin(), leased_.end(), [id](const auto& lease) { return lease.second == id; });
}

void LifeWalk::check() {
  const LifeStatus status = life_.status(clock_.now());
  if (status.waiting != static_cast<std::int64_t>(waiting_.size())) fail("2: a waiter was lost");
  if (status.waiting > config_.max_waiters) fail("3: too many wait");
  for (const Ticket t : waiting_) {
    if (clock_.now() >= deadline_[t]) fail("3: one waits beyond its deadline");
  }
  if (status.instances.size() != things_.size()) fail("1: it lost sight of an instance");
  for (const InstanceView& view : status.instances) {
    if (!things_.contains(view.id)) fail("1: it holds an instance that is no more");
    if (view.leases != leases_of(view.id)) fail("a lease was lost or kept");
  }
  if (status.leases != static_cast<std::int64_t>(leased_.size())) fail("a lease was lost or kept");
  const std::optional<MonoTime> next = life_.next_deadline();
  if (!waiting_.empty() && !next.has_value()) fail("3: somebody waits and no tick is asked for");
  if (things_.empty() && leased_.empty() && status.load > 0 && waiting_.empty()) fail("load of nobody");
}

InstanceId LifeWalk::pick_thing(std::uint8_t with) const {
  return std::next(things_.begin(), static_cast<std::ptrdiff_t>(with / 16 % things_.size()))->first;
}

// It is gone, and with it the leases it had.
void LifeWalk::end(InstanceId id, const Event& event) {
  things_.erase(id);
  std::erase_if(leased_, [id](const auto& lease) { return lease.second == id; });
  send(event);
}

void LifeWalk::move_ready(InstanceId id, Thing& thing, std::uint8_t with) {
  if (thing.is_lost) {
    thing.is_lost = false;
    send(event::LinkBack{id});
  } else if (with % 8 < 4) {
    thing.tokens += with * 100U;
    send(event::Stats{id, ++thing.steps, leases_of(id), thing.tokens});
  } else if (calm_) {
    return;
  } else if (with % 8 == 4) {
    send(event::WorkerFailed{id, event::Fault::kGoldenMismatch, "golden"});
  } else if (with % 8 == 5) {
    send(event::LinkLost{id, event::Whereabouts::kLocal});
  } else {
    thing.is_lost = true;
    send(event::LinkLost{id, event::Whereabouts::kRemote});
  }
}

// The next thing that happens to an instance, or one of the things that go wrong.
void LifeWalk::move_world(std::uint8_t with) {
  if (things_.empty()) return;
  const InstanceId id = pick_thing(with);
  Thing& thing = things_[id];
  const bool goes_wrong = !calm_ && with % 8 == 0;
  switch (thing.world) {
    case World::kDurable: return;
    case World::kIntent:
      if (goes_wrong) return end(id, event::IntentFailed{id});
      thing.world = World::kDurable;
      send(event::IntentDurable{id});
      return;
    case World::kStarting:
      if (goes_wrong) return end(id, event::StartFailed{id, "no such file"});
      thing.world = World::kLoading;
      send(event::Started{id});
      return;
    case World::kLoading:
      if (goes_wrong) {
        send(event::WorkerFailed{id, event::Fault::kFailed, "model_invalid"});
      } else {
        thing.world = World::kReady;
        thing.max_sequences = with % 3 == 0 ? 0 : with % 5 + 1;
        send(event::Ready{id, thing.max_sequences, with * 20});
      }
      return;
    case World::kReady: return move_ready(id, thing, with);
    case World::kExiting: return end(id, event::Exited{id, "exit 0"});
  }
}

// The gateway was restarted a moment ago: only then.
bool LifeWalk::take_back() {
  last_id_ = 1;
  things_[last_id_] = {.world = World::kReady, .is_lost = true, .max_sequences = 1};
  return send(event::TakenBack{.instance = last_id_, .alive = std::chrono::hours(1)});
}

bool LifeWalk::step(std::uint8_t what, std::uint8_t with) {
  switch (what % 16) {
    case 0:
    case 1:
    case 2: {
      const Ticket ticket = next_ticket_++;
      waiting_.insert(ticket);
      const Nanoseconds wait = std::chrono::seconds(1 + with % 40);
      deadline_[ticket] = clock_.now() + std::min(wait, config_.max_wait);
      std::optional<Nanoseconds> keep_alive;
      if (with % 5 == 0) keep_alive = std::chrono::seconds(with % 3 - 1);  // for ever, 0, a second
      return send(event::Request{ticket, with * 10, wait, with % 4U, keep_alive});
    }
    case 3: {
      if (waiting_.empty()) return true;
      const Ticket ticket = *std::next(waiting_.begin(), static_cast<std::ptrdiff_t>(with % waiting_.size()));
      waiting_.erase(ticket);
      return send(event::Leave{ticket});
    }
    case 4:
    case 5: {
      if (leased_.empty()) return true;
      const Ticket ticket = std::next(leased_.begin(), static_cast<std::ptrdiff_t>(with % leased_.size()))->first;
      leased_.erase(ticket);
      return send(event::Release{ticket, with % 2 == 0});
    }
    case 6:
    case 7:
    case 8:
    case 9:
    case 10: move_world(with); return broken_.empty();
    case 11: {  // time, in all sizes; the shell ticks no later than asked
      const Nanoseconds step = std::chrono::milliseconds(std::int64_t{1} << (with % 20));
      const std::optional<MonoTime> next = life_.next_deadline();
      const Nanoseconds until = next.has_value() ? std::max(Nanoseconds{0}, *next - clock_.now()) : step;
      clock_.advance(std::min(step, until));
      return send(event::Tick{});
    }
    case 12: {  // it dies of itself, whatever it is doing
      if (things_.empty()) return true;
      const InstanceId id = pick_thing(with);
      if (things_[id].world != World::kIntent) end(id, event::Exited{id, "signal 9"});
      return broken_.empty();
    }
    case 13: return send(with % 2 == 0 ? Event(event::Wake{}) : Event(event::Sleep{}));
    case 14: {  // something late, of an instance or a ticket long gone
      const InstanceId old = last_id_ + 1 - std::min<InstanceId>(last_id_, 1 + with / 16);
      if (things_.contains(old)) return true;
      if (with % 3 == 0) return send(event::Exited{old, "late"});
      return send(with % 3 == 1 ? Event(event::Ready{old}) : Event(event::Release{next_ticket_ + 7, true}));
    }
    case 15: {
      if (with % 4 == 0) return send(event::ModelChanged{});
      if (with % 4 == 2 && last_id_ == 0) return take_back();
      if (with % 8 == 3) return send(event::KeepAlive{});
      return with % 4 == 1 ? send(event::Evict{}) : send(event::Tick{});
    }
  }
  return true;
}

bool LifeWalk::finish() {
  calm_ = true;
  for (int i = 0; i < 20'000 && broken_.empty(); ++i) {
    const bool is_still = waiting_.empty() && leased_.empty();
    if (is_still && things_.empty()) return true;
    if (!leased_.empty()) {
      const Ticket ticket = leased_.begin()->first;
      leased_.erase(ticket);
      send(event::Release{ticket, true});
    }
    const bool all_ready = std::all_of(things_.begin(), things_.end(),
                                       [](const auto& entry) { return entry.second.world == World::kReady; });
    const bool is_min = static_cast<int>(things_.size()) == config_.min_instances && all_ready;
    if (is_min && is_still && leased_.empty()) return true;
    move_world(static_cast<std::uint8_t>(16 * i + 3));
    const std::optional<MonoTime> next = life_.next_deadline();
    if (next.has_value()) clock_.advance(std::max(Nanoseconds{1}, *next - clock_.now()));
    send(event::Tick{});
  }
  fail("it never came to rest");
  return false;
}

}  // namespace dormouse::policy
