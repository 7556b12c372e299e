#include "gateway/last_minute.h"

#include <algorithm>

namespace dormouse::gateway {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

}  // namespace

LastMinute::Cell& LastMinute::cell_at(MonoTime now) {
  const std::int64_t second = now.ns / kSecondNs;
  Cell& cell = cells_[static_cast<std::size_t>(second % kCells)];
  if (cell.second != second) cell = Cell{.second = second};
  return cell;
}

void LastMinute::add_tokens(std::int64_t tokens, MonoTime sent, MonoTime now) {
  Cell& cell = cell_at(now);
  cell.tokens += tokens;
  cell.making += now - std::max(sent, last_token_);
  last_token_ = now;
}

LastMinute::Work LastMinute::until(MonoTime now) const {
  const std::int64_t second = now.ns / kSecondNs;
  Work out;
  std::int64_t tokens = 0;
  Nanoseconds making{0};
  for (const Cell& cell : cells_) {
    if (cell.second <= second - kCells) continue;
    out.requests += cell.requests;
    tokens += cell.tokens;
    making += cell.making;
  }
  if (making.count() > 0)
    out.tokens_per_s = static_cast<double>(tokens) * kSecondNs / static_cast<double>(making.count());
  return out;
}

}  // namespace dormouse::gateway
