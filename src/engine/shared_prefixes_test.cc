// Goal: groups hold rows whose tables really begin alike, over tokens that all of them see; and of several prefixes the
// one that saves most. Method: plans by hand, and random ones against the definition.
#include "engine/shared_prefixes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

namespace dormouse::engine {
namespace {

// Entries of one generated row, whose tables are `prefix` pages from `first_page` on and then pages of their own.
class Plan {
 public:
  explicit Plan(std::size_t entries) { tables_.reserve(entries); }
  void add(std::int32_t position, std::int32_t first_page, std::int32_t prefix, std::int32_t prompt_rows = 0,
           std::int32_t generated = 1) {
    std::vector<sched::PageId>& table = tables_.emplace_back();
    const std::int32_t pages = position / sched::kPageTokens + 1;
    for (std::int32_t i = 0; i < pages; ++i) table.push_back(i < prefix ? first_page + i : own_++);
    const std::int32_t rows = prompt_rows + generated;
    const std::int32_t start = position + 1 - rows;
    plan.entries.push_back({.tokens = std::span(tokens_).first(static_cast<std::size_t>(rows)),
                            .start_position = start,
                            .prompt_length = start + prompt_rows,
                            .pages = table});
    plan.token_count += rows;
  }
  sched::BatchPlan plan;

 private:
  std::vector<std::vector<sched::PageId>> tables_;
  std::vector<sched::TokenId> tokens_ = std::vector<sched::TokenId>(64);
  sched::PageId own_ = 10'000;
};

std::vector<PrefixGroup> groups_of(const Plan& plan) {
  SharedPrefixes prefixes(64);
  prefixes.find(plan.plan);
  return {prefixes.groups().begin(), prefixes.groups().end()};
}
std::vector<std::int32_t> members_of(const Plan& plan) {
  SharedPrefixes prefixes(64);
  prefixes.find(plan.plan);
  std::vector<std::int32_t> out(prefixes.members().begin(), prefixes.members().end());
  std::ranges::sort(out);
  return out;
}

using Groups = std::vector<PrefixGroup>;

TEST(SharedPrefixes, WithoutCommonPagesThereAreNone) {
  Plan plan(8);
  for (int i = 0; i < 8; ++i) plan.add(1000, 0, 0);
  EXPECT_EQ(groups_of(plan), Groups{});
}

TEST(SharedPrefixes, OfAPrefixWholeSplitsAreShared) {
  Plan plan(6);
  for (int i = 0; i < 5; ++i) plan.add(700 + i, 100, 13);
  plan.add(700, 0, 0);
  EXPECT_EQ(groups_of(plan), (Groups{{.begin = 0, .count = 5, .splits = 6}})) << "of 13 pages 12";
  EXPECT_EQ(members_of(plan), (std::vector<std::int32_t>{0, 1, 2, 3, 4}));
}

TEST(SharedPrefixes, TooFewRowsOrSplitsAreNotWorthIt) {
  Plan rows(3);
  for (int i = 0; i < 3; ++i) rows.add(1000, 100, 20);
  EXPECT_EQ(groups_of(rows), Groups{});
  Plan splits(8);
  for (int i = 0; i < 8; ++i) splits.add(1000, 100, 7);
  EXPECT_EQ(groups_of(splits), Groups{});
}

TEST(SharedPrefixes, TwoPromptsAreTwoGroups) {
  Plan plan(10);
  for (int i = 0; i < 5; ++i) {
    plan.add(700, 100, 12);
    plan.add(900, 200, 20);
  }
  Groups groups = groups_of(plan);
  std::ranges::sort(groups, {}, &PrefixGroup::splits);
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].count, 5);
  EXPECT_EQ(groups[0].splits, 6);
  EXPECT_EQ(groups[1].count, 5);
  EXPECT_EQ(groups[1].splits, 10);
  EXPECT_EQ(members_of(plan).size(), 10U);
}

// A row at position p sees tokens 0..p, and its own is written in this step: it shares splits that end before p.
TEST(SharedPrefixes, ARowInsideThePrefixSharesWhatIsBeforeIt) {
  Plan plan(6);
  for (int i = 0; i < 5; ++i) plan.add(1300, 100, 40);
  plan.add(640, 100, 40);
  EXPECT_EQ(groups_of(plan), (Groups{{.begin = 0, .count = 5, .splits = 20}})) << "the five save more without it";
  Plan at(4);
  for (int i = 0; i < 4; ++i) at.add(639 + i, 100, 20);
  EXPECT_EQ(groups_of(at), (Groups{{.begin = 0, .count = 4, .splits = 9}})) << "the first has not all of the tenth";
}

// A system prompt of 6 splits for all, of which five go on together to 30.
TEST(SharedPrefixes, TheLongerPrefixIsTakenWhereItSavesMore) {
  Plan plan(9);
  for (int i = 0; i < 4; ++i) plan.add(2000, 100, 12);
  for (int i = 0; i < 5; ++i) plan.add(2000, 100, 60);
  EXPECT_EQ(groups_of(plan), (Groups{{.begin = 0, .count = 5, .splits = 30}}));
  Plan many(30);
  for (int i = 0; i < 25; ++i) many.add(2000, 100, 12);
  for (int i = 0; i < 4; ++i) many.add(2000, 100, 60);
  EXPECT_EQ(groups_of(many), (Groups{{.begin = 0, .count = 29, .splits = 6}}));
}

// Items are counted through the plan: prompts have none, drafts several.
TEST(SharedPrefixes, APreemptedSequenceMayShareAndDraftsDoNot) {
  Plan plan(8);
  plan.add(700, 100, 12, 8, 0);  // a prompt
  plan.add(700, 100, 12, 0, 3);  // with guesses: items 0..2
  for (int i = 0; i < 3; ++i) plan.add(700, 100, 12);
  plan.add(700, 100, 12, 20, 1);  // comes back after preemption: item 6
  plan.add(700, 0, 0);
  EXPECT_EQ(groups_of(plan), (Groups{{.begin = 0, .count = 4, .splits = 6}}));
  EXPECT_EQ(members_of(plan), (std::vector<std::int32_t>{3, 4, 5, 6}));
}

TEST(SharedPrefixes, RandomGroupsAreDisjointAndTrue) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    Plan plan(40);
    for (int i = 0; i < 40; ++i) {
      const auto prefix = static_cast<std::int32_t>(random() % 50);
      plan.add(static_cast<std::int32_t>(200 + random() % 1500), static_cast<std::int32_t>(random() % 3) * 100, prefix);
    }
    SharedPrefixes prefixes(64);
    prefixes.find(plan.plan);
    std::set<std::int32_t> seen;
    for (const PrefixGroup& group : prefixes.groups()) {
      ASSERT_GE(group.count, SharedPrefixes::kFewestRows);
      ASSERT_GE(group.splits, SharedPrefixes::kFewestSplits);
      const auto members =
          prefixes.members().subspan(static_cast<std::size_t>(group.begin), static_cast<std::size_t>(group.count));
      const auto& first = plan.plan.entries[static_cast<std::size_t>(members[0])];
      for (const std::int32_t member : members) {
        ASSERT_TRUE(seen.insert(member).second);
        const auto& entry = plan.plan.entries[static_cast<std::size_t>(member)];
        ASSERT_LE(64 * group.splits, entry.start_position);
        ASSERT_TRUE(std::equal(entry.pages.begin(), entry.pages.begin() + 2 * group.splits, first.pages.begin()));
      }
    }
    ASSERT_EQ(seen.size(), prefixes.members().size());
  }
}

TEST(SharedPrefixes, WarpsAreFewWhereBlocksAre) {
  const SharingDevice h200{.multiprocessors = 132, .kv_heads = 8, .rows_a_warp = 2, .most_warps = 8};
  const auto warps = [&](std::int32_t rows) {
    return sharing_warps(std::vector<PrefixGroup>{{.begin = 0, .count = rows, .splits = 64}}, h200);
  };
  EXPECT_EQ(sharing_warps({}, h200), 0);
  EXPECT_EQ(warps(8), 0) << "64 rows and heads for 132 multiprocessors";
  EXPECT_EQ(warps(9), 2);
  EXPECT_EQ(warps(33), 4);
  EXPECT_EQ(warps(65), 8);
}

}  // namespace
}  // namespace dormouse::engine
