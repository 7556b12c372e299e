// Goal: the rules of ledger.h hold at its surface. Method: the real thing on a temporary file, a clock that stands
// still.
#include "ledger/ledger.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "ledger/ledger_fixture.h"
#include "ledger/migrations.h"
#include "ledger/sqlite.h"

namespace dormouse::ledger {
namespace {

class LedgerTest : public LedgerFixture {
 protected:
  void SetUp() override {
    LedgerFixture::SetUp();
    open();
    ASSERT_TRUE(put("m").has_value());
  }
};

Code code_of(const Status& status) { return status.has_value() ? Code::kCancelled : status.error().code; }

TEST_F(LedgerTest, ARequestIsReservedOnceAndSettledOnce) {
  EXPECT_TRUE(reserve("r1").has_value());
  EXPECT_EQ(code_of(reserve("r1")), Code::kAlreadyExists);
  EXPECT_TRUE(settle("r1", 42).has_value());
  EXPECT_EQ(code_of(settle("r1", 43)), Code::kAlreadyExists);
  EXPECT_EQ(code_of(settle("r2", 1)), Code::kNotFound);
  const std::vector<RequestRow> rows = requests();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_TRUE(rows[0].settled);
  EXPECT_EQ(rows[0].settlement.output_tokens, 42);
}

TEST_F(LedgerTest, WhatCannotBeIsRefusedBeforeItReachesTheFile) {
  EXPECT_EQ(code_of(reserve("")), Code::kInvalidArgument);
  ASSERT_TRUE(reserve("r1").has_value());
  EXPECT_EQ(code_of(settle("r1", -1)), Code::kInvalidArgument);
  Reservation unknown = reservation("r2");
  unknown.deployment = "nobody";
  EXPECT_EQ(code_of(wait([&](Done done) { book_->reserve(unknown, done); })), Code::kNotFound);
  Deployment upside_down;
  upside_down.name = "x";
  upside_down.min_instances = 2;
  EXPECT_EQ(code_of(wait([&](Done done) { book_->put_deployment(upside_down, done); })), Code::kInvalidArgument);
}

TEST_F(LedgerTest, OneBadCommandDoesNotSpoilItsGroup) {
  std::atomic<int> good = 0;  // relaxed is enough: read after the last answer
  std::atomic<int> bad = 0;
  std::promise<void> all;
  constexpr int kCommands = 300;
  std::atomic<int> left = kCommands;
  for (int i = 0; i < kCommands; ++i) {
    book_->reserve(reservation(numbered("r", i / 2)), [&](const Status& status) {
      ++(status.has_value() ? good : bad);
      if (--left == 0) all.set_value();
    });
  }
  all.get_future().get();
  EXPECT_EQ(good, kCommands / 2);
  EXPECT_EQ(bad, kCommands / 2);
  const Health health = book_->health();
  EXPECT_LT(health.commits, kCommands) << "one transaction serves many";
  EXPECT_TRUE(health.writable);
}

TEST_F(LedgerTest, AFullQueueRefusesReservationsButNeverSettlements) {
  ASSERT_TRUE(reserve("r1").has_value());
  book_.reset();
  Options small = options();
  small.max_queued = 0;
  book_ = Ledger::open(small).value();
  EXPECT_EQ(code_of(reserve("r2")), Code::kOverloaded);
  EXPECT_EQ(code_of(settle("r1", 1)), Code::kAlreadyExists) << "it reached the file, where recovery had settled it";
}

TEST_F(LedgerTest, RecoverySettlesOpenRequestsAtTheirLastCheckpoint) {
  ASSERT_TRUE(reserve("none").has_value());
  ASSERT_TRUE(reserve("some").has_value());
  ASSERT_TRUE(checkpoint(checkpoint_of("some", 10, 4, 64)).has_value());
  ASSERT_TRUE(checkpoint(checkpoint_of("some", 10, 4, 32)).has_value());
  EXPECT_EQ(code_of(checkpoint(checkpoint_of("absent", 1, 1, 1))), Code::kNotFound);
  reopen();
  EXPECT_EQ(book_->recovery().interrupted_requests, 2);
  const std::vector<RequestRow> rows = requests();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].request_id, "some");
  EXPECT_EQ(rows[0].settlement.outcome, Outcome::kInterrupted);
  EXPECT_EQ(rows[0].settlement.output_tokens, 64) << "a late, smaller checkpoint does not go back";
  EXPECT_EQ(rows[1].settlement.output_tokens, 0);
  reopen();
  EXPECT_EQ(book_->recovery().interrupted_requests, 0);
}

TEST_F(LedgerTest, ASpanKeepsTheFirstTimeOfEachPhaseAndNeedsItsIntent) {
  EXPECT_EQ(code_of(span("i1", SpanPhase::kRequested, 0)), Code::kNotFound);
  ASSERT_TRUE(intent("i1", 1).has_value());
  EXPECT_EQ(code_of(intent("i1", 2)), Code::kAlreadyExists);
  EXPECT_EQ(code_of(intent("i2", 1)), Code::kAlreadyExists) << "an epoch is used once";
  ASSERT_TRUE(span("i1", SpanPhase::kRequested, 0).has_value());
  ASSERT_TRUE(span("i1", SpanPhase::kReady, 120'000).has_value());
  clock_.advance(std::chrono::seconds(5));
  ASSERT_TRUE(span("i1", SpanPhase::kReady, 999'000).has_value());
  ASSERT_TRUE(wait([&](Done done) { book_->record_progress({{"i1", 5'000'000, 700'000}}, done); }).has_value());
  ASSERT_TRUE(span("i1", SpanPhase::kDrain, 6'000'000, "idle_timeout").has_value());
  ASSERT_TRUE(span("i1", SpanPhase::kDown, 6'100'000, "exit").has_value());
  const std::vector<Span> found = spans();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].waking_us, 120'000);
  EXPECT_EQ(found[0].busy_us, 700'000);
  EXPECT_EQ(found[0].alive_us, 6'100'000);
  EXPECT_EQ(found[0].reason, "idle_timeout");
  EXPECT_FALSE(found[0].up_us.has_value());
  EXPECT_EQ(found[0].down_us.value(), found[0].requested_us + 5'000'000);
}

TEST_F(LedgerTest, RecoveryClosesOpenSpansAtTheLastKnownTime) {
  ASSERT_TRUE(intent("i1", 7).has_value());
  ASSERT_TRUE(span("i1", SpanPhase::kRequested, 0).has_value());
  clock_.advance(std::chrono::seconds(10));
  ASSERT_TRUE(wait([&](Done done) { book_->record_progress({{"i1", 10'000'000, 1}}, done); }).has_value());
  const WallTime last = clock_.wall();
  clock_.advance(std::chrono::hours(8));  // the machine was off
  reopen();
  EXPECT_EQ(book_->recovery().closed_spans, 1);
  ASSERT_EQ(spans().size(), 1U);
  EXPECT_EQ(spans()[0].down_us.value(), last.us);
  EXPECT_EQ(spans()[0].alive_us, 10'000'000);
  EXPECT_EQ(spans()[0].reason, "gateway_lost");
  ASSERT_EQ(book_->deployments_at_start().size(), 1U);
  EXPECT_EQ(book_->deployments_at_start()[0].last_epoch, 7U) << "the next start must be fenced above it";
}

TEST_F(LedgerTest, WhatMayHaveOutlivedUsKeepsItsSpanOpenAndIsTold) {
  const std::vector<std::string> drivers = {"process", "cloud", "cloud", "cloud"};
  for (std::size_t i = 0; i < drivers.size(); ++i) {
    const std::string id = numbered("i", static_cast<int>(i));
    ASSERT_TRUE(intent(id, i + 1, drivers[i]).has_value());
    ASSERT_TRUE(span(id, SpanPhase::kRequested, 0).has_value());
    ASSERT_TRUE(span(id, SpanPhase::kReady, 1'000).has_value());
  }
  ASSERT_TRUE(span("i1", SpanPhase::kDrain, 2'000, "idle_timeout").has_value());  // told to end
  ASSERT_TRUE(span("i2", SpanPhase::kDrain, 2'000, "idle_timeout").has_value());
  ASSERT_TRUE(span("i2", SpanPhase::kDown, 3'000).has_value());
  clock_.advance(std::chrono::seconds(10));
  ASSERT_TRUE(wait([&](Done done) { book_->record_progress({{"i3", 10'000'000, 7}}, done); }).has_value());
  clock_.advance(std::chrono::seconds(20));
  reopen();
  EXPECT_EQ(book_->recovery().closed_spans, 2) << "our child, and the one that was ending";
  ASSERT_EQ(book_->recovery().survivors.size(), 1U);
  const Survivor& found = book_->recovery().survivors[0];
  EXPECT_EQ(found.intent.instance_id, "i3");
  EXPECT_EQ(found.intent.deployment, "m");
  EXPECT_EQ(found.intent.driver, "cloud");
  EXPECT_EQ(found.intent.epoch, 4U);
  EXPECT_EQ(found.phase, SpanPhase::kReady);
  EXPECT_EQ(found.alive_us, 30'000'000);
  EXPECT_EQ(found.busy_us, 7);
  EXPECT_EQ(found.unwatched_us, 20'000'000);
  EXPECT_FALSE(spans()[0].down_us.has_value());
}

UsageQuery by_deployment() {
  UsageQuery out;
  out.by = UsageBy::kDeployment;
  return out;
}

TEST_F(LedgerTest, ARemovedDeploymentKeepsItsHistoryAndItsEpochs) {
  ASSERT_TRUE(intent("i1", 3).has_value());
  ASSERT_TRUE(reserve("r1").has_value());
  ASSERT_TRUE(wait([&](Done done) { book_->remove_deployment("m", done); }).has_value());
  EXPECT_EQ(code_of(wait([&](Done done) { book_->remove_deployment("m", done); })), Code::kNotFound);
  EXPECT_EQ(code_of(reserve("r2")), Code::kNotFound);
  EXPECT_TRUE(settle("r1", 5).has_value()) << "what ran may still settle";
  ASSERT_TRUE(put("m").has_value());
  const auto all = ask<std::vector<Deployment>>(
      [&](Answer<std::vector<Deployment>> answer) { book_->list_deployments(std::move(answer)); });
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].last_epoch, 3U);
  EXPECT_EQ(usage(by_deployment()).size(), 1U);
}

TEST_F(LedgerTest, WallTimeNeverGoesBackAndAJumpIsAudited) {
  ASSERT_TRUE(reserve("before").has_value());
  clock_.jump_wall(-3'600'000'000);
  ASSERT_TRUE(reserve("after").has_value());
  const std::vector<RequestRow> rows = requests();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].at_us, rows[1].at_us);
  book_.reset();
  Connection connection = Connection::open(options().path, Access::kReadOnly).value();
  EXPECT_EQ(connection.query_integer("SELECT count(*) FROM audit_events WHERE kind = 'clock_jump'").value(), 1);
}

TEST_F(LedgerTest, UsageAddsUpByDayInTheCallersTimeZoneAndSplitsTheAwakeTime) {
  // 1,700,000,000 s is 2023-11-14 22:13:20 UTC: in China (UTC+8) that is already the 15th.
  ASSERT_TRUE(intent("i1", 1).has_value());
  ASSERT_TRUE(span("i1", SpanPhase::kRequested, 0).has_value());
  ASSERT_TRUE(span("i1", SpanPhase::kReady, 2'000'000).has_value());
  ASSERT_TRUE(wait([&](Done done) { book_->record_progress({{"i1", 9'000'000, 3'000'000}}, done); }).has_value());
  ASSERT_TRUE(span("i1", SpanPhase::kDown, 10'000'000).has_value());
  for (int i = 0; i < 4; ++i) {
    const std::string id = numbered("r", i);
    ASSERT_TRUE(reserve(id).has_value());
    Settlement s = settlement(id, 5);
    s.instance_id = "i1";
    if (i == 0) s.wake_wait_us = 2'000'000;
    if (i == 1) s.outcome = Outcome::kFailed;
    if (i == 2) clock_.advance(std::chrono::hours(24));
    ASSERT_TRUE(wait([&](Done done) { book_->settle(s, done); }).has_value());
  }
  UsageQuery query;
  query.zone = TimeZone::load("Asia/Shanghai").value();
  const std::vector<UsageRow> rows = usage(query);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].bucket_us, 1'699'977'600'000'000) << "2023-11-15 00:00 in China";
  EXPECT_EQ(rows[0].requests, 2);
  EXPECT_EQ(rows[0].failed, 1);
  EXPECT_EQ(rows[0].cold_requests, 1);
  EXPECT_EQ(rows[0].input_tokens, 20);
  EXPECT_EQ(rows[0].output_tokens, 10);
  EXPECT_EQ(rows[0].wakes, 1);
  EXPECT_EQ(rows[0].waking_us, 2'000'000);
  EXPECT_EQ(rows[0].busy_us, 3'000'000);
  EXPECT_EQ(rows[0].idle_us, 5'000'000);
  EXPECT_TRUE(rows[0].money.empty());
  query.by = UsageBy::kHour;
  query.max_rows = 1;
  ASSERT_EQ(usage(query).size(), 1U);
  EXPECT_EQ(usage(query)[0].requests, 2) << "beyond the limit the newest stay";
}

TEST_F(LedgerTest, MoneyOfTwoCurrenciesIsNeverAdded) {
  for (const char* currency : {"CNY", "CNY", "USD"}) {
    const std::string id = numbered("r", static_cast<int>(requests().size()));
    ASSERT_TRUE(reserve(id).has_value());
    Settlement s = settlement(id, 1);
    s.micros = 1'500'000;
    s.currency = currency;
    ASSERT_TRUE(wait([&](Done done) { book_->settle(s, done); }).has_value());
    const UsageRow row = usage(by_deployment()).at(0);
    if (id == "r1") {
      ASSERT_EQ(row.money.size(), 1U);
      EXPECT_EQ(row.money[0].micros, 3'000'000);
    }
    if (id == "r2") {
      ASSERT_EQ(row.money.size(), 2U);
      EXPECT_EQ(row.money[0].micros, 3'000'000);
      EXPECT_EQ(row.money[1].currency, "USD");
      EXPECT_EQ(row.money[1].micros, 1'500'000);
    }
  }
}

TEST_F(LedgerTest, CallbacksRunThroughThePostFunctionAndAreAllCalledOnClose) {
  book_.reset();
  std::mutex mutex;
  std::vector<std::function<void()>> posted;
  Options with_post = options();
  with_post.post = [&](std::function<void()> work) {
    const std::lock_guard lock(mutex);
    posted.push_back(std::move(work));
  };
  int called = 0;
  {
    const auto book = Ledger::open(with_post).value();
    for (int i = 0; i < 50; ++i) {
      book->reserve(reservation(numbered("p", i)), [&](const Status& status) { called += status ? 1 : 0; });
    }
  }
  EXPECT_EQ(called, 0) << "nothing ran on the ledger's threads";
  for (const std::function<void()>& work : posted) work();
  EXPECT_EQ(called, 50);
}

TEST_F(LedgerTest, ASecondProcessIsKeptOut) {
  const auto second = Ledger::open(options());
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kAlreadyExists);
}

TEST_F(LedgerTest, TheFileIsForItsOwnerOnly) {
  struct stat info {};
  ASSERT_EQ(::stat(options().path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(LedgerTest, EntriesCannotBeChangedOrDeleted) {
  ASSERT_TRUE(reserve("r1").has_value());
  book_.reset();
  Connection connection = Connection::open(options().path, Access::kReadWrite).value();
  EXPECT_FALSE(connection.execute("UPDATE request_entries SET output_tokens = 0").has_value());
  EXPECT_FALSE(connection.execute("DELETE FROM request_entries").has_value());
  EXPECT_EQ(connection.query_integer("SELECT count(*) FROM request_entries").value(), 1);
}

TEST_F(LedgerTest, ALedgerOfANewerVersionIsATypedError) {
  book_.reset();
  {
    Connection connection = Connection::open(options().path, Access::kReadWrite).value();
    ASSERT_TRUE(connection.execute("INSERT INTO schema_migrations VALUES (99, '0099_future', 0)").has_value());
  }
  const auto opened = Ledger::open(options());
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, Code::kInvalidArgument);
  EXPECT_NE(opened.error().message.find("newer"), std::string::npos);
}

TEST_F(LedgerTest, EveryOlderVersionMigratesWithItsRows) {
  book_.reset();
  const std::span<const Migration> all = all_migrations();
  for (std::size_t from = 0; from < all.size(); ++from) {
    Options old = options();
    old.path = directory_ + numbered("/old", static_cast<int>(from)) + ".db";
    {
      Connection connection = Connection::open(old.path, Access::kReadWrite).value();
      EXPECT_EQ(migrate(connection, all.first(from), 1).value(), static_cast<std::int64_t>(from));
    }
    const auto opened = Ledger::open(old);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    EXPECT_EQ((*opened)->recovery().migrations_applied, static_cast<std::int64_t>(all.size() - from));
  }
}

TEST_F(LedgerTest, DeploymentsWrittenBeforeTheyHadRulesKeepWhatTheyHad) {
  book_.reset();
  Options old = options();
  old.path = directory_ + "/before_rules.db";
  {
    Connection connection = Connection::open(old.path, Access::kReadWrite).value();
    ASSERT_EQ(migrate(connection, all_migrations().first(2), 1).value(), 2);
    ASSERT_TRUE(connection
                    .execute("INSERT INTO deployments (name, image, model_path, driver, runtime, exposure,"
                             " idle_timeout_ms, min_instances, max_instances, source, created_us, changed_us)"
                             " VALUES ('chat', 'qwen3-demo:q8_0', '/m.gguf', 'process', 'builtin', 'private', 5000, 0,"
                             " 1, 'api', 7, 7)")
                    .has_value());
  }
  auto opened = Ledger::open(old);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  ASSERT_EQ((*opened)->deployments_at_start().size(), 1U);
  Deployment chat = (*opened)->deployments_at_start()[0];
  EXPECT_EQ(chat.name, "chat");
  EXPECT_EQ(chat.idle_timeout_ms, 5000);
  EXPECT_EQ(chat.rules, "{}");
  chat.rules = R"({"aliases":["gpt-4o-mini"]})";
  ASSERT_TRUE(wait([&](Done done) { (*opened)->put_deployment(chat, done); }).has_value());
  chat.name = "broken";
  chat.rules = "";
  EXPECT_FALSE(wait([&](Done done) { (*opened)->put_deployment(chat, done); }).has_value());
  opened->reset();
  opened = Ledger::open(old);
  ASSERT_EQ((*opened)->deployments_at_start().size(), 1U);
  EXPECT_EQ((*opened)->deployments_at_start()[0].rules, R"({"aliases":["gpt-4o-mini"]})");
}

TEST_F(LedgerTest, AMigrationThatFailsLeavesTheLastVersionIntact) {
  Connection connection = Connection::open(directory_ + "/m.db", Access::kReadWrite).value();
  const Migration list[] = {{1, "0001_a", "CREATE TABLE a (x INTEGER)"}, {2, "0002_b", "CREATE TABLE b (x); nonsense"}};
  EXPECT_FALSE(migrate(connection, list, 1).has_value());
  EXPECT_EQ(connection.query_integer("SELECT count(*) FROM schema_migrations").value(), 1);
  EXPECT_EQ(connection.query_integer("SELECT count(*) FROM sqlite_schema WHERE name = 'b'").value(), 0);
  const Migration mended[] = {list[0], {2, "0002_b", "CREATE TABLE b (x)"}};
  EXPECT_EQ(migrate(connection, mended, 1).value(), 1);
}

TEST_F(LedgerTest, ADamagedFileIsDataLossNotACrash) {
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(reserve(numbered("r", i)).has_value());
  book_.reset();
  {
    std::fstream file(options().path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(0, std::ios::end);
    const std::streamoff size = file.tellg();
    const std::string noise(512, '\x5a');
    for (std::streamoff at = 8192; at < size; at += 4096) {
      file.seekp(at);
      file.write(noise.data(), 512);
    }
  }
  const auto opened = Ledger::open(options());
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, Code::kDataLoss);
}

TEST_F(LedgerTest, DamageFoundWhileServingStopsNewRequests) {
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(reserve(numbered("r", i)).has_value());
    ASSERT_TRUE(settle(numbered("r", i), 1).has_value());
  }
  book_.reset();
  {
    // The first leaf holds the oldest rows of the history: start and recovery do not read it.
    Connection connection = Connection::open(options().path, Access::kReadWrite).value();
    ASSERT_TRUE(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").has_value());
    const auto page = connection.query_integer("SELECT pageno FROM dbstat WHERE name = 'request_entries'"
                                               " AND pagetype = 'leaf' ORDER BY path LIMIT 1");
    if (!page.has_value()) GTEST_SKIP() << "this SQLite has no dbstat: cannot find a page to damage";
    std::fstream file(options().path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp((*page - 1) * 4096);
    file.write(std::string(64, '\x5a').c_str(), 64);
  }
  Options late = options();
  late.check_at_open_bytes = 0;
  auto opened = Ledger::open(late);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  book_ = std::move(*opened);
  const auto rows = ask<std::vector<Deployment>>(
      [&](Answer<std::vector<Deployment>> answer) { book_->list_deployments(std::move(answer)); });
  EXPECT_EQ(rows.size(), 1U) << "asked after the check on the same thread: it is over";
  EXPECT_TRUE(book_->health().damaged);
  EXPECT_EQ(code_of(reserve("later")), Code::kDataLoss);
}

}  // namespace
}  // namespace dormouse::ledger
