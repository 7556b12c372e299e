#include "policy/simulation.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <queue>
#include <utility>

namespace dormouse::policy {
namespace {

constexpr Nanoseconds kStatsPeriod = std::chrono::seconds(1);  // as a worker sends them while anything runs
// Load is forgotten by then (policy/demand.h remembers five minutes), so that ticks no longer change anything.
constexpr Nanoseconds kForgotten = std::chrono::minutes(6);
constexpr MonoTime kNever{INT64_MAX};

Nanoseconds stretched(Nanoseconds work, double stretch) {
  return Nanoseconds{std::llround(static_cast<double>(work.count()) * stretch)};
}

// The requests that run on one instance, all at the same speed: by its own clock, which runs as fast as they do, each
// ends when it began plus its service time, whatever joins or leaves meanwhile.
class Batch {
 public:
  explicit Batch(double slowdown) : slowdown_(slowdown) {}

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(ends_.size()); }
  [[nodiscard]] MonoTime next_end() const { return next_end_; }

  void join(Ticket ticket, Nanoseconds service, MonoTime now) {
    catch_up(now);
    ends_.push({own_time_ + service, ticket});
    plan(now);
  }
  // At next_end().
  Ticket leave(MonoTime now) {
    own_time_ = ends_.top().at;
    updated_at_ = now;
    const Ticket ticket = ends_.top().ticket;
    ends_.pop();
    plan(now);
    return ticket;
  }

 private:
  struct End {
    Nanoseconds at{0};  // own time
    Ticket ticket = 0;
    bool operator>(const End& other) const { return at != other.at ? at > other.at : ticket > other.ticket; }
  };

  [[nodiscard]] double stretch() const { return 1 + slowdown_ * static_cast<double>(std::max(size() - 1, INT64_C(0))); }
  void catch_up(MonoTime now) {
    if (size() > 0) own_time_ = std::min(own_time_ + stretched(now - updated_at_, 1 / stretch()), ends_.top().at);
    updated_at_ = now;
  }
  void plan(MonoTime now) {
    next_end_ = ends_.empty() ? kNever : now + stretched(ends_.top().at - own_time_, stretch());
  }

  double slowdown_;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  Nanoseconds own_time_{0};
  MonoTime updated_at_;
  MonoTime next_end_ = kNever;
};

class Simulation {
 public:
  Simulation(const LifeConfig& config, const SimulatedWorld& world, std::span<const SimulatedRequest> requests)
      : world_(world), requests_(requests), life_(config, 0, now_) {
    out_.waited.reserve(requests.size());
    out_.took.reserve(requests.size());
  }

  SimulationResult run() {
    send(event::Tick{});
    while (next_request_ < requests_.size() || !happenings_.empty() || next_end() != kNever || is_awaited()) advance();
    now_ = std::max(now_, MonoTime{} + world_.lasts);
    for (const Thing& thing : things_) close(thing);  // min keeps them
    return std::move(out_);
  }

 private:
  struct Thing {
    InstanceId id = 0;
    MonoTime requested_at;
    std::optional<MonoTime> ready_at{};
    MonoTime busy_since{};  // while its batch is not empty
    Nanoseconds busy{0};
    std::uint64_t steps = 0;
    bool reports = false;  // its next Stats is on its way
    Batch batch;
  };
  enum class Kind { kIntentDurable, kStarted, kReady, kStats, kExited };
  struct Happening {
    MonoTime at;
    std::uint64_t order = 0;  // of equal times
    Kind kind = Kind::kReady;
    InstanceId instance = 0;
    bool operator>(const Happening& other) const { return at != other.at ? at > other.at : order > other.order; }
  };

  // Something is up that will go, or somebody waits.
  [[nodiscard]] bool is_awaited() const {
    return waiting_ > 0 || static_cast<int>(things_.size()) > std::max(0, life_.config().min_instances);
  }
  // All that min keeps is up and idle, and has been for long: until a request comes, nothing will change.
  [[nodiscard]] bool is_settled() const {
    return waiting_ == 0 && static_cast<int>(things_.size()) == life_.config().min_instances && happenings_.empty() &&
           next_end() == kNever && now_ > quiet_since_ + kForgotten;
  }

  void after(Nanoseconds delay, Kind kind, InstanceId instance) {
    happenings_.push({now_ + delay, order_++, kind, instance});
  }
  [[nodiscard]] Thing* find(InstanceId id) {
    const auto found = std::find_if(things_.begin(), things_.end(), [id](const Thing& t) { return t.id == id; });
    return found == things_.end() ? nullptr : &*found;
  }
  [[nodiscard]] MonoTime next_end() const {
    MonoTime out = kNever;
    for (const Thing& thing : things_) out = std::min(out, thing.batch.next_end());
    return out;
  }

  // To whatever comes first: the end of a request, something else in the world, a request, or what the policy wants to
  // be told.
  void advance() {
    const MonoTime end_at = next_end();
    const MonoTime happening_at = happenings_.empty() ? kNever : happenings_.top().at;
    const bool has_request = next_request_ < requests_.size();
    const MonoTime request_at = has_request ? MonoTime{} + requests_[next_request_].at : kNever;
    const MonoTime tick_at = is_settled() ? kNever : life_.next_deadline().value_or(kNever);
    const MonoTime next = std::min({end_at, happening_at, request_at, tick_at});
    if (next != kNever) now_ = std::max(now_, next);
    if (end_at <= now_) return end_one(end_at);
    if (happening_at <= now_) {
      const Happening happening = happenings_.top();
      happenings_.pop();
      return happen(happening);
    }
    if (request_at <= now_) {
      const SimulatedRequest& request = requests_[next_request_++];
      ++waiting_;
      quiet_since_ = now_;
      return send(event::Request{next_request_, request.tokens, {}, 0});
    }
    send(event::Tick{});
  }

  void end_one(MonoTime at) {
    const auto found =
        std::find_if(things_.begin(), things_.end(), [at](const Thing& thing) { return thing.batch.next_end() == at; });
    const Ticket ticket = found->batch.leave(now_);
    if (found->batch.size() == 0) found->busy += now_ - found->busy_since;
    out_.took.push_back(now_ - (MonoTime{} + requests_[ticket - 1].at));
    quiet_since_ = now_;
    send(event::Release{ticket, true});
  }

  void happen(const Happening& happening) {
    const InstanceId id = happening.instance;
    Thing* const thing = find(id);
    if (thing == nullptr) return;
    quiet_since_ = now_;
    switch (happening.kind) {
      case Kind::kIntentDurable: return send(event::IntentDurable{id});
      case Kind::kStarted: return send(event::Started{id});
      case Kind::kReady: {
        thing->ready_at = now_;
        return send(event::Ready{id, world_.max_sequences, world_.kv_tokens});
      }
      case Kind::kStats: {
        const std::int64_t pending = thing->batch.size();
        thing->reports = pending > 0;
        if (pending > 0) after(kStatsPeriod, Kind::kStats, id);
        return send(event::Stats{id, ++thing->steps, pending, 0});
      }
      case Kind::kExited: {
        out_.cut += thing->batch.size();
        close(*thing);
        std::erase_if(things_, [id](const Thing& t) { return t.id == id; });
        return send(event::Exited{id, "exit 0"});
      }
    }
  }

  void close(const Thing& thing) {
    SimulatedSession session{.from = thing.requested_at - MonoTime{}, .to = now_ - MonoTime{}, .busy = thing.busy};
    session.waking = thing.ready_at.value_or(now_) - thing.requested_at;
    if (thing.batch.size() > 0) session.busy += now_ - thing.busy_since;
    out_.up += session.to - session.from;
    out_.busy += session.busy;
    out_.sessions.push_back(session);
  }

  void send(const Event& event) {
    for (const Effect& effect : life_.handle(event, {now_, 0})) {
      std::visit([this](const auto& e) { apply(e); }, effect);
    }
  }

  void apply(const effect::WriteIntent& e) {
    things_.push_back({.id = e.instance, .requested_at = now_, .batch = Batch(world_.slowdown)});
    out_.most_instances = std::max(out_.most_instances, static_cast<int>(things_.size()));
    if (e.cause == Cause::kLoad) out_.load_starts.push_back(now_);
    after(Nanoseconds{0}, Kind::kIntentDurable, e.instance);
  }
  void apply(const effect::Start& e) {
    ++out_.starts;
    after(Nanoseconds{0}, Kind::kStarted, e.instance);
    after(world_.load_time, Kind::kReady, e.instance);
  }
  void apply(const effect::Stop& e) { after(world_.exit_time, Kind::kExited, e.instance); }
  void apply(const effect::TellDrain& /*e*/) {}
  void apply(const effect::Grant& e) {
    ++out_.served;
    --waiting_;
    out_.woke += e.woke ? 1 : 0;
    out_.waited.push_back(e.waited);
    Thing* const thing = find(e.instance);
    if (thing->batch.size() == 0) thing->busy_since = now_;
    thing->batch.join(e.ticket, requests_[e.ticket - 1].service, now_);
    if (!std::exchange(thing->reports, true)) after(kStatsPeriod, Kind::kStats, e.instance);
  }
  void apply(const effect::Refuse& /*e*/) {
    ++out_.refused;
    --waiting_;
  }
  void apply(const effect::Span& /*e*/) {}

  const SimulatedWorld world_;
  const std::span<const SimulatedRequest> requests_;
  MonoTime now_;
  Life life_;
  std::vector<Thing> things_;  // oldest first
  std::priority_queue<Happening, std::vector<Happening>, std::greater<>> happenings_;
  std::uint64_t order_ = 0;
  std::size_t next_request_ = 0;  // and the ticket of the one before it
  std::int64_t waiting_ = 0;
  MonoTime quiet_since_;  // nothing but ticks has happened since
  SimulationResult out_;
};

}  // namespace

SimulationResult simulate(const LifeConfig& config, const SimulatedWorld& world,
                          std::span<const SimulatedRequest> requests) {
  return Simulation(config, world, requests).run();
}

}  // namespace dormouse::policy
