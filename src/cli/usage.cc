#include <fmt/chrono.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <ctime>
#include <memory>

#include "cli/admin_client.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "gateway/admin_wire.h"

namespace dormouse::cli {
namespace {

struct UsageFlags {
  std::string by = "day";
  std::string format = "table";
  std::string deployment;
};

std::int64_t utc_offset_minutes() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return local.tm_gmtoff / 60;
}

std::string bucket_text(const ledger::UsageRow& row, const std::string& by) {
  if (by == "deployment") return row.deployment;
  const auto seconds = static_cast<std::time_t>(row.bucket_us / 1'000'000);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return by == "hour" ? fmt::format("{:%Y-%m-%d %H:00}", local) : fmt::format("{:%Y-%m-%d}", local);
}

std::string seconds_text(std::int64_t us) {
  return fmt::format("{:.1f}", static_cast<double>(us) / 1e6);
}

Table make_table(const Context& context, const UsageFlags& flags, const std::vector<ledger::UsageRow>& rows) {
  const bool zh = context.language == Language::kChinese && flags.format == "table";
  const bool csv = flags.format == "csv";
  using Align = Table::Align;
  std::vector<std::string> header =
      csv  ? std::vector<std::string>{flags.by,       "requests",      "failed",        "client_gone",
                                      "input_tokens", "output_tokens", "cold_requests", "wakes",
                                      "waking_s",     "busy_s",        "idle_s"}
      : zh ? std::vector<std::string>{flags.by == "deployment" ? "部署" : "时间",
                                      "请求",
                                      "失败",
                                      "客户端断开",
                                      "输入词元",
                                      "输出词元",
                                      "冷请求",
                                      "唤醒次数",
                                      "唤醒（秒）",
                                      "计算（秒）",
                                      "空等（秒）"}
           : std::vector<std::string>{flags.by == "deployment" ? "DEPLOYMENT" : "TIME",
                                      "REQUESTS",
                                      "FAILED",
                                      "LEFT",
                                      "TOKENS IN",
                                      "TOKENS OUT",
                                      "COLD",
                                      "WAKES",
                                      "WAKING S",
                                      "BUSY S",
                                      "IDLE S"};
  std::vector<Align> align(header.size(), Align::kRight);
  align[0] = Align::kLeft;
  Table table(std::move(header), std::move(align));
  const auto count = [csv](std::int64_t n) { return csv ? fmt::format("{}", n) : grouped(n); };
  for (const ledger::UsageRow& r : rows) {
    table.add({bucket_text(r, flags.by), count(r.requests), count(r.failed), count(r.client_gone),
               count(r.input_tokens), count(r.output_tokens), count(r.cold_requests), count(r.wakes),
               seconds_text(r.waking_us), seconds_text(r.busy_us), seconds_text(r.idle_us)});
  }
  return table;
}

void usage(Context& context, const UsageFlags& flags) {
  AdminClient client(context.admin_socket());
  std::string target = fmt::format("/admin/v1/usage?by={}&utc_offset_minutes={}", flags.by, utc_offset_minutes());
  if (!flags.deployment.empty()) target += "&deployment=" + flags.deployment;
  const Result<std::string> body = client.get(target);
  if (!body.has_value()) return report_failure(context, body.error());
  if (flags.format == "json") {
    fmt::print("{}\n", *body);
    return;
  }
  const Result<std::vector<ledger::UsageRow>> rows = gateway::parse_usage(*body);
  if (!rows.has_value()) return report_failure(context, rows.error());
  const Table table = make_table(context, flags, *rows);
  fmt::print("{}", flags.format == "csv" ? table.csv() : table.text());
  if (rows->empty() && flags.format == "table") {
    fmt::print("{}\n", context.say("nothing yet: no request has been settled", "暂无数据：还没有已结算的请求"));
  }
}

}  // namespace

void add_usage(CLI::App& app, Context& context) {
  auto flags = std::make_shared<UsageFlags>();
  CLI::App* verb =
      app.add_subcommand("usage", std::string(context.say("what was used, from the ledger", "账本中的用量")));
  verb->add_option("--by", flags->by, std::string(context.say("day, hour or deployment", "按天、小时或部署")))
      ->check(CLI::IsMember({"day", "hour", "deployment"}))
      ->capture_default_str();
  verb->add_option("--format", flags->format, "table, csv, json")
      ->check(CLI::IsMember({"table", "csv", "json"}))
      ->capture_default_str();
  verb->add_option("--deployment", flags->deployment, std::string(context.say("only this one", "只看这个部署")));
  verb->footer(std::string(context.say("Examples:\n  dormouse usage\n  dormouse usage --by hour --format csv",
                                       "示例：\n  dormouse usage\n  dormouse usage --by hour --format csv")));
  verb->callback([&context, flags] { usage(context, *flags); });
}

}  // namespace dormouse::cli
