// Goal: retention takes detail and never a sum, whenever it is interrupted. Method: days of requests, errors, refusals
// and instance time; every report before and after; a real child process killed by a crashpoint in each step.
#include <fcntl.h>
#include <poll.h>

#include <csignal>
#include <tuple>

#include "base/ids.h"
#include "base/subprocess.h"
#include "ledger/ledger_fixture.h"
#include "ledger/reports/select.h"

namespace dormouse::ledger {
namespace {

using Figures = std::vector<std::int64_t>;

class CompactTest : public LedgerFixture {
 protected:
  void SetUp() override {
    LedgerFixture::SetUp();
    open();
    ASSERT_TRUE(put("m").has_value());
    ASSERT_TRUE(intent("i1", 1).has_value());
    ASSERT_TRUE(span("i1", SpanPhase::kRequested, 0).has_value());
    clock_.jump_wall(zone_.first({.year = 2026, .month = 3, .day = 1, .hour = 22}).us - clock_.wall().us);
  }

  // Four days, a request every 20 minutes; one of the first stays open.
  void fill() {
    for (int i = 0; i < 4 * 24 * 3; ++i) {
      clock_.advance(std::chrono::minutes(20));
      Reservation r = reservation(make_uuid_v7(clock_.wall()));
      r.key_id = i % 3 == 0 ? "key_a" : "key_b";
      ASSERT_TRUE(wait([&](Done done) { book_->reserve(r, done); }).has_value());
      if (i == 1) continue;
      Settlement s = settlement(r.request_id, i);
      s.duration_us = (i + 1) * 1'000;
      s.ttft_us = (i + 1) * 100;
      s.outcome = i % 7 == 0 ? Outcome::kFailed : Outcome::kOk;
      s.error_kind = i % 7 == 0 ? "oom" : "";
      s.busy_ns = 1'001;
      s.cost_micros = i;
      s.micros = i / 2;
      s.currency = i % 2 == 0 ? "CNY" : "USD";
      ASSERT_TRUE(wait([&](Done done) { book_->settle(s, done); }).has_value());
      ASSERT_TRUE(
          wait([&](Done done) {
            book_->record_progress({{"i1", (i + 1) * std::int64_t{1'200'000'000}, i * std::int64_t{7'000'000}}}, done);
          }).has_value());
    }
    const std::int64_t minute_us = clock_.wall().us / 60'000'000 * 60'000'000;
    ASSERT_TRUE(wait([&](Done done) {
                  book_->record_refusals(
                      {{minute_us, "", "m", "late", 3}, {minute_us - 3 * kDayUs, "", "m", "early", 2}}, done);
                }).has_value());
  }

  static void add(Figures& out, const UsageRow& r) {
    for (const std::int64_t n : {r.bucket_us, r.requests, r.failed, r.input_tokens, r.output_tokens, r.ttft_us,
                                 r.first_tokens, r.duration_us, r.request_busy_us, r.waking_us, r.busy_us, r.idle_us}) {
      out.push_back(n);
    }
    for (const MoneySum& sum : r.money) {
      out.push_back(sum.cost_micros);
      out.push_back(sum.micros);
    }
    for (const auto& latency : {r.duration, r.ttft}) {
      if (!latency.has_value()) continue;
      for (const std::int64_t n : {latency->requests, latency->p50_us, latency->p95_us, latency->p99_us})
        out.push_back(n);
    }
  }
  // Every report by days and above, as numbers.
  [[nodiscard]] Figures figures() const {
    Connection connection = Connection::open(options().path, Access::kReadOnly).value();
    Figures out;
    UsageQuery query;
    query.zone = zone_;
    for (const UsageBy by : {UsageBy::kDay, UsageBy::kKey, UsageBy::kDeployment}) {
      query.by = by;
      const UsageReport report = select_usage(connection, query).value();
      for (const UsageRow& row : report.rows) add(out, row);
      add(out, report.total);
    }
    const std::vector<ErrorRow> errors = select_errors(connection, {}).value();
    for (const ErrorRow& row : errors) {
      out.push_back(row.requests);
      out.push_back(row.last_us);
    }
    BillQuery bill;
    bill.year = 2026;
    bill.month = 3;
    bill.zone = zone_;
    const Bill march = select_bill(connection, bill).value();
    for (const BillLine& line : march.lines) {
      for (const std::int64_t n : {line.total_micros, line.busy_micros, line.not_billed_micros, line.requests})
        out.push_back(n);
    }
    return out;
  }
  [[nodiscard]] std::int64_t count(const char* sql) const {
    Connection connection = Connection::open(options().path, Access::kReadOnly).value();
    return connection.query_integer(sql).value();
  }
  int compact_until_done(std::int64_t before_us) {
    CompactCursor cursor;
    int steps = 0;
    for (; !cursor.is_done() && steps < 1'000; ++steps) {
      cursor = ask<CompactCursor>(
          [&](Answer<CompactCursor> answer) { book_->compact(before_us, zone_, cursor, std::move(answer)); });
    }
    return steps;
  }

  static constexpr std::int64_t kDayUs = 86'400'000'000;
  const TimeZone zone_ = TimeZone::load("Asia/Shanghai").value();
};

TEST_F(CompactTest, DetailGoesSumsStayAndWhatIsYoungOrOpenIsKept) {
  fill();
  book_->record_progress({}, {});
  const Figures before = figures();
  const std::int64_t old_us = zone_.first({.year = 2026, .month = 3, .day = 4, .hour = 12}).us;
  const std::int64_t first_day_us = zone_.first({.year = 2026, .month = 3, .day = 4}).us;
  EXPECT_LT(compact_until_done(old_us), 400);
  EXPECT_EQ(figures(), before);
  for (const char* table : {"usage_quarters", "latency_quarters", "error_quarters", "instance_quarters"}) {
    const std::string old_rows =
        fmt::format("SELECT count(DISTINCT slot_us) FROM {} WHERE slot_us < {}", table, first_day_us);
    EXPECT_EQ(count(old_rows.c_str()), 3) << table << ": 1, 2 and 3 March";
    const std::string young_rows =
        fmt::format("SELECT count(DISTINCT slot_us) FROM {} WHERE slot_us >= {}", table, first_day_us);
    EXPECT_GT(count(young_rows.c_str()), 10) << table;
  }
  const std::string old_requests =
      fmt::format("SELECT count(DISTINCT request_id) FROM request_entries WHERE at_us < {}", first_day_us);
  EXPECT_EQ(count(old_requests.c_str()), 1) << "the one that is open";
  EXPECT_GT(count("SELECT count(*) FROM request_entries"), 100);
  EXPECT_EQ(count("SELECT count(*) FROM refusal_minutes"), 1);
  EXPECT_EQ(compact_until_done(old_us), 6) << "nothing is left to do: one look a table";
  EXPECT_EQ(figures(), before);
  book_.reset();
  Connection connection = Connection::open(options().path, Access::kReadWrite).value();
  EXPECT_FALSE(connection.execute("DELETE FROM request_entries").has_value()) << "append-only again";
}

TEST_F(CompactTest, KilledInAnyStepNothingIsLostOrDoubled) {
  fill();
  book_.reset();
  open();  // settles the open one
  book_.reset();
  const Figures before = figures();
  const std::int64_t old_us = zone_.first({.year = 2026, .month = 3, .day = 5}).us;
  int killed = 0;
  for (int pass = 1;; ++pass) {
    SubprocessOptions child_options;
    child_options.argv = {COMPACT_CHILD, options().path, std::to_string(old_us)};
    child_options.environment = {fmt::format("DORMOUSE_CRASHPOINT=ledger.mid_compaction:{}", pass)};
    Result<Subprocess> child = Subprocess::spawn(child_options);
    ASSERT_TRUE(child.has_value());
    pollfd watched{child->pidfd(), POLLIN, 0};
    ::poll(&watched, 1, -1);
    const ExitStatus status = child->try_wait().value();
    ASSERT_EQ(figures(), before) << "pass " << pass;
    if (status.signal != SIGKILL) {
      EXPECT_EQ(status.exit_code, 0);
      break;
    }
    ++killed;
  }
  EXPECT_GT(killed, 15) << "each pass gets one step further than the one before";
  const std::string old_rows =
      fmt::format("SELECT count(DISTINCT slot_us) FROM usage_quarters WHERE slot_us < {}", old_us);
  EXPECT_EQ(count(old_rows.c_str()), 4);
}

}  // namespace
}  // namespace dormouse::ledger
