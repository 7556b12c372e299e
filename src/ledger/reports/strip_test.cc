// Goal: what the overview draws and sums is what happened: pieces of a strip, requests on it, costs of a day, a month
// and the days before. Method: a real ledger with a clock moved by hand; every number below is set by the test itself.
#include <algorithm>
#include <functional>

#include "base/ids.h"
#include "ledger/ledger_fixture.h"

namespace dormouse::ledger {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kMinuteUs = 60 * kSecondUs;
constexpr std::int64_t kHourUs = 60 * kMinuteUs;
constexpr std::int64_t kDayUs = 24 * kHourUs;

class OverviewTest : public LedgerFixture {
 protected:
  void SetUp() override {
    LedgerFixture::SetUp();
    open();
    ASSERT_TRUE(put("m").has_value());
    ASSERT_TRUE(put("other").has_value());
    begin_us_ = clock_.wall().us;
  }
  void advance(std::int64_t us) { clock_.advance(std::chrono::microseconds(us)); }
  // An instance that wakes, waits and ends; the clock stands at its end. `requests` come as it is asked for.
  void live(const std::string& id, std::uint64_t epoch, std::int64_t waking_us, std::int64_t awake_us,
            std::optional<std::int64_t> price_version = {}, const std::function<void()>& requests = {}) {
    StartIntent start;
    start.instance_id = id;
    start.deployment = "m";
    start.driver = kChildDriver;
    start.epoch = epoch;
    start.cause = "request";
    start.price_version = price_version;
    ASSERT_TRUE(wait([&](Done done) { book_->record_intent(start, done); }).has_value());
    ASSERT_TRUE(span(id, SpanPhase::kRequested, 0).has_value());
    if (requests) requests();
    advance(waking_us);
    ASSERT_TRUE(span(id, SpanPhase::kReady, waking_us).has_value());
    advance(awake_us - waking_us);
    ASSERT_TRUE(span(id, SpanPhase::kDown, awake_us).has_value());
  }
  // Comes now and is settled at once: the entry's own durations say how long it took.
  void serve(std::int64_t waited_us, std::int64_t service_us, const char* instance, const char* deployment = "m") {
    Reservation r = reservation(make_uuid_v7(clock_.wall()));
    r.deployment = deployment;
    ASSERT_TRUE(wait([&](Done done) { book_->reserve(r, done); }).has_value());
    Settlement s = settlement(r.request_id, 5);
    s.wake_wait_us = waited_us;
    s.duration_us = waited_us + service_us;
    if (instance != nullptr) s.instance_id = instance;
    ASSERT_TRUE(wait([&](Done done) { book_->settle(s, done); }).has_value());
  }
  Strip strip(std::int64_t begin_us, std::int64_t end_us) {
    return ask<Strip>([&](Answer<Strip> answer) { book_->strip({"m", begin_us, end_us}, std::move(answer)); });
  }
  std::vector<CostRow> costs(const CostQuery& query) {
    return ask<std::vector<CostRow>>(
        [&](Answer<std::vector<CostRow>> answer) { book_->costs(query, std::move(answer)); });
  }
  std::int64_t hourly(std::int64_t micros, const std::string& billing = "hourly") {
    Price price;
    price.instance_type = "t4";
    price.billing = billing;
    price.currency = "CNY";
    price.period_micros = micros;
    price.period_us = kHourUs;
    price.increment_us = kSecondUs;
    return ask<std::int64_t>([&](Answer<std::int64_t> answer) { book_->put_price(price, std::move(answer)); });
  }

  std::int64_t begin_us_ = 0;
};

TEST_F(OverviewTest, AStripSaysWhenItWokeComputedAndWaited) {
  advance(kHourUs);
  // Cells of 30 s: a minute of waking, a request of 89 s that waited through it, then idle to the tenth minute.
  live("i1", 1, kMinuteUs, 10 * kMinuteUs, {}, [this] {
    serve(kMinuteUs, 89 * kSecondUs, "i1");
    serve(0, kHourUs, "i1", "other");
    serve(0, kHourUs, nullptr);
  });
  const std::int64_t t = begin_us_ + kHourUs;
  const Strip day = strip(begin_us_, begin_us_ + kDayUs);
  const std::vector<StripPiece> want = {{t, t + kMinuteUs, StripKind::kWaking},
                                        {t + kMinuteUs, t + kMinuteUs + 90 * kSecondUs, StripKind::kBusy},
                                        {t + kMinuteUs + 90 * kSecondUs, t + 10 * kMinuteUs, StripKind::kIdle}};
  EXPECT_EQ(day.pieces, want);
  EXPECT_EQ(day.requests_us.size(), 2U) << "another deployment's is not there, one that got nowhere is";
  EXPECT_EQ(day.complete_since_us, begin_us_);
  // A window inside: cut at both ends, and no request came in it.
  const Strip part = strip(t + 30 * kSecondUs, t + 2 * kMinuteUs);
  EXPECT_EQ(part.pieces.front().begin_us, t + 30 * kSecondUs);
  EXPECT_EQ(part.pieces.back(), (StripPiece{t + kMinuteUs, t + 2 * kMinuteUs, StripKind::kBusy}));
  EXPECT_TRUE(part.requests_us.empty());
}

TEST_F(OverviewTest, WhatLivesIsAwakeUntilNow) {
  ASSERT_TRUE(intent("i1", 1).has_value());
  ASSERT_TRUE(span("i1", SpanPhase::kRequested, 0).has_value());
  advance(kMinuteUs);
  const std::int64_t now = clock_.wall().us;
  EXPECT_EQ(strip(begin_us_, now).pieces, (std::vector<StripPiece>{{begin_us_, now, StripKind::kWaking}}));
  ASSERT_TRUE(span("i1", SpanPhase::kReady, kMinuteUs).has_value());
  advance(kMinuteUs);
  const std::vector<StripPiece> want = {{begin_us_, begin_us_ + kMinuteUs, StripKind::kWaking},
                                        {begin_us_ + kMinuteUs, begin_us_ + 2 * kMinuteUs, StripKind::kIdle}};
  EXPECT_EQ(strip(begin_us_, begin_us_ + 2 * kMinuteUs).pieces, want);
}

TEST_F(OverviewTest, OfManyRequestsTheLatestAreNamed) {
  for (int i = 0; i < 2'010; ++i) {
    advance(kSecondUs);
    Reservation r = reservation(make_uuid_v7(clock_.wall()));
    book_->reserve(r, {});
  }
  ASSERT_TRUE(put("flush").has_value());  // commands are done in order
  const Strip all = strip(begin_us_, clock_.wall().us + 1);
  ASSERT_EQ(all.requests_us.size(), 2'000U);
  EXPECT_TRUE(std::is_sorted(all.requests_us.begin(), all.requests_us.end()));
  EXPECT_GT(all.requests_us.front(), begin_us_ + 9 * kSecondUs);
}

TEST_F(OverviewTest, AnEmptyPeriodIsAnError) {
  for (const auto& [begin, end] : {std::pair<std::int64_t, std::int64_t>{5, 5}, {6, 5}, {-1, 5}, {0, INT64_MAX}}) {
    std::promise<Result<Strip>> promise;
    book_->strip({"m", begin, end}, [&promise](Result<Strip> result) { promise.set_value(std::move(result)); });
    EXPECT_EQ(promise.get_future().get().error().code, Code::kInvalidArgument) << begin;
  }
}

TEST_F(OverviewTest, CostsOfThreePeriodsAreOfTheirTimeOnly) {
  const std::int64_t price = hourly(3'600'000);  // 1'000 micros a second
  live("i1", 1, kSecondUs, 100 * kSecondUs, price);
  advance(kDayUs);
  const std::int64_t day_us = clock_.wall().us;
  live("i2", 2, kSecondUs, 10 * kSecondUs, price);
  live("i3", 3, kSecondUs, 7 * kSecondUs);
  const std::int64_t monthly = hourly(1'000'000, "monthly");
  live("i4", 4, kSecondUs, 7 * kSecondUs, monthly);
  const auto booked = wait([&](Done done) { book_->book_fee({"m", "2023-11", begin_us_, monthly, 42, "CNY"}, done); });
  ASSERT_TRUE(booked.has_value()) << booked.error().message;
  CostQuery query{"2023-11", begin_us_, day_us, begin_us_ + 40 * kSecondUs, clock_.wall().us};
  query.days_us = {begin_us_, begin_us_ + 30 * kSecondUs};
  const std::vector<CostRow> rows = costs(query);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].deployment, "m");
  EXPECT_EQ(rows[0].currency, "CNY");
  EXPECT_EQ(rows[0].month_micros, 110'000);
  EXPECT_EQ(rows[0].day_micros, 10'000);
  EXPECT_EQ(rows[0].recent_micros, 70'000);
  EXPECT_EQ(rows[0].whole_day_micros, (std::vector<std::int64_t>{30'000, 70'000}));
  EXPECT_EQ(rows[0].fee_micros, 42);
  EXPECT_EQ(rows[0].first_us, begin_us_);
  query.month = "2023-12";
  EXPECT_EQ(costs(query)[0].fee_micros, 0);
}

}  // namespace
}  // namespace dormouse::ledger
