#include "sched/prefix_cache.h"

#include <algorithm>

#include "base/check.h"

namespace dormouse::sched {

PrefixCache::PrefixCache(PagePool& pool, std::int32_t max_idle_pages) : pool_(pool), max_idle_pages_(max_idle_pages) {}

PrefixCache::~PrefixCache() = default;

bool PrefixCache::take(std::int32_t count, std::vector<PageId>& pages) {
  if (count > available()) return false;
  while (pool_.free_count() < count) evict();
  return pool_.take(count, pages);
}

PrefixCache::Key PrefixCache::key_of(std::uint64_t parent, PageTokens tokens) {
  Key key;
  key.parent = parent;
  std::copy(tokens.begin(), tokens.end(), key.tokens.begin());
  return key;
}

std::optional<PageId> PrefixCache::follow(const std::string& tenant, Path& path, PageTokens tokens) {
  std::uint64_t parent = 0;
  if (path.empty()) {
    const auto entry = tenants_.find(tenant);
    if (entry == tenants_.end()) return std::nullopt;
    parent = entry->second.root;
  } else {
    parent = path.back()->id_;
  }
  const auto found = nodes_.find(key_of(parent, tokens));
  if (found == nodes_.end()) return std::nullopt;
  Node& node = found->second;
  if (node.references_ == 0) idle_.erase(node.idle_at_);
  node.references_ += 1;
  path.push_back(&node);
  return node.page_;
}

void PrefixCache::insert(const std::string& tenant, Path& path, PageTokens tokens, PageId page) {
  const auto [entry, is_new_tenant] = tenants_.try_emplace(tenant);
  if (is_new_tenant) entry->second.root = ++last_id_;
  entry->second.pages += 1;
  const std::uint64_t parent = path.empty() ? entry->second.root : path.back()->id_;
  const auto [found, inserted] = nodes_.try_emplace(key_of(parent, tokens));
  CHECK(inserted);
  Node& node = found->second;
  node.id_ = ++last_id_;
  node.page_ = page;
  node.references_ = 1;
  node.key_ = &found->first;
  node.tenant_ = &entry->first;
  path.push_back(&node);
}

void PrefixCache::release(Path& path) {
  while (!path.empty()) {
    Node& node = *path.back();
    path.pop_back();
    node.references_ -= 1;
    CHECK(node.references_ >= 0);
    if (node.references_ == 0) node.idle_at_ = idle_.insert(idle_.end(), &node);
  }
  while (idle_pages() > max_idle_pages_) evict();
}

void PrefixCache::evict() {
  CHECK(!idle_.empty());
  Node& node = *idle_.front();
  idle_.pop_front();
  pool_.give_back(node.page_);
  const auto tenant = tenants_.find(*node.tenant_);
  tenant->second.pages -= 1;
  if (tenant->second.pages == 0) tenants_.erase(tenant);
  nodes_.erase(nodes_.find(*node.key_));
}

}  // namespace dormouse::sched
