// Starts on this machine wait until their memory is free; the least recently used idle deployment makes room.
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/log.h"
#include "fleet/supervisor_impl.h"

namespace dormouse::fleet {

bool Supervisor::Impl::is_local(const std::string& driver) const {
  return std::find(options.local_drivers.begin(), options.local_drivers.end(), driver) != options.local_drivers.end();
}

// Events of an effect go the long way round: never from inside dispatch().
void Supervisor::Impl::post_event(const std::string& name, policy::Event event) {
  const std::weak_ptr<Lease::Anchor> weak = anchor;
  asio::post(*options.io, [weak, name, event = std::move(event)] {
    const std::shared_ptr<Lease::Anchor> alive = weak.lock();
    if (alive != nullptr) alive->impl->dispatch(name, event);
  });
}

std::vector<policy::Resident> Supervisor::Impl::residents() const {
  std::vector<policy::Resident> out;
  const MonoTime now = options.clock->now();
  for (const auto& [name, slot] : slots) {
    const policy::LifeStatus status = slot->life.status(now);
    policy::Resident staying{.name = name, .last_used = slot->last_used};
    policy::Resident leaving{.name = name, .last_used = slot->last_used, .is_leaving = true};
    bool all_ready = true;
    for (const policy::InstanceView& view : status.instances) {
      const auto found = slot->instances.find(view.id);
      if (found == slot->instances.end() || !found->second.is_started || !is_local(found->second.driver)) continue;
      const bool goes = view.state == policy::State::kDraining || view.state == policy::State::kStopping;
      (goes ? leaving : staying).bytes += slot->spec.memory_bytes;
      all_ready = all_ready && view.state == policy::State::kReady;
    }
    const bool must_stay = slot->spec.min_instances > 0 || slot->is_in_window;
    staying.is_idle = all_ready && status.leases == 0 && status.waiting == 0 && !must_stay;
    if (staying.bytes > 0) out.push_back(std::move(staying));
    if (leaving.bytes > 0) out.push_back(std::move(leaving));
  }
  return out;
}

void Supervisor::Impl::start_when_it_fits(Slot& slot, policy::InstanceId id) {
  const bool is_bounded = options.memory_budget > 0 && is_local(slot.instances.at(id).driver);
  if (!is_bounded) return start_now(slot, id);
  waiting_starts.push_back({slot.spec.name, id});  // dispatch() looks after them when the event is done
}

bool Supervisor::Impl::forget_waiting_start(const std::string& name, policy::InstanceId id) {
  return std::erase_if(waiting_starts, [&](const WaitingStart& w) { return w.name == name && w.id == id; }) > 0;
}

// In order: a small model behind a large one waits too, else the large one would wait for ever.
void Supervisor::Impl::admit_waiting_starts() {
  while (!waiting_starts.empty()) {
    const WaitingStart first = waiting_starts.front();
    Slot* const slot = find(first.name);
    const bool is_there = slot != nullptr && slot->instances.contains(first.id);
    if (!is_there) {
      waiting_starts.erase(waiting_starts.begin());
      continue;
    }
    const std::int64_t need = slot->spec.memory_bytes;
    const policy::RoomVerdict verdict = policy::make_room(need, options.memory_budget, residents());
    if (verdict.room == policy::Room::kLater) {
      for (const std::string& name : verdict.put_to_sleep) {
        log_info("event=evicted deployment={} for={}", name, first.name);
        post_event(name, policy::event::Evict{});
      }
      return;
    }
    waiting_starts.erase(waiting_starts.begin());
    if (verdict.room == policy::Room::kFits) {
      start_now(*slot, first.id);
      continue;
    }
    const std::string why = fmt::format(
        "it needs {:.1f} GB and models may take {:.1f} GB of this machine's memory: choose a smaller quantisation or "
        "context",
        static_cast<double>(need) / 1e9, static_cast<double>(options.memory_budget) / 1e9);
    post_event(first.name, policy::event::StartFailed{first.id, why});
  }
}

}  // namespace dormouse::fleet
