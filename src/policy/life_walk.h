// A walk: any sequence of bytes becomes events at a Life, with a model of the world around it (what the driver and the
// worker do), and after each event the invariants of life.h are checked. Used by the random test and by the fuzzer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "policy/life.h"

namespace dormouse::policy {

class LifeWalk {
 public:
  explicit LifeWalk(LifeConfig config);

  // One step from two bytes. False: an invariant is broken, broken() says which.
  bool step(std::uint8_t what, std::uint8_t with);
  // No more faults and no more requests: time passes until nothing waits and it sleeps (or, with min, is ready).
  bool finish();
  [[nodiscard]] const std::string& broken() const { return broken_; }
  [[nodiscard]] int starts() const { return starts_; }
  [[nodiscard]] int grants() const { return grants_; }
  [[nodiscard]] int most_at_once() const { return most_at_once_; }

 private:
  // kDurable: the intent is, and the answer may be a start, or nothing if the sleep verb overtook it.
  enum class World { kIntent, kDurable, kStarting, kLoading, kReady, kExiting };
  struct Thing {
    World world = World::kIntent;
    bool is_lost = false;  // its channel; it may return
    std::int64_t max_sequences = 0;
    std::uint64_t steps = 0;
    std::uint64_t tokens = 0;
  };
  bool send(const Event& event);
  void apply(const Effect& effect);
  void check();
  void fail(const std::string& what) {
    if (broken_.empty()) broken_ = what;
  }
  bool take_back();
  void move_world(std::uint8_t with);
  void move_ready(InstanceId id, Thing& thing, std::uint8_t with);
  void note_intent(const effect::WriteIntent& intent);
  void note_grant(const effect::Grant& grant);
  void note_span(const effect::Span& span);
  void end(InstanceId id, const Event& event);
  [[nodiscard]] InstanceId pick_thing(std::uint8_t with) const;
  [[nodiscard]] std::int64_t leases_of(InstanceId id) const;

  ManualClock clock_;
  LifeConfig config_;
  Life life_;
  std::map<InstanceId, Thing> things_;  // what exists
  InstanceId last_id_ = 0;
  std::optional<MonoTime> last_load_start_;
  std::set<Ticket> waiting_;
  std::map<Ticket, MonoTime> deadline_;
  std::map<Ticket, InstanceId> leased_;
  Ticket next_ticket_ = 1;
  std::uint64_t random_ = 0;
  int starts_ = 0;
  int grants_ = 0;
  int most_at_once_ = 0;  // instances
  bool calm_ = false;     // finish(): nothing fails any more
  std::string broken_;
};

}  // namespace dormouse::policy
