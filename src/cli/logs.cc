#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <memory>

#include "api/fields.h"
#include "base/clock.h"
#include "catalog/config_file.h"
#include "cli/admin_client.h"
#include "cli/log_line.h"
#include "cli/verbs.h"

namespace dormouse::cli {
namespace {

namespace json = boost::json;

// In the order of a CSV's columns; what a line lacks is an empty field.
constexpr std::array<std::string_view, 24> kColumns{
    "time",       "id",      "client_id", "client",    "key",           "method",
    "route",      "status",  "ms",        "bytes_in",  "bytes_out",     "error",
    "deployment", "dialect", "finish",    "tokens_in", "tokens_cached", "tokens_out",
    "queue_ms",   "wake_ms", "ttft_ms",   "decode_ms", "charge_micros", "currency"};

struct ExportFlags {
  std::string since = "24h";
  std::string format = "jsonl";
};

// A line each; the last one may lack its end.
void print_lines_as_json(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    fmt::print("{}\n", log_line_json(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void logs(Context& context, const std::string& name, const std::string& format) {
  AdminClient client(context.admin_socket());
  const Result<std::string> body = client.get(fmt::format("/admin/v1/deployments/{}/logs", name));
  if (!body.has_value()) return report_failure(context, body.error());
  if (format == "json") return print_lines_as_json(*body);
  fmt::print("{}", *body);
}

// RFC 4180, and no field a spreadsheet would take for a formula: a client chooses its request id.
std::string csv_field(const json::value* value) {
  if (value == nullptr) return {};
  if (value->is_double()) return fmt::format("{:.3f}", value->get_double());  // not 5.2E1
  if (!value->is_string()) return json::serialize(*value);
  std::string text(value->get_string());
  const bool is_formula = !text.empty() && std::string_view("=+-@").find(text[0]) != std::string_view::npos;
  if (is_formula) text = fmt::format("'{}", text);
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out.append(c == '"' ? 2 : 1, c);
  return out + '"';
}

void print_csv(std::string_view line) {
  boost::system::error_code ec;
  const json::value root = json::parse({line.data(), line.size()}, ec);
  if (ec || !root.is_object()) return;
  std::string out;
  for (const std::string_view column : kColumns) {
    if (column != kColumns.front()) out += ',';
    out += csv_field(api::find_member(root.get_object(), column));
  }
  fmt::print("{}\n", out);
}

void export_logs(Context& context, const ExportFlags& flags) {
  const Result<std::chrono::milliseconds> since = catalog::parse_duration(flags.since);
  if (!since.has_value()) {
    fmt::print(stderr, "--since: {}\n", since.error().message);
    context.exit_code = kExitUsage;
    return;
  }
  const std::int64_t since_us = std::max<std::int64_t>(0, SystemClock().wall().us - since->count() * 1'000);
  const bool is_csv = flags.format == "csv";
  if (is_csv) fmt::print("{}\n", fmt::join(kColumns, ","));
  std::string rest;  // a line whose end has not come yet
  AdminClient client(context.admin_socket());
  const Status done =
      client.stream(fmt::format("/admin/v1/access-log?since_us={}", since_us), [&](std::string_view piece) {
        if (!is_csv) {
          fmt::print("{}", piece);
          return;
        }
        rest += piece;
        std::size_t begin = 0;
        for (std::size_t end = 0; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
          print_csv(std::string_view(rest).substr(begin, end - begin));
        }
        rest.erase(0, begin);
      });
  if (!done.has_value()) report_failure(context, done.error());
}

}  // namespace

void add_logs(CLI::App& app, Context& context) {
  auto deployment = std::make_shared<std::string>();
  auto format = std::make_shared<std::string>("text");
  auto flags = std::make_shared<ExportFlags>();
  CLI::App* verb =
      app.add_subcommand("logs", std::string(context.say("the last lines of a deployment's workers; the access log",
                                                         "部署的工作进程的最近日志；访问日志")));
  verb->add_option("NAME", *deployment, std::string(context.say("the deployment", "部署名称")));
  verb->add_option("--format", *format,
                   std::string(context.say("text, or json: an object a line", "text 或 json（每行一个对象）")))
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  verb->footer(
      fmt::format("{}\n  dormouse logs demo\n  dormouse logs demo --format json\n  dormouse logs export --since 7d "
                  "--format csv > access.csv",
                  context.say("Examples:", "示例：")));
  CLI::App* exported = verb->add_subcommand(
      "export", std::string(context.say("the access log: one line a request, never prompts or answers",
                                        "导出访问日志：每个请求一行，不含提示词与回答")));
  exported->add_option("--since", flags->since, std::string(context.say("how far back", "起始时间，距今多久")))
      ->capture_default_str();
  exported
      ->add_option("--format", flags->format,
                   std::string(context.say("jsonl (json is the same), csv", "jsonl（json 相同）、csv")))
      ->check(CLI::IsMember({"jsonl", "json", "csv"}))
      ->capture_default_str();
  exported->footer(fmt::format("{}\n  dormouse logs export --since 7d --format csv > access.csv",
                               context.say("Example:", "示例：")));
  exported->fallthrough();
  exported->callback([&context, flags] { export_logs(context, *flags); });
  verb->callback([&context, deployment, format, exported] {
    if (exported->parsed()) return;
    if (!deployment->empty()) return logs(context, *deployment, *format);
    fmt::print(stderr, "{}\n",
               context.say("which deployment? `dormouse ps` names them", "哪个部署？用 `dormouse ps` 查看"));
    context.exit_code = kExitUsage;
  });
}

}  // namespace dormouse::cli
