// A walk: any sequence of bytes becomes events at a Life, with a model of the world around it (what the driver and the
// worker do), and after each event the invariants of life.h are checked. Used by the random test and by the fuzzer.
#pragma once

#include <cstdint>
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

 private:
  // kDurable: the intent is, and the answer may be a start, or nothing if the sleep verb overtook it.
  enum class World { kNothing, kIntent, kDurable, kStarting, kLoading, kReady, kExiting };
  bool send(const Event& event);
  void apply(const Effect& effect);
  void check();
  void fail(const std::string& what) {
    if (broken_.empty()) broken_ = what;
  }
  void move_world(std::uint8_t with);
  bool cut_or_mend(std::uint8_t with);

  ManualClock clock_;
  LifeConfig config_;
  Life life_;
  World world_ = World::kNothing;
  std::optional<MonoTime> link_lost_at_;  // of the instance, a remote one then
  InstanceId instance_ = 0;
  std::set<Ticket> waiting_;
  std::map<Ticket, MonoTime> deadline_;
  std::set<Ticket> leased_;
  Ticket next_ticket_ = 1;
  std::uint64_t random_ = 0;
  std::uint64_t steps_ = 0;
  int starts_ = 0;
  int grants_ = 0;
  bool calm_ = false;  // finish(): nothing fails any more
  std::string broken_;
};

}  // namespace dormouse::policy
