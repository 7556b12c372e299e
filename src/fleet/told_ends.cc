#include "fleet/told_ends.h"

#include <utility>

namespace dormouse::fleet {

void ToldEnds::put(const control::Ended& ended) {
  const auto waiter = waiters_.find(ended.request_id);
  if (waiter != waiters_.end()) {
    waiter->second->ended = ended;
    waiter->second->timer.cancel();
    return;
  }
  if (!kept_.emplace(ended.request_id, ended).second) return;
  order_.push_back(ended.request_id);
  if (order_.size() <= kMaxKept) return;
  kept_.erase(order_.front());
  order_.pop_front();
}

Task<std::optional<control::Ended>> ToldEnds::wait(std::string request_id, std::chrono::milliseconds wait) {
  const auto kept = kept_.find(request_id);
  if (kept != kept_.end()) {
    std::optional<control::Ended> ended = std::move(kept->second);
    kept_.erase(kept);
    std::erase(order_, request_id);
    co_return ended;
  }
  Waiter waiter(io_);
  waiter.timer.expires_after(wait);
  waiters_[request_id] = &waiter;
  static_cast<void>(co_await waiter.timer.async_wait(kTuple));
  waiters_.erase(request_id);
  co_return std::move(waiter.ended);
}

}  // namespace dormouse::fleet
