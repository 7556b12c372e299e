// The verb `console`: a fresh one-time link for whoever may open run/admin.sock.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/admin_client.h"
#include "cli/verbs.h"
#include "gateway/sessions/session_api.h"

namespace dormouse::cli {
namespace {

void console(Context& context, const std::string& format) {
  AdminClient client(context.admin_socket());
  const Result<std::string> body = client.post("/admin/v1/console-links", "");
  if (!body.has_value()) return report_failure(context, body.error());
  if (format == "json") {
    fmt::print("{}\n", *body);
    return;
  }
  const Result<std::string> url = gateway::parse_console_link(*body);
  if (!url.has_value()) return report_failure(context, url.error());
  fmt::print("{}\n", *url);
  // Apart from the link: `xdg-open $(dormouse console)` works.
  fmt::print(stderr, "{}\n", context.say("(one use, 10 minutes)", "（一次有效，10 分钟内）"));
}

}  // namespace

void add_console(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand(
      "console", std::string(context.say("a link that logs you in at the web console", "打印登录网页控制台的链接")));
  auto format = std::make_shared<std::string>("text");
  verb->add_option("--format", *format, "text, json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  verb->footer(std::string(context.say("Examples:\n  dormouse console\n  xdg-open \"$(dormouse console)\"",
                                       "示例：\n  dormouse console\n  xdg-open \"$(dormouse console)\"")));
  verb->callback([&context, format] { console(context, *format); });
}

}  // namespace dormouse::cli
