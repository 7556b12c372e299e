// Goal: `dormouse ps` says who is awake and what it costs, in both languages, and in any width. Method: made-up
// statuses; no server, no terminal.
#include "cli/ps_text.h"

#include <gtest/gtest.h>

#include <sstream>

#include "cli/table.h"

namespace dormouse::cli {
namespace {

constexpr std::int64_t kUnit = 1'000'000;

gateway::DeploymentView deployment(const char* name, const char* image, const char* type, const char* state) {
  gateway::DeploymentView out;
  out.name = name;
  out.image = image;
  out.rules.instance_type = type;
  out.state = state;
  return out;
}

gateway::DeploymentFigures yuan(std::int64_t today_micros, std::int64_t month_micros, std::int64_t forecast_micros) {
  gateway::DeploymentFigures out;
  out.currency = "CNY";
  out.today_micros = today_micros;
  out.month_micros = month_micros;
  out.forecast_micros = forecast_micros;
  return out;
}

// 2026-11-26, 19:41 in Shanghai.
gateway::StatusView three_deployments() {
  gateway::StatusView out;
  out.now_ms = 1'795'693'260'000;
  out.time_zone = "Asia/Shanghai";
  gateway::DeploymentView chat = deployment("chat", "qwen3-4b:q4_k_m", "t4", "ready");
  chat.running = 3;
  chat.rules.max_instances = 3;
  chat.instances.resize(1);
  chat.last_minute = {14, 38.12};
  chat.figures = yuan(4'310'000, 61'200'000, 88 * kUnit);
  chat.figures->margin_micros = 9 * kUnit;
  gateway::DeploymentView batch = deployment("batch", "qwen3-4b:q4_k_m", "cpu", "asleep");
  batch.since_ms = out.now_ms - 10 * 3'600'000;
  batch.figures = yuan(0, 0, 0);
  gateway::DeploymentView draft = deployment("draft", "qwen3-0.6b:q8_0", "t4", "failed");
  draft.failure = "not enough GPU memory (needs 1.4 GB, 0.9 free)";
  out.deployments = {chat, batch, draft};
  return out;
}

std::size_t widest_line(const std::string& text) {
  std::istringstream lines(text);
  std::size_t widest = 0;
  for (std::string line; std::getline(lines, line);) widest = std::max(widest, display_width(line));
  return widest;
}

TEST(PsText, SaysWhoIsAwakeAndWhatItCosts) {
  EXPECT_EQ(ps_text(three_deployments(), 0, Language::kEnglish),
            "DEPLOYMENT  IMAGE            ON   STATE               INSTANCES  REQ/MIN  TOK/S  TODAY  MONTH → FORECAST\n"
            "chat        qwen3-4b:q4_k_m  t4   awake, 3 requests   1 of 0–3        14   38.1  ¥4.31  ¥61.20 → ¥88 ±9\n"
            "batch       qwen3-4b:q4_k_m  cpu  asleep since 09:41  0 of 0–1         —      —  ¥0.00  ¥0.00 → ¥0\n"
            "draft       qwen3-0.6b:q8_0  t4   failed: not enough GPU memory (needs 1.4 GB, 0.9 free) — dormouse logs "
            "draft\n");
}

TEST(PsText, ChineseHeadingsStandOverTheirColumns) {
  EXPECT_EQ(ps_text(three_deployments(), 0, Language::kChinese),
            "部署   镜像             位置  状态              实例     请求/分  词元/秒   今日  本月 → 预计\n"
            "chat   qwen3-4b:q4_k_m  t4    运行中，3 个请求  1 / 0–3       14     38.1  ¥4.31  ¥61.20 → ¥88 ±9\n"
            "batch  qwen3-4b:q4_k_m  cpu   休眠，自 09:41    0 / 0–1        —        —  ¥0.00  ¥0.00 → ¥0\n"
            "draft  qwen3-0.6b:q8_0  t4    失败：not enough GPU memory (needs 1.4 GB, 0.9 free) — dormouse logs "
            "draft\n");
}

TEST(PsText, ANarrowTerminalGetsFewerColumnsAndNoWrappedFigures) {
  const gateway::StatusView status = three_deployments();
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    for (std::size_t columns = 30; columns < 120; ++columns) {
      const std::string text = ps_text(status, columns, language);
      EXPECT_LE(widest_line(text), columns) << text;
      EXPECT_NE(text.find("chat"), std::string::npos) << text;
    }
  }
  const std::string text = ps_text(status, 80, Language::kEnglish);
  EXPECT_EQ(text,
            "DEPLOYMENT  ON   STATE               INSTANCES  REQ/MIN  TODAY  MONTH → FORECAST\n"
            "chat        t4   awake, 3 requests   1 of 0–3        14  ¥4.31  ¥61.20 → ¥88 ±9\n"
            "batch       cpu  asleep since 09:41  0 of 0–1         —  ¥0.00  ¥0.00 → ¥0\n"
            "draft       t4   failed: not enough GPU memory (needs 1.4 GB, 0.9 free) —\n"
            "                 dormouse logs draft\n");
}

TEST(PsText, WhyItIsAwakeWhereNobodyAsks) {
  gateway::StatusView status = three_deployments();
  gateway::DeploymentView& chat = status.deployments[0];
  const auto says = [&status](const char* words, Language language = Language::kEnglish) {
    return ps_text(status, 0, language).find(words) != std::string::npos;
  };
  chat.running = 1;
  EXPECT_TRUE(says("awake, 1 request "));
  chat.running = 0;
  chat.idle_left_s = 300;
  chat.awake_because = "request";
  EXPECT_TRUE(says("awake, sleeps in 5 min  "));
  chat.awake_because = "window";
  EXPECT_TRUE(says("awake, sleeps in 5 min (window)"));
  chat.idle_left_s.reset();
  chat.awake_because = "min";
  EXPECT_TRUE(says("awake (min)"));
  EXPECT_TRUE(says("运行中（最少实例数）", Language::kChinese));
  chat.waiting = 2;
  EXPECT_TRUE(says("awake (min), 2 waiting"));
  chat.state = "loading";
  chat.load_fraction = 0.4;
  EXPECT_TRUE(says("waking 40 %"));
  chat.state = "backoff";
  chat.failure = "crashed: signal 9";
  chat.backoff_left_s = 8;
  EXPECT_TRUE(says("failed: crashed: signal 9 (tries again in 8 s) — dormouse logs chat"));
}

TEST(PsText, ADayThatIsNotTodayIsNamedAndMoneyNobodyKnowsIsNot) {
  gateway::StatusView status = three_deployments();
  gateway::DeploymentView& batch = status.deployments[1];
  batch.since_ms = status.now_ms - 20 * 3'600'000;  // 23:41 of the day before, in Shanghai
  batch.figures = gateway::DeploymentFigures{};
  const std::string text = ps_text(status, 0, Language::kEnglish);
  EXPECT_NE(text.find("asleep since 11-25 23:41  0 of 0–1         —      —      —  —\n"), std::string::npos) << text;
  status.deployments[0].figures->currency = "USD";
  status.deployments[0].figures->forecast_micros = 3'250'000;
  status.deployments[0].figures->margin_micros = 400'000;
  EXPECT_NE(ps_text(status, 0, Language::kEnglish).find("$61.20 → $3.25 ±0.40"), std::string::npos);
}

}  // namespace
}  // namespace dormouse::cli
