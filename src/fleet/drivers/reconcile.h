// Compares what we know with what the provider shows, and says what to do. Pure: events in, actions out, no I/O.
// Owner: RemoteDriver. Invariants:
//   1. A machine is ended as a stranger or a duplicate only after two observations in a row showed it as such.
//   2. The machine we hold for a known instance is never ended here.
//   3. An instance vanishes at most once, after two observations in a row without it, and, if it has never been shown,
//      not before `visible_after` has passed: a provider may show what it made late.
//   4. An observation that failed is no observation.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "fleet/drivers/provider.h"

namespace dormouse::fleet {

struct ReconcileAction {
  enum class Kind {
    kEndStranger,   // nobody knows its instance
    kEndDuplicate,  // its instance is known and has another machine
    kVanished,      // a known instance's machine is gone, stopped or failed
  };
  Kind kind = Kind::kEndStranger;
  std::string instance;
  std::string id;  // empty for a vanished one that never had an id
};

class Reconciler {
 public:
  explicit Reconciler(Nanoseconds visible_after) : visible_after_(visible_after) {}

  // From before the machine is asked for until its end is confirmed. `id` is told when the provider has given it.
  void know(const std::string& instance, MonoTime now);
  void set_id(const std::string& instance, const std::string& id);
  void forget(const std::string& instance);
  // One complete list.
  [[nodiscard]] std::vector<ReconcileAction> observe(std::span<const Sighting> listed, MonoTime now);

 private:
  struct Known {
    MonoTime since;
    std::string id;  // empty: not yet told
    bool seen = false;
    bool vanished = false;
    int missed = 0;  // observations in a row
  };
  using Machine = std::pair<std::string, std::string>;  // instance, id

  [[nodiscard]] bool is_ours(const Sighting& sighting) const;
  Nanoseconds visible_after_;
  std::map<std::string, Known> known_;
  std::set<Machine> suspects_;  // strangers and duplicates of the observation before
};

}  // namespace dormouse::fleet
