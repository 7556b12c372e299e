#include "sched/page_pool.h"

#include "base/check.h"

namespace dormouse::sched {

PagePool::PagePool(std::int32_t page_count) : page_count_(page_count) {
  free_.reserve(static_cast<std::size_t>(page_count));
  for (PageId page = page_count - 1; page >= 0; --page) free_.push_back(page);
}

bool PagePool::take(std::int32_t count, std::vector<PageId>& pages) {
  if (count > free_count()) return false;
  for (std::int32_t i = 0; i < count; ++i) {
    pages.push_back(free_.back());
    free_.pop_back();
  }
  return true;
}

void PagePool::give_back(PageId page) {
  free_.push_back(page);
  CHECK(free_count() <= page_count_);
}

void PagePool::give_back_from(std::size_t kept, std::vector<PageId>& pages) {
  // Backwards, so that a sequence's first page is on top of the stack again.
  while (pages.size() > kept) {
    give_back(pages.back());
    pages.pop_back();
  }
}

}  // namespace dormouse::sched
