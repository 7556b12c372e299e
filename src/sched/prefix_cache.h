// Pages of prompts that were computed before, kept for whoever sends the same words again: a trie whose edges are whole
// pages of tokens, one trie a tenant. A sequence that walks along it takes pages over instead of computing them.
// What is shared: full pages of PROMPT tokens, within one tenant. A page with a generated token in it is never shared:
// its keys and values are in the other arithmetic (batch_plan.h), so a text would depend on whether there was a hit.
// Found by comparing all of an edge's tokens in an ordered map (10,000 pages are 14 comparisons), not by a hash: no
// prompt, however chosen, can collide with another, or slow the search down.
// PURE. Owner: Scheduler. Invariants:
//  1. Nobody writes a page that is here.
//  2. A node is in use by `references` sequences, or idle. What is above a node in use is in use.
//  3. Idle nodes go least recently used first, each after everything below it: a path is released from its end.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sched/page_pool.h"

namespace dormouse::sched {

class PrefixCache {
 public:
  class Node;
  using Path = std::vector<Node*>;  // from the first page on; its owner is one of each node's references
  using PageTokens = std::span<const TokenId, kPageTokens>;

  // Borrows the pool, where evicted pages go. max_idle_pages: how many are kept while nobody uses them.
  PrefixCache(PagePool& pool, std::int32_t max_idle_pages);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // Appends `count` pages to `pages`, evicting for it, or none and false.
  [[nodiscard]] bool take(std::int32_t count, std::vector<PageId>& pages);
  // What take() could give: free pages and idle ones.
  [[nodiscard]] std::int32_t available() const { return pool_.free_count() + idle_pages(); }

  // One page on from `path`, which gets longer by a hit. The page; none: a miss.
  [[nodiscard]] std::optional<PageId> follow(const std::string& tenant, Path& path, PageTokens tokens);
  // After a miss: a page that is computed becomes everybody's, and the path longer by it.
  void insert(const std::string& tenant, Path& path, PageTokens tokens, PageId page);
  // The path's owner has left. Empties it.
  void release(Path& path);

  [[nodiscard]] std::int32_t idle_pages() const { return static_cast<std::int32_t>(idle_.size()); }

 private:
  // A parent is a number that is never given again: what hung on a node that is gone cannot be found under another.
  struct Key {
    std::uint64_t parent = 0;
    std::array<TokenId, kPageTokens> tokens{};
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Tenant {
    std::uint64_t root = 0;  // parent of first pages
    std::int64_t pages = 0;  // 0: forgotten
  };
  [[nodiscard]] static Key key_of(std::uint64_t parent, PageTokens tokens);
  void evict();

  PagePool& pool_;
  const std::int32_t max_idle_pages_;
  std::uint64_t last_id_ = 0;
  std::map<std::string, Tenant> tenants_;
  std::map<Key, Node> nodes_;
  std::list<Node*> idle_;  // least recently used first
};

class PrefixCache::Node {
  friend class PrefixCache;
  std::uint64_t id_ = 0;
  PageId page_ = 0;
  std::int32_t references_ = 0;
  const Key* key_ = nullptr;             // its own in nodes_
  const std::string* tenant_ = nullptr;  // in tenants_
  std::list<Node*>::iterator idle_at_;   // while references_ == 0
};

}  // namespace dormouse::sched
