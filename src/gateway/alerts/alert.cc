#include "gateway/alerts/alert.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace dormouse::gateway {
namespace {

constexpr std::array<std::pair<AlertEvent, std::string_view>, 5> kNames{{{AlertEvent::kBudget, "budget"},
                                                                         {AlertEvent::kDegraded, "degraded"},
                                                                         {AlertEvent::kFailed, "failed"},
                                                                         {AlertEvent::kBreakEven, "break_even"},
                                                                         {AlertEvent::kTest, "test"}}};

}  // namespace

std::string_view to_string(AlertEvent event) {
  for (const auto& [known, name] : kNames) {
    if (known == event) return name;
  }
  return "";
}

std::optional<AlertEvent> parse_alert_event(std::string_view name) {
  for (const auto& [event, known] : kNames) {
    if (known == name) return event;
  }
  return std::nullopt;
}

Alert degraded_alert(const std::string& deployment, const SpeedView& speed) {
  return {.event = AlertEvent::kDegraded,
          .key = deployment,
          .is_over = false,
          .title_en = fmt::format("{} is slower than it should be", deployment),
          .title_zh = fmt::format("{} 变慢", deployment),
          .text_en = speed_note_en(speed),
          .text_zh = speed_note_zh(speed)};
}

Alert speed_is_back_alert(const std::string& deployment, const SpeedView& speed) {
  const double measured = speed.measured.value_or(0);
  return {.event = AlertEvent::kDegraded,
          .key = deployment + " over",
          .is_over = true,
          .title_en = fmt::format("{} is as fast as it should be again", deployment),
          .title_zh = fmt::format("{} 速度已恢复", deployment),
          .text_en = fmt::format("{:.1f} tok/s a stream", measured),
          .text_zh = fmt::format("单路 {:.1f} tok/s", measured)};
}

Alert failed_alert(const std::string& deployment) {
  return {.event = AlertEvent::kFailed,
          .key = deployment,
          .is_over = false,
          .title_en = fmt::format("{} has given up starting", deployment),
          .title_zh = fmt::format("{} 无法启动，已停止重试", deployment),
          .text_en = fmt::format("`dormouse logs {0}` says why; `dormouse wake {0}` tries again", deployment),
          .text_zh = fmt::format("原因见 `dormouse logs {0}`；用 `dormouse wake {0}` 重试", deployment)};
}

Alert recovered_alert(const std::string& deployment) {
  return {.event = AlertEvent::kFailed,
          .key = deployment + " over",
          .is_over = true,
          .title_en = fmt::format("{} runs again", deployment),
          .title_zh = fmt::format("{} 已恢复运行", deployment),
          .text_en = "it is ready for requests",
          .text_zh = "可以接受请求"};
}

Alert budget_alert(const std::string& subject, int percent) {
  return {.event = AlertEvent::kBudget,
          .key = fmt::format("{} {}", subject, percent),
          .is_over = false,
          .title_en = fmt::format("{}: {} % of the budget is used", subject, percent),
          .title_zh = fmt::format("{}：预算已用 {} %", subject, percent),
          .text_en = percent >= 100 ? "requests over it are refused" : "`dormouse usage` says by what",
          .text_zh = percent >= 100 ? "超出部分的请求会被拒绝" : "明细见 `dormouse usage`"};
}

Alert break_even_alert(const std::string& deployment, double hours, double break_even_hours) {
  return {.event = AlertEvent::kBreakEven,
          .key = deployment,
          .is_over = false,
          .title_en = fmt::format("{} nears the hours from which a month's rent is cheaper", deployment),
          .title_zh = fmt::format("{} 接近包月更划算的时长", deployment),
          .text_en = fmt::format("awake for {:.0f} h this month; from {:.0f} h on the monthly price is the lower one",
                                 hours, break_even_hours),
          .text_zh = fmt::format("本月已运行 {:.0f} 小时；超过 {:.0f} 小时后包月更便宜", hours, break_even_hours)};
}

Alert test_alert() {
  return {.event = AlertEvent::kTest,
          .key = "",
          .is_over = false,
          .title_en = "Dormouse: a test of the alerts",
          .title_zh = "睡鼠：告警测试",
          .text_en = "if you read this, alerts arrive here",
          .text_zh = "看到这条消息，说明告警可以送达"};
}

}  // namespace dormouse::gateway
