// Goal: what is kept of a run reads back as the same, and nothing that is not such a record is taken for one. Method:
// round trip of a record that uses every member; then every prefix of it, every byte of it changed, and members one by
// one replaced with what they must not be.
#include "loadtest/record.h"

#include <gtest/gtest.h>

namespace dormouse::loadtest {
namespace {

BenchRecord sample_record() {
  BenchRecord out;
  out.at = "2026-11-01T08:00:00+00:00";
  out.url_host = "127.0.0.1:8080";
  out.model = "演示\"model\"";
  out.instance_type = "t4";
  out.slo = {.ttft_s = 1, .itl_s = 0.1};
  StepResult closed;
  closed.step = {.kind = Step::Kind::kClosed, .concurrency = 8};
  closed.requests = 100;
  closed.failed = 3;
  closed.duration_s = 12.5;
  closed.requests_per_s = 7.76;
  closed.output_tokens_per_s = 496.64;
  closed.input_tokens_per_s = 993.28;
  closed.is_usage = true;
  closed.ttft_s = Percentiles{0.1, 0.2, 0.3, 0.12};
  closed.itl_s = Percentiles{0.01, 0.02, 0.03, 0.012};
  closed.e2e_s = Percentiles{1, 2, 3, 1.2};
  closed.goodput = 0.95;
  closed.goodput_per_s = 7.6;
  closed.errors = {{Failure::kTimeout, {2, ""}}, {Failure::kHttp429, {1, ""}}};
  closed.cost_per_million_tokens = Money{1'006'751, "CNY"};
  StepResult poisson;
  poisson.step = {.kind = Step::Kind::kPoisson, .rate = 0.5};
  StepResult trace;
  trace.step = {.kind = Step::Kind::kTrace, .speed = 10};
  StepResult cold;
  cold.step = {.kind = Step::Kind::kCold};
  StepResult constant;
  constant.step = {.kind = Step::Kind::kConstant, .rate = 2};
  out.steps = {cold, closed, poisson, trace, constant};
  return out;
}

TEST(Record, ReadsBackAsWritten) {
  const BenchRecord record = sample_record();
  const std::string json = to_json(record);
  const Result<BenchRecord> read = parse_bench(json);
  ASSERT_TRUE(read.has_value()) << read.error().message << "\n" << json;
  EXPECT_EQ(read->at, record.at);
  EXPECT_EQ(read->url_host, record.url_host);
  EXPECT_EQ(read->model, record.model);
  EXPECT_EQ(read->instance_type, record.instance_type);
  EXPECT_EQ(read->slo.ttft_s, record.slo.ttft_s);
  EXPECT_EQ(read->slo.e2e_s, record.slo.e2e_s);
  EXPECT_EQ(read->steps, record.steps);
  EXPECT_EQ(to_json(*read), json);
  EXPECT_NE(json.find(R"("kind":"closed","concurrency":8,"rate":null)"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("errors":{"timeout":2,"http_429":1})"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("cost_per_million_tokens":{"micros":1006751,"currency":"CNY"})"), std::string::npos) << json;
}

TEST(Record, EveryPrefixIsRefused) {
  const std::string json = to_json(sample_record());
  for (std::size_t size = 0; size < json.size(); ++size) {
    const Result<BenchRecord> read = parse_bench(std::string_view(json).substr(0, size));
    ASSERT_FALSE(read.has_value()) << size;
    EXPECT_EQ(read.error().code, Code::kDataLoss);
  }
}

TEST(Record, AnyByteMayBeAnyOther) {
  const std::string json = to_json(sample_record());
  std::size_t refused = 0;
  for (std::size_t i = 0; i < json.size(); ++i) {
    for (const char byte : {'\0', '"', '{', '-', '9', 'e', '\x80', ','}) {
      std::string damaged = json;
      damaged[i] = byte;
      const Result<BenchRecord> read = parse_bench(damaged);
      if (!read.has_value()) {
        ++refused;
        EXPECT_EQ(read.error().code, Code::kDataLoss);
        continue;
      }
      // Taken: then it says something that can be written and read again.
      ASSERT_TRUE(parse_bench(to_json(*read)).has_value()) << damaged;
    }
  }
  EXPECT_GT(refused, json.size());
}

TEST(Record, WhatAMemberMustNotBeIsToldByItsName) {
  struct Row {
    std::string from;
    std::string to;
    std::string says;
  };
  const std::string json = to_json(sample_record());
  for (const Row& row :
       {Row{R"("version":1)", R"("version":2)", "version"},
        Row{R"("kind":"closed")", R"("kind":"open")", "steps[1].kind"},
        Row{R"("requests":100)", R"("requests":2)", "steps[1].failed"},
        Row{R"("failed":3)", R"("failed":-3)", "steps[1].failed"},
        Row{R"("duration_s":12.5)", R"("duration_s":"long")", "steps[1].duration_s"},
        Row{R"("output_tokens_per_s":496.64)", R"("output_tokens_per_s":1e999)", ""},
        Row{R"("output_tokens_per_s":496.64)", R"("output_tokens_per_s":1e99)", "output_tokens_per_s"},
        Row{R"("p95":0.2)", R"("p95":null)", "steps[1].ttft_s.p95"},
        Row{R"("goodput":0.95)", R"("goodput":1.5)", "steps[1].goodput"},
        Row{R"("timeout":2)", R"("weather":2)", "steps[1].errors"},
        Row{R"("currency":"CNY")", R"("currency":"yuan")", "cost_per_million_tokens"},
        Row{R"("micros":1006751)", R"("micros":-1)", "cost_per_million_tokens"},
        Row{R"("steps":[{)", R"("steps":[5,{)", "steps[0]"}, Row{R"("steps":[{)", R"("stages":[{)", "steps"}}) {
    std::string changed = json;
    const std::size_t at = changed.find(row.from);
    ASSERT_NE(at, std::string::npos) << row.from;
    changed.replace(at, row.from.size(), row.to);
    const Result<BenchRecord> read = parse_bench(changed);
    ASSERT_FALSE(read.has_value()) << row.to;
    EXPECT_NE(read.error().message.find(row.says), std::string::npos) << read.error().message;
  }
  EXPECT_FALSE(parse_bench("[]").has_value());
  EXPECT_FALSE(parse_bench("").has_value());
}

}  // namespace
}  // namespace dormouse::loadtest
