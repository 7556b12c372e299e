// Goal: what the API says of a report is what the report is, in JSON and CSV; a spreadsheet finds no formula in it;
// what a person types for a moment is understood or refused by name. Method: written out, read back and compared; the
// FOCUS rows are parsed as CSV and added up.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <random>

#include "gateway/admin/csv.h"
#include "gateway/admin/period.h"
#include "gateway/admin/query_string.h"
#include "gateway/admin/report_wire.h"

namespace dormouse::gateway {
namespace {

using Row = std::vector<std::string>;

// RFC 4180, as strict as it is.
std::vector<Row> parse_csv(const std::string& text) {
  std::vector<Row> rows;
  Row row;
  std::string cell;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        cell += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        cell += text[++i];
      } else {
        quoted = false;
      }
    } else if (c == '"') {
      EXPECT_TRUE(cell.empty());
      quoted = true;
    } else if (c == ',') {
      row.push_back(std::exchange(cell, {}));
    } else if (c == '\r') {
      EXPECT_EQ(text[++i], '\n');
      row.push_back(std::exchange(cell, {}));
      rows.push_back(std::exchange(row, {}));
    } else {
      cell += c;
    }
  }
  EXPECT_TRUE(row.empty() && cell.empty()) << "the last row ends too";
  return rows;
}

std::map<std::string, std::string> named(const Row& header, const Row& row) {
  std::map<std::string, std::string> out;
  EXPECT_EQ(header.size(), row.size());
  for (std::size_t i = 0; i < std::min(header.size(), row.size()); ++i) out[header[i]] = row[i];
  return out;
}

// "-12.000001" -> -12'000'001
std::int64_t micros_of(const std::string& text) {
  const bool negative = text.starts_with('-');
  const std::size_t point = text.find('.');
  EXPECT_NE(point, std::string::npos) << text;
  EXPECT_EQ(text.size() - point - 1, 6U) << text;
  std::string digits = text.substr(negative ? 1 : 0);
  std::erase(digits, '.');
  std::int64_t out = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  EXPECT_TRUE(ec == std::errc() && end == digits.data() + digits.size()) << text;
  return negative ? -out : out;
}

TEST(Csv, AFormulaIsTextAndANumberIsANumber) {
  Csv csv;
  for (const char* text : {"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "a,b", "say \"hi\"", "plain", ""}) csv.text(text);
  csv.number(-5).micros(-1).micros(INT64_MIN).empty().end_row();
  const Row row = parse_csv(csv.str()).at(0);
  const Row want = {"'=1+1", "'+1", "'-1",        "'@SUM(A1)",
                    "'\t=1", "a,b", "say \"hi\"", "plain",
                    "",      "-5",  "-0.000001",  "-9223372036854.775808",
                    ""};
  EXPECT_EQ(row, want);
}

ledger::UsageRow some_row() {
  ledger::UsageRow row;
  row.bucket_us = 1'793'462'400'000'000;
  row.requests = 3;
  row.failed = 1;
  row.refused = 7;
  row.input_tokens = 11;
  row.output_tokens = 1'234'567;
  row.queue_us = 5;
  row.duration_us = 3'000'000;
  row.waking_us = 8;
  row.idle_us = -1;
  row.wakes = 2;
  row.money = {{"CNY", 2'000'000, 1'500'000}, {"USD", 5, 4}};
  row.duration = ledger::LatencySummary{3, 900'000, 2'000'000, 2'100'000};
  return row;
}

TEST(ReportWire, UsageReadsBackAndItsCsvAddsUp) {
  const TimeZone zone = TimeZone::load("Asia/Shanghai").value();
  UsageView view{{"day", "Asia/Shanghai", 1, 2}, {{some_row()}, some_row()}};
  const UsageView back = parse_usage(usage_json(view, zone)).value();
  EXPECT_EQ(back.header.by, "day");
  EXPECT_EQ(back.header.time_zone, "Asia/Shanghai");
  ASSERT_EQ(back.report.rows.size(), 1U);
  const ledger::UsageRow& row = back.report.rows[0];
  EXPECT_EQ(row.bucket_us, some_row().bucket_us);
  EXPECT_EQ(row.output_tokens, 1'234'567);
  EXPECT_EQ(row.refused, 7);
  EXPECT_EQ(row.idle_us, -1);
  EXPECT_EQ(row.wakes, 2);
  ASSERT_EQ(row.money.size(), 2U);
  EXPECT_EQ(row.money[1].currency, "USD");
  EXPECT_EQ(row.money[1].micros, 4);
  ASSERT_TRUE(row.duration.has_value());
  EXPECT_EQ(row.duration->p95_us, 2'000'000);
  EXPECT_FALSE(row.ttft.has_value());
  EXPECT_EQ(back.report.total.requests, 3);
  const std::vector<Row> csv = parse_csv(usage_csv(view, zone));
  ASSERT_EQ(csv.size(), 3U) << "a header and a row for each currency";
  auto first = named(csv[0], csv[1]);
  EXPECT_EQ(first["time"], "2026-11-01T00:00:00+08:00");
  EXPECT_EQ(first["requests"], "3");
  EXPECT_EQ(first["duration_p50_s"], "0.900000");
  EXPECT_EQ(first["duration_mean_s"], "1.000000");
  EXPECT_EQ(first["currency"], "CNY");
  EXPECT_EQ(first["billed"], "1.500000");
  auto second = named(csv[0], csv[2]);
  EXPECT_EQ(second["requests"], "") << "sums of the column stay right";
  EXPECT_EQ(second["billed"], "0.000004");
}

TEST(ReportWire, ErrorsReadBackAndAHostileNameIsNoFormula) {
  ErrorsView view;
  view.header.by = "error";
  view.errors.resize(1);
  view.errors[0].kind = "oom";
  view.errors[0].requests = 2;
  view.refusals.resize(1);
  view.refusals[0].deployment = "=cmd|'/c calc'!A0";
  const ErrorsView back = parse_errors(errors_json(view, TimeZone())).value();
  ASSERT_EQ(back.refusals.size(), 1U);
  EXPECT_EQ(back.refusals[0].deployment, "=cmd|'/c calc'!A0");
  EXPECT_EQ(back.errors.at(0).requests, 2);
  const std::vector<Row> csv = parse_csv(errors_csv(view, TimeZone()));
  EXPECT_EQ(csv.at(2).at(2), "'=cmd|'/c calc'!A0");
}

TEST(ReportWire, ABillReadsBackWholeAndItsCsvHasItsParts) {
  ledger::BillLine line;
  line.deployment = "chat";
  line.currency = "CNY";
  line.total_micros = 10;
  line.fee_micros = 4;
  line.busy_micros = 5;
  line.waking_micros = 6;
  line.idle_micros = -1;
  line.not_billed_micros = 2;
  line.requests = 9;
  line.prices = {{{3, "t4", "hourly", "CNY", 1'800'000, 3'600'000'000, 1'000'000, "list, 2026-11-01"}, 77, 10}};
  line.keys = {{"key_a", 9, 5, 3}};
  BillView view;
  view.bill = {"2026-11", "Asia/Shanghai", 5, 6, {line}, {{"draft", 8, 1}}};
  view.so_far = true;
  const BillView back = parse_bill(bill_json(view, TimeZone())).value();
  EXPECT_TRUE(back.so_far);
  EXPECT_EQ(back.bill.month, "2026-11");
  const ledger::BillLine& got = back.bill.lines.at(0);
  EXPECT_EQ(got.idle_micros, -1);
  EXPECT_EQ(got.total_micros, 10);
  EXPECT_EQ(got.prices.at(0).price, line.prices[0].price);
  EXPECT_EQ(got.prices.at(0).awake_us, 77);
  EXPECT_EQ(got.keys.at(0).micros, 3);
  EXPECT_EQ(back.bill.unpriced.at(0).awake_us, 8);
  const std::vector<Row> csv = parse_csv(bill_csv(view));
  ASSERT_EQ(csv.size(), 4U);
  auto total = named(csv[0], csv[1]);
  EXPECT_EQ(total["kind"], "total");
  EXPECT_EQ(micros_of(total["busy"]) + micros_of(total["waking"]) + micros_of(total["idle"]),
            micros_of(total["total"]));
  EXPECT_EQ(named(csv[0], csv[2])["total"], "0.000010");
  auto key = named(csv[0], csv[3]);
  EXPECT_EQ(micros_of(key["billed"]) + micros_of(key["not_billed"]), micros_of(key["busy"]));
}

TEST(ReportWire, FocusHasEveryMandatoryColumnAndItsSumsAreTheCharges) {
  std::mt19937 random(7);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  ledger::Bill bill;
  bill.month = "2026-11";
  bill.begin_us = 1'793'462'400'000'000;
  bill.end_us = bill.begin_us + 30 * std::int64_t{86'400'000'000};
  const std::array<std::string, 2> names = {"chat, \"the\" first", "=evil"};
  const ledger::Price hourly{1, "t4", "hourly", "CNY", 1'800'000, 3'600'000'000, 1, ""};
  const ledger::Price monthly{2, "t4", "monthly", "CNY", 300'000'000, 2'628'000'000'000, 1, ""};
  std::vector<ledger::FocusCharge> charges;
  std::int64_t billed = 0;
  std::int64_t effective = 0;
  for (int i = 0; i < 500; ++i) {
    ledger::FocusCharge& c = charges.emplace_back();
    c.kind = i % 50 == 0   ? ledger::FocusCharge::Kind::kFee
             : i % 50 == 1 ? ledger::FocusCharge::Kind::kUnusedFee
                           : ledger::FocusCharge::Kind::kUsage;
    c.begin_us = bill.begin_us;
    c.end_us = bill.begin_us + 3'600'000'000;
    c.deployment = names.at(static_cast<std::size_t>(i % 2));
    c.instance_id = names[1];
    c.price = i % 3 == 0 ? monthly : hourly;
    c.billed_micros = pick(0, 9'000'000'000);
    c.effective_micros = pick(0, 9'000'000'000);
    c.paid_us = c.awake_us = pick(0, 3'600'000'000);
    c.waking_us = pick(0, c.awake_us);
    c.busy_us = c.awake_us - c.waking_us;
    billed += c.billed_micros;
    effective += c.effective_micros;
  }
  const std::vector<Row> csv = parse_csv(focus_csv(charges, bill));
  ASSERT_EQ(csv.size(), 501U);
  for (const char* column :
       {"BilledCost",       "BillingAccountId", "BillingAccountName", "BillingCurrency",   "BillingPeriodStart",
        "BillingPeriodEnd", "ChargeCategory",   "ChargeClass",        "ChargeDescription", "ChargePeriodStart",
        "ChargePeriodEnd",  "ContractedCost",   "EffectiveCost",      "InvoiceIssuerName", "ListCost",
        "PricingQuantity",  "PricingUnit",      "ProviderName",       "PublisherName",     "ServiceCategory",
        "ServiceName"}) {
    EXPECT_EQ(std::count(csv[0].begin(), csv[0].end(), column), 1) << column;
  }
  std::int64_t billed_back = 0;
  std::int64_t effective_back = 0;
  for (std::size_t i = 1; i < csv.size(); ++i) {
    auto row = named(csv[0], csv[i]);
    billed_back += micros_of(row["BilledCost"]);
    effective_back += micros_of(row["EffectiveCost"]);
    EXPECT_EQ(row["BillingPeriodStart"], "2026-10-31T16:00:00Z");
    EXPECT_FALSE(row["x_Deployment"].starts_with('='));
    if (row["ChargeCategory"] == "Purchase") {
      EXPECT_EQ(row["ConsumedQuantity"], "");
    } else if (!row["ConsumedQuantity"].empty()) {
      EXPECT_EQ(micros_of(row["x_BusySeconds"]) + micros_of(row["x_WakingSeconds"]) + micros_of(row["x_IdleSeconds"]),
                micros_of(row["ConsumedQuantity"]));
    }
  }
  EXPECT_EQ(billed_back, billed);
  EXPECT_EQ(effective_back, effective);
}

TEST(Period, WhatAPersonTypesIsAMomentOrAnErrorThatSaysWhatToType) {
  const TimeZone zone = TimeZone::load("Asia/Shanghai").value();
  const WallTime now = zone.first({.year = 2026, .month = 11, .day = 26, .hour = 9});
  const auto shown = [&](const char* text) { return zone.iso(parse_moment(text, now, zone).value()); };
  EXPECT_EQ(shown("today"), "2026-11-26T00:00:00+08:00");
  EXPECT_EQ(shown("7d"), "2026-11-19T09:00:00+08:00");
  EXPECT_EQ(shown("90m"), "2026-11-26T07:30:00+08:00");
  EXPECT_EQ(shown("2026"), "2026-01-01T00:00:00+08:00");
  EXPECT_EQ(shown("2026-11"), "2026-11-01T00:00:00+08:00");
  EXPECT_EQ(shown("2026-11-02"), "2026-11-02T00:00:00+08:00");
  EXPECT_EQ(shown("2026-11-02T08:30"), "2026-11-02T08:30:00+08:00");
  EXPECT_EQ(shown("2026-11-02 08:30:15"), "2026-11-02T08:30:15+08:00");
  EXPECT_EQ(shown("2026-11-02T00:30Z"), "2026-11-02T08:30:00+08:00");
  for (const char* text : {"", "yesterday", "7", "-7d", "2026-13", "2026-02-30", "2026-1-1", "1960-01-01", "9999-01-01",
                           "2026-11-02T24:00", "2026-11-02T08", "2026-11-02X", "20261102"}) {
    const Result<WallTime> at = parse_moment(text, now, zone);
    ASSERT_FALSE(at.has_value()) << text;
    EXPECT_EQ(at.error().code, Code::kInvalidArgument) << text;
  }
  EXPECT_EQ(parse_month("2026-02", now, zone)->month, 2);
  EXPECT_EQ(parse_month("", now, zone)->month, 11);
  EXPECT_FALSE(parse_month("2026-11-01", now, zone).has_value());
  EXPECT_FALSE(parse_month("2026-00", now, zone).has_value());
}

TEST(QueryString, IsDecodedOnceAndBrokenOnesAreErrors) {
  const QueryString query = QueryString::parse("a=1&time_zone=Etc%2FGMT%2B8&b=x+y&empty=&flag&a=2").value();
  EXPECT_EQ(query.text("time_zone"), "Etc/GMT+8");
  EXPECT_EQ(query.text("b"), "x y");
  EXPECT_EQ(query.text("empty"), "");
  EXPECT_EQ(query.text("flag"), "");
  EXPECT_EQ(query.text("none"), std::nullopt);
  EXPECT_EQ(query.number("a", 7, {1, 10}).value(), 2) << "the last wins";
  EXPECT_EQ(query.number("none", 7, {1, 10}).value(), 7);
  EXPECT_FALSE(query.number("b", 7, {1, 10}).has_value());
  EXPECT_FALSE(query.number("a", 7, {3, 10}).has_value());
  for (const char* text : {"a=%", "a=%4", "a=%zz", "a=%00", "a=%0a", "a=%+1"}) {
    EXPECT_FALSE(QueryString::parse(text).has_value()) << text;
  }
  const std::string odd = "a b/ü&=%";
  EXPECT_EQ(QueryString::parse("x=" + percent_encode(odd))->text("x"), odd);
}

}  // namespace
}  // namespace dormouse::gateway
