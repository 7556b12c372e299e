// Goal: guesses repeat what came before, and stop where they do not pay. Method: sequences by hand.
#include "sched/draft.h"

#include <gtest/gtest.h>

namespace dormouse::sched {
namespace {

using Tokens = std::vector<TokenId>;

Tokens draft(Tokens tokens, std::int32_t count) {
  const std::size_t before = tokens.size();
  const std::int32_t drafted = append_draft(tokens, count);
  EXPECT_EQ(tokens.size(), before + static_cast<std::size_t>(drafted));
  return {tokens.begin() + static_cast<std::ptrdiff_t>(before), tokens.end()};
}

TEST(Draft, FollowsTheLongestEndInCommonNotTheNearest) {
  EXPECT_EQ(draft({1, 2, 3, 4, 50, 51, 9, 3, 4, 60, 61, 1, 2, 3, 4}, 2), (Tokens{50, 51}));
}

TEST(Draft, OfEquallyLongOnesTheLatest) { EXPECT_EQ(draft({1, 2, 50, 1, 2, 60, 1, 2}, 1), (Tokens{60})); }

TEST(Draft, TwoTokensInCommonAreTheLeast) {
  EXPECT_EQ(draft({1, 2, 50, 3, 2}, 3), Tokens{});
  EXPECT_EQ(draft({1, 2, 50, 1, 2}, 1), (Tokens{50}));
}

TEST(Draft, AShortPeriodGoesOnForAsLongAsWanted) {
  EXPECT_EQ(draft({8, 1, 2, 1, 2}, 7), (Tokens{1, 2, 1, 2, 1, 2, 1}));
  EXPECT_EQ(draft({5, 5, 5}, 4), (Tokens{5, 5, 5, 5}));
}

TEST(Draft, WithoutTokensOrRoomThereIsNone) {
  EXPECT_EQ(draft({}, 7), Tokens{});
  EXPECT_EQ(draft({5}, 7), Tokens{});
  EXPECT_EQ(draft({5, 5}, 7), Tokens{}) << "two in common, of three";
  EXPECT_EQ(draft({5, 5, 5}, 0), Tokens{});
}

TEST(DraftLength, GrowsWhileGuessesAreRightAndShrinksToWhatWas) {
  DraftLength length;
  EXPECT_EQ(length.next(), 3);
  length.learn(3, 3, 0.1);
  EXPECT_EQ(length.next(), 6);
  length.learn(6, 6, 0.1);
  EXPECT_EQ(length.next(), kMaxDraft);
  length.learn(7, 2, 0.1);
  EXPECT_EQ(length.next(), 3);
  length.learn(3, 0, 0.1);
  EXPECT_EQ(length.next(), 1);
}

// Steps until the next guess.
int rest_of(DraftLength& length) {
  int steps = 0;
  while (length.next() == 0) ++steps;
  return steps;
}

TEST(DraftLength, RestsLongerEachTimeGuessesDoNotPay) {
  DraftLength length;
  int misses = 0;
  while (length.next() > 0) {
    length.learn(1, 0, 0.1);
    ASSERT_LT(++misses, 10);
  }
  EXPECT_EQ(misses, 6);  // 0.5 * 0.75^6 < 0.1
  EXPECT_EQ(rest_of(length), 15) << "one was counted above";
  for (const int rest : {32, 64, 128, 256, 512, 512}) {
    length.learn(1, 0, 0.1);
    EXPECT_EQ(rest_of(length), rest);
  }
  length.learn(1, 1, 0.1);
  length.learn(2, 2, 0.1);
  EXPECT_EQ(length.next(), 4) << "and goes on as soon as they pay";
  while (rest_of(length) == 0) length.learn(1, 0, 0.1);
}

TEST(DraftLength, DearRowsNeedGoodGuesses) {
  DraftLength cheap;
  DraftLength dear;
  cheap.learn(4, 2, 0.05);
  dear.learn(4, 2, 0.6);
  EXPECT_GT(cheap.next(), 0);
  EXPECT_EQ(dear.next(), 0);
}

}  // namespace
}  // namespace dormouse::sched
