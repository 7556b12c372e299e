#include "gateway/answer_cache.h"

#include <chrono>
#include <utility>

namespace dormouse::gateway {
namespace {

constexpr std::chrono::hours kKept{24};  // as long as the ledger knows the key

}  // namespace

void AnswerCache::put(const std::string& request_id, KeptAnswer answer) {
  if (answer.body.size() > kMaxBytes) return;
  const std::size_t size = answer.body.size();
  if (!answers_.emplace(request_id, std::move(answer)).second) return;
  order_.push_back(request_id);
  bytes_ += size;
  while (bytes_ > kMaxTotalBytes) drop_oldest();
}

const KeptAnswer* AnswerCache::find(const std::string& request_id, MonoTime now) {
  while (!order_.empty() && now - answers_.at(order_.front()).at > kKept) drop_oldest();
  const auto found = answers_.find(request_id);
  return found == answers_.end() ? nullptr : &found->second;
}

void AnswerCache::drop_oldest() {
  const auto oldest = answers_.find(order_.front());
  bytes_ -= oldest->second.body.size();
  answers_.erase(oldest);
  order_.pop_front();
}

}  // namespace dormouse::gateway
