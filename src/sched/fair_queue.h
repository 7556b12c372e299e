// Who is admitted next: first in, first out within a tenant, deficit round robin between tenants (Shreedhar and
// Varghese, 1995), so that one tenant with a thousand requests delays another's first by one turn and not by a
// thousand.
// PURE. Owner: Scheduler. Invariants: (1) a tenant is in the ring iff it has items; (2) a tenant's deficit is dropped
// when its last item leaves: an idle tenant saves nothing up.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>

#include "sched/batch_plan.h"

namespace dormouse::sched {

class FairQueue {
 public:
  // quantum: cost a tenant may spend in one turn, > 0.
  explicit FairQueue(std::int64_t quantum) : quantum_(quantum) {}

  void push(const std::string& tenant, SequenceId id, std::int64_t cost);
  // The next one, without taking it: asking again gives the same until pop() or a remove() of it.
  [[nodiscard]] std::optional<SequenceId> peek();
  // Takes what peek() gave.
  void pop();
  // False: not in here. Cost: linear in the tenant's items.
  bool remove(const std::string& tenant, SequenceId id);

  [[nodiscard]] std::int64_t size() const { return size_; }
  [[nodiscard]] std::int64_t cost() const { return cost_; }

 private:
  struct Item {
    SequenceId id = 0;
    std::int64_t cost = 0;
  };
  struct Tenant {
    std::deque<Item> items;
    std::int64_t deficit = 0;
  };
  void forget_if_empty(std::map<std::string, Tenant>::iterator tenant);

  const std::int64_t quantum_;
  std::int64_t size_ = 0;
  std::int64_t cost_ = 0;
  std::map<std::string, Tenant> tenants_;
  std::list<std::string> ring_;  // whose turn it is first
};

}  // namespace dormouse::sched
