// Goal: a machine that has become slow is told apart from one that is merely busy. Method: answers at stated speeds on
// a clock moved by hand; the 30-and-20 rule's own numbers.
#include "policy/degraded.h"

#include <gtest/gtest.h>

namespace dormouse::policy {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using Change = Degraded::Change;

constexpr Nanoseconds kStep = seconds(10);

// One deployment, observed every ten seconds.
struct Bench {
  explicit Bench(double expected) : degraded(config(expected)) {}
  static DegradedConfig config(double expected) {
    DegradedConfig out;
    out.expected = expected;
    return out;
  }
  // Answers of 100 tokens at so many a second each, `together` at once, for so long. The changes that came.
  std::vector<Change> answer(double tokens_per_second, Nanoseconds time, std::int64_t together = 1) {
    std::vector<Change> out;
    const auto decode = Nanoseconds(static_cast<std::int64_t>(100 / tokens_per_second * 1e9));
    for (const MonoTime end = now + time; now < end;) {
      now = now + kStep;
      for (std::int64_t i = 0; i < together; ++i) degraded.observe({100, decode, together}, now);
      note(out);
    }
    return out;
  }
  std::vector<Change> silence(Nanoseconds time) {
    std::vector<Change> out;
    for (const MonoTime end = now + time; now < end;) {
      now = now + kStep;
      note(out);
    }
    return out;
  }
  void note(std::vector<Change>& out) {
    const Change change = degraded.update(now);
    if (change != Change::kNone) out.push_back(change);
  }
  Degraded degraded;
  MonoTime now{1'000'000'000};
};

using Changes = std::vector<Change>;

TEST(Degraded, ThirtyIsRightAndUnderTwentyIsNot) {
  Bench bench(30);
  EXPECT_EQ(bench.answer(30, minutes(30)), Changes{});
  EXPECT_EQ(bench.answer(20.5, minutes(30)), Changes{}) << "slower, and still right";
  EXPECT_NEAR(*bench.degraded.verdict().measured, 20.5, 0.01);
  const MonoTime turned = bench.now;
  EXPECT_EQ(bench.answer(12, minutes(20)), Changes{Change::kRaised});
  const Degraded::Verdict verdict = bench.degraded.verdict();
  EXPECT_TRUE(verdict.is_degraded);
  EXPECT_NEAR(*verdict.measured, 12, 0.01);
  EXPECT_EQ(*verdict.expected, 30);
  EXPECT_FALSE(verdict.is_learned);
  ASSERT_TRUE(verdict.since.has_value());
  EXPECT_LT(*verdict.since - turned, minutes(5)) << "since it was slow, not since it was said";
}

TEST(Degraded, ASlowMinuteIsNoVerdict) {
  Bench bench(30);
  bench.answer(30, minutes(10));
  EXPECT_EQ(bench.answer(5, minutes(1)), Changes{});
  EXPECT_EQ(bench.answer(30, minutes(10)), Changes{});
}

TEST(Degraded, ItTakesFiveSlowMinutes) {
  Bench bench(30);
  EXPECT_EQ(bench.answer(10, minutes(5)), Changes{});
  EXPECT_EQ(bench.answer(10, minutes(1)), Changes{Change::kRaised});
}

TEST(Degraded, BetweenTheTwoBoundsAVerdictStands) {
  Bench bench(30);
  bench.answer(10, minutes(10));
  ASSERT_TRUE(bench.degraded.verdict().is_degraded);
  EXPECT_EQ(bench.answer(22, minutes(30)), Changes{}) << "over 20, under 24: no flapping";
  EXPECT_EQ(bench.answer(25, minutes(10)), Changes{Change::kCleared});
  EXPECT_FALSE(bench.degraded.verdict().since.has_value());
  EXPECT_EQ(bench.answer(22, minutes(30)), Changes{});
}

TEST(Degraded, TwoAnswersAreNoEvidenceAndFiveOrFiveHundredTokensAre) {
  Degraded degraded(Bench::config(30));
  MonoTime now{1'000'000'000};
  for (int i = 0; i < 4; ++i) degraded.observe({10, seconds(10), 1}, now);
  degraded.update(now);
  EXPECT_FALSE(degraded.verdict().measured.has_value());
  degraded.observe({10, seconds(10), 1}, now);
  degraded.update(now);
  EXPECT_NEAR(*degraded.verdict().measured, 1.0, 1e-9);
  Degraded one(Bench::config(30));
  one.observe({500, seconds(50), 1}, now);
  one.update(now);
  EXPECT_NEAR(*one.verdict().measured, 10.0, 1e-9);
}

TEST(Degraded, SilenceStartsAnewAndDoesNotClear) {
  Bench bench(30);
  bench.answer(10, minutes(4));
  EXPECT_EQ(bench.silence(minutes(20)), Changes{});
  EXPECT_EQ(bench.answer(10, minutes(4)), Changes{}) << "the slow minutes before the silence do not count";
  EXPECT_EQ(bench.answer(10, minutes(3)), Changes{Change::kRaised});
  EXPECT_EQ(bench.silence(minutes(60)), Changes{}) << "nothing has become better";
  EXPECT_TRUE(bench.degraded.verdict().is_degraded);
  EXPECT_EQ(bench.answer(30, minutes(2)), Changes{Change::kCleared});
}

TEST(Degraded, ManyAtOnceAreNotANeighbour) {
  Bench bench(30);
  // Eight streams of 8 a second: 64 together, more than one alone would make.
  EXPECT_EQ(bench.answer(8, minutes(30), 8), Changes{});
  // Eight streams that make 12 together are slow whoever asks.
  EXPECT_EQ(bench.answer(1.5, minutes(30), 8), Changes{Change::kRaised});
}

TEST(Degraded, WhatIsRightIsLearnedFromTheFirstHourWithAnswers) {
  Bench bench(0);
  bench.answer(40, minutes(30));
  EXPECT_FALSE(bench.degraded.verdict().expected.has_value());
  bench.silence(minutes(120));
  EXPECT_FALSE(bench.degraded.verdict().expected.has_value()) << "silence teaches nothing";
  bench.answer(20, minutes(15), 8);  // 160 together: no standard for one
  bench.answer(30, minutes(40));
  ASSERT_TRUE(bench.degraded.verdict().expected.has_value());
  EXPECT_NEAR(*bench.degraded.verdict().expected, 40, 0.01) << "the best that a window sustained";
  EXPECT_TRUE(bench.degraded.verdict().is_learned);
  EXPECT_EQ(bench.answer(50, minutes(60)), Changes{});
  EXPECT_NEAR(*bench.degraded.verdict().expected, 40, 0.01) << "learned once";
  EXPECT_EQ(bench.answer(20, minutes(30)), Changes{Change::kRaised});
}

TEST(Degraded, WhatIsExpectedMayBeToldLater) {
  Bench bench(0);
  EXPECT_EQ(bench.answer(10, minutes(20)), Changes{});
  bench.degraded.expect(30);
  EXPECT_EQ(bench.answer(10, minutes(6)), Changes{Change::kRaised});
  bench.degraded.expect(10);
  EXPECT_EQ(bench.answer(10, minutes(1)), Changes{Change::kCleared});
}

TEST(Degraded, NothingOfAnAnswerIsDividedByZero) {
  Degraded degraded(Bench::config(30));
  const MonoTime now{1'000'000'000};
  for (int i = 0; i < 100; ++i) {
    degraded.observe({0, seconds(1), 1}, now);
    degraded.observe({5, seconds(0), 1}, now);
    degraded.observe({-5, seconds(1), 1}, now);
  }
  EXPECT_EQ(degraded.update(now), Change::kNone);
  EXPECT_FALSE(degraded.verdict().measured.has_value());
}

}  // namespace
}  // namespace dormouse::policy
