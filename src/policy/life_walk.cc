#include "policy/life_walk.h"

#include <algorithm>
#include <type_traits>

namespace dormouse::policy {

LifeWalk::LifeWalk(LifeConfig config) : config_(config), life_(config, 0, clock_.now()) { send(event::Tick{}); }

bool LifeWalk::send(const Event& event) {
  random_ = random_ * 6364136223846793005ULL + 1442695040888963407ULL;
  for (const Effect& effect : life_.handle(event, {clock_.now(), random_ >> 11})) apply(effect);
  if (world_ == World::kDurable) world_ = World::kNothing;
  check();
  return broken_.empty();
}

void LifeWalk::apply(const Effect& effect) {
  if (const auto* intent = std::get_if<effect::WriteIntent>(&effect)) {
    if (world_ != World::kNothing && world_ != World::kDurable) fail("1: an intent while an instance exists");
    if (intent->instance <= instance_) fail("an instance id was used twice");
    instance_ = intent->instance;
    link_lost_at_.reset();
    world_ = World::kIntent;
  } else if (const auto* start = std::get_if<effect::Start>(&effect)) {
    if (start->instance != instance_ || world_ != World::kDurable) fail("a start without its durable intent");
    world_ = World::kStarting;
    ++starts_;
  } else if (const auto* stop = std::get_if<effect::Stop>(&effect)) {
    if (stop->instance != instance_ || world_ == World::kNothing || world_ == World::kIntent) fail("stop of nothing");
    world_ = World::kExiting;
    link_lost_at_.reset();
  } else if (const auto* grant = std::get_if<effect::Grant>(&effect)) {
    if (waiting_.erase(grant->ticket) == 0) fail("2: a grant for one who does not wait");
    if (grant->instance != instance_ || world_ != World::kReady) fail("5: a grant of an instance that is not ready");
    if (link_lost_at_.has_value()) fail("6: a grant while the link is lost");
    leased_.insert(grant->ticket);
    ++grants_;
  } else if (const auto* refuse = std::get_if<effect::Refuse>(&effect)) {
    if (waiting_.erase(refuse->ticket) == 0) fail("2: a refusal for one who does not wait");
  } else if (const auto* span = std::get_if<effect::Span>(&effect)) {
    const bool idle = span->phase == Phase::kDrain && span->reason == "idle_timeout";
    if (idle && (!leased_.empty() || world_ != World::kReady)) fail("4: drained for idleness while in use or loading");
  }
}

void LifeWalk::check() {
  const LifeStatus status = life_.status(clock_.now());
  if (status.waiting != static_cast<std::int64_t>(waiting_.size())) fail("2: a waiter was lost");
  if (status.waiting > config_.max_waiters) fail("3: too many wait");
  for (const Ticket t : waiting_) {
    if (clock_.now() >= deadline_[t]) fail("3: one waits beyond its deadline");
  }
  if (status.instance.has_value() != (world_ != World::kNothing)) fail("1: it lost sight of its instance");
  if (status.leases != static_cast<std::int64_t>(leased_.size())) fail("a lease was lost or kept");
  if (link_lost_at_.has_value() && clock_.now() >= *link_lost_at_ + config_.lease_time_to_live) {
    fail("6: it outlives its lease");
  }
  const std::optional<MonoTime> next = life_.next_deadline();
  if (!waiting_.empty() && !next.has_value()) fail("3: somebody waits and no tick is asked for");
}

// The next thing that happens to the instance, or one of the things that go wrong.
void LifeWalk::move_world(std::uint8_t with) {
  const bool goes_wrong = !calm_ && with % 8 == 0;
  switch (world_) {
    case World::kNothing:
    case World::kDurable: return;
    case World::kIntent:
      if (goes_wrong) {
        world_ = World::kNothing;
        send(event::IntentFailed{instance_});
      } else {
        world_ = World::kDurable;
        send(event::IntentDurable{instance_});
      }
      return;
    case World::kStarting:
      if (goes_wrong) {
        world_ = World::kNothing;
        link_lost_at_.reset();
        send(event::StartFailed{instance_, "no such file"});
      } else {
        world_ = World::kLoading;
        send(event::Started{instance_});
      }
      return;
    case World::kLoading:
      if (goes_wrong) {
        send(event::WorkerFailed{instance_, event::Fault::kFailed, "model_invalid"});
      } else if (link_lost_at_.has_value()) {
        cut_or_mend(1);  // what it has to say comes over the link
      } else {
        world_ = World::kReady;
        send(event::Ready{instance_});
      }
      return;
    case World::kReady:
      if (with % 4 == 0) {
        send(event::Stats{instance_, ++steps_, static_cast<std::int64_t>(leased_.size())});
      } else if (!calm_ && with % 4 == 1) {
        send(event::WorkerFailed{instance_, event::Fault::kGoldenMismatch, "golden"});
      } else if (!calm_ && with % 4 == 2) {
        send(event::LinkLost{instance_});
      }
      return;
    case World::kExiting: {
      world_ = World::kNothing;
      leased_.clear();
      send(event::Exited{instance_, "exit 0"});
      return;
    }
  }
}

// The network to a remote instance breaks, or is whole again and the worker calls.
bool LifeWalk::cut_or_mend(std::uint8_t with) {
  if (world_ != World::kStarting && world_ != World::kLoading && world_ != World::kReady) return true;
  if (with % 2 == 0) {
    if (!link_lost_at_.has_value()) link_lost_at_ = clock_.now();
    return send(event::LinkLost{instance_, event::Whereabouts::kRemote});
  }
  link_lost_at_.reset();
  return send(event::LinkBack{instance_});
}

bool LifeWalk::step(std::uint8_t what, std::uint8_t with) {
  const auto pick = [with](const std::set<Ticket>& from) { return *std::next(from.begin(), with % from.size()); };
  switch (what % 16) {
    case 0:
    case 1:
    case 2: {
      const Ticket ticket = next_ticket_++;
      waiting_.insert(ticket);
      const Nanoseconds wait = std::chrono::seconds(1 + with % 40);
      deadline_[ticket] = clock_.now() + std::min(wait, config_.max_wait);
      return send(event::Request{ticket, with * 10, wait});
    }
    case 3: {
      if (waiting_.empty()) return true;
      const Ticket ticket = pick(waiting_);
      waiting_.erase(ticket);
      return send(event::Leave{ticket});
    }
    case 4:
    case 5: {
      if (leased_.empty()) return true;
      const Ticket ticket = pick(leased_);
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
      if (world_ == World::kNothing || world_ == World::kIntent) return true;
      world_ = World::kNothing;
      link_lost_at_.reset();
      leased_.clear();
      return send(event::Exited{instance_, "signal 9"});
    }
    case 13: return send(with % 2 == 0 ? Event(event::Wake{}) : Event(event::Sleep{}));
    case 14: {  // something late, of an instance or a ticket long gone
      if (instance_ == 0) return true;
      const InstanceId old = instance_ - 1;
      if (with % 3 == 0) return send(event::Exited{old, "late"});
      if (with % 6 == 1) return send(event::LinkBack{old});
      return send(with % 3 == 1 ? Event(event::Ready{old}) : Event(event::Release{next_ticket_ + 7, true}));
    }
    case 15:
      if (with % 4 == 1 || with % 4 == 2) return cut_or_mend(with);
      return with % 4 == 0 ? send(event::ModelChanged{}) : send(event::Tick{});
  }
  return true;
}

bool LifeWalk::finish() {
  calm_ = true;
  for (int i = 0; i < 10'000 && broken_.empty(); ++i) {
    if (waiting_.empty() && leased_.empty() && world_ == World::kNothing) return true;
    if (!leased_.empty()) {
      const Ticket ticket = *leased_.begin();
      leased_.erase(ticket);
      send(event::Release{ticket, true});
    }
    if (world_ == World::kReady && config_.min_instances > 0 && waiting_.empty() && leased_.empty()) return true;
    move_world(3);
    const std::optional<MonoTime> next = life_.next_deadline();
    if (next.has_value()) clock_.advance(std::max(Nanoseconds{1}, *next - clock_.now()));
    send(event::Tick{});
  }
  fail("it never came to rest");
  return false;
}

}  // namespace dormouse::policy
