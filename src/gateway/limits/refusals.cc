#include "gateway/limits/refusals.h"

#include <algorithm>
#include <array>
#include <utility>

namespace dormouse::gateway {
namespace {

constexpr std::int64_t kMinuteUs = 60'000'000;
constexpr std::size_t kMostEndedRows = 3 * RefusalCounts::kMostRows;

constexpr std::array<std::string_view, 12> kRefusals{
    "missing_api_key",    "invalid_api_key",   "expired_api_key",     "insufficient_scope",
    "model_not_allowed",  "rate_limit_tokens", "rate_limit_requests", "rate_limit_concurrency",
    "insufficient_quota", "overloaded",        "queue_full",          "draining"};

}  // namespace

bool RefusalCounts::is_refusal(std::string_view code) {
  return std::find(kRefusals.begin(), kRefusals.end(), code) != kRefusals.end();
}

void RefusalCounts::count(WallTime now, std::string_view key_id, std::string_view deployment, std::string_view reason) {
  const std::int64_t minute = now.us / kMinuteUs;
  if (minute != minute_) {
    close_minute();
    minute_ = minute;
  }
  const Label label{key_id, deployment, reason};
  // Reasons are a fixed set, so this row fits.
  const bool fits = counts_.size() < kMostRows || counts_.find(label) != counts_.end();
  add(fits ? label : Label{kOther, kOther, reason});
}

void RefusalCounts::add(const Label& label) {
  auto found = counts_.find(label);
  if (found == counts_.end()) {
    Row row{std::string(label.key_id), std::string(label.deployment), std::string(label.reason)};
    found = counts_.emplace(std::move(row), 0).first;
  }
  ++found->second;
}

void RefusalCounts::close_minute() {
  for (const auto& [row, count] : counts_) {
    ended_.push_back({minute_ * kMinuteUs, row.key_id, row.deployment, row.reason, count});
  }
  counts_.clear();
  const std::size_t over = ended_.size() - std::min(ended_.size(), kMostEndedRows);
  ended_.erase(ended_.begin(), ended_.begin() + static_cast<std::ptrdiff_t>(over));
}

std::vector<RefusalCount> RefusalCounts::take_ended(WallTime now) {
  if (now.us / kMinuteUs != minute_) close_minute();
  return std::exchange(ended_, {});
}

std::vector<RefusalCount> RefusalCounts::take_all() {
  close_minute();
  return std::exchange(ended_, {});
}

}  // namespace dormouse::gateway
