// The KV cache's pages as numbers: who holds which (a sequence, or the prefix cache) is not known here, only which are
// free.
// PURE. Owner: Scheduler. Invariant: a page is either in the pool or was given out exactly once.
#pragma once

#include <cstdint>
#include <vector>

#include "sched/batch_plan.h"

namespace dormouse::sched {

class PagePool {
 public:
  explicit PagePool(std::int32_t page_count);

  [[nodiscard]] std::int32_t page_count() const { return page_count_; }
  [[nodiscard]] std::int32_t free_count() const { return static_cast<std::int32_t>(free_.size()); }
  // Appends `count` pages to `pages`, or none and false.
  [[nodiscard]] bool take(std::int32_t count, std::vector<PageId>& pages);
  void give_back(PageId page);
  // Takes the pages from the `kept`-th on back and shortens `pages` to `kept`.
  void give_back_from(std::size_t kept, std::vector<PageId>& pages);

 private:
  std::int32_t page_count_;
  // A stack: the page freed last is used next, while it is still in the cache and its memory is already touched.
  std::vector<PageId> free_;
};

[[nodiscard]] constexpr std::int64_t pages_for(std::int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

}  // namespace dormouse::sched
