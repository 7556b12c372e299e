// Windows in which a deployment is kept awake: looked at once a minute, and only while somebody has one.
#include <ctime>

#include "base/log.h"
#include "fleet/supervisor_impl.h"

namespace dormouse::fleet {

policy::LifeConfig life_config(const DeploymentSpec& spec, bool is_in_window);  // effects.cc

namespace {

std::chrono::seconds local_offset(WallTime now) {
  const std::time_t seconds = now.us / 1'000'000;
  std::tm parts{};
  if (::localtime_r(&seconds, &parts) == nullptr) return std::chrono::seconds(0);
  return std::chrono::seconds(parts.tm_gmtoff);
}

}  // namespace

void Supervisor::Impl::apply_window(Slot& slot) {
  const WallTime now = options.clock->wall();
  const bool is_in_window = policy::is_awake(slot.spec.awake_windows, now, local_offset(now));
  if (!slot.spec.awake_windows.empty()) arm_schedule();
  if (is_in_window == slot.is_in_window) return;
  slot.is_in_window = is_in_window;
  log_info("event=awake_window deployment={} open={}", slot.spec.name, is_in_window);
  dispatch(slot.spec.name, policy::event::Configure{life_config(slot.spec, is_in_window)});
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
