#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/admin_client.h"
#include "cli/ps_text.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "gateway/admin_wire.h"

namespace dormouse::cli {
namespace {

void ps(Context& context, bool as_json) {
  AdminClient client(context.admin_socket());
  const Result<std::string> body = client.get("/admin/v1/status");
  if (!body.has_value()) return report_failure(context, body.error());
  if (as_json) {
    fmt::print("{}\n", *body);
    return;
  }
  const Result<gateway::StatusView> status = gateway::parse_status(*body);
  if (!status.has_value()) return report_failure(context, status.error());
  const bool zh = context.language == Language::kChinese;
  if (status->deployments.empty()) {
    fmt::print("{}\n", context.say("no deployment yet: dormouse deploy IMAGE --on local",
                                   "还没有部署：dormouse deploy 镜像 --on local"));
  } else {
    fmt::print("{}", ps_text(*status, stdout_columns(), context.language));
  }
  for (const gateway::DeploymentView& d : status->deployments) {
    const std::string slow = zh ? gateway::speed_note_zh(d.speed) : gateway::speed_note_en(d.speed);
    if (!slow.empty()) fmt::print("! {}: {}\n", d.name, slow);
    for (const gateway::InstanceView& i : d.instances) {
      if (!i.note.empty()) fmt::print("! {} {}: {}\n", d.name, i.instance_id, i.note);
      if (!i.reachable && i.state == "ready") {
        fmt::print("! {} {}: {}\n", d.name, i.instance_id,
                   context.say("out of reach; it may return until its lease is over", "失去联系；租约到期前可能恢复"));
      }
    }
  }
  for (const std::string& notice : status->notices) fmt::print("! {}\n", notice);
}

}  // namespace

void add_ps(CLI::App& app, Context& context) {
  auto json = std::make_shared<bool>(false);
  auto format = std::make_shared<std::string>("table");
  CLI::App* verb =
      app.add_subcommand("ps", std::string(context.say("what is awake, and why", "哪些部署在运行，为什么")));
  verb->add_flag("--json", *json, std::string(context.say("as JSON", "输出 JSON")));
  verb->add_option("--format", *format, "table, json")->check(CLI::IsMember({"table", "json"}))->capture_default_str();
  verb->footer(
      std::string(context.say("REQ/MIN and TOK/S are of the last minute, days and months the server's.\n"
                              "± is 90 %, from five whole days on. A narrow terminal shows fewer columns.\n"
                              "Examples:\n  dormouse ps\n  dormouse ps --format json",
                              "请求/分与词元/秒取最近一分钟；日与月按服务端的时区。\n"
                              "± 为 90 % 区间，有五个整天的数据后给出。终端较窄时少显示几列。\n示例：\n  dormouse ps\n "
                              " dormouse ps --format json")));
  verb->callback([&context, json, format] { ps(context, *json || *format == "json"); });
}

}  // namespace dormouse::cli
