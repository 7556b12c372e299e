// Goal: what the reports say is what was settled, in any time zone, by any grouping; pages join without gap or overlap.
// Method: a real ledger with a clock moved by hand.
#include <set>

#include "base/ids.h"
#include "ledger/latency.h"
#include "ledger/ledger_fixture.h"

namespace dormouse::ledger {
namespace {

constexpr std::int64_t kHourUs = 3'600'000'000;

class UsageTest : public LedgerFixture {
 protected:
  void SetUp() override {
    LedgerFixture::SetUp();
    open();
    ASSERT_TRUE(put("m").has_value());
  }
  void move_to(const TimeZone& zone, const CivilTime& at) { clock_.jump_wall(zone.first(at).us - clock_.wall().us); }
  std::string serve(const std::string& key, std::int64_t duration_us, Outcome outcome = Outcome::kOk,
                    const std::string& kind = "") {
    Reservation r = reservation(make_uuid_v7(clock_.wall()));
    if (!key.empty()) r.key_id = key;
    EXPECT_TRUE(wait([&](Done done) { book_->reserve(r, done); }).has_value());
    Settlement s = settlement(r.request_id, 5);
    s.duration_us = duration_us;
    s.ttft_us = duration_us / 2;
    s.outcome = outcome;
    s.error_kind = kind;
    s.busy_ns = 1'500;
    s.cost_micros = 10;
    s.micros = outcome == Outcome::kOk ? 10 : 0;
    s.currency = "CNY";
    EXPECT_TRUE(wait([&](Done done) { book_->settle(s, done); }).has_value());
    return r.request_id;
  }
  UsageReport report(const UsageQuery& query) {
    return ask<UsageReport>([&](Answer<UsageReport> answer) { book_->usage(query, std::move(answer)); });
  }
  RequestPage page(const RequestQuery& query) {
    return ask<RequestPage>([&](Answer<RequestPage> answer) { book_->request_page(query, std::move(answer)); });
  }
};

TEST_F(UsageTest, ADayOf23HoursIsOneDayAndItsHoursAre23) {
  const TimeZone berlin = TimeZone::load("Europe/Berlin").value();
  move_to(berlin, {.year = 2026, .month = 3, .day = 28, .hour = 23, .minute = 50});
  const std::int64_t end_us = berlin.first({.year = 2026, .month = 3, .day = 30, .hour = 1}).us;
  int served = 0;
  for (; clock_.wall().us < end_us; clock_.advance(std::chrono::minutes(30))) {
    serve("", 1'000'000);
    ++served;
  }
  UsageQuery query;
  query.zone = berlin;
  UsageReport days = report(query);
  ASSERT_EQ(days.rows.size(), 3U);
  EXPECT_EQ(days.rows[0].requests, 1);
  EXPECT_EQ(days.rows[1].requests, 46) << "two an hour";
  EXPECT_EQ(days.rows[1].bucket_us, berlin.first({.year = 2026, .month = 3, .day = 29}).us);
  EXPECT_EQ(days.total.requests, served);
  EXPECT_EQ(days.total.request_busy_us, served * 1'500 / 1000);
  query.by = UsageBy::kHour;
  query.begin_us = days.rows[1].bucket_us;
  query.end_us = days.rows[2].bucket_us;
  EXPECT_EQ(report(query).rows.size(), 23U);
  query.by = UsageBy::kWeekdayHour;
  const UsageReport week = report(query);
  ASSERT_EQ(week.rows.size(), 23U);
  EXPECT_EQ(week.rows[2].weekday, 6) << "29 March 2026 was a Sunday";
  EXPECT_EQ(week.rows[1].hour, 1);
  EXPECT_EQ(week.rows[2].hour, 3) << "two o'clock did not happen";
}

TEST_F(UsageTest, HoursOfAHalfHourZoneBeginOnTheHalfHour) {
  const TimeZone kolkata = TimeZone::load("Asia/Kolkata").value();
  move_to(kolkata, {.year = 2026, .month = 11, .day = 1, .hour = 9, .minute = 59});
  serve("", 1);
  clock_.advance(std::chrono::minutes(2));
  serve("", 1);
  UsageQuery query;
  query.zone = kolkata;
  query.by = UsageBy::kHour;
  const UsageReport hours = report(query);
  ASSERT_EQ(hours.rows.size(), 2U);
  EXPECT_EQ(kolkata.iso({hours.rows[0].bucket_us}), "2026-11-01T09:00:00+05:30");
  EXPECT_EQ(kolkata.iso({hours.rows[1].bucket_us}), "2026-11-01T10:00:00+05:30");
}

TEST_F(UsageTest, PercentilesLieWithinAnEighthOfAnOctave) {
  for (int i = 1; i <= 100; ++i) serve("", i * 10'000);
  const UsageRow total = report({}).total;
  ASSERT_TRUE(total.duration.has_value());
  EXPECT_EQ(total.duration->requests, 100);
  EXPECT_NEAR(static_cast<double>(total.duration->p50_us), 500'000, 0.125 * 500'000);
  EXPECT_NEAR(static_cast<double>(total.duration->p95_us), 950'000, 0.125 * 950'000);
  EXPECT_NEAR(static_cast<double>(total.duration->p99_us), 990'000, 0.125 * 990'000);
  EXPECT_NEAR(static_cast<double>(total.ttft->p50_us), 250'000, 0.125 * 250'000);
  EXPECT_EQ(total.duration_us, 50'500'000);
}

TEST_F(UsageTest, KeysErrorsAndRefusalsAddUp) {
  serve("key_a", 5);
  serve("key_a", 5);
  serve("key_b", 5, Outcome::kFailed, "oom");
  serve("", 5, Outcome::kClientGone);
  const auto refuse = [&](const std::string& deployment, const std::string& key, std::int64_t count) {
    const std::int64_t minute = clock_.wall().us / 60'000'000 * 60'000'000;
    return wait([&](Done done) {
      book_->record_refusals({{minute, key, deployment, "rate_limit_requests", count}}, done);
    });
  };
  ASSERT_TRUE(refuse("m", "key_a", 7).has_value());
  ASSERT_TRUE(refuse("=cmd()", "", 2).has_value());
  UsageQuery query;
  query.by = UsageBy::kKey;
  const UsageReport keys = report(query);
  ASSERT_EQ(keys.rows.size(), 3U);
  EXPECT_EQ(keys.rows[1].key_id, "key_a");
  EXPECT_EQ(keys.rows[1].requests, 2);
  EXPECT_EQ(keys.rows[1].refused, 7);
  EXPECT_EQ(keys.rows[1].money.at(0).micros, 20);
  EXPECT_EQ(keys.rows[2].failed, 1);
  EXPECT_EQ(keys.rows[2].money.at(0).micros, 0);
  EXPECT_EQ(keys.rows[2].money.at(0).cost_micros, 10);
  EXPECT_FALSE(keys.rows[1].duration.has_value());
  query.by = UsageBy::kDeployment;
  const UsageReport names = report(query);
  ASSERT_EQ(names.rows.size(), 2U) << "a name nobody deployed makes no row of its own";
  EXPECT_EQ(names.rows[0].deployment, "");
  EXPECT_EQ(names.rows[0].refused, 2);
  EXPECT_EQ(names.rows[1].requests, 4);
  query.key_id = "key_b";
  EXPECT_EQ(report(query).total.requests, 1);
  query.key_id.reset();
  query.deployment = "none";
  EXPECT_EQ(report(query).total.requests, 0);
  const auto errors =
      ask<std::vector<ErrorRow>>([&](Answer<std::vector<ErrorRow>> answer) { book_->errors({}, std::move(answer)); });
  ASSERT_EQ(errors.size(), 2U);
  EXPECT_EQ(errors[0].kind, "cancelled");
  EXPECT_EQ(errors[1].kind, "oom");
  EXPECT_EQ(errors[1].last_us, clock_.wall().us);
  const auto refusals =
      ask<std::vector<ErrorRow>>([&](Answer<std::vector<ErrorRow>> answer) { book_->refusals({}, std::move(answer)); });
  ASSERT_EQ(refusals.size(), 2U);
  EXPECT_EQ(refusals[0].requests, 7);
  EXPECT_EQ(refusals[1].deployment, "=cmd()");
}

TEST_F(UsageTest, PagesJoinWithoutGapOrOverlapWhileNewRequestsArrive) {
  std::set<std::string> wanted;
  for (int i = 0; i < 25; ++i) {
    clock_.advance(std::chrono::milliseconds(2));
    wanted.insert(serve(i % 2 == 0 ? "even" : "odd", 5, i == 3 ? Outcome::kFailed : Outcome::kOk));
  }
  std::set<std::string> seen;
  RequestQuery query;
  query.limit = 10;
  do {
    const RequestPage got = page(query);
    for (const RequestRow& row : got.rows) EXPECT_TRUE(seen.insert(row.request_id).second);
    query.after = got.next;
    clock_.advance(std::chrono::milliseconds(2));
    serve("later", 5);
  } while (!query.after.empty());
  EXPECT_EQ(seen, wanted);
  query = {};
  query.outcome = "failed";
  ASSERT_EQ(page(query).rows.size(), 1U);
  EXPECT_EQ(page(query).rows[0].key_id, "odd");
  query = {};
  query.key_id = "even";
  EXPECT_EQ(page(query).rows.size(), 13U);
  query = {};
  query.end_us = clock_.wall().us - kHourUs;
  EXPECT_TRUE(page(query).rows.empty());
  query = {};
  query.begin_us = clock_.wall().us + 1;
  EXPECT_TRUE(page(query).rows.empty());
}

}  // namespace
}  // namespace dormouse::ledger
