#include "fleet/drivers/reconcile.h"

namespace dormouse::fleet {

void Reconciler::know(const std::string& instance, MonoTime now) {
  Known known;
  known.since = now;
  known_.emplace(instance, known);
}

void Reconciler::set_id(const std::string& instance, const std::string& id) {
  const auto found = known_.find(instance);
  if (found == known_.end()) return;
  found->second.id = id;
  suspects_.erase({instance, id});
}

void Reconciler::forget(const std::string& instance) {
  known_.erase(instance);
}

// A known instance without an id may have any machine: its create is still on its way.
bool Reconciler::is_ours(const Sighting& sighting) const {
  const auto found = known_.find(sighting.instance);
  return found != known_.end() && (found->second.id.empty() || found->second.id == sighting.id);
}

std::vector<ReconcileAction> Reconciler::observe(std::span<const Sighting> listed, MonoTime now) {
  std::vector<ReconcileAction> actions;
  std::set<Machine> suspects;
  std::set<std::string> present;
  for (const Sighting& sighting : listed) {
    if (sighting.state == MachineState::kStopped) continue;  // costs nothing: neither there nor a stranger
    if (is_ours(sighting)) {
      if (sighting.state != MachineState::kFailed) present.insert(sighting.instance);
      continue;
    }
    const Machine machine(sighting.instance, sighting.id);
    if (!suspects.insert(machine).second || !suspects_.contains(machine)) continue;
    const auto kind =
        known_.contains(sighting.instance) ? ReconcileAction::Kind::kEndDuplicate : ReconcileAction::Kind::kEndStranger;
    actions.push_back({kind, sighting.instance, sighting.id});
  }
  suspects_ = std::move(suspects);
  for (auto& [instance, known] : known_) {
    if (present.contains(instance)) {
      known.seen = true;
      known.missed = 0;
      continue;
    }
    ++known.missed;
    const bool may_be_late = !known.seen && now - known.since < visible_after_;
    if (known.vanished || known.missed < 2 || may_be_late) continue;
    known.vanished = true;
    actions.push_back({ReconcileAction::Kind::kVanished, instance, known.id});
  }
  return actions;
}

}  // namespace dormouse::fleet
