// Goal: a person reads the parts of a bill that make its total, in both languages; the heat map has 7 days of 24 hours.
#include "cli/report_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/table.h"

namespace dormouse::cli {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = text.find('\n', at);
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

gateway::BillView some_bill() {
  gateway::BillView view;
  view.so_far = true;
  view.bill.month = "2026-11";
  view.bill.time_zone = "Asia/Shanghai";
  ledger::BillLine& line = view.bill.lines.emplace_back();
  line.deployment = "chat";
  line.currency = "CNY";
  line.total_micros = 366'600'000;
  line.busy_micros = 20'000'000;
  line.waking_micros = 360'000;
  line.idle_micros = 346'240'000;
  line.not_billed_micros = 1'000'000;
  line.busy_us = 11 * std::int64_t{3'600'000'000};
  line.waking_us = 720'000'000;
  line.idle_us = 192 * std::int64_t{3'600'000'000};
  line.requests = 20'000;
  line.prices.emplace_back().price.instance_type = "t4";
  line.keys = {{"key_a", 19'000, 19'500'000, 19'000'000}, {"", 1'000, 500'000, 0}};
  view.bill.unpriced = {{"draft", 3'600'000'000, 2}};
  return view;
}

TEST(ReportText, ABillSaysWhatComputedWhatWokeAndWhatWaited) {
  const std::string text = bill_text(some_bill(), Language::kEnglish);
  EXPECT_NE(text.find("Bill of 2026-11, so far · Asia/Shanghai"), std::string::npos) << text;
  for (const char* figure :
       {"¥366.60", "¥20.00", "¥0.36", "¥346.24", "11.0 h", "12.0 min", "192.0 h", "20,000", "t4"}) {
    EXPECT_NE(text.find(figure), std::string::npos) << figure << "\n" << text;
  }
  EXPECT_NE(text.find("Of ¥366.60, ¥346.24 paid for waiting."), std::string::npos) << text;
  EXPECT_NE(text.find("¥1.00 of it was billed to no key"), std::string::npos) << text;
  EXPECT_NE(text.find("! draft: 60.0 min awake and 2 requests without a known price"), std::string::npos) << text;
  EXPECT_NE(text.find("(no key)"), std::string::npos) << text;
  EXPECT_EQ(text.find("TOTAL"), std::string::npos) << "one line is its own total";
  const std::string chinese = bill_text(some_bill(), Language::kChinese);
  EXPECT_NE(chinese.find("2026-11 账单（截至目前）"), std::string::npos) << chinese;
  EXPECT_NE(chinese.find("¥366.60 中有 ¥346.24 花在空等上。"), std::string::npos) << chinese;
  EXPECT_NE(chinese.find("（无密钥）"), std::string::npos) << chinese;
}

TEST(ReportText, TheBarIsFortyCellsWhateverTheParts) {
  gateway::BillView view = some_bill();
  for (const std::int64_t busy : {0, 1, 5, 100'000'000}) {
    view.bill.lines[0].busy_micros = busy;
    const std::string text = bill_text(view, Language::kEnglish);
    std::size_t cells = 0;
    for (const std::string& line : lines_of(text)) {
      if (!line.starts_with("CNY")) continue;
      cells = display_width(line) - display_width("CNY") - 7;
    }
    EXPECT_EQ(cells, 40U) << text;
  }
}

TEST(ReportText, TwoCurrenciesHaveTwoTotals) {
  gateway::BillView view = some_bill();
  view.bill.lines.push_back(view.bill.lines[0]);
  view.bill.lines[1].currency = "USD";
  const std::string text = bill_text(view, Language::kEnglish);
  std::size_t totals = 0;
  for (const std::string& line : lines_of(text)) totals += line.starts_with("TOTAL") ? 1 : 0;
  EXPECT_EQ(totals, 2U) << text;
  EXPECT_NE(text.find("$366.60"), std::string::npos);
}

TEST(ReportText, AHeatMapHasSevenDaysOfTwentyFourHours) {
  gateway::UsageView view;
  view.header = {"weekday-hour", "Asia/Shanghai", 0, 0};
  ledger::UsageRow& busiest = view.report.rows.emplace_back();
  busiest.weekday = 0;
  busiest.hour = 9;
  busiest.requests = 1'000;
  ledger::UsageRow& least = view.report.rows.emplace_back();
  least.weekday = 6;
  least.hour = 23;
  least.requests = 1;
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    const std::vector<std::string> lines = lines_of(heat_map(view, language));
    ASSERT_EQ(lines.size(), 10U);
    for (std::size_t day = 1; day <= 7; ++day) EXPECT_EQ(display_width(lines[day]), 6U + 48U) << lines[day];
    EXPECT_NE(lines[1].find("██"), std::string::npos);
    EXPECT_TRUE(lines[7].ends_with("▁▁")) << "one request is seen";
    EXPECT_NE(lines[9].find("1,000"), std::string::npos);
  }
}

TEST(ReportText, UsageHasATotalUnderMoreThanOneRowAndMoneyOfTwoCurrenciesSideBySide) {
  gateway::UsageView view;
  view.header = {"deployment", "Asia/Shanghai", 0, 0};
  ledger::UsageRow& row = view.report.rows.emplace_back();
  row.deployment = "chat";
  row.requests = 7;
  row.money = {{"CNY", 0, 1'500'000}, {"USD", 0, 2'000'000}};
  EXPECT_EQ(usage_text(view, Language::kEnglish).find("TOTAL"), std::string::npos);
  EXPECT_NE(usage_text(view, Language::kEnglish).find("¥1.50 + $2.00"), std::string::npos);
  view.report.rows.push_back(row);
  EXPECT_NE(usage_text(view, Language::kEnglish).find("TOTAL"), std::string::npos);
  EXPECT_NE(usage_text(view, Language::kChinese).find("合计"), std::string::npos);
  view.header.by = "key";
  view.report.rows[0].request_busy_us = 5'000'000;
  EXPECT_NE(usage_text(view, Language::kEnglish).find("5.00 s"), std::string::npos) << "what its requests computed";
}

}  // namespace
}  // namespace dormouse::cli
