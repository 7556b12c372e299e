#include "policy/memory.h"

#include <algorithm>

namespace dormouse::policy {

RoomVerdict make_room(std::int64_t need, std::int64_t budget, std::span<const Resident> residents) {
  if (need > budget) return {.room = Room::kNever, .put_to_sleep = {}};
  std::int64_t staying = 0;
  std::int64_t leaving = 0;
  std::vector<const Resident*> idle;
  for (const Resident& resident : residents) {
    (resident.is_leaving ? leaving : staying) += resident.bytes;
    if (resident.is_idle && !resident.is_leaving) idle.push_back(&resident);
  }
  if (staying + leaving + need <= budget) return {};
  RoomVerdict out{.room = Room::kLater, .put_to_sleep = {}};
  std::sort(idle.begin(), idle.end(), [](const Resident* a, const Resident* b) { return a->last_used < b->last_used; });
  for (const Resident* resident : idle) {
    if (staying + need <= budget) break;
    out.put_to_sleep.push_back(resident->name);
    staying -= resident->bytes;
  }
  if (staying + need > budget) out.put_to_sleep.clear();
  return out;
}

}  // namespace dormouse::policy
