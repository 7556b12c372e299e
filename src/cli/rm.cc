// The verb `rm N`: removes a deployment; its history in the ledger stays.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "cli/admin_client.h"
#include "cli/verbs.h"
#include "gateway/admin_wire.h"

namespace dormouse::cli {
namespace {

bool says_yes(const Context& context, const gateway::DeploymentView& d) {
  fmt::print(fmt::runtime(context.say("Remove deployment {} ({})? Running answers finish first. [y/N] ",
                                      "删除部署 {}（{}）？正在进行的回答会先完成。[y/N] ")),
             d.name, d.image);
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes" || answer == "是";
}

void rm(Context& context, const std::string& name, bool yes, const std::string& format) {
  AdminClient client(context.admin_socket());
  const std::string target = "/admin/v1/deployments/" + name;
  const Result<std::string> body = client.get(target);
  if (!body.has_value()) return report_failure(context, body.error());
  const Result<gateway::DeploymentView> found = gateway::parse_deployment(*body);
  if (!found.has_value()) return report_failure(context, found.error());
  if (!yes && ::isatty(STDIN_FILENO) == 0) {
    fmt::print(stderr, "{}\n",
               context.say("rm asks on a terminal; elsewhere it needs --yes", "rm 会在终端里询问；非终端请加 --yes"));
    context.exit_code = kExitUsage;
    return;
  }
  if (!yes && !says_yes(context, *found)) {
    context.exit_code = kExitFailed;
    return;
  }
  const Result<std::string> removed = client.remove(target);
  if (!removed.has_value()) return report_failure(context, removed.error());
  if (format == "json") {
    fmt::print("{}\n", removed->empty() ? *body : *removed);
    return;
  }
  fmt::print(fmt::runtime(context.say("{}: removed, its memory is back\n", "{}：已删除，内存已释放\n")), name);
}

}  // namespace

void add_rm(CLI::App& app, Context& context) {
  auto name = std::make_shared<std::string>();
  auto yes = std::make_shared<bool>(false);
  auto format = std::make_shared<std::string>("text");
  CLI::App* verb = app.add_subcommand(
      "rm",
      std::string(context.say("remove a deployment; its usage stays in the ledger", "删除部署；用量仍留在账本中")));
  verb->add_option("NAME", *name, std::string(context.say("the deployment", "部署名称")))->required();
  verb->add_flag("--yes,-y", *yes, std::string(context.say("do not ask", "不询问")));
  verb->add_option("--format", *format, "text, json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  verb->footer(std::string(context.say("Example:\n  dormouse rm chat --yes", "示例：\n  dormouse rm chat --yes")));
  verb->callback([&context, name, yes, format] { rm(context, *name, *yes, *format); });
}

}  // namespace dormouse::cli
