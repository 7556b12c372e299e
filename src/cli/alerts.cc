#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "cli/admin_client.h"
#include "cli/verbs.h"
#include "gateway/admin_wire.h"

namespace dormouse::cli {
namespace {

void test(Context& context, const std::string& format) {
  AdminClient client(context.admin_socket());
  const Result<std::string> body = client.post("/admin/v1/alerts/test", "");
  if (!body.has_value()) return report_failure(context, body.error());
  const Result<std::vector<gateway::AlertTestRow>> rows = gateway::parse_alert_test(*body);
  if (!rows.has_value()) return report_failure(context, rows.error());
  const bool is_delivered =
      !rows->empty() && std::all_of(rows->begin(), rows->end(), [](const auto& row) { return row.is_delivered; });
  if (!is_delivered) context.exit_code = kExitFailed;
  if (format == "json") {
    fmt::print("{}\n", *body);
    return;
  }
  if (rows->empty()) {
    fmt::print("{}\n", context.say("no webhook: add an [[alert]] to dormouse.toml and start the server again",
                                   "没有配置告警：在 dormouse.toml 中加入 [[alert]] 并重启服务"));
    return;
  }
  for (const gateway::AlertTestRow& row : *rows) {
    fmt::print("{:<12} {}  {}\n", row.webhook,
               row.is_delivered ? context.say("delivered", "已送达") : context.say("not delivered", "未送达"),
               row.said);
  }
}

}  // namespace

void add_alerts(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("alerts", std::string(context.say("webhooks that alerts go to", "告警通知")));
  verb->require_subcommand(1);
  verb->footer(fmt::format("{}\n  dormouse alerts test", context.say("Example:", "示例：")));
  CLI::App* test_verb = verb->add_subcommand(
      "test",
      std::string(context.say("send one to every webhook, and say what came back", "向每个通知地址发送一条测试消息")));
  auto format = std::make_shared<std::string>("text");
  test_verb->add_option("--format", *format, "text, json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  test_verb->footer(fmt::format("{}\n  dormouse alerts test", context.say("Example:", "示例：")));
  test_verb->fallthrough();
  test_verb->callback([&context, format] { test(context, *format); });
}

}  // namespace dormouse::cli
