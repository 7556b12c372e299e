// The verbs `wake N` and `sleep N`: one act, two directions.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/admin_client.h"
#include "cli/verbs.h"
#include "cli/wake_progress.h"
#include "gateway/admin_wire.h"

namespace dormouse::cli {
namespace {

void act(Context& context, const std::string& name, const char* what, const std::string& format) {
  const Result<std::string> body = post_and_wait(context, name, what);
  if (!body.has_value()) return report_failure(context, body.error());
  if (format == "json") {
    fmt::print("{}\n", *body);
    return;
  }
  const Result<gateway::DeploymentView> now = gateway::parse_deployment(*body);
  if (!now.has_value()) return report_failure(context, now.error());
  fmt::print("{}: {}\n", now->name, state_word(now->state, context.language));
}

void add(CLI::App& app, Context& context, const char* name, std::string_view en, std::string_view zh) {
  auto deployment = std::make_shared<std::string>();
  auto format = std::make_shared<std::string>("text");
  CLI::App* verb = app.add_subcommand(name, std::string(context.say(en, zh)));
  verb->add_option("NAME", *deployment, std::string(context.say("the deployment", "部署名称")))->required();
  verb->add_option("--format", *format, "text, json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  verb->footer(fmt::format("{}\n  dormouse {} demo", context.say("Example:", "示例："), name));
  const std::string act_name(name);
  verb->callback([&context, deployment, act_name, format] { act(context, *deployment, act_name.c_str(), *format); });
}

}  // namespace

void add_wake(CLI::App& app, Context& context) {
  add(app, context, "wake", "start an instance now and wait until it is ready", "立即唤醒并等待就绪");
}

void add_sleep(CLI::App& app, Context& context) {
  add(app, context, "sleep", "let running answers finish, then free the memory", "等当前回答结束后休眠并释放内存");
}

}  // namespace dormouse::cli
