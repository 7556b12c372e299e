// Goal: `dormouse bench` against a real server: what it writes is what the server's own ledger says, a cold request
// has its wake in it, and Ctrl-C ends it with what was measured. Method: the real verb; the demo model where it can
// run, fake workers where a time must be known.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/unique_fd.h"
#include "e2e/running_house.h"
#include "loadtest/record.h"

namespace dormouse::e2e {
namespace {

namespace fs = std::filesystem;

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> kept_in(const RunningHouse& house) {
  std::vector<std::string> out;
  std::error_code ec;
  for (const fs::directory_entry& entry : fs::directory_iterator(house.directory() + "/data/bench", ec)) {
    out.push_back(entry.path().string());
  }
  return out;
}

TEST(Bench, TheDemoModelsSweepIsWhatTheLedgerSays) {
  if (!fs::exists(E2E_REAL_WORKER)) GTEST_SKIP() << "skipped: dormouse-worker is not built";
  if (!fs::exists(E2E_DEMO_MODEL)) GTEST_SKIP() << "skipped: no demo model in models/";
  HouseSetup setup;
  setup.worker = E2E_REAL_WORKER;
  setup.extra = {"--model", E2E_DEMO_MODEL, "--name", "demo"};
  RunningHouse house(std::move(setup));
  ASSERT_TRUE(house.is_up()) << house.log();
  const std::string html = house.directory() + "/report.html";
  const std::string output = house.directory() + "/bench.json";
  const auto [code, said] =
      house.run_cli({"bench", "--concurrency", "1,2", "--requests", "6", "--output-tokens", "8", "--ignore-eos",
                     "--input-tokens", "20", "--slo-e2e", "60s", "--on", "t4", "--html", html, "--output", output});
  ASSERT_EQ(code, 0) << said;
  for (const char* part : {"concurrency 1", "concurrency 2", "COST/1M", "kept: "}) {
    EXPECT_NE(said.find(part), std::string::npos) << part << "\n" << said;
  }
  const Result<loadtest::BenchRecord> record = loadtest::parse_bench(text_of(output));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  EXPECT_EQ(record->model, "demo");
  EXPECT_EQ(record->instance_type, "t4");
  ASSERT_EQ(record->steps.size(), 2U);
  for (const loadtest::StepResult& step : record->steps) {
    EXPECT_EQ(step.requests, 6);
    EXPECT_EQ(step.failed, 0);
    EXPECT_TRUE(step.is_usage);
    EXPECT_NEAR(step.output_tokens_per_s * step.duration_s, 6 * 8, 1e-6);
    EXPECT_NEAR(step.requests_per_s * step.duration_s, 6, 1e-6);
    EXPECT_EQ(step.goodput, 1);
    ASSERT_TRUE(step.ttft_s.has_value() && step.e2e_s.has_value());
    EXPECT_GT(step.ttft_s->p50, 0);
    EXPECT_LE(step.ttft_s->p99, step.e2e_s->p99);
    EXPECT_EQ(step.cost_per_million_tokens,
              loadtest::cost_per_million(Money{1'800'000, "CNY"}, step.output_tokens_per_s));
  }
  std::int64_t output_tokens = 0;
  std::int64_t input_tokens = 0;
  const auto rows = house.rows();
  EXPECT_EQ(rows.size(), 13U) << "two steps and one to warm up";
  for (const ledger::RequestRow& row : rows) {
    output_tokens += row.settlement.output_tokens;
    input_tokens += row.settlement.input_tokens;
  }
  EXPECT_EQ(output_tokens, 13 * 8);
  double measured_input = 0;
  for (const loadtest::StepResult& step : record->steps) measured_input += step.input_tokens_per_s * step.duration_s;
  EXPECT_LT(measured_input, static_cast<double>(input_tokens)) << "the warm-up is not measured";
  EXPECT_GT(measured_input, static_cast<double>(input_tokens) * 0.8);
  EXPECT_NE(text_of(html).find("</html>"), std::string::npos);
  const std::vector<std::string> kept = kept_in(house);
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_TRUE(kept[0].ends_with("Z-t4.json")) << kept[0];
  EXPECT_EQ(text_of(kept[0]), text_of(output));
}

TEST(Bench, AColdRequestHasItsWakeInIt) {
  HouseSetup setup;
  setup.fakes = {{"demo", "load_ms=400,tokens=3"}};
  RunningHouse house(std::move(setup));
  ASSERT_TRUE(house.is_up()) << house.log();
  const auto [code, said] =
      house.run_cli({"bench", "--cold", "demo", "--requests", "2", "--format", "json", "--lang", "zh"});
  ASSERT_EQ(code, 0) << said;
  const Result<loadtest::BenchRecord> record = loadtest::parse_bench(
      std::string_view(said).substr(said.find('{'), said.find('\n', said.find('{')) - said.find('{')));
  ASSERT_TRUE(record.has_value()) << record.error().message << "\n" << said;
  ASSERT_EQ(record->steps.size(), 2U);
  EXPECT_EQ(record->steps[0].step.kind, loadtest::Step::Kind::kCold);
  EXPECT_EQ(record->steps[0].requests, 2);
  EXPECT_GE(record->steps[0].ttft_s->p50, 0.4) << "the load alone takes so long";
  EXPECT_LT(record->steps[1].ttft_s->p50, record->steps[0].ttft_s->p50) << "warm";
  EXPECT_EQ(house.deployment("demo").wakes, 2);
  EXPECT_EQ(house.run_cli({"bench", "--cold", "nobody"}).first, 1);
}

TEST(Bench, InterruptedItSaysWhatItHasAndKeepsNothing) {
  HouseSetup setup;
  setup.fakes = {{"demo", "tokens=3"}};
  RunningHouse house(std::move(setup));
  ASSERT_TRUE(house.is_up()) << house.log();
  const std::string path = house.directory() + "/bench.out";
  const UniqueFd file(::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600));
  SubprocessOptions options;
  options.argv = {E2E_DORMOUSE, "bench", "--rate", "20", "--duration", "1h", "--data-dir", house.directory() + "/data"};
  options.environment = {"LC_ALL=C.UTF-8"};
  options.output_fd = file.get();
  Result<Subprocess> bench = Subprocess::spawn(options);
  ASSERT_TRUE(bench.has_value()) << bench.error().message;
  EXPECT_TRUE(house.eventually(std::chrono::seconds(30), [&house] { return house.rows().size() >= 5; }))
      << text_of(path);
  bench->signal_group(SIGINT);
  pollfd watched{.fd = bench->pidfd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&watched, 1, 30'000), 1) << "it did not end";
  const Result<ExitStatus> status = bench->try_wait();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->exit_code, 130) << text_of(path);
  EXPECT_NE(text_of(path).find("Poisson 20/s"), std::string::npos) << text_of(path);
  EXPECT_NE(text_of(path).find("interrupted"), std::string::npos) << text_of(path);
  EXPECT_TRUE(kept_in(house).empty());
}

TEST(Bench, WhatCannotBeIsSaidBeforeItStarts) {
  HouseSetup setup;
  setup.fakes = {{"demo", "tokens=3"}};
  RunningHouse house(std::move(setup));
  ASSERT_TRUE(house.is_up()) << house.log();
  const auto [unknown_code, unknown] = house.run_cli({"bench", "--model", "nobody"});
  EXPECT_EQ(unknown_code, 1);
  EXPECT_NE(unknown.find("HTTP 404"), std::string::npos) << unknown;
  const auto [usage_code, usage] = house.run_cli({"bench", "--on", "abacus"});
  EXPECT_EQ(usage_code, 2);
  EXPECT_NE(usage.find("t4"), std::string::npos) << usage;
  EXPECT_EQ(house.run_cli({"bench", "--html", "/no/such/directory/report.html"}).first, 2);
  EXPECT_EQ(house.run_cli({"bench", "--trace", "/no/such/trace.csv"}).first, 2);
}

}  // namespace
}  // namespace dormouse::e2e
