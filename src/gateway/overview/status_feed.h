// The status as events, for all who watch: looked at once a second at most, written once, and new only where something
// changed but the time. Wakes nothing. Owner: the gateway. Threads: the loop's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "gateway/admin_wire.h"

namespace dormouse::gateway {

inline constexpr std::size_t kMaxWatchers = 32;  // one more gets 503

class StatusFeed {
 public:
  struct Snapshot {
    std::int64_t version = 0;  // from 1 on
    std::string event;         // as server-sent events have it
  };
  StatusFeed(const Clock& clock, std::function<StatusView()> view) : clock_(clock), view_(std::move(view)) {}

  // The status as it is, or was less than a second ago.
  const Snapshot& look();

 private:
  const Clock& clock_;
  const std::function<StatusView()> view_;
  Snapshot now_;
  std::string said_;  // of it, what is compared
  std::optional<MonoTime> looked_;
  MonoTime changed_;
};

// Without what changes while nothing happens: ages, time left, this process's own memory.
[[nodiscard]] StatusView without_time(StatusView status);

}  // namespace dormouse::gateway
