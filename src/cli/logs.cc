#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/admin_client.h"
#include "cli/verbs.h"

namespace dormouse::cli {
namespace {

void logs(Context& context, const std::string& name) {
  AdminClient client(context.admin_socket());
  const Result<std::string> body = client.get(fmt::format("/admin/v1/deployments/{}/logs", name));
  if (!body.has_value()) return report_failure(context, body.error());
  fmt::print("{}", *body);
}

}  // namespace

void add_logs(CLI::App& app, Context& context) {
  auto deployment = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand(
      "logs", std::string(context.say("the last lines of a deployment's workers", "部署的工作进程的最近日志")));
  verb->add_option("NAME", *deployment, std::string(context.say("the deployment", "部署名称")))->required();
  verb->footer(fmt::format("{}\n  dormouse logs demo", context.say("Example:", "示例：")));
  verb->callback([&context, deployment] { logs(context, *deployment); });
}

}  // namespace dormouse::cli
