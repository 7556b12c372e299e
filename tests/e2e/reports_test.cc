// Goal: what was asked of the gateway is what its reports say, by API and by verb, in the zone of the file; wrong
// questions are refused by name. Method: the real gateway with a fake worker.
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

TEST(Reports, SayWhatWasAskedByApiAndByVerb) {
  HouseSetup setup;
  setup.fakes = {{"m", "tokens=3"}};
  setup.config = "time_zone = \"Asia/Kathmandu\"\n[ledger]\nretention = \"32d\"\n";
  RunningHouse house(setup);
  ASSERT_TRUE(house.is_up()) << house.log();
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(house.post("/generate", R"({"model":"m","prompt":"x","max_tokens":8})").status, 200);
  }
  ASSERT_TRUE(house.eventually(std::chrono::seconds(10), [&] {
    const auto usage = gateway::parse_usage(house.get("/admin/v1/usage?by=deployment").body);
    return usage.has_value() && usage->report.total.requests == 5;
  })) << house.get("/admin/v1/usage?by=deployment").body;

  for (const char* by : {"day", "hour", "weekday-hour", "key", "deployment"}) {
    const Answer answer = house.get(std::string("/admin/v1/usage?since=1h&by=") + by);
    const auto usage = gateway::parse_usage(answer.body);
    ASSERT_TRUE(usage.has_value()) << answer.body;
    EXPECT_EQ(usage->header.time_zone, "Asia/Kathmandu");
    EXPECT_EQ(usage->report.total.output_tokens, 15) << by;
    ASSERT_FALSE(usage->report.rows.empty()) << by;
    const bool days_begin_there = answer.body.find("T00:00:00+05:45") != std::string::npos;
    EXPECT_TRUE(days_begin_there || std::string(by) != "day") << answer.body;
  }
  EXPECT_EQ(gateway::parse_usage(house.get("/admin/v1/usage?until=1h").body)->report.total.requests, 0);
  EXPECT_EQ(gateway::parse_usage(house.get("/admin/v1/usage?deployment=none").body)->report.total.requests, 0);
  const Answer csv = house.get("/admin/v1/usage?format=csv");
  EXPECT_TRUE(csv.body.starts_with("time,requests,failed,")) << csv.body;
  EXPECT_EQ(csv.headers.find("content-type"), "text/csv; charset=utf-8");

  std::set<std::string> seen;
  std::string after;
  int pages = 0;
  do {
    const auto page = gateway::parse_requests(house.get("/admin/v1/requests?limit=2&after=" + after).body);
    ASSERT_TRUE(page.has_value());
    for (const ledger::RequestRow& row : page->rows) EXPECT_TRUE(seen.insert(row.request_id).second);
    after = page->next;
    ++pages;
  } while (!after.empty() && pages < 10);
  EXPECT_EQ(seen.size(), 5U);
  EXPECT_EQ(pages, 3);

  const auto bill = gateway::parse_bill(house.get("/admin/v1/bill").body);
  ASSERT_TRUE(bill.has_value());
  EXPECT_TRUE(bill->so_far);
  EXPECT_EQ(bill->bill.time_zone, "Asia/Kathmandu");
  EXPECT_TRUE(house.get("/admin/v1/bill?format=focus-csv").body.starts_with("BilledCost,BillingAccountId,"));
}

TEST(Reports, WrongQuestionsAreRefusedByTheirName) {
  HouseSetup setup;
  setup.fakes = {{"m", "tokens=3"}};
  RunningHouse house(setup);
  ASSERT_TRUE(house.is_up()) << house.log();
  constexpr std::array<std::pair<const char*, const char*>, 13> kWrong = {
      {{"usage?by=year", "by"},
       {"usage?since=soon", "since"},
       {"usage?until=2026-02-30", "until"},
       {"usage?since=1d&until=2d", "until"},
       {"usage?time_zone=Mars/Base", "time_zone"},
       {"usage?time_zone=../../etc/passwd", "time_zone"},
       {"usage?limit=0", "limit"},
       {"usage?format=xml", "format"},
       {"bill?month=2026-13", "month"},
       {"requests?limit=99999", "limit"},
       {"requests?outcome=maybe", "outcome"},
       {"errors?since=x", "since"},
       {"refusals?time_zone=x", "time_zone"}}};
  for (const auto& [target, parameter] : kWrong) {
    const Answer answer = house.get(std::string("/admin/v1/") + target);
    EXPECT_EQ(answer.status, 400) << target;
    EXPECT_NE(answer.body.find("\"param\":\"" + std::string(parameter) + "\""), std::string::npos)
        << target << " -> " << answer.body;
  }
  EXPECT_EQ(house.get("/admin/v1/usage?by=%zz").status, 400);
}

TEST(Reports, TheVerbsShowThemInBothLanguages) {
  HouseSetup setup;
  setup.fakes = {{"m", "tokens=3"}};
  RunningHouse house(setup);
  ASSERT_TRUE(house.is_up()) << house.log();
  EXPECT_NE(house.run_cli({"--lang", "en", "usage"}).second.find("nothing yet"), std::string::npos);
  ASSERT_EQ(house.post("/generate", R"({"model":"m","prompt":"x","max_tokens":8})").status, 200);
  ASSERT_TRUE(house.eventually(std::chrono::seconds(10), [&] {
    return house.run_cli({"--lang", "en", "usage", "--by", "deployment"}).second.find("DEPLOYMENT") == 0;
  }));
  EXPECT_NE(house.run_cli({"--lang", "zh", "usage", "--since", "7d"}).second.find("请求"), std::string::npos);
  EXPECT_NE(house.run_cli({"--lang", "en", "usage", "--by", "weekday-hour"}).second.find("Mon"), std::string::npos);
  EXPECT_NE(house.run_cli({"--lang", "en", "usage", "--by", "error"}).second.find("no errors"), std::string::npos);
  EXPECT_NE(house.run_cli({"--lang", "en", "usage", "--format", "csv"}).second.find("time,requests"),
            std::string::npos);
  const auto bill = house.run_cli({"--lang", "en", "bill"});
  EXPECT_EQ(bill.first, 0);
  EXPECT_NE(bill.second.find("Bill of 20"), std::string::npos) << bill.second;
  EXPECT_NE(house.run_cli({"--lang", "zh", "bill"}).second.find("账单"), std::string::npos);
  EXPECT_EQ(house.run_cli({"bill", "--month", "2026-13"}).first, 2) << "wrong usage: docs/cli.md";
  EXPECT_EQ(house.run_cli({"usage", "--by", "year"}).first, 2);
}

}  // namespace
}  // namespace dormouse::e2e
