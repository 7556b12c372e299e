// Goal: a bill's parts are its total, months are the whole life, keys and what was not billed are the busy cost, and
// the hourly charges are the bill, to the micro-unit. Method: random histories (prices by second, minute, hour and
// month, two currencies, spans over months, refunds) in several time zones against sums computed here in another way.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <string>

#include "ledger/migrations.h"
#include "ledger/quarter.h"
#include "ledger/reports/select.h"

namespace dormouse::ledger {
namespace {

__extension__ using Wide = __int128;
constexpr std::int64_t kHourUs = 3'600'000'000;
constexpr std::int64_t kDayUs = 24 * kHourUs;
constexpr const char* kZones[] = {"Asia/Shanghai",  "UTC",          "Europe/Berlin", "America/New_York",
                                  "Asia/Kathmandu", "Asia/Kolkata", "Pacific/Apia"};

struct PriceOf {
  std::int64_t version;
  bool monthly;
  std::string currency;
  std::int64_t period_micros;
  std::int64_t period_us;
  std::int64_t increment_us;
};

class BillTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "bill_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    connection_.emplace(Connection::open(directory_ + "/ledger.db", Access::kReadWrite).value());
    ASSERT_TRUE(migrate(*connection_, all_migrations(), 1).has_value());
    run("PRAGMA synchronous=OFF");
  }
  void TearDown() override {
    connection_.reset();
    std::filesystem::remove_all(directory_);
  }
  void run(const std::string& sql) {
    const Status status = connection_->execute(sql);
    ASSERT_TRUE(status.has_value()) << status.error().message;
  }
  std::int64_t pick(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }

  void forget() {
    for (const char* table : {"usage_quarters", "instance_quarters", "fees", "instance_spans", "start_intents",
                              "deployments", "price_versions"}) {
      run(fmt::format("DELETE FROM {}", table));
    }
    prices_.clear();
    paid_.clear();
    waking_.clear();
    busy_.clear();
    billed_.clear();
  }
  void make_prices() {
    for (std::int64_t version = 1; version <= 6; ++version) {
      PriceOf p{version, version > 4, version % 2 == 0 ? "USD" : "CNY", pick(0, 50'000'000), kHourUs, 1};
      const std::int64_t increments[] = {1'000'000, 60'000'000, kHourUs, 7'000'001};
      p.increment_us = increments[pick(0, 3)];
      if (pick(0, 3) == 0) p.period_us = pick(1, 10 * kHourUs);
      if (p.monthly) p.period_us = 730 * kHourUs;
      prices_.push_back(p);
      run(fmt::format("INSERT INTO price_versions VALUES ({}, 't{}', '{}', '{}', {}, {}, {}, '', 1)", version, version,
                      p.monthly ? "monthly" : "hourly", p.currency, p.period_micros, p.period_us, p.increment_us));
    }
  }
  void make_deployments() {
    for (int id = 1; id <= 3; ++id) {  // the second was removed and is there again as the third
      run(fmt::format(
          "INSERT INTO deployments (id, name, image, model_path, driver, runtime, exposure, idle_timeout_ms,"
          " min_instances, max_instances, source, created_us, changed_us, removed_us) VALUES ({}, '{}', 'i',"
          " '', 'process', 'builtin', 'private', 600000, 0, 1, 'api', 1, 1, {})",
          id, id == 1 ? "a" : "b", id == 2 ? "2" : "NULL"));
    }
  }
  void make_span(int number, std::int64_t from_us, std::int64_t to_us) {
    const PriceOf& p = prices_[static_cast<std::size_t>(pick(0, 5))];
    const std::int64_t deployment = pick(1, 3);
    const std::int64_t begin = pick(from_us, to_us);
    const std::int64_t awake = pick(0, 4) == 0 ? pick(0, 45 * kDayUs) : pick(0, 3 * kHourUs);
    const bool was_ready = pick(0, 9) != 0;
    const std::int64_t waking = was_ready ? pick(0, awake) : awake;
    const bool ended = pick(0, 4) != 0;
    const bool priced = pick(0, 9) != 0;
    const std::string id = fmt::format("i{}", number);
    run(fmt::format("INSERT INTO start_intents VALUES ('{}', {}, 'process', '', {}, 'request', 1, {})", id, deployment,
                    number + 1, priced ? std::to_string(p.version) : "NULL"));
    run(
        fmt::format("INSERT INTO instance_spans (instance_id, deployment_id, requested_us, ready_after_us, down_us,"
                    " down_after_us, alive_us) VALUES ('{}', {}, {}, {}, {}, {}, {})",
                    id, deployment, begin, was_ready ? std::to_string(waking) : "NULL",
                    ended ? std::to_string(begin + awake) : "NULL", ended ? std::to_string(awake) : "NULL", awake));
    if (awake > 0) {
      run(fmt::format("INSERT INTO instance_quarters VALUES ({}, '{}', {}, {}, {})", slot_of(begin), id, awake, waking,
                      pick(0, awake - waking)));
    }
    if (!priced) return;
    const std::int64_t paid = (awake + p.increment_us - 1) / p.increment_us * p.increment_us;
    const auto worth = [&p](std::int64_t us) {
      return static_cast<std::int64_t>(Wide{p.period_micros} * us / p.period_us);
    };
    if (!p.monthly) paid_[p.currency] += worth(paid);
    waking_[p.currency] += worth(waking);
  }
  void make_requests(std::int64_t from_us, std::int64_t to_us) {
    for (int i = 0; i < 60; ++i) {
      const std::string currency = pick(0, 5) == 0 ? "" : pick(0, 1) == 0 ? "CNY" : "USD";
      const std::int64_t cost = currency.empty() ? 0 : pick(0, 3'000'000);
      const std::int64_t micros = currency.empty() ? 0 : pick(0, 3) == 0 ? -pick(0, 90) : pick(0, cost);  // a refund
      run(
          fmt::format("INSERT INTO usage_quarters (slot_us, deployment_id, key_id, currency, requests, cost_micros,"
                      " micros) VALUES ({}, {}, 'k{}', '{}', 1, {}, {}) ON CONFLICT DO NOTHING",
                      slot_of(pick(from_us, to_us)), pick(1, 3), pick(0, 4), currency, cost, micros));
      if (connection_->changes() == 0 || currency.empty()) continue;
      busy_[currency] += cost;
      billed_[currency] += micros;
    }
  }
  void make_fees(const std::string& month) {
    for (int deployment = 1; deployment <= 3; ++deployment) {
      if (pick(0, 1) == 0) continue;
      const PriceOf& p = prices_[static_cast<std::size_t>(pick(4, 5))];
      run(fmt::format("INSERT INTO fees VALUES ({}, '{}', 1, {}, {}, '{}', 1)", deployment, month, p.version,
                      p.period_micros, p.currency));
      paid_[p.currency] += p.period_micros;
    }
  }

  // One month: its own sums agree, and so do its charges.
  void check_month(const BillQuery& query, std::map<std::string, BillLine>& life) {
    const Bill bill = select_bill(*connection_, query).value();
    std::map<std::string, std::int64_t> totals;
    for (const BillLine& line : bill.lines) {
      EXPECT_EQ(line.busy_micros + line.waking_micros + line.idle_micros, line.total_micros);
      std::int64_t keys = 0;
      for (const BillKey& key : line.keys) keys += key.micros;
      EXPECT_EQ(keys + line.not_billed_micros, line.busy_micros);
      std::int64_t prices = 0;
      for (const BillPrice& price : line.prices) prices += price.total_micros;
      EXPECT_EQ(prices, line.total_micros);
      EXPECT_GE(line.total_micros, 0);
      EXPECT_GE(line.waking_micros, 0);
      BillLine& sum = life[line.currency];
      sum.total_micros += line.total_micros;
      sum.waking_micros += line.waking_micros;
      sum.busy_micros += line.busy_micros;
      sum.not_billed_micros += line.not_billed_micros;
      totals[line.currency] += line.total_micros;
    }
    std::map<std::string, std::int64_t> billed;
    std::map<std::string, std::int64_t> effective;
    const std::vector<FocusCharge> charges = select_focus(*connection_, query).value();
    for (const FocusCharge& charge : charges) {
      billed[charge.price.currency] += charge.billed_micros;
      effective[charge.price.currency] += charge.effective_micros;
      EXPECT_LT(charge.begin_us, charge.end_us);
      EXPECT_GE(charge.begin_us, bill.begin_us);
      EXPECT_LE(charge.end_us, bill.end_us);
      EXPECT_LE(charge.waking_us, charge.awake_us);
      EXPECT_LE(charge.awake_us, charge.paid_us);
      EXPECT_GE(charge.effective_micros, 0);
    }
    for (const auto& [currency, total] : totals) {
      EXPECT_EQ(billed[currency], total) << bill.month;
      EXPECT_EQ(effective[currency], total) << bill.month;
    }
  }

  void one_history(std::uint32_t seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    random_.seed(seed);
    run("BEGIN");
    forget();
    make_prices();
    make_deployments();
    BillQuery query;
    query.zone = TimeZone::load(kZones[static_cast<std::size_t>(pick(0, 6))]).value();
    const std::int64_t from_us = query.zone.first({.year = 2026, .month = 2}).us;
    const std::int64_t to_us = query.zone.first({.year = 2026, .month = 5}).us;
    const auto spans = static_cast<int>(pick(0, 25));
    for (int i = 0; i < spans; ++i) make_span(i, from_us, to_us);
    make_requests(from_us, to_us);
    for (const char* month : {"2026-02", "2026-03", "2026-04"}) make_fees(month);
    std::map<std::string, BillLine> life;
    query.year = 2026;
    for (query.month = 1; query.month <= 8; ++query.month) check_month(query, life);
    for (const char* currency : {"CNY", "USD"}) {
      EXPECT_EQ(life[currency].total_micros, paid_[currency]) << currency;
      EXPECT_EQ(life[currency].waking_micros, waking_[currency]) << currency;
      EXPECT_EQ(life[currency].busy_micros, busy_[currency]) << currency;
      EXPECT_EQ(life[currency].busy_micros - life[currency].not_billed_micros, billed_[currency]) << currency;
    }
    run("ROLLBACK");
  }

  std::string directory_;
  std::optional<Connection> connection_;
  std::mt19937 random_;
  std::vector<PriceOf> prices_;
  std::map<std::string, std::int64_t> paid_;
  std::map<std::string, std::int64_t> waking_;
  std::map<std::string, std::int64_t> busy_;
  std::map<std::string, std::int64_t> billed_;
};

TEST_F(BillTest, PartsAreTheTotalAndMonthsTheLifeToTheMicroUnit) {
  const std::uint32_t first = std::random_device{}();
  std::printf("seed %u\n", first);
  for (std::uint32_t i = 0; i < 400 && !HasFailure(); ++i) one_history(first + i);
}

TEST_F(BillTest, AnHourAcrossTheMonthsEndIsSplitThereAndTheIncrementIsPaidWhole) {
  run("INSERT INTO price_versions VALUES (1, 't4', 'hourly', 'CNY', 1800000, 3600000000, 3600000000, '', 1)");
  make_deployments();
  BillQuery query;
  query.zone = TimeZone::load("Asia/Shanghai").value();
  const std::int64_t november = query.zone.first({.year = 2026, .month = 11}).us;
  // 20 minutes before the month's end, 30 minutes long: an hour is paid, a third of it in October.
  run("INSERT INTO start_intents VALUES ('i', 1, 'process', '', 1, 'request', 1, 1)");
  run(
      fmt::format("INSERT INTO instance_spans (instance_id, deployment_id, requested_us, ready_after_us, down_us,"
                  " down_after_us, alive_us) VALUES ('i', 1, {}, 60000000, 1, 1800000000, 1800000000)",
                  november - 1'200'000'000));
  query.year = 2026;
  query.month = 10;
  Bill bill = select_bill(*connection_, query).value();
  ASSERT_EQ(bill.lines.size(), 1U);
  EXPECT_EQ(bill.month, "2026-10");
  EXPECT_EQ(bill.lines[0].total_micros, 600'000);
  EXPECT_EQ(bill.lines[0].waking_micros, 30'000);
  EXPECT_EQ(bill.lines[0].prices.at(0).awake_us, 1'200'000'000);
  query.month = 11;
  bill = select_bill(*connection_, query).value();
  ASSERT_EQ(bill.lines.size(), 1U);
  EXPECT_EQ(bill.lines[0].total_micros, 1'200'000);
  EXPECT_EQ(bill.lines[0].waking_micros, 0);
  EXPECT_EQ(bill.lines[0].prices.at(0).awake_us, 600'000'000);
  query.month = 12;
  EXPECT_TRUE(select_bill(*connection_, query)->lines.empty());
  query.month = 13;
  EXPECT_EQ(select_bill(*connection_, query).error().code, Code::kInvalidArgument);
}

TEST_F(BillTest, TimeWithoutAKnownPriceIsNamedAndInNoSum) {
  make_deployments();
  BillQuery query;
  query.year = 2026;
  query.month = 11;
  const std::int64_t november = query.zone.first({.year = 2026, .month = 11}).us;
  run("INSERT INTO start_intents VALUES ('i', 1, 'process', '', 1, 'request', 1, NULL)");
  run(fmt::format(
      "INSERT INTO instance_spans (instance_id, deployment_id, requested_us, alive_us) VALUES ('i', 1, {}, 5)",
      november));
  run(
      fmt::format("INSERT INTO usage_quarters (slot_us, deployment_id, key_id, currency, requests) VALUES"
                  " ({}, 1, '', '', 7)",
                  november));
  const Bill bill = select_bill(*connection_, query).value();
  EXPECT_TRUE(bill.lines.empty());
  ASSERT_EQ(bill.unpriced.size(), 1U);
  EXPECT_EQ(bill.unpriced[0].deployment, "a");
  EXPECT_EQ(bill.unpriced[0].awake_us, 5);
  EXPECT_EQ(bill.unpriced[0].requests, 7);
  EXPECT_TRUE(select_focus(*connection_, query)->empty());
}

}  // namespace
}  // namespace dormouse::ledger
