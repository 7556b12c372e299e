// What is told to people through webhooks: events, and the sentences they become. No I/O; texts carry names of
// deployments and keys and numbers, never prompts, paths or error texts. Threads: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateway/speed_note.h"

namespace dormouse::gateway {

enum class AlertEvent { kBudget, kDegraded, kFailed, kBreakEven, kTest };
// "budget", "degraded", "failed", "break_even", "test".
[[nodiscard]] std::string_view to_string(AlertEvent event);
[[nodiscard]] std::optional<AlertEvent> parse_alert_event(std::string_view name);

struct Alert {
  AlertEvent event = AlertEvent::kTest;
  std::string key;       // what makes it the same alert as another one: subject and level
  bool is_over = false;  // good news
  std::string title_en;
  std::string title_zh;
  std::string text_en;
  std::string text_zh;
};

[[nodiscard]] Alert degraded_alert(const std::string& deployment, const SpeedView& speed);
[[nodiscard]] Alert speed_is_back_alert(const std::string& deployment, const SpeedView& speed);
[[nodiscard]] Alert failed_alert(const std::string& deployment);
[[nodiscard]] Alert recovered_alert(const std::string& deployment);
// `subject`: "key NAME" or "deployment NAME"; `percent` of the budget is used: 80 or 100.
[[nodiscard]] Alert budget_alert(const std::string& subject, int percent);
// Awake `hours` of this month, where from `break_even_hours` on a month's rent is cheaper.
[[nodiscard]] Alert break_even_alert(const std::string& deployment, double hours, double break_even_hours);
[[nodiscard]] Alert test_alert();

}  // namespace dormouse::gateway
