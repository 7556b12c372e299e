// Windows in which a deployment is kept awake: looked at once a minute, and only while somebody has one.
#include <ctime>

#include "base/log.h"
#include "fleet/supervisor_impl.h"

namespace dormouse::fleet {

namespace {

std::chrono::seconds local_offset(WallTime now) {
  const std::time_t seconds = now.us / 1'000'000;
  std::tm parts{};
  if (::localtime_r(&seconds, &parts) == nullptr) return std::chrono::seconds(0);
  return std::chrono::seconds(parts.tm_gmtoff);
}

}  // namespace

bool Supervisor::Impl::window_is_open(const Slot& slot) const {
  const WallTime now = options.clock->wall();
  return policy::is_awake(slot.spec.awake_windows, now, local_offset(now));
}

// One event: between a spec without its window and the same within it an idle instance would be put to sleep.
void Supervisor::Impl::configure(Slot& slot) {
  slot.is_in_window = window_is_open(slot);
  if (!slot.spec.awake_windows.empty()) arm_schedule();
  dispatch(slot.spec.name, policy::event::Configure{life_config(slot.spec, slot.is_in_window)});
}

void Supervisor::Impl::apply_window(Slot& slot) {
  if (!slot.spec.awake_windows.empty()) arm_schedule();
  if (window_is_open(slot) == slot.is_in_window) return;
  log_info("event=awake_window deployment={} open={}", slot.spec.name, !slot.is_in_window);
  configure(slot);
}

// At the beginning of the next minute of wall time; a clock that was set is noticed within a minute.
void Supervisor::Impl::arm_schedule() {
  if (std::exchange(schedule_armed, true)) return;
  constexpr std::int64_t kMinute = 60'000'000;
  const std::int64_t left_us = kMinute - options.clock->wall().us % kMinute;
  schedule_timer.expires_after(std::chrono::microseconds(left_us));
  const std::weak_ptr<Lease::Anchor> weak = anchor;
  schedule_timer.async_wait([weak](const boost::system::error_code& ec) {
    const std::shared_ptr<Lease::Anchor> alive = weak.lock();
    if (ec || alive == nullptr) return;
    Impl& impl = *alive->impl;
    impl.schedule_armed = false;
    std::vector<std::string> names;
    for (const auto& [name, slot] : impl.slots) names.push_back(name);
    for (const std::string& name : names) {
      if (Slot* const slot = impl.find(name)) impl.apply_window(*slot);
    }
  });
}

}  // namespace dormouse::fleet
