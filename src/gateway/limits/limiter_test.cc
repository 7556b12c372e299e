// Goal: a key and a deployment let through what their limits say, to the request, the token and the micro-unit;
// refusals and ends give back exactly what was taken. Method: ManualClock, no sockets; a thousand rounds at random
// (T-67).
#include "gateway/limits/limiter.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace dormouse::gateway {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

KeyLimits rpm(std::int64_t n) {
  KeyLimits out;
  out.requests_per_minute = n;
  return out;
}

KeyLimits tpm(std::int64_t n) {
  KeyLimits out;
  out.tokens_per_minute = n;
  return out;
}

KeyLimits at_once(std::int64_t n) {
  KeyLimits out;
  out.concurrency = n;
  return out;
}

KeyLimits money(std::int64_t micros, BudgetPeriod period = BudgetPeriod::kMonth) {
  KeyLimits out;
  out.budget_micros = micros;
  out.budget_currency = "CNY";
  out.budget_period = period;
  return out;
}

TokenWish wish(std::int64_t prompt, std::int64_t answer) {
  TokenWish out;
  out.prompt = prompt;
  out.answer = answer;
  return out;
}

class LimiterTest : public ::testing::Test {
 protected:
  // One micro-unit a token, in CNY; "free" has no price, "dollar" another currency.
  static LimiterOptions options() {
    LimiterOptions out;
    out.most_it_can_cost = [](const std::string& deployment, const TokenWish& w) -> std::optional<Money> {
      if (deployment == "free") return std::nullopt;
      return Money{w.prompt + w.answer, deployment == "dollar" ? "USD" : "CNY"};
    };
    out.utc_offset_s = [](WallTime) { return 8 * 3'600; };
    return out;
  }
  std::optional<LimitRefusal> reserve(Admission& admission, const KeyLimits& key, const KeyLimits& deployment,
                                      TokenWish w, const std::string& name = "chat") {
    if (auto refused = limiter.begin(admission, "k", key)) return refused;
    return limiter.reserve(admission, name, deployment, w);
  }
  // A request that ends at once.
  bool passes(const KeyLimits& key, const KeyLimits& deployment = {}, TokenWish w = wish(1, 1)) {
    Admission admission;
    const bool out = !reserve(admission, key, deployment, w).has_value();
    if (out) admission.settle(w.prompt + w.answer, w.prompt + w.answer);
    return out;
  }

  ManualClock clock;
  Limiter limiter{clock, options()};
};

TEST_F(LimiterTest, TenThousandAtOnceAgainstAHundredLetExactlyAHundredThrough) {
  for (const bool is_key : {true, false}) {
    clock.advance(minutes(2));
    std::deque<Admission> all;
    int passed = 0;
    for (int i = 0; i < 10'000; ++i) {
      all.emplace_back();
      const auto refused =
          reserve(all.back(), is_key ? rpm(100) : KeyLimits{}, is_key ? KeyLimits{} : rpm(100), wish(1, 1));
      if (!refused.has_value()) {
        ++passed;
        continue;
      }
      ASSERT_EQ(refused->limit, LimitKind::kRequests);
      ASSERT_EQ(refused->holder, is_key ? Holder::kKey : Holder::kDeployment);
      ASSERT_EQ(refused->wait, std::chrono::milliseconds(600));
      ASSERT_EQ(refused->bound, 100);
    }
    EXPECT_EQ(passed, 100);
  }
}

TEST_F(LimiterTest, OnlyItsOwnBucketIsTakenFrom) {
  ASSERT_FALSE(passes(rpm(1)) && passes(rpm(1)));
  Admission other;
  EXPECT_FALSE(limiter.begin(other, "another key", rpm(1)).has_value());
}

TEST_F(LimiterTest, ARefusalByTheDeploymentGivesTheKeysShareBack) {
  ASSERT_TRUE(passes(rpm(100), rpm(1)));
  for (int i = 0; i < 1'000; ++i) ASSERT_FALSE(passes(rpm(100), rpm(1)));
  const AccountView key = *limiter.view(Holder::kKey, "k");
  EXPECT_EQ(key.requests_left, 99);
  EXPECT_EQ(key.running, 0);
  EXPECT_EQ(limiter.view(Holder::kDeployment, "chat")->requests_left, 0);
}

TEST_F(LimiterTest, PlacesAreCountedUntilTheAdmissionEnds) {
  std::optional<Admission> first(std::in_place);
  Admission second;
  ASSERT_FALSE(reserve(*first, at_once(1), {}, wish(1, 1)).has_value());
  first->settle(2, 0);
  const auto refused = reserve(second, at_once(1), {}, wish(1, 1));
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->limit, LimitKind::kConcurrency);
  EXPECT_LE(refused->wait * 6 / 5, seconds(1)) << "with its jitter it is still told as one second";
  first.reset();
  EXPECT_TRUE(passes(at_once(1)));
}

TEST_F(LimiterTest, WhatWasNotUsedComesBackToTheToken) {
  const KeyLimits key = tpm(10'000);
  {
    Admission admission;
    ASSERT_FALSE(reserve(admission, key, tpm(20'000), wish(600, 400)).has_value());
    EXPECT_EQ(admission.tokens()->remaining, 9'000) << "the key has less left than the deployment";
    EXPECT_EQ(admission.tokens()->limit, 10'000);
    admission.settle(123, 0);
    EXPECT_EQ(admission.tokens()->remaining, 9'877);
    admission.settle(0, 0);
    EXPECT_EQ(admission.tokens()->remaining, 9'877) << "the first call counts";
  }
  EXPECT_EQ(limiter.view(Holder::kKey, "k")->tokens_left, 9'877);
  EXPECT_EQ(limiter.view(Holder::kDeployment, "chat")->tokens_left, 19'877);
  {
    Admission never_settled;
    ASSERT_FALSE(reserve(never_settled, key, {}, wish(600, 400)).has_value());
  }
  EXPECT_EQ(limiter.view(Holder::kKey, "k")->tokens_left, 9'877);
  {
    Admission more_than_promised;
    ASSERT_FALSE(reserve(more_than_promised, key, {}, wish(600, 400)).has_value());
    more_than_promised.settle(1'500, 0);
  }
  EXPECT_EQ(limiter.view(Holder::kKey, "k")->tokens_left, 8'377);
}

TEST_F(LimiterTest, WhatCanNeverFitIsToldApartFromWhatMustWait) {
  Admission a;
  const auto never = reserve(a, tpm(1'000), {}, wish(600, 401));
  ASSERT_TRUE(never.has_value());
  EXPECT_EQ(never->cure, LimitRefusal::Cure::kAsk);
  EXPECT_EQ(never->most, 400);
  Admission b;
  const auto prompt = reserve(b, tpm(1'000), {}, wish(1'000, 1));
  ASSERT_TRUE(prompt.has_value());
  EXPECT_EQ(prompt->cure, LimitRefusal::Cure::kAsk);
  EXPECT_EQ(prompt->most, 0);
  TokenWish two = wish(600, 201);
  two.choices = 2;
  Admission c;
  EXPECT_EQ(reserve(c, tpm(1'000), {}, two)->most, 200);
  EXPECT_EQ(limiter.view(Holder::kKey, "k")->tokens_left, 1'000);
  EXPECT_TRUE(passes(tpm(1'000), {}, wish(600, 400)));
  Admission d;
  const auto wait = reserve(d, tpm(1'000), {}, wish(300, 200));
  ASSERT_TRUE(wait.has_value());
  EXPECT_EQ(wait->cure, LimitRefusal::Cure::kWait);
  EXPECT_EQ(wait->wait, seconds(30));
}

TEST_F(LimiterTest, AnAnswerWithoutABoundGetsWhatThereIsRoomFor) {
  TokenWish open = wish(1'000, 40'960);
  open.answer_is_said = false;
  Admission first;
  ASSERT_FALSE(limiter.begin(first, "k", tpm(30'000)).has_value());
  TokenWish granted = open;
  ASSERT_FALSE(limiter.reserve(first, "chat", tpm(15'000), granted).has_value());
  EXPECT_EQ(granted.answer, 14'000) << "the tighter of the two";
  first.settle(9'000, 0);
  Admission second;
  ASSERT_FALSE(limiter.begin(second, "k", tpm(30'000)).has_value());
  granted = open;
  ASSERT_FALSE(limiter.reserve(second, "chat", tpm(15'000), granted).has_value());
  EXPECT_EQ(granted.answer, 5'000) << "not less than 4,096";
  Admission third;
  ASSERT_FALSE(limiter.begin(third, "k", tpm(30'000)).has_value());
  granted = open;
  const auto refused = limiter.reserve(third, "chat", tpm(15'000), granted);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->cure, LimitRefusal::Cure::kWait);
  EXPECT_EQ(refused->holder, Holder::kDeployment) << "the key has 15,000 left";
  Admission small;
  ASSERT_FALSE(limiter.begin(small, "small", tpm(1'100)).has_value());
  granted = open;
  ASSERT_FALSE(limiter.reserve(small, "other", {}, granted).has_value());
  EXPECT_EQ(granted.answer, 100);
}

TEST_F(LimiterTest, ABudgetIsReservedAndExchangedForTheCost) {
  const KeyLimits key = money(1'000);
  Admission running;
  ASSERT_FALSE(reserve(running, key, {}, wish(500, 300)).has_value());
  Admission second;
  const auto held = reserve(second, key, {}, wish(200, 100));
  ASSERT_TRUE(held.has_value());
  EXPECT_EQ(held->limit, LimitKind::kBudget);
  EXPECT_EQ(held->cure, LimitRefusal::Cure::kWait) << "the running one may leave enough";
  running.settle(10, 50);
  EXPECT_EQ(limiter.view(Holder::kKey, "k")->spent_micros, 50);
  EXPECT_EQ(limiter.view(Holder::kKey, "k")->reserved_micros, 0);
  Admission third;
  ASSERT_FALSE(reserve(third, key, {}, wish(500, 450)).has_value());
  third.settle(950, 950);
  Admission fourth;
  const auto refused = limiter.begin(fourth, "k", key);
  ASSERT_TRUE(refused.has_value()) << "used up: known before the body is read";
  EXPECT_EQ(refused->cure, LimitRefusal::Cure::kNone);
  EXPECT_EQ(refused->limit, LimitKind::kBudget);
}

TEST_F(LimiterTest, ARequestThatTheRestCannotCoverIsRefusedForGood) {
  ASSERT_TRUE(passes(money(1'000), {}, wish(500, 400)));
  Admission a;
  const auto refused = reserve(a, money(1'000), {}, wish(50, 51));
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->cure, LimitRefusal::Cure::kNone);
  EXPECT_TRUE(passes(money(1'000), {}, wish(50, 50)));
}

TEST_F(LimiterTest, WhatHasNoPriceIsLetInAndSaid) {
  for (const char* deployment : {"free", "dollar"}) {
    Admission a;
    ASSERT_FALSE(reserve(a, money(10), {}, wish(500, 400), deployment).has_value());
    a.settle(900, 900);
  }
  const AccountView view = *limiter.view(Holder::kKey, "k");
  EXPECT_EQ(view.spent_micros, 0);
  EXPECT_EQ(view.unpriced_requests, 2);
}

// 2023-11-15 06:13:20 at UTC+8; the day ends 17 h 46 min 40 s later.
TEST_F(LimiterTest, ADaysBudgetBeginsAnewAtLocalMidnightAndOnce) {
  const KeyLimits key = money(100, BudgetPeriod::kDay);
  limiter.add_spent(Holder::kKey, "k", BudgetPeriod::kDay, 60);
  ASSERT_TRUE(passes(key, {}, wish(20, 20)));
  ASSERT_FALSE(passes(key));
  clock.advance(hours(17) + minutes(46) + seconds(39));
  ASSERT_FALSE(passes(key)) << "one second before midnight";
  clock.advance(seconds(1));
  ASSERT_TRUE(passes(key, {}, wish(50, 50)));
  // A wall clock set back a day stays in the newer period; set on again, no second budget.
  clock.jump_wall(-24LL * 3'600 * 1'000'000);
  EXPECT_FALSE(passes(key));
  clock.jump_wall(24LL * 3'600 * 1'000'000);
  EXPECT_FALSE(passes(key));
  clock.advance(hours(24));
  EXPECT_TRUE(passes(key));
}

TEST_F(LimiterTest, MonthsHaveTheirOwnLengths) {
  // 2024-01-31T15:59:59Z is 23:59:59 at UTC+8; a second later it is February, in a leap year.
  const WallTime january{1'706'716'799'000'000};
  const std::int64_t east = 8 * 3'600;
  EXPECT_EQ(period_number(BudgetPeriod::kMonth, january, east), 54 * 12);
  EXPECT_EQ(period_number(BudgetPeriod::kMonth, {january.us + 1'000'000}, east), 54 * 12 + 1);
  EXPECT_EQ(period_number(BudgetPeriod::kMonth, {january.us + 1'000'000}, 0), 54 * 12);
  EXPECT_EQ(period_number(BudgetPeriod::kMonth, {january.us + 29LL * 86'400 * 1'000'000 + 1'000'000}, east),
            54 * 12 + 2);
  EXPECT_EQ(period_number(BudgetPeriod::kDay, {-1}, 0), -1);
}

TEST_F(LimiterTest, AChangedLimitCountsAtOnce) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(passes(rpm(10)));
  ASSERT_FALSE(passes(rpm(10)));
  ASSERT_TRUE(passes(rpm(11)));
  ASSERT_FALSE(passes(rpm(11)));
  ASSERT_TRUE(passes({})) << "no limit any more";
}

TEST_F(LimiterTest, LookingTakesNothing) {
  ASSERT_TRUE(passes(rpm(10)));
  Admission look;
  limiter.look(look, "k", rpm(10));
  EXPECT_EQ(look.requests()->remaining, 9);
  EXPECT_EQ(look.requests()->reset, seconds(6));
  EXPECT_FALSE(look.tokens().has_value());
  EXPECT_FALSE(Admission().requests().has_value());
}

TEST_F(LimiterTest, ARestartIsNoSecondHelping) {
  ASSERT_TRUE(passes(tpm(1'000), rpm(60), wish(600, 100)));
  for (int i = 0; i < 59; ++i) ASSERT_TRUE(passes({}, rpm(60)));
  const std::vector<BucketState> state = limiter.state();
  ASSERT_EQ(state.size(), 2U);
  Limiter after(clock, options());
  after.restore(state, seconds(3));
  const auto deployment = after.view(Holder::kDeployment, "chat");
  ASSERT_TRUE(deployment.has_value());
  EXPECT_EQ(deployment->requests_left, 3);
  EXPECT_EQ(after.view(Holder::kKey, "k")->tokens_left, 350);
  Admission admission;
  ASSERT_FALSE(after.begin(admission, "k", tpm(1'000)).has_value());
  TokenWish w = wish(300, 51);
  EXPECT_TRUE(after.reserve(admission, "x", {}, w).has_value());
}

TEST_F(LimiterTest, AccountsWithNothingToRememberAreForgotten) {
  for (int i = 0; i < 500; ++i) {
    Admission a;
    ASSERT_FALSE(limiter.begin(a, "key" + std::to_string(i), rpm(60)).has_value());
    limiter.forget_idle();
  }
  EXPECT_EQ(limiter.account_count(), 500U);
  clock.advance(minutes(1));
  Admission held;
  ASSERT_FALSE(limiter.begin(held, "key7", at_once(3)).has_value());
  limiter.forget_idle();
  EXPECT_EQ(limiter.account_count(), 1U);
}

// Goal (T-67): 1,000 rounds of 500 requests that overlap at random; what is reserved and used never passes the limit,
// and in the end nothing is held.
TEST_F(LimiterTest, AThousandRoundsOvershootByNothing) {
  std::mt19937 random(67);
  const auto draw = [&random](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  std::int64_t admitted = 0;
  for (int round = 0; round < 1'000; ++round) {
    KeyLimits key = tpm(draw(1'000, 100'000));
    key.requests_per_minute = draw(1, 400);
    key.concurrency = draw(1, 50);
    key.budget_micros = draw(1'000, 200'000);
    key.budget_currency = "CNY";
    const std::string id = "key" + std::to_string(round);
    std::deque<Admission> running;
    std::int64_t tokens = 0;
    std::int64_t requests = 0;
    std::int64_t spent = 0;
    for (int i = 0; i < 500; ++i) {
      running.emplace_back();
      TokenWish w = wish(draw(1, 600), draw(1, 600));
      const bool in = !limiter.begin(running.back(), id, key).has_value() &&
                      !limiter.reserve(running.back(), "chat", {}, w).has_value();
      if (!in) {
        running.pop_back();
      } else {
        ++requests;
        ++admitted;
        const std::int64_t used = draw(0, w.prompt + w.answer);
        if (draw(0, 3) == 0) {
          running.back().settle(used, used);
          running.pop_back();
          tokens += used;
          spent += used;
        } else {
          tokens += w.prompt + w.answer;  // what it may use, and here does
          if (draw(0, 1) == 0)
            running.back().settle(w.prompt + w.answer, w.prompt + w.answer), spent += w.prompt + w.answer;
        }
      }
      const AccountView view = *limiter.view(Holder::kKey, id);
      ASSERT_LE(tokens, key.tokens_per_minute);
      ASSERT_LE(requests, key.requests_per_minute);
      ASSERT_LE(view.running, key.concurrency);
      ASSERT_LE(view.spent_micros + view.reserved_micros, key.budget_micros);
      ASSERT_EQ(view.spent_micros, spent);
      ASSERT_EQ(view.requests_left, key.requests_per_minute - requests);
    }
    running.clear();
    EXPECT_EQ(limiter.view(Holder::kKey, id)->running, 0);
    EXPECT_EQ(limiter.view(Holder::kKey, id)->reserved_micros, 0);
  }
  EXPECT_GT(admitted, 10'000);
}

}  // namespace
}  // namespace dormouse::gateway
