// Goal: what is found is what was computed, for this tenant and after these very tokens; what goes, goes in order.
// Method: small tries by hand. The random walk of scheduler_test.cc does the rest.
#include "sched/prefix_cache.h"

#include <gtest/gtest.h>

namespace dormouse::sched {
namespace {

using Tokens = std::array<TokenId, kPageTokens>;

Tokens page(TokenId fill) {
  Tokens out{};
  out.fill(fill);
  return out;
}

class PrefixCacheTest : public testing::Test {
 protected:
  // As a sequence would: what is there, else a page of its own. How many were found.
  int walk(PrefixCache& cache, PrefixCache::Path& path, std::initializer_list<TokenId> fills,
           const std::string& tenant = "a") {
    int found = 0;
    for (const TokenId fill : fills) {
      if (cache.follow(tenant, path, page(fill)).has_value()) {
        ++found;
        continue;
      }
      std::vector<PageId> pages;
      EXPECT_TRUE(cache.take(1, pages));
      cache.insert(tenant, path, page(fill), pages.at(0));
    }
    return found;
  }
  // The same, and it leaves.
  int visit(PrefixCache& cache, std::initializer_list<TokenId> fills, const std::string& tenant = "a") {
    PrefixCache::Path path;
    const int found = walk(cache, path, fills, tenant);
    cache.release(path);
    return found;
  }
  PagePool pool{4};
};

TEST_F(PrefixCacheTest, APathIsFoundAgainUpToWhereItDiffers) {
  PrefixCache cache(pool, 4);
  EXPECT_EQ(visit(cache, {1, 2, 3}), 0);
  EXPECT_EQ(visit(cache, {1, 2, 3}), 3);
  EXPECT_EQ(visit(cache, {1, 2, 4}), 2);
  EXPECT_EQ(cache.idle_pages(), 4);
  EXPECT_EQ(cache.available(), 4);
}

TEST_F(PrefixCacheTest, TheSameTokensAfterOthersAreAnotherPage) {
  PrefixCache cache(pool, 4);
  visit(cache, {1, 2});
  EXPECT_EQ(visit(cache, {2}), 0);
  PrefixCache::Path first;
  PrefixCache::Path second;
  EXPECT_EQ(walk(cache, first, {1, 2}), 2);
  EXPECT_EQ(walk(cache, second, {2}), 1);
  EXPECT_NE(first.at(1), second.at(0));
}

TEST_F(PrefixCacheTest, OneTokenMakesAnotherPage) {
  PrefixCache cache(pool, 4);
  visit(cache, {1});
  for (const std::size_t at : {std::size_t{0}, std::size_t{kPageTokens} - 1}) {
    Tokens other = page(1);
    other.at(at) = 2;
    PrefixCache::Path path;
    EXPECT_FALSE(cache.follow("a", path, other).has_value());
    EXPECT_TRUE(path.empty());
  }
}

TEST_F(PrefixCacheTest, ATenantFindsNothingOfAnother) {
  PrefixCache cache(pool, 4);
  visit(cache, {1, 2}, "a");
  EXPECT_EQ(visit(cache, {1, 2}, "b"), 0);
  EXPECT_EQ(visit(cache, {1, 2}, "a"), 2);
}

TEST_F(PrefixCacheTest, TheLongestUnusedGoesFirstAndFromItsEnd) {
  PrefixCache cache(pool, 4);
  visit(cache, {1, 2});
  visit(cache, {3, 4});
  EXPECT_EQ(visit(cache, {1, 2}), 2) << "used last now";
  std::vector<PageId> pages;
  ASSERT_TRUE(cache.take(1, pages));  // takes 4's
  PrefixCache::Path path;
  EXPECT_TRUE(cache.follow("a", path, page(3)).has_value());
  EXPECT_FALSE(cache.follow("a", path, page(4)).has_value());
  cache.release(path);
  EXPECT_EQ(visit(cache, {1, 2}), 2);
  pool.give_back(pages.at(0));
}

TEST_F(PrefixCacheTest, WhatIsInUseIsNotEvicted) {
  PrefixCache cache(pool, 4);
  PrefixCache::Path path;
  walk(cache, path, {1, 2});
  std::vector<PageId> pages;
  EXPECT_FALSE(cache.take(3, pages));
  EXPECT_TRUE(pages.empty());
  EXPECT_TRUE(cache.take(2, pages));
  cache.release(path);
  EXPECT_TRUE(cache.take(2, pages)) << "idle pages give way";
  EXPECT_EQ(cache.idle_pages(), 0);
  EXPECT_EQ(visit(cache, {}), 0);
  pool.give_back_from(0, pages);
  EXPECT_EQ(visit(cache, {1, 2}), 0) << "evicted pages are forgotten, and their tenant with them";
}

TEST_F(PrefixCacheTest, NoMoreIdlePagesAreKeptThanTheCap) {
  PrefixCache cache(pool, 1);
  visit(cache, {1, 2, 3});
  EXPECT_EQ(cache.idle_pages(), 1);
  EXPECT_EQ(pool.free_count(), 3);
  EXPECT_EQ(visit(cache, {1, 2, 3}), 1) << "the first page is what most paths begin with";
}

}  // namespace
}  // namespace dormouse::sched
