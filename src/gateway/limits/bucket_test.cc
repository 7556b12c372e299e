// Goal: a bucket lets through what its limit says over every span of time, whatever the clock does, and no fraction is
// lost or made. Method: the clock is an argument; random walks against an exact model with a token in 6e10 parts, and
// against the definition itself (the sum over every window).
#include "gateway/limits/bucket.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <vector>

namespace dormouse::gateway {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr MonoTime kStart{1'000'000'000'000};

// Printed on failure; DORMOUSE_SEED repeats a walk.
std::uint32_t seed() {
  const char* const given = std::getenv("DORMOUSE_SEED");
  std::uint32_t out = 20261126;
  for (const char* c = given; c != nullptr && *c >= '0' && *c <= '9'; ++c) {
    out = (c == given ? 0 : out) * 10 + static_cast<std::uint32_t>(*c - '0');
  }
  return out;
}

TEST(Bucket, TheWholeMinuteMayBeTakenAtOnceAndComesBackEvenly) {
  Bucket bucket(60, kStart);
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(bucket.take(1, kStart)) << i;
  EXPECT_FALSE(bucket.take(1, kStart));
  EXPECT_EQ(bucket.available(kStart), 0);
  EXPECT_EQ(bucket.wait_for(1, kStart), seconds(1));
  EXPECT_EQ(bucket.wait_until_full(kStart), minutes(1));
  const MonoTime almost = kStart + (seconds(1) - microseconds(1));
  EXPECT_FALSE(bucket.take(1, almost));
  EXPECT_EQ(bucket.wait_for(1, almost), microseconds(1));
  EXPECT_TRUE(bucket.take(1, kStart + seconds(1)));
  EXPECT_FALSE(bucket.take(1, kStart + seconds(1)));
  EXPECT_EQ(bucket.available(kStart + seconds(31)), 30);
  EXPECT_EQ(bucket.available(kStart + hours(9)), 60) << "never more than full";
}

TEST(Bucket, ARefusedTakeChangesNothing) {
  Bucket bucket(100, kStart);
  ASSERT_TRUE(bucket.take(90, kStart));
  for (int i = 0; i < 10'000; ++i) ASSERT_FALSE(bucket.take(11, kStart));
  EXPECT_TRUE(bucket.take(10, kStart));
}

TEST(Bucket, NoLimitIsNoBucket) {
  Bucket none;
  EXPECT_FALSE(none.is_limited());
  EXPECT_TRUE(none.take(INT64_MAX, kStart));
  EXPECT_TRUE(none.can_take(INT64_MAX, kStart));
  none.give_back(5, kStart);
  none.charge(5, kStart);
  EXPECT_EQ(none.wait_for(7, kStart), Nanoseconds(0));
  EXPECT_EQ(none.missing(kStart), 0);
  EXPECT_FALSE(Bucket(-3, kStart).is_limited());
}

// Goal (T-57): a clock that jumps neither refuses what is due nor gives what is not.
TEST(Bucket, AClockThatJumpsDoesNoHarm) {
  Bucket bucket(60, kStart);
  ASSERT_TRUE(bucket.take(60, kStart));
  for (const Nanoseconds back : {Nanoseconds(seconds(1)), Nanoseconds(hours(1)), Nanoseconds(hours(24))}) {
    EXPECT_FALSE(bucket.take(1, kStart + -back)) << "back gives nothing";
    EXPECT_EQ(bucket.wait_for(1, kStart + -back), seconds(1) + back);
  }
  EXPECT_TRUE(bucket.take(1, kStart + seconds(1))) << "what a look from the past left is as it was";
  // Eight hours asleep: one bucket full, not four hundred.
  const MonoTime awake = kStart + hours(8);
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(bucket.take(1, awake));
  EXPECT_FALSE(bucket.take(1, awake));
  // The end of a 64-bit clock overflows nothing.
  const MonoTime end{INT64_MAX};
  EXPECT_TRUE(bucket.take(60, end));
  EXPECT_FALSE(bucket.take(1, end));
}

TEST(Bucket, TheLargestLimitCountsExactly) {
  Bucket bucket(Bucket::kMostPerMinute * 4, kStart);
  EXPECT_EQ(bucket.limit(), Bucket::kMostPerMinute);
  ASSERT_TRUE(bucket.take(Bucket::kMostPerMinute, kStart));
  bucket.charge(INT64_MAX, kStart);
  EXPECT_EQ(bucket.available(kStart), 0);
  EXPECT_EQ(bucket.wait_until_full(kStart), minutes(2)) << "a minute's worth of debt at most";
  EXPECT_EQ(bucket.available(kStart + minutes(1) + seconds(30)), Bucket::kMostPerMinute / 2);
  bucket.give_back(INT64_MAX, kStart + minutes(1));
  EXPECT_EQ(bucket.available(kStart + minutes(1)), Bucket::kMostPerMinute);
}

TEST(Bucket, ADebtIsPaidBeforeAnythingIsGiven) {
  Bucket bucket(60, kStart);
  bucket.charge(90, kStart);
  EXPECT_EQ(bucket.available(kStart + seconds(30)), 0);
  EXPECT_EQ(bucket.wait_for(1, kStart), seconds(31));
  EXPECT_TRUE(bucket.take(1, kStart + seconds(31)));
}

TEST(Bucket, AnotherLimitKeepsWhatWasTaken) {
  Bucket bucket(60, kStart);
  ASSERT_TRUE(bucket.take(50, kStart));
  bucket.resize(100, kStart);
  EXPECT_EQ(bucket.available(kStart), 50);
  bucket.resize(40, kStart);
  EXPECT_EQ(bucket.available(kStart), 0);
  EXPECT_EQ(bucket.wait_until_full(kStart), minutes(1));
  bucket.resize(0, kStart);
  EXPECT_FALSE(bucket.is_limited());
  bucket.resize(10, kStart);
  EXPECT_EQ(bucket.available(kStart), 10);
}

// The exact level in parts of a token: 60e9 of them, of which every nanosecond adds the limit's number.
struct Exact {
  static constexpr long double kParts = 60e9L;
  explicit Exact(std::int64_t n) : limit(n), level(static_cast<long double>(n) * kParts) {}
  void pass(Nanoseconds d) {
    level = std::min(level + static_cast<long double>(d.count()) * static_cast<long double>(limit),
                     static_cast<long double>(limit) * kParts);
  }
  bool take(std::int64_t n) {
    if (static_cast<long double>(n) * kParts > level) return false;
    level -= static_cast<long double>(n) * kParts;
    return true;
  }
  std::int64_t limit;
  long double level;  // whole numbers below 2^63: 64 bits of mantissa hold them
};

TEST(Bucket, ARandomWalkDecidesAsTheExactModel) {
  std::mt19937 random(seed());
  SCOPED_TRACE(seed());
  std::int64_t taken = 0;
  for (int round = 0; round < 200; ++round) {
    const std::int64_t limit =
        std::uniform_int_distribution<std::int64_t>(1, round % 2 == 0 ? 100 : 30'000'000)(random);
    Bucket bucket(limit, kStart);
    Exact exact(limit);
    MonoTime now = kStart;
    for (int step = 0; step < 500; ++step) {
      const microseconds pass(
          std::uniform_int_distribution<std::int64_t>(0, step % 7 == 0 ? 70'000'000 : 90'000)(random));
      now = now + pass;
      exact.pass(pass);
      const std::int64_t count = std::uniform_int_distribution<std::int64_t>(0, limit + 1)(random);
      const bool expected = exact.take(count);
      if (!expected && count <= limit) {  // what it says of waiting is true to the microsecond
        const Nanoseconds wait = bucket.wait_for(count, now);
        ASSERT_TRUE(bucket.can_take(count, now + wait));
        ASSERT_FALSE(bucket.can_take(count, now + (wait - microseconds(1))));
      }
      ASSERT_EQ(bucket.take(count, now), expected) << "limit " << limit << " step " << step;
      taken += expected ? 1 : 0;
    }
  }
  EXPECT_GT(taken, 10'000);
}

// By the definition: over every window, at any nanosecond, with clocks that jump.
TEST(Bucket, NoWindowHasMoreThanTheLimitAndWhatCameBackInIt) {
  std::mt19937 random(seed());
  SCOPED_TRACE(seed());
  struct Taken {
    MonoTime at;
    std::int64_t count;
  };
  for (int round = 0; round < 50; ++round) {
    const std::int64_t limit = std::uniform_int_distribution<std::int64_t>(1, 500)(random);
    Bucket bucket(limit, kStart);
    MonoTime true_time = kStart;
    std::vector<Taken> history;
    for (int step = 0; step < 400; ++step) {
      true_time = true_time + Nanoseconds(std::uniform_int_distribution<std::int64_t>(0, 3'000'000'000)(random));
      MonoTime seen = true_time;
      if (step % 11 == 0) seen = true_time + -minutes(step);  // read on a clock that went back
      const std::int64_t count =
          std::uniform_int_distribution<std::int64_t>(1, std::max<std::int64_t>(limit / 4, 1))(random);
      if (!bucket.take(count, seen)) continue;
      history.push_back({true_time, count});
      std::int64_t sum = 0;
      for (std::size_t i = history.size(); i-- > 0;) {
        sum += history[i].count;
        const long double span = static_cast<long double>((true_time - history[i].at).count()) / 60e9L;
        ASSERT_LE(static_cast<long double>(sum),
                  static_cast<long double>(limit) + span * static_cast<long double>(limit));
      }
    }
    EXPECT_GT(history.size(), 20U);
  }
}

TEST(Bucket, AnHourOfSteadyAskingGetsTheLimitToTheToken) {
  for (const std::int64_t limit : {1, 7, 60, 61, 997}) {
    Bucket bucket(limit, kStart);
    std::int64_t taken = 0;
    MonoTime now = kStart;
    // An odd step, so that each leaves a fraction of a microsecond and of a token behind.
    while (now < kStart + hours(1)) {
      taken += bucket.take(1, now) ? 1 : 0;
      now = now + Nanoseconds(9'999'991);
    }
    EXPECT_GE(taken, limit * 60) << limit;
    EXPECT_LE(taken, limit * 61) << limit;
  }
}

}  // namespace
}  // namespace dormouse::gateway
