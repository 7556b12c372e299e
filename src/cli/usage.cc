#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/admin_client.h"
#include "cli/report_text.h"
#include "cli/verbs.h"
#include "gateway/admin/query_string.h"

namespace dormouse::cli {
namespace {

struct UsageFlags {
  std::string by = "day";
  std::string format = "table";
  std::string deployment;
  std::string key;
  std::string since;
  std::string until;
  std::string time_zone;
};

std::string target_of(const UsageFlags& flags) {
  std::string out = "/admin/v1/usage?by=" + flags.by + "&format=" + (flags.format == "csv" ? "csv" : "json");
  const auto add = [&out](const char* name, const std::string& value) {
    if (!value.empty()) out += fmt::format("&{}={}", name, gateway::percent_encode(value));
  };
  add("deployment", flags.deployment);
  add("key", flags.key);
  add("since", flags.since);
  add("until", flags.until);
  add("time_zone", flags.time_zone);
  return out;
}

// What the server cannot read was typed here.
void report_refusal(Context& context, const Error& error) {
  report_failure(context, error);
  if (error.code == Code::kInvalidArgument) context.exit_code = kExitUsage;
}

void show_errors(Context& context, const std::string& body) {
  const Result<gateway::ErrorsView> view = gateway::parse_errors(body);
  if (!view.has_value()) return report_failure(context, view.error());
  fmt::print("{}", errors_text(*view, context.language));
  if (view->errors.empty() && view->refusals.empty()) fmt::print("{}\n", context.say("no errors", "没有错误"));
}

void usage(Context& context, const UsageFlags& flags) {
  AdminClient client(context.admin_socket());
  const Result<std::string> body = client.get(target_of(flags));
  if (!body.has_value()) return report_refusal(context, body.error());
  if (flags.format != "table") {
    fmt::print("{}{}", *body, flags.format == "json" ? "\n" : "");
    return;
  }
  if (flags.by == "error") return show_errors(context, *body);
  const Result<gateway::UsageView> view = gateway::parse_usage(*body);
  if (!view.has_value()) return report_failure(context, view.error());
  if (view->report.rows.empty()) {
    fmt::print("{}\n", context.say("nothing yet: no request has been settled", "暂无数据：还没有已结算的请求"));
    return;
  }
  const bool by_week = flags.by == "weekday-hour";
  fmt::print("{}", by_week ? heat_map(*view, context.language) : usage_text(*view, context.language));
}

struct BillFlags {
  std::string month;
  std::string format = "table";
  std::string deployment;
  std::string time_zone;
};

void bill(Context& context, const BillFlags& flags) {
  AdminClient client(context.admin_socket());
  std::string target = "/admin/v1/bill?format=" + (flags.format == "table" ? std::string("json") : flags.format);
  if (!flags.month.empty()) target += "&month=" + gateway::percent_encode(flags.month);
  if (!flags.deployment.empty()) target += "&deployment=" + gateway::percent_encode(flags.deployment);
  if (!flags.time_zone.empty()) target += "&time_zone=" + gateway::percent_encode(flags.time_zone);
  const Result<std::string> body = client.get(target);
  if (!body.has_value()) return report_refusal(context, body.error());
  if (flags.format != "table") {
    fmt::print("{}{}", *body, flags.format == "json" ? "\n" : "");
    return;
  }
  const Result<gateway::BillView> view = gateway::parse_bill(*body);
  if (!view.has_value()) return report_failure(context, view.error());
  fmt::print("{}", bill_text(*view, context.language));
}

}  // namespace

void add_usage(CLI::App& app, Context& context) {
  auto flags = std::make_shared<UsageFlags>();
  const auto describe = [&context](std::string_view en, std::string_view zh) {
    return std::string(context.say(en, zh));
  };
  CLI::App* verb = app.add_subcommand("usage", describe("what was used, from the ledger", "账本中的用量"));
  verb->add_option("--by", flags->by,
                   describe("day, hour, weekday-hour (a heat map), key, deployment or error",
                            "按天、小时、星期与小时（热力图）、密钥、部署或错误"))
      ->check(CLI::IsMember({"day", "hour", "weekday-hour", "key", "deployment", "error"}))
      ->capture_default_str();
  verb->add_option("--format", flags->format, "table, csv, json")
      ->check(CLI::IsMember({"table", "csv", "json"}))
      ->capture_default_str();
  verb->add_option("--deployment", flags->deployment, describe("only this one", "只看这个部署"));
  verb->add_option("--key", flags->key, describe("only this key (its id)", "只看这个密钥（编号）"));
  verb->add_option("--since", flags->since,
                   describe("7d, today, 2026-11-01 or 2026-11-01T08:30", "7d、today、2026-11-01 或 2026-11-01T08:30"));
  verb->add_option("--until", flags->until, describe("likewise, not included", "同上，不含该时刻"));
  verb->add_option("--time-zone", flags->time_zone,
                   describe("where a day begins, as Asia/Shanghai (default: the server's)",
                            "一天从哪里算起，如 Asia/Shanghai（默认：服务端的时区）"));
  verb->footer(
      describe("Examples:\n  dormouse usage --since 7d\n  dormouse usage --by hour --format csv\n"
               "  dormouse usage --by weekday-hour --since 2026-11-01",
               "示例：\n  dormouse usage --since 7d\n  dormouse usage --by hour --format csv\n"
               "  dormouse usage --by weekday-hour --since 2026-11-01"));
  verb->callback([&context, flags] { usage(context, *flags); });
}

void add_bill(CLI::App& app, Context& context) {
  auto flags = std::make_shared<BillFlags>();
  const auto describe = [&context](std::string_view en, std::string_view zh) {
    return std::string(context.say(en, zh));
  };
  CLI::App* verb = app.add_subcommand(
      "bill", describe("what a month cost: computing, waking, waiting", "一个月的费用：计算、唤醒、空等"));
  verb->add_option("--month", flags->month, describe("2026-11 (default: this one)", "2026-11（默认：本月）"));
  verb->add_option("--format", flags->format, "table, json, csv, focus-csv")
      ->check(CLI::IsMember({"table", "json", "csv", "focus-csv"}))
      ->capture_default_str();
  verb->add_option("--deployment", flags->deployment, describe("only this one", "只看这个部署"));
  verb->add_option(
      "--time-zone", flags->time_zone,
      describe("where the month begins (default: the server's)", "月份按哪个时区算（默认：服务端的时区）"));
  verb->footer(
      describe("focus-csv: FOCUS 1.2, a row for each instance and hour.\n"
               "Examples:\n  dormouse bill\n  dormouse bill --month 2026-11 --format focus-csv > november.csv",
               "focus-csv：FOCUS 1.2，每个实例每小时一行。\n"
               "示例：\n  dormouse bill\n  dormouse bill --month 2026-11 --format focus-csv > november.csv"));
  verb->callback([&context, flags] { bill(context, *flags); });
}

}  // namespace dormouse::cli
