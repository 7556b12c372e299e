#include "policy/simulation.h"

#include <algorithm>
#include <map>
#include <optional>
#include <queue>

namespace dormouse::policy {
namespace {

constexpr Nanoseconds kStatsPeriod = std::chrono::seconds(1);  // as a worker sends them while anything runs

class Simulation {
 public:
  Simulation(const LifeConfig& config, const SimulatedWorld& world, std::span<const SimulatedRequest> requests)
      : world_(world), requests_(requests), life_(config, 0, now_) {}

  SimulationResult run() {
    send(event::Tick{});
    while (next_request_ < requests_.size() || !happenings_.empty() || is_awaited()) advance();
    for (const auto& [id, thing] : things_) out_.up += now_ - thing.requested_at;  // min keeps them
    return std::move(out_);
  }

 private:
  struct Thing {
    MonoTime requested_at;
    std::int64_t leases = 0;
    std::uint64_t steps = 0;
  };
  struct Happening {
    MonoTime at;
    std::uint64_t order = 0;  // of equal times
    Event event;
    bool operator>(const Happening& other) const { return at != other.at ? at > other.at : order > other.order; }
  };

  // Something is up that will go, or somebody waits.
  [[nodiscard]] bool is_awaited() const {
    return life_.status(now_).waiting > 0 || (!things_.empty() && life_.config().min_instances == 0);
  }

  void after(Nanoseconds delay, Event event) { happenings_.push({now_ + delay, order_++, std::move(event)}); }

  // To whatever comes first: a request, something in the world, or what the policy wants to be told.
  void advance() {
    std::optional<MonoTime> next = life_.next_deadline();
    const auto earlier = [&next](MonoTime t) { next = next.has_value() ? std::min(*next, t) : t; };
    const MonoTime request_at =
        next_request_ < requests_.size() ? MonoTime{} + requests_[next_request_].at : MonoTime{INT64_MAX};
    if (next_request_ < requests_.size()) earlier(request_at);
    if (!happenings_.empty()) earlier(happenings_.top().at);
    now_ = std::max(now_, next.value_or(now_));
    if (!happenings_.empty() && happenings_.top().at <= now_) {
      const Event event = happenings_.top().event;
      happenings_.pop();
      return happen(event);
    }
    if (request_at <= now_) {
      const SimulatedRequest& request = requests_[next_request_++];
      return send(event::Request{next_request_, request.tokens, {}, 0});
    }
    send(event::Tick{});
  }

  void happen(const Event& event) {
    if (const auto* release = std::get_if<event::Release>(&event)) {
      const auto found = things_.find(places_[release->ticket]);
      places_.erase(release->ticket);
      if (found != things_.end()) --found->second.leases;
    } else if (const auto* stats = std::get_if<event::Stats>(&event)) {
      const auto found = things_.find(stats->instance);
      if (found == things_.end()) return;
      const std::int64_t pending = found->second.leases;
      if (pending > 0) after(kStatsPeriod, event::Stats{stats->instance, 0, 0, 0});
      return send(event::Stats{stats->instance, ++found->second.steps, pending, 0});
    } else if (const auto* exited = std::get_if<event::Exited>(&event)) {
      out_.up += now_ - things_.at(exited->instance).requested_at;
      things_.erase(exited->instance);
    }
    send(event);
  }

  void send(const Event& event) {
    for (const Effect& effect : life_.handle(event, {now_, 0})) {
      std::visit([this](const auto& e) { apply(e); }, effect);
    }
  }

  void apply(const effect::WriteIntent& e) {
    things_[e.instance] = {.requested_at = now_};
    out_.most_instances = std::max(out_.most_instances, static_cast<int>(things_.size()));
    if (e.cause == Cause::kLoad) out_.load_starts.push_back(now_);
    after(Nanoseconds{0}, event::IntentDurable{e.instance});
  }
  void apply(const effect::Start& e) {
    ++out_.starts;
    after(Nanoseconds{0}, event::Started{e.instance});
    after(world_.load_time, event::Ready{e.instance, world_.max_sequences, world_.kv_tokens});
  }
  void apply(const effect::Stop& e) { after(world_.exit_time, event::Exited{e.instance, "exit 0"}); }
  void apply(const effect::TellDrain& /*e*/) {}
  void apply(const effect::Grant& e) {
    ++out_.served;
    out_.woke += e.woke ? 1 : 0;
    out_.waited.push_back(e.waited);
    places_[e.ticket] = e.instance;
    if (things_[e.instance].leases++ == 0) after(kStatsPeriod, event::Stats{e.instance, 0, 0, 0});
    after(requests_[e.ticket - 1].service, event::Release{e.ticket, true});
  }
  void apply(const effect::Refuse& /*e*/) { ++out_.refused; }
  void apply(const effect::Span& e) {
    if (e.phase == Phase::kDown) out_.busy += e.busy;
  }

  const SimulatedWorld world_;
  const std::span<const SimulatedRequest> requests_;
  MonoTime now_;
  Life life_;
  std::map<InstanceId, Thing> things_;
  std::map<Ticket, InstanceId> places_;
  std::priority_queue<Happening, std::vector<Happening>, std::greater<>> happenings_;
  std::uint64_t order_ = 0;
  std::size_t next_request_ = 0;  // and the ticket of the one before it
  SimulationResult out_;
};

}  // namespace

SimulationResult simulate(const LifeConfig& config, const SimulatedWorld& world,
                          std::span<const SimulatedRequest> requests) {
  return Simulation(config, world, requests).run();
}

}  // namespace dormouse::policy
