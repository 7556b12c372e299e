// Goal: `dormouse plan` as a person runs it: the README's example needs no server; a deployment's plan comes from the
// running server's ledger; what cannot be planned ends with exit code 2 and the reason.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>

#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

void expect_parts(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

TEST(Plan, TheReadmesExampleIsNotTwentyYuan) {
  RunningHouse house(HouseSetup{});
  ASSERT_TRUE(house.is_up()) << house.log();
  const std::vector<std::string> example = {"plan", "--requests-per-day",
                                            "800",  "--seconds-per-request",
                                            "2",    "--active-days",
                                            "25",   "--active-hours",
                                            "8",    "--idle-timeout",
                                            "10m",  "--wake",
                                            "30s",  "--on",
                                            "t4"};
  const auto [code, said] = house.run_cli(example);
  ASSERT_EQ(code, 0) << said;
  expect_parts(said, {"¥20.00", "203.7", "¥366.6", "¥300.00", "By the month", "under 57 s", "PREPAID HOURS"});
  std::vector<std::string> detailed = example;
  detailed.insert(detailed.end(), {"--details", "--spike", "5000", "--format", "json"});
  const auto [json_code, json_text] = house.run_cli(detailed);
  ASSERT_EQ(json_code, 0) << json_text;
  const boost::json::object root = boost::json::parse(json_text).as_object();
  EXPECT_EQ(root.at("plan").at("rows").as_array().front().at("micros").to_number<std::int64_t>(), 20'000'000);
  const boost::json::object& spike = root.at("details").at("instances").as_object();
  EXPECT_NEAR(spike.at("load").to_number<double>(), 0.347, 0.001) << "5,000 requests of 2 s in 8 h";
  EXPECT_GE(spike.at("rows").as_array().size(), 1U);
}

TEST(Plan, WhatATypeCannotDoLeavesItOutOfTheRanking) {
  RunningHouse house(HouseSetup{});
  ASSERT_TRUE(house.is_up()) << house.log();
  std::vector<std::string> large = {
      "plan", "--requests-per-day", "800", "--model", "qwen3-14b", "--quant", "f16", "--slots", "16"};
  const auto [code, said] = house.run_cli(large);
  ASSERT_EQ(code, 0) << said;
  expect_parts(said, {"left out: t4: Qwen3-14B in F16", "\na100"});
  large.insert(large.end(), {"--currency", "EUR"});
  const auto [none_code, none] = house.run_cli(large);
  EXPECT_EQ(none_code, 2) << "there is no rate to it, and nothing to rank: " << none;
}

TEST(Plan, ADeploymentsPlanComesFromTheLedger) {
  HouseSetup setup;
  setup.fakes = {{"chat", "tokens=3"}};
  RunningHouse house(std::move(setup));
  ASSERT_TRUE(house.is_up()) << house.log();
  const std::string name = "chat";
  const auto [empty_code, empty] = house.run_cli({"plan", "--measured", "--on", "t4"});
  EXPECT_NE(empty_code, 0) << empty;
  expect_parts(empty, {"no request of this deployment"});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(house.post("/generate", R"({"model":"chat","prompt":"hello","max_tokens":4})").status, 200);
  }
  const auto [code, said] = house.run_cli({"plan", "--measured", name, "--on", "t4"});
  EXPECT_EQ(code, 0) << said;
  expect_parts(said, {"3 measured requests", "naive estimate", "by the month", "Too early for advice"});
  const auto [apply_code, applied] = house.run_cli({"plan", "--measured", name, "--on", "t4", "--apply"});
  EXPECT_EQ(apply_code, 0) << applied;
  expect_parts(applied, {"nothing to change"});
  const auto [unpriced_code, unpriced] = house.run_cli({"plan", "--measured", name});
  EXPECT_NE(unpriced_code, 0) << "this machine has no price, and nothing is not one: " << unpriced;
  const auto [unknown_code, unknown] = house.run_cli({"plan", "--measured", "nobody"});
  EXPECT_NE(unknown_code, 0) << unknown;
}

TEST(Plan, WhatCannotBePlannedSaysWhy) {
  RunningHouse house(HouseSetup{});
  ASSERT_TRUE(house.is_up()) << house.log();
  const std::string trace = house.directory() + "/trace.csv";
  std::ofstream(trace) << "t_s,service_s\n5,1\n3,1\n";
  struct Row {
    std::vector<std::string> arguments;
    const char* says;
  };
  const Row rows[] = {
      {{"plan"}, "--requests-per-day"},
      {{"plan", "--requests-per-day", "-5", "--on", "t4"}, "requests per day"},
      {{"plan", "--requests-per-day", "nan", "--on", "t4"}, "requests per day"},
      {{"plan", "--requests-per-day", "800", "--on", "t9"}, "there are: t4"},
      {{"plan", "--requests-per-day", "800", "--on", "t4", "--currency", "USD"}, "no rate"},
      {{"plan", "--requests-per-day", "800", "--on", "t4", "--model", "qwen3-32b"}, "missing"},
      {{"plan", "--requests-per-day", "800", "--on", "t4", "--output-tokens", "41000"}, "context"},
      {{"plan", "--trace", trace, "--on", "t4"}, "line 3"},
      {{"plan", "--requests-per-day", "800", "--on", "t4", "--profile", "/nonexistent.csv"}, "--profile"},
  };
  for (const Row& row : rows) {
    const auto [code, said] = house.run_cli(row.arguments);
    EXPECT_EQ(code, 2) << said;
    EXPECT_NE(said.find(row.says), std::string::npos) << row.says << "\n" << said;
  }
}

}  // namespace
}  // namespace dormouse::e2e
