// Who sleeps so that another model fits. Pure. Threads: any.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"

namespace dormouse::policy {

// A deployment's instances in the memory that is shared.
struct Resident {
  std::string name;
  std::int64_t bytes = 0;
  MonoTime last_used;
  bool is_idle = false;     // ready, without a request or a waiter, and not to be kept awake
  bool is_leaving = false;  // on its way down: its bytes come back
};

enum class Room { kFits, kLater, kNever };
struct RoomVerdict {
  Room room = Room::kFits;
  std::vector<std::string> put_to_sleep;  // least recently used first; kLater only
};

// Whether `need` bytes fit into `budget` beside the residents. Loading and serving ones are never put to sleep; nobody
// is, where all the idle ones together would not make the room.
[[nodiscard]] RoomVerdict make_room(std::int64_t need, std::int64_t budget, std::span<const Resident> residents);

}  // namespace dormouse::policy
