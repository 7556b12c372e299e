// Goal: what is replayed is what was asked: arrivals, time on the instance alone, wakes, room; advice is kept once.
// Method: a real ledger with a clock moved by hand; every number below is set by the test itself.
#include "base/ids.h"
#include "ledger/ledger_fixture.h"
#include "ledger/migrations.h"
#include "ledger/sqlite.h"

namespace dormouse::ledger {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kDayUs = 86'400 * kSecondUs;

class WorkloadTest : public LedgerFixture {
 protected:
  void SetUp() override {
    LedgerFixture::SetUp();
    open();
    ASSERT_TRUE(put("m").has_value());
    ASSERT_TRUE(put("other").has_value());
    begin_us_ = clock_.wall().us;
    ASSERT_TRUE(intent("i1", 1).has_value());
    ASSERT_TRUE(span("i1", SpanPhase::kRequested, 0).has_value());
    ASSERT_TRUE(span("i1", SpanPhase::kReady, 7 * kSecondUs).has_value());
  }
  struct Served {
    std::int64_t service_us = 0;
    std::int64_t queue_us = 0;
    std::int64_t wake_wait_us = 0;
    std::string error_code{};
    const char* instance = "i1";
  };
  // A request that comes now. It is settled at once: the entry's own durations say how long it took.
  void serve(const Served& how, const std::string& deployment = "m") {
    Reservation r = reservation(make_uuid_v7(clock_.wall()));
    r.deployment = deployment;
    EXPECT_TRUE(wait([&](Done done) { book_->reserve(r, done); }).has_value());
    Settlement s = settlement(r.request_id, 5);
    s.queue_us = how.queue_us;
    s.wake_wait_us = how.wake_wait_us;
    s.duration_us = how.queue_us + how.wake_wait_us + how.service_us;
    if (how.instance != nullptr) s.instance_id = how.instance;
    if (!how.error_code.empty()) {
      s.outcome = Outcome::kFailed;
      s.error_code = how.error_code;
    }
    EXPECT_TRUE(wait([&](Done done) { book_->settle(s, done); }).has_value());
  }
  MeasuredWorkload workload(std::int64_t begin_us = 0, std::int64_t end_us = INT64_MAX,
                            std::int64_t max_requests = 10'000'000) {
    const WorkloadQuery query{"m", begin_us, end_us, max_requests};
    return ask<MeasuredWorkload>([&](Answer<MeasuredWorkload> answer) { book_->workload(query, std::move(answer)); });
  }
  std::vector<AdviceRecord> advice(const AdviceQuery& query) {
    return ask<std::vector<AdviceRecord>>(
        [&](Answer<std::vector<AdviceRecord>> answer) { book_->advice(query, std::move(answer)); });
  }

  std::int64_t begin_us_ = 0;
};

TEST_F(WorkloadTest, ARequestIsItsArrivalAndItsTimeOnTheInstance) {
  serve({.service_us = 2 * kSecondUs, .wake_wait_us = 7 * kSecondUs});
  clock_.advance(std::chrono::seconds(1));
  serve({.service_us = 3 * kSecondUs, .queue_us = 500'000, .wake_wait_us = 6 * kSecondUs});
  serve({.service_us = 1}, "other");
  clock_.advance(std::chrono::seconds(60));
  serve({.service_us = kSecondUs});
  clock_.advance(std::chrono::seconds(60));
  serve({.service_us = 9 * kSecondUs, .error_code = "model_load_failed", .instance = nullptr});
  ASSERT_TRUE(reserve(make_uuid_v7(clock_.wall())).has_value());  // still runs
  const MeasuredWorkload got = workload();
  ASSERT_EQ(got.requests.size(), 4U);
  EXPECT_EQ(got.requests[0].at_us, begin_us_);
  EXPECT_EQ(got.requests[0].service_us, 2 * kSecondUs);
  EXPECT_EQ(got.requests[1].at_us, begin_us_ + kSecondUs);
  EXPECT_EQ(got.requests[1].service_us, 3 * kSecondUs);
  EXPECT_EQ(got.requests[2].service_us, kSecondUs);
  EXPECT_EQ(got.requests[3].service_us, 0) << "it never got to an instance";
  EXPECT_EQ(got.input_tokens, 40);
  EXPECT_EQ(got.output_tokens, 20);
  EXPECT_EQ(got.most_at_once, 2) << "from second 7 to 9 and from 7.5 to 10.5";
  EXPECT_EQ(got.wakes, 1);
  EXPECT_EQ(got.wakes_us, std::vector<std::int64_t>{7 * kSecondUs});
  EXPECT_EQ(got.most_instances, 1);
  EXPECT_EQ(got.made_us, begin_us_);
  EXPECT_EQ(got.complete_since_us, 0);
  EXPECT_FALSE(got.is_cut);
}

TEST_F(WorkloadTest, APeriodIsHalfOpenAndItsDaysAddUp) {
  for (int i = 0; i < 6; ++i) {
    serve({.service_us = i + 1});
    clock_.advance(std::chrono::hours(12));
  }
  const std::vector<MeasuredRequest> all = workload().requests;
  ASSERT_EQ(all.size(), 6U);
  std::vector<std::int64_t> joined;
  for (int day = 0; day < 3; ++day) {
    const MeasuredWorkload one = workload(begin_us_ + day * kDayUs, begin_us_ + (day + 1) * kDayUs);
    ASSERT_EQ(one.requests.size(), 2U) << day;
    EXPECT_EQ(one.wakes, day == 0 ? 1 : 0);
    EXPECT_EQ(one.most_instances, 1) << "it still lives";
    for (const MeasuredRequest& request : one.requests) joined.push_back(request.service_us);
  }
  EXPECT_EQ(joined, (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
}

TEST_F(WorkloadTest, BeyondTheMostTheLatestStay) {
  for (int i = 1; i <= 5; ++i) {
    serve({.service_us = i});
    clock_.advance(std::chrono::seconds(1));
  }
  const MeasuredWorkload got = workload(0, INT64_MAX, 2);
  ASSERT_EQ(got.requests.size(), 2U);
  EXPECT_TRUE(got.is_cut);
  EXPECT_EQ(got.requests[0].service_us, 4);
  EXPECT_EQ(got.requests[1].service_us, 5);
  EXPECT_FALSE(workload(0, INT64_MAX, 5).is_cut);
}

TEST_F(WorkloadTest, WhoWasTurnedAwayIsCountedOnceAndNotReplayed) {
  serve({.service_us = 5 * kSecondUs, .error_code = "queue_timeout", .instance = nullptr});
  serve({.service_us = 5 * kSecondUs, .error_code = "queue_full", .instance = nullptr});
  const std::int64_t minute = clock_.wall().us / 60'000'000 * 60'000'000;
  const std::vector<RefusalCount> refusals = {{minute, "", "m", "queue_full", 1},
                                              {minute, "", "m", "overloaded", 4},
                                              {minute, "", "m", "rate_limit_requests", 100},
                                              {minute, "", "other", "queue_full", 1'000}};
  ASSERT_TRUE(wait([&](Done done) { book_->record_refusals(refusals, done); }).has_value());
  const MeasuredWorkload got = workload();
  EXPECT_TRUE(got.requests.empty());
  EXPECT_EQ(got.refused, 6) << "too late, full, four times overloaded";
}

TEST_F(WorkloadTest, ItSaysFromWhenOnSingleRequestsAreThere) {
  serve({.service_us = 1});
  clock_.advance(std::chrono::hours(48));
  const std::int64_t kept_us = clock_.wall().us;
  serve({.service_us = 2});
  CompactCursor cursor;
  while (!cursor.is_done()) {
    cursor = ask<CompactCursor>(
        [&](Answer<CompactCursor> answer) { book_->compact(kept_us, TimeZone(), cursor, std::move(answer)); });
  }
  EXPECT_EQ(workload().requests.size(), 1U);
  EXPECT_EQ(workload().complete_since_us, kept_us);
}

TEST_F(WorkloadTest, InstancesAtOnceAreCountedWhileTheyLive) {
  ASSERT_TRUE(intent("i2", 2).has_value());
  ASSERT_TRUE(span("i2", SpanPhase::kRequested, 0).has_value());
  clock_.advance(std::chrono::seconds(10));
  ASSERT_TRUE(span("i2", SpanPhase::kDown, 10 * kSecondUs, "crashed").has_value());
  clock_.advance(std::chrono::seconds(10));
  ASSERT_TRUE(intent("i3", 3).has_value());
  ASSERT_TRUE(span("i3", SpanPhase::kRequested, 0).has_value());
  const MeasuredWorkload got = workload();
  EXPECT_EQ(got.most_instances, 2);
  EXPECT_EQ(got.wakes, 3);
  EXPECT_EQ(got.wakes_us.size(), 1U) << "the others never became ready";
}

TEST_F(WorkloadTest, APeriodsAdviceStandsHoweverOftenItIsMade) {
  AdviceRecord record;
  record.deployment = "m";
  record.kind = AdviceKind::kRegret;
  record.period_begin_us = 10;
  record.period_end_us = 20;
  record.body = R"({"first":true})";
  record.paid_micros = 187'200'000;
  record.best_micros = 112'400'000;
  record.currency = "CNY";
  const auto put_advice = [&](const AdviceRecord& one) {
    return wait([&](Done done) { book_->put_advice(one, done); });
  };
  ASSERT_TRUE(put_advice(record).has_value());
  AdviceRecord again = record;
  again.body = R"({"first":false})";
  EXPECT_TRUE(put_advice(again).has_value());
  again.period_end_us = 30;
  again.kind = AdviceKind::kWeekly;
  again.best_micros.reset();
  ASSERT_TRUE(put_advice(again).has_value());
  again.deployment = "other";
  ASSERT_TRUE(put_advice(again).has_value());
  reopen();
  const std::vector<AdviceRecord> all = advice({});
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].period_end_us, 30) << "newest first";
  EXPECT_FALSE(all[0].best_micros.has_value());
  EXPECT_EQ(all[2].body, R"({"first":true})");
  EXPECT_EQ(all[2].kind, AdviceKind::kRegret);
  EXPECT_EQ(all[2].paid_micros, 187'200'000);
  EXPECT_EQ(all[2].best_micros, 112'400'000);
  EXPECT_EQ(all[2].currency, "CNY");
  EXPECT_EQ(all[2].at_us, begin_us_);
  EXPECT_EQ(advice({.deployment = "m"}).size(), 2U);
  EXPECT_EQ(advice({.deployment = "m", .kind = AdviceKind::kWeekly}).size(), 1U);
  EXPECT_EQ(advice({.max_rows = 1}).size(), 1U);
  for (const auto& spoil : std::vector<std::function<void(AdviceRecord&)>>{
           [](AdviceRecord& a) { a.deployment.clear(); }, [](AdviceRecord& a) { a.period_end_us = 10; },
           [](AdviceRecord& a) { a.body.clear(); }, [](AdviceRecord& a) { a.currency.clear(); }}) {
    AdviceRecord bad = record;
    spoil(bad);
    EXPECT_EQ(put_advice(bad).error().code, Code::kInvalidArgument);
  }
}

// What a version without advice wrote is replayed like what is written now.
TEST_F(WorkloadTest, RequestsOfAnOlderVersionAreReadable) {
  book_.reset();
  Options old = options();
  old.path = directory_ + "/before_advice.db";
  const std::string id = make_uuid_v7(clock_.wall());
  {
    Connection connection = Connection::open(old.path, Access::kReadWrite).value();
    ASSERT_EQ(migrate(connection, all_migrations().first(5), 1).value(), 5);
    const Status written = connection.execute(fmt::format(
        "INSERT INTO deployments (name, image, model_path, driver, runtime, exposure, idle_timeout_ms, min_instances,"
        " max_instances, source, created_us, changed_us) VALUES ('m', '', '', 'process', 'builtin', 'private', 5000, 0,"
        " 1, 'api', 7, 7);"
        "INSERT INTO start_intents VALUES ('i', 1, 'process', '', 1, 'request', {0}, NULL);"
        "INSERT INTO instance_spans (instance_id, deployment_id, requested_us, ready_after_us) VALUES ('i', 1, {0}, 5);"
        "INSERT INTO request_entries (request_id, kind, at_us, deployment_id, input_tokens, output_tokens)"
        " VALUES ('{1}', 'reserve', {0}, 1, 9, 9);"
        "INSERT INTO request_entries (request_id, kind, at_us, deployment_id, instance_id, input_tokens, output_tokens,"
        " outcome, queue_us, duration_us) VALUES ('{1}', 'settle', {0}, 1, 'i', 3, 4, 'ok', 10, 110)",
        clock_.wall().us, id));
    ASSERT_TRUE(written.has_value()) << written.error().message;
  }
  auto opened = Ledger::open(old);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  book_ = std::move(*opened);
  EXPECT_EQ(book_->recovery().migrations_applied, 1);
  const MeasuredWorkload got = workload();
  ASSERT_EQ(got.requests.size(), 1U);
  EXPECT_EQ(got.requests[0].service_us, 100);
  EXPECT_EQ(got.made_us, 7);
  EXPECT_TRUE(advice({}).empty());
}

}  // namespace
}  // namespace dormouse::ledger
