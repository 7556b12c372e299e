// Goal: `dormouse bench` takes what can be measured and refuses the rest by the flag's name; what it shows has the
// numbers of the record, in both languages, and whatever a server says stays text.
#include "cli/bench_text.h"

#include <gtest/gtest.h>

#include "cli/bench_html.h"
#include "cli/chart.h"

namespace dormouse::cli {
namespace {

using loadtest::Step;

loadtest::BenchRecord record() {
  loadtest::BenchRecord out;
  out.at = "2026-11-01T08:00:00+00:00";
  out.url_host = "127.0.0.1:8080";
  out.model = "demo";
  out.instance_type = "t4";
  out.slo.ttft_s = 1;
  for (const std::int64_t callers : {1, 8}) {
    loadtest::StepResult step;
    step.step.concurrency = callers;
    step.requests = 40;
    step.requests_per_s = 3.25;
    step.output_tokens_per_s = 32.5 * static_cast<double>(callers);
    step.is_usage = true;
    step.ttft_s = loadtest::Percentiles{0.1, 0.2, 1.5, 0.3};
    step.itl_s = loadtest::Percentiles{0.004, 0.005, 0.0061, 0.004};
    step.e2e_s = loadtest::Percentiles{1, 2, 3, 1.5};
    step.goodput = 0.999;
    step.cost_per_million_tokens = Money{15'384'615, "CNY"};
    for (int percent = 0; percent <= 100; ++percent) step.e2e_curve_s.push_back(percent * 0.03);
    out.steps.push_back(step);
  }
  out.steps[1].failed = 2;
  out.steps[1].errors[loadtest::Failure::kTimeout] = {2, "late <script>alert(1)</script> & \"so\""};
  return out;
}

TEST(Bench, OneCallerForThirtySecondsIfNothingIsSaid) {
  const Result<BenchQuestion> question = read_bench_flags({});
  ASSERT_TRUE(question.has_value()) << question.error().message;
  ASSERT_EQ(question->steps.size(), 1U);
  EXPECT_EQ(question->steps[0].step, Step{});
  EXPECT_EQ(question->steps[0].extent.requests, 0);
  EXPECT_EQ(question->steps[0].extent.duration_s, 30);
  EXPECT_FALSE(question->slo.is_set());
}

TEST(Bench, ASweepHasAStepForEachLoad) {
  BenchFlags flags;
  flags.concurrency = "1,2,16";
  flags.requests = 40;
  flags.slo_itl = "100ms";
  Result<BenchQuestion> question = read_bench_flags(flags);
  ASSERT_TRUE(question.has_value()) << question.error().message;
  ASSERT_EQ(question->steps.size(), 3U);
  EXPECT_EQ(question->steps[2].step.concurrency, 16);
  EXPECT_EQ(question->steps[2].extent.requests, 40);
  EXPECT_EQ(question->steps[2].extent.duration_s, 0);
  EXPECT_EQ(question->slo.itl_s, 0.1);
  flags = {};
  flags.rate = "0.5,2";
  flags.arrivals = "constant";
  flags.duration = "1m";
  question = read_bench_flags(flags);
  ASSERT_TRUE(question.has_value()) << question.error().message;
  EXPECT_EQ(question->steps[0].step, (Step{.kind = Step::Kind::kConstant, .rate = 0.5}));
  EXPECT_EQ(question->steps[1].extent.duration_s, 60);
  flags = {};
  flags.cold = "demo";
  question = read_bench_flags(flags);
  ASSERT_EQ(question->steps.size(), 2U) << "cold, and warm to compare with";
  EXPECT_EQ(question->steps[0].step.kind, Step::Kind::kCold);
  EXPECT_EQ(question->steps[0].extent.requests, 3);
  EXPECT_EQ(question->options.model, "demo");
}

TEST(Bench, WhatCannotBeIsRefusedByItsFlag) {
  struct Row {
    std::string BenchFlags::*flag;
    const char* value;
    const char* says;
  };
  for (const Row& row :
       {Row{&BenchFlags::concurrency, "1,,2", "--concurrency"}, Row{&BenchFlags::concurrency, "0", "--concurrency"},
        Row{&BenchFlags::concurrency, "1.5", "--concurrency"}, Row{&BenchFlags::concurrency, "1e9", "--concurrency"},
        Row{&BenchFlags::concurrency, "1,", "--concurrency"}, Row{&BenchFlags::rate, "-1", "--rate"},
        Row{&BenchFlags::rate, "nan", "--rate"}, Row{&BenchFlags::rate, "100000", "--rate"},
        Row{&BenchFlags::duration, "soon", "--duration"}, Row{&BenchFlags::duration, "0", "--duration"},
        Row{&BenchFlags::slo_ttft, "fast", "--slo-ttft"}, Row{&BenchFlags::slo_itl, "0s", "--slo-itl"},
        Row{&BenchFlags::slo_e2e, "-1s", "--slo-e2e"}, Row{&BenchFlags::timeout, "", "--timeout"},
        Row{&BenchFlags::key, "a\r\nb: c", "--key"}}) {
    BenchFlags flags;
    flags.*row.flag = row.value;
    const Result<BenchQuestion> question = read_bench_flags(flags);
    ASSERT_FALSE(question.has_value()) << row.says << " " << row.value;
    EXPECT_EQ(question.error().code, Code::kInvalidArgument);
    EXPECT_NE(question.error().message.find(row.says), std::string::npos) << question.error().message;
  }
  BenchFlags both;
  both.rate = "1";
  both.concurrency = "1";
  EXPECT_FALSE(read_bench_flags(both).has_value());
  BenchFlags many;
  many.requests = 1'000'001;
  EXPECT_FALSE(read_bench_flags(many).has_value());
  BenchFlags slow;
  slow.speed = 0;
  EXPECT_FALSE(read_bench_flags(slow).has_value());
}

TEST(Bench, TheTableHasTheRecordsNumbers) {
  const std::string english = bench_table(record(), Language::kEnglish);
  for (const char* part :
       {"concurrency 1", "concurrency 8", "3.25", "260.0", "0.10 / 0.20 / 1.50 s", "4.0 / 6.1 ms",
        "1.00 / 2.00 / 3.00 s", "2 (5.0 %)", "99 %", "¥15.38", "2 × timeout", "p99 is the largest"}) {
    EXPECT_NE(english.find(part), std::string::npos) << part << "\n" << english;
  }
  const std::string chinese = bench_table(record(), Language::kChinese);
  for (const char* part : {"并发 8", "首字", "每百万词元", "超时", "达标"}) {
    EXPECT_NE(chinese.find(part), std::string::npos) << part << "\n" << chinese;
  }
  loadtest::BenchRecord bare = record();
  bare.slo = {};
  for (loadtest::StepResult& step : bare.steps) step.cost_per_million_tokens.reset();
  const std::string without = bench_table(bare, Language::kEnglish);
  EXPECT_EQ(without.find("GOODPUT"), std::string::npos);
  EXPECT_EQ(without.find("COST"), std::string::npos);
}

TEST(Bench, ProgressSaysHowFarAndHowLong) {
  const BenchStep counted{{.concurrency = 4}, {.requests = 100}};
  EXPECT_EQ(progress_text(counted, 100, {.started = 29, .ended = 25, .failed = 1, .elapsed_s = 5}, Language::kEnglish),
            "concurrency 4 · 25/100 requests · 5.0/s · 1 failed · 15 s left");
  const BenchStep timed{{.concurrency = 4}, {.duration_s = 30}};
  EXPECT_EQ(progress_text(timed, 0, {.started = 29, .ended = 25, .elapsed_s = 5}, Language::kChinese),
            "并发 4 · 25 次请求 · 5.0/秒 · 剩余 25 秒");
}

TEST(Bench, ThePageIsWholeAndNobodysScript) {
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    const std::string page = bench_html(record(), language);
    for (const char* part : {"<!doctype html>", "</html>", "prefers-color-scheme:dark", "260.0", "¥15.38", "<polyline",
                             "class=\"bar\"", "late &lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;so&quot;"}) {
      EXPECT_NE(page.find(part), std::string::npos) << part;
    }
    for (const char* never : {"<script", "http://", "https://", "url(", "nan", "inf<"}) {
      EXPECT_EQ(page.find(never), std::string::npos) << never;
    }
  }
  loadtest::BenchRecord hostile = record();
  hostile.model = "</title><script>";
  hostile.url_host = "a\"><img src=x>";
  hostile.steps.clear();
  const std::string page = bench_html(hostile, Language::kEnglish);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("<img"), std::string::npos);
}

TEST(Chart, StandsAnyValues) {
  const AxisText text = [](double value) { return std::to_string(value); };
  EXPECT_NE(line_chart({"1"}, {{"p50", {0.0}}}, text).find("<circle"), std::string::npos);
  EXPECT_EQ(line_chart({"1"}, {{"p50", {std::nullopt}}}, text).find("<circle"), std::string::npos);
  EXPECT_EQ(bar_chart({}, {"x", {}}, text).find("<rect"), std::string::npos);
  EXPECT_NE(share_chart({{"x", std::vector<std::optional<double>>(101, 1e-9)}}, text).find("<polyline"),
            std::string::npos);
}

}  // namespace
}  // namespace dormouse::cli
