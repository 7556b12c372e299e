#include <fmt/chrono.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <map>
#include <memory>

#include "cli/admin_client.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "gateway/admin/report_wire.h"
#include "gateway/admin_wire.h"

namespace dormouse::cli {
namespace {

// "awake, 3 requests", "asleep since 09:41", "waking 40 %", "failed: ... — dormouse logs draft".
std::string state_text(const Context& context, const gateway::DeploymentView& d) {
  std::string out(state_word(d.state, context.language));
  const bool zh = context.language == Language::kChinese;
  if (d.state == "asleep") {
    const std::time_t since = std::time(nullptr) - static_cast<std::time_t>(d.in_state_s);
    std::tm local{};
    ::localtime_r(&since, &local);
    return fmt::format(fmt::runtime(zh ? "{}，自 {:%H:%M}" : "{} since {:%H:%M}"), out, local);
  }
  if (d.state == "loading") return fmt::format("{} {:.0f} %", out, d.load_fraction * 100);
  if (d.state == "ready") {
    if (d.running > 0) return fmt::format(fmt::runtime(zh ? "{}，{} 个请求" : "{}, {} requests"), out, d.running);
    if (d.idle_left_s.has_value()) {
      return fmt::format(fmt::runtime(zh ? "{}，{}后休眠" : "{}, sleeps in {}"), out,
                         duration_words(*d.idle_left_s, context.language));
    }
  }
  if (d.state == "failed" || d.state == "backoff") {
    out += fmt::format("{}{} — dormouse logs {}", zh ? "：" : ": ", d.failure, d.name);
    if (d.backoff_left_s.has_value()) {
      out += fmt::format(fmt::runtime(zh ? "（{}后重试）" : " (tries again in {})"),
                         duration_words(*d.backoff_left_s, context.language));
    }
  }
  if (d.waiting > 0) out += fmt::format(fmt::runtime(zh ? "，{} 个等待" : ", {} waiting"), d.waiting);
  return out;
}

std::string instances_text(const Context& context, const gateway::DeploymentView& d) {
  return fmt::format(fmt::runtime(context.say("{} of {}–{}", "{} / {}–{}")), d.instances.size(), d.rules.min_instances,
                     d.rules.max_instances);
}

// Requests and tokens of each deployment since midnight, by the server's time zone.
std::map<std::string, ledger::UsageRow> today(AdminClient& client) {
  std::map<std::string, ledger::UsageRow> out;
  const Result<std::string> body = client.get("/admin/v1/usage?by=deployment&since=today");
  if (!body.has_value()) return out;
  const Result<gateway::UsageView> view = gateway::parse_usage(*body);
  if (!view.has_value()) return out;
  for (const ledger::UsageRow& row : view->report.rows) out[row.deployment] = row;
  return out;
}

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
  const std::map<std::string, ledger::UsageRow> used = today(client);
  using Align = Table::Align;
  const bool zh = context.language == Language::kChinese;
  Table table(zh ? std::vector<std::string>{"部署", "镜像", "位置", "状态", "原因", "实例", "今日请求", "今日输出词元",
                                            "唤醒次数"}
                 : std::vector<std::string>{"DEPLOYMENT", "IMAGE", "ON", "STATE", "WHY", "INSTANCES", "REQ TODAY",
                                            "TOKENS TODAY", "WAKES"},
              {Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft, Align::kRight,
               Align::kRight, Align::kRight});
  for (const gateway::DeploymentView& d : status->deployments) {
    const auto row = used.find(d.name);
    table.add({d.name, d.image, d.rules.instance_type, state_text(context, d),
               std::string(reason_word(d.awake_because, context.language)), instances_text(context, d),
               grouped(row == used.end() ? 0 : row->second.requests),
               grouped(row == used.end() ? 0 : row->second.output_tokens), grouped(d.wakes)});
  }
  fmt::print("{}", table.fitted(stdout_columns()));
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
  verb->footer(std::string(context.say("Examples:\n  dormouse ps\n  dormouse ps --format json",
                                       "示例：\n  dormouse ps\n  dormouse ps --format json")));
  verb->callback([&context, json, format] { ps(context, *json || *format == "json"); });
}

}  // namespace dormouse::cli
