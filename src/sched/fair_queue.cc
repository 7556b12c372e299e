#include "sched/fair_queue.h"

#include <algorithm>

#include "base/check.h"

namespace dormouse::sched {

void FairQueue::push(const std::string& tenant, SequenceId id, std::int64_t cost) {
  Tenant& entry = tenants_[tenant];
  if (entry.items.empty()) ring_.push_back(tenant);
  entry.items.push_back({.id = id, .cost = cost});
  size_ += 1;
  cost_ += cost;
}

std::optional<SequenceId> FairQueue::peek() {
  if (ring_.empty()) return std::nullopt;
  // Ends: every turn adds a quantum to somebody, and costs are finite.
  while (true) {
    Tenant& tenant = tenants_.at(ring_.front());
    if (tenant.deficit >= tenant.items.front().cost) return tenant.items.front().id;
    tenant.deficit += quantum_;
    ring_.splice(ring_.end(), ring_, ring_.begin());
  }
}

void FairQueue::pop() {
  CHECK(!ring_.empty());
  const auto tenant = tenants_.find(ring_.front());
  const Item item = tenant->second.items.front();
  tenant->second.items.pop_front();
  tenant->second.deficit -= item.cost;
  size_ -= 1;
  cost_ -= item.cost;
  forget_if_empty(tenant);
}

bool FairQueue::remove(const std::string& tenant, SequenceId id) {
  const auto entry = tenants_.find(tenant);
  if (entry == tenants_.end()) return false;
  auto& items = entry->second.items;
  const auto item = std::find_if(items.begin(), items.end(), [id](const Item& i) { return i.id == id; });
  if (item == items.end()) return false;
  size_ -= 1;
  cost_ -= item->cost;
  items.erase(item);
  forget_if_empty(entry);
  return true;
}

void FairQueue::forget_if_empty(std::map<std::string, Tenant>::iterator tenant) {
  if (!tenant->second.items.empty()) return;
  ring_.remove(tenant->first);
  tenants_.erase(tenant);
}

}  // namespace dormouse::sched
