// Goal: what /metrics says is what happened, in a form that every scraper reads. Method: calls counted by hand, no
// sockets; the real Prometheus reads it in tests/metrics.
#include "gateway/metrics.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

#include "gateway/still_exchange.h"

namespace dormouse::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Asked {
  explicit Asked(std::string method = "POST") : exchange(std::move(method)), call(exchange) {
    call.route = &route;
    call.status = 200;
    call.deployment = "chat";
  }
  Route route{"POST", "/v1/chat/completions", Access::kInference, {}};
  StillExchange exchange;
  Call call;
};

testing::AssertionResult has(const std::string& text, const std::string& line) {
  if (("\n" + text).find("\n" + line + "\n") != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no line `" << line << "` in\n" << text;
}

TEST(Exposition, AHistogramIsCumulativeAndBounded) {
  static constexpr std::array<double, 3> kBounds{0.005, 0.05, 10};
  Histogram histogram(kBounds);
  for (const double value : {0.001, 0.04, 0.05, 7.0, 1000.0}) histogram.observe(value);
  histogram.observe(0.01, 3);
  Exposition out;
  out.family("h", "histogram", "What it is.");
  out.histogram({{"d", "x"}}, histogram);
  EXPECT_EQ(
      out.take(),
      "# HELP h What it is.\n# TYPE h histogram\nh_bucket{d=\"x\",le=\"0.005\"} 1\nh_bucket{d=\"x\",le=\"0.05\"} "
      "6\nh_bucket{d=\"x\",le=\"10\"} 7\nh_bucket{d=\"x\",le=\"+Inf\"} 8\nh_sum{d=\"x\"} 1007.121\nh_count{d=\"x\"}"
      " 8\n");
}

TEST(Exposition, AHostileLabelStaysOneLabel) {
  Exposition out;
  out.family("m", "gauge", "A.");
  out.sample({{"name", "a\"} 9\nb\\"}}, 1);
  EXPECT_EQ(out.take(), "# HELP m A.\n# TYPE m gauge\nm{name=\"a\\\"} 9\\nb\\\\\"} 1\n");
}

TEST(Metrics, AnAnswerCountsUnderVllmsNamesAndOurs) {
  Metrics metrics;
  Asked asked;
  asked.call.prompt_tokens = 100;
  asked.call.cached_tokens = 64;
  asked.call.completion_tokens = 11;
  asked.call.finish_reason = "length";
  asked.call.first_token = milliseconds(300);
  asked.call.queue_wait = milliseconds(200);
  asked.call.wake_wait = milliseconds(200);
  asked.call.decode_time = milliseconds(400);  // 40 ms a token
  for (int i = 0; i < 10; ++i) metrics.count_tokens("chat", 1, milliseconds(40));
  metrics.count_request(asked.call, milliseconds(750));
  const std::string text = metrics.write({});
  for (const char* line :
       {"vllm:prompt_tokens_total{model_name=\"chat\"} 100", "vllm:generation_tokens_total{model_name=\"chat\"} 11",
        "vllm:prefix_cache_hits_total{model_name=\"chat\"} 64",
        "vllm:request_success_total{model_name=\"chat\",finished_reason=\"length\"} 1",
        "vllm:request_success_total{model_name=\"chat\",finished_reason=\"stop\"} 0",
        "vllm:inter_token_latency_seconds_bucket{model_name=\"chat\",le=\"0.025\"} 0",
        "vllm:inter_token_latency_seconds_bucket{model_name=\"chat\",le=\"0.05\"} 10",
        "vllm:time_per_output_token_seconds_count{model_name=\"chat\"} 10",
        "vllm:request_time_per_output_token_seconds_sum{model_name=\"chat\"} 0.04",
        "vllm:time_to_first_token_seconds_sum{model_name=\"chat\"} 0.3",
        "vllm:e2e_request_latency_seconds_sum{model_name=\"chat\"} 0.75",
        "vllm:request_queue_time_seconds_sum{model_name=\"chat\"} 0.2",
        "dormouse_cold_requests_total{deployment=\"chat\"} 1",
        "dormouse_http_requests_total{route=\"/v1/chat/completions\",method=\"POST\",status=\"200\"} 1",
        "http_requests_total{handler=\"/v1/chat/completions\",method=\"POST\",status=\"2xx\"} 1"}) {
    EXPECT_TRUE(has(text, line));
  }
}

TEST(Metrics, HowARequestEndedIsVllmsWord) {
  Metrics metrics;
  Asked stopped;
  stopped.call.finish_reason = "tool_calls";
  metrics.count_request(stopped.call, seconds(1));
  Asked failed;
  failed.call.error_code = "worker_crashed";
  failed.call.status = 503;
  metrics.count_request(failed.call, seconds(1));
  Asked gone;
  gone.call.error_code = "client_closed";
  gone.call.stop.fire(StopReason::kClientGone);
  metrics.count_request(gone.call, seconds(1));
  const std::string text = metrics.write({});
  for (const char* reason : {"stop", "error", "abort"}) {
    EXPECT_TRUE(
        has(text, std::string("vllm:request_success_total{model_name=\"chat\",finished_reason=\"") + reason + "\"} 1"));
  }
  EXPECT_TRUE(has(text, "dormouse_errors_total{code=\"worker_crashed\"} 1"));
}

TEST(LastMinute, RequestsAndSpeedOfSixtySecondsWhileAnswersWereMade) {
  Metrics metrics;
  const auto at = [](int ms) { return MonoTime{0} + milliseconds(ms); };
  EXPECT_EQ(metrics.last_minute("chat", at(0)), LastMinute::Work{});
  Asked asked;
  asked.call.accepted = at(500);
  metrics.count_request(asked.call, seconds(9));  // ended at 9.5 s
  metrics.note_tokens("chat", 0, at(1'000), at(1'000));
  EXPECT_EQ(metrics.last_minute("chat", at(1'000)).tokens_per_s, std::nullopt) << "one moment is no time";
  // 40 that came at once, a second after they were asked for.
  metrics.note_tokens("chat", 40, at(1'000), at(2'000));
  // Two streams at once, after a pause that counts for nothing: 80 a second together, for one second.
  for (int i = 1; i <= 40; ++i) {
    for (const int sent : {30'000, 29'999}) metrics.note_tokens("chat", 1, at(sent), at(30'000 + 25 * i));
  }
  EXPECT_EQ(metrics.last_minute("chat", at(40'000)).requests, 1);
  EXPECT_DOUBLE_EQ(metrics.last_minute("chat", at(40'000)).tokens_per_s.value(), 60);
  EXPECT_DOUBLE_EQ(metrics.last_minute("chat", at(65'000)).tokens_per_s.value(), 80) << "the first second is gone";
  EXPECT_EQ(metrics.last_minute("chat", at(69'999)).requests, 0) << "it ended in the tenth second";
  EXPECT_EQ(metrics.last_minute("chat", at(68'999)).requests, 1);
  EXPECT_EQ(metrics.last_minute("chat", at(95'000)), LastMinute::Work{});
  EXPECT_EQ(metrics.last_minute("other", at(40'000)), LastMinute::Work{});
  metrics.keep_only({});
  EXPECT_EQ(metrics.last_minute("chat", at(40'000)), LastMinute::Work{});
}

TEST(Metrics, AMadeUpMethodIsOneSeries) {
  Metrics metrics;
  for (const char* method : {"BREW", "PURR", "POST"}) {
    Asked asked(method);
    metrics.count_request(asked.call, seconds(1));
  }
  const std::string text = metrics.write({});
  EXPECT_TRUE(has(text, "http_requests_total{handler=\"/v1/chat/completions\",method=\"other\",status=\"2xx\"} 2"));
  EXPECT_EQ(text.find("BREW"), std::string::npos);
}

MetricsSnapshot one_awake() {
  MetricsSnapshot now;
  MetricsSnapshot::Deployment& d = now.deployments.emplace_back();
  d.status.name = "chat";
  d.status.state = "ready";
  d.status.awake_because = "request";
  d.status.instances.emplace_back().state = "ready";
  d.status.instances[0].awake = {.waking = seconds(2), .busy = seconds(10), .idle = seconds(24)};
  return now;
}

TEST(Metrics, AwakeTimeGrowsOverTheEndOfAnInstance) {
  Metrics metrics;
  metrics.count_wake("chat", "request", {.provider = seconds(1), .boot = seconds(0), .load = seconds(1)});
  metrics.count_end("chat", {.waking = seconds(1), .busy = seconds(5), .idle = seconds(6)});
  const std::string text = metrics.write(one_awake());
  EXPECT_TRUE(has(text, "dormouse_instance_awake_seconds_total{deployment=\"chat\",state=\"busy\"} 15"));
  EXPECT_TRUE(has(text, "dormouse_instance_awake_seconds_total{deployment=\"chat\",state=\"waking\"} 3"));
  EXPECT_TRUE(has(text, "dormouse_instance_awake_seconds_total{deployment=\"chat\",state=\"idle\"} 30"));
  EXPECT_TRUE(has(text, "dormouse_instance_wakes_total{deployment=\"chat\",reason=\"request\"} 1"));
  EXPECT_TRUE(has(text, "dormouse_wake_seconds_sum{deployment=\"chat\"} 2"));
  EXPECT_TRUE(has(text, "dormouse_deployment_state{deployment=\"chat\",state=\"ready\"} 1"));
  EXPECT_TRUE(has(text, "dormouse_deployment_state{deployment=\"chat\",state=\"asleep\"} 0"));
}

TEST(Metrics, AnUnknownPriceIsAbsentAndAKnownOneIsCounted) {
  Metrics metrics;
  MetricsSnapshot now = one_awake();
  std::string text = metrics.write(now);
  EXPECT_EQ(text.find("llm_total_hourly_cost{"), std::string::npos);
  EXPECT_EQ(text.find("dormouse_instance_cost_total{"), std::string::npos);
  EXPECT_EQ(text.find("dormouse_billed_cost_total{"), std::string::npos);
  now.deployments[0].price = HourPrice{1'800'000, "CNY"};
  Asked asked;
  asked.call.charge = Money{2'500, "CNY"};
  metrics.count_request(asked.call, seconds(1));
  text = metrics.write(now);
  EXPECT_TRUE(has(text, "llm_total_hourly_cost{model_name=\"chat\",currency=\"CNY\"} 1.8"));
  EXPECT_TRUE(has(text, "dormouse_instance_cost_total{deployment=\"chat\",currency=\"CNY\"} 0.018"));  // 36 s of it
  EXPECT_TRUE(has(text, "dormouse_billed_cost_total{deployment=\"chat\",currency=\"CNY\"} 0.0025"));
  now.deployments[0].status.instances.clear();
  EXPECT_TRUE(has(metrics.write(now), "llm_total_hourly_cost{model_name=\"chat\",currency=\"CNY\"} 0"));
}

TEST(Metrics, ARemovedDeploymentLeavesNoSeries) {
  Metrics metrics;
  for (int i = 0; i < 1'000; ++i) {
    Asked asked;
    asked.call.deployment = fmt::format("d{}", i);
    metrics.count_request(asked.call, seconds(1));
  }
  metrics.keep_only({"d7"});
  const std::string text = metrics.write({});
  EXPECT_TRUE(has(text, "vllm:generation_tokens_total{model_name=\"d7\"} 0"));
  EXPECT_EQ(text.find("\"d8\""), std::string::npos);
}

TEST(Answering, EachKnowsTheMostThatRanBesideIt) {
  Metrics metrics;
  Asked first;
  Asked second;
  Asked third;
  Asked elsewhere;
  elsewhere.call.deployment = "other";
  const Answering a(metrics, first.call);
  {
    const Answering b(metrics, second.call);
    const Answering x(metrics, elsewhere.call);
  }
  const Answering c(metrics, third.call);
  EXPECT_EQ(first.call.together, 2);
  EXPECT_EQ(second.call.together, 2);
  EXPECT_EQ(third.call.together, 2);
  EXPECT_EQ(elsewhere.call.together, 1);
}

}  // namespace
}  // namespace dormouse::gateway
