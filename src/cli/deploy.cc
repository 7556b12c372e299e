// The verb `deploy`: a new deployment from the command line.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "catalog/deployment_rules.h"
#include "cli/admin_client.h"
#include "cli/verbs.h"
#include "cli/wake_progress.h"
#include "gateway/admin/json_reader.h"
#include "gateway/admin_wire.h"

namespace dormouse::cli {
namespace {

struct DeployFlags {
  std::string image;
  std::string name;
  std::vector<std::pair<const char*, std::string>> rules;  // key of catalog/deployment_rules.h, as typed
  std::vector<std::string> aliases;
  std::vector<std::string> awake;
  std::string format = "text";
  bool wake = false;
};

using Describe = std::function<std::string(std::string_view, std::string_view)>;
using RuleOption = std::function<void(const char* flag, const char* key, const std::string& text)>;

Result<gateway::NewDeployment> read_flags(const DeployFlags& flags) {
  gateway::NewDeployment out;
  out.name = flags.name;
  out.image = flags.image;
  // A path is the server's to read, which has another working directory.
  if (::access(out.image.c_str(), R_OK) == 0) out.image = std::filesystem::absolute(out.image).string();
  for (const auto& [key, text] : flags.rules) {
    if (text.empty()) continue;
    TRY(const catalog::FieldValue value, catalog::read_rule_text(key, text));
    TRY_STATUS(catalog::set_rule(out.rules, key, value));
  }
  TRY_STATUS(catalog::set_rule(out.rules, "aliases", flags.aliases));
  TRY_STATUS(catalog::set_rule(out.rules, "awake", flags.awake));
  TRY_STATUS(catalog::check_rules(out.rules));
  return out;
}

std::string idle_words(const Context& context, const gateway::DeploymentView& d) {
  if (d.rules.idle_auto) {
    return std::string(context.say("sleeps when that is cheaper (auto)", "休眠时间自动选择（auto）"));
  }
  return fmt::format(fmt::runtime(context.say("sleeps after {} idle", "空闲 {} 后休眠")),
                     duration_words(d.idle_timeout_s, context.language));
}

// A type that is in no list is taken, for it may be a driver's own; mistyped, it would seem to cost nothing.
void warn_of_type(const Context& context, AdminClient& client, const std::string& type) {
  const Result<std::string> body = client.get("/admin/v1/instance-types");
  const Result<boost::json::value> list = body.has_value() ? gateway::parse_json_object(*body) : Error(body.error());
  if (!list.has_value()) return;
  for (const boost::json::object* known : gateway::JsonReader(list->get_object()).objects("instance_types")) {
    if (gateway::JsonReader(*known).text("id") == type) return;
  }
  fmt::print(fmt::runtime(context.say(
                 "! no instance type is called '{}', so its cost is not known: `dormouse plan "
                 "--requests-per-day 100` shows those there are, [[instance]] in dormouse.toml "
                 "adds one\n",
                 "! 没有名为“{}”的实例类型，因此无法计算费用：`dormouse plan --requests-per-day 100` 列出现有类型，"
                 "也可在 dormouse.toml 中用 [[instance]] 添加\n")),
             type);
}

void print_made(const Context& context, const gateway::DeploymentView& d, const std::vector<std::string>& urls) {
  fmt::print("{}: {}\n", d.name, d.image);
  fmt::print(
      fmt::runtime(context.say("  on {} ({}), {} to {} instances, {}\n", "  在 {}（{}）上，{} 到 {} 个实例，{}\n")),
      d.rules.instance_type, d.rules.driver, d.rules.min_instances, d.rules.max_instances, idle_words(context, d));
  if (d.rules.max_instances == 1) {
    fmt::print(fmt::runtime(context.say("  --max above 1 absorbs a spike: dormouse set {} max=3\n",
                                        "  --max 大于 1 可以吸收突发请求：dormouse set {} max=3\n")),
               d.name);
  }
  fmt::print("\n  curl {}/generate -d '{{\"model\":\"{}\",\"prompt\":\"写一首关于月亮的诗\",\"max_tokens\":64}}'\n",
             urls.empty() ? std::string("http://127.0.0.1:8080") : urls.front(), d.name);
}

void deploy(Context& context, const DeployFlags& flags) {
  const Result<gateway::NewDeployment> wish = read_flags(flags);
  if (!wish.has_value()) {
    fmt::print(stderr, "{}: {}\n", context.say("failed", "失败"), wish.error().message);
    context.exit_code = kExitUsage;
    return;
  }
  AdminClient client(context.admin_socket());
  Result<std::string> body = client.post("/admin/v1/deployments", gateway::to_json(*wish));
  if (!body.has_value()) return report_failure(context, body.error());
  Result<gateway::DeploymentView> made = gateway::parse_deployment(*body);
  if (!made.has_value()) return report_failure(context, made.error());
  if (flags.wake) {
    body = post_and_wait(context, made->name, "wake");
    if (!body.has_value()) return report_failure(context, body.error());
  }
  if (flags.format == "json") {
    fmt::print("{}\n", *body);
    return;
  }
  const Result<std::string> status = client.get("/admin/v1/status");
  const Result<gateway::StatusView> view = status.has_value() ? gateway::parse_status(*status) : Error(status.error());
  if (made->rules.exposure == "public") print_notices(client);
  warn_of_type(context, client, made->rules.instance_type);
  print_made(context, *made, view.has_value() ? view->urls : std::vector<std::string>());
}

// Of all callers together; a key has limits of its own.
void add_limits(const RuleOption& rule, const Describe& describe) {
  rule("--rpm,--requests-per-minute", "requests_per_minute",
       describe("of all callers together (default: no limit)", "所有调用方合计每分钟请求数（默认不限）"));
  rule("--tpm,--tokens-per-minute", "tokens_per_minute",
       describe("prompts and answers of all callers together (default: no limit)",
                "所有调用方合计每分钟词元数，含提示与回答（默认不限）"));
  rule("--concurrency", "concurrency",
       describe("requests at once (default: no limit)", "同时处理的请求数（默认不限）"));
  rule("--budget", "budget",
       describe("what it may cost: 50CNY/month, 2.50USD/day", "费用上限：50CNY/month、2.50USD/day"));
}

}  // namespace

void add_deploy(CLI::App& app, Context& context) {
  auto flags = std::make_shared<DeployFlags>();
  flags->rules = {{"instance_type", "local"},
                  {"driver", ""},
                  {"runtime", ""},
                  {"idle_timeout", ""},
                  {"min", ""},
                  {"max", ""},
                  {"exposure", ""},
                  {"billing", ""},
                  {"context_length", ""},
                  {"max_wait", ""},
                  {"lease_ttl", ""},
                  {"concurrency", ""},
                  {"requests_per_minute", ""},
                  {"budget", ""},
                  {"tokens_per_minute", ""}};
  CLI::App* verb = app.add_subcommand("deploy", std::string(context.say("make a deployment", "新建部署")));
  const auto describe = [&context](std::string_view en, std::string_view zh) {
    return std::string(context.say(en, zh));
  };
  const auto rule = [verb, &flags](const char* flag, const char* key, const std::string& text) {
    for (auto& [known, value] : flags->rules) {
      if (std::string_view(known) == key) verb->add_option(flag, value, text);
    }
  };
  verb->add_option("IMAGE", flags->image, describe("an image or a .gguf file", "镜像名或 .gguf 文件"))->required();
  rule("--on", "instance_type", describe("instance type (default local)", "实例类型（默认 local）"));
  verb->add_option("--name", flags->name, describe("its name (default: from the image)", "部署名称（默认取自镜像）"));
  rule("--driver", "driver",
       describe("process (default), or a [driver.NAME] of dormouse.toml",
                "process（默认），或 dormouse.toml 中的 [driver.名称]"));
  rule("--runtime", "runtime", "builtin, llama-server, vllm, ollama");
  rule("--idle-timeout", "idle_timeout",
       describe("sleep after this long idle: 10m, or auto", "空闲多久后休眠：10m 或 auto"));
  verb->add_option("--awake", flags->awake,
                   describe("kept awake then, repeatable: \"Mon-Fri 08:55-18:05\"",
                            "该时段保持运行，可重复：\"Mon-Fri 08:55-18:05\""));
  rule("--min", "min", describe("instances kept awake (default 0)", "保持运行的最少实例数（默认 0）"));
  rule("--max", "max",
       describe("instances at most (default 1); above 1 absorbs a spike",
                "最多实例数（默认 1）；大于 1 可吸收突发请求"));
  rule("--expose", "exposure",
       describe("private (default: this machine only) or public (docs/exposure.md)",
                "private（默认，仅本机）或 public（对外，见 docs/exposure.md）"));
  rule("--billing", "billing", describe("hourly, monthly, mixed", "hourly 按小时、monthly 包月、mixed 混合"));
  verb->add_option("--alias", flags->aliases,
                   describe("a further name for `model`, repeatable", "请求中 model 的别名，可重复"));
  rule("--context", "context_length", describe("tokens at most", "上下文长度（词元）"));
  rule("--max-wait", "max_wait",
       describe("how long a request waits for a place before it is refused (30s; 4m where an instance is rented)",
                "请求等待空位多久后被拒绝（默认 30s；需租用实例时 4m）"));
  rule("--lease-ttl", "lease_ttl",
       describe("how long a worker on another machine may be out of reach before it ends itself and is replaced (2m)",
                "其他机器上的 worker 失联多久后自行退出并被替换（默认 2m）"));
  add_limits(rule, describe);
  verb->add_flag("--wake", flags->wake, describe("and wake it now", "并立即唤醒"));
  verb->add_option("--format", flags->format, "text, json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  verb->footer(
      describe("Examples:\n  dormouse deploy qwen3-demo --on local --name chat\n"
               "  dormouse deploy ~/models/Qwen3-4B-Q4_K_M.gguf --on local --max 3 --awake \"Mon-Fri 08:55-18:05\"",
               "示例：\n  dormouse deploy qwen3-demo --on local --name chat\n"
               "  dormouse deploy ~/models/Qwen3-4B-Q4_K_M.gguf --on local --max 3 --awake \"Mon-Fri 08:55-18:05\""));
  verb->callback([&context, flags] { deploy(context, *flags); });
}

}  // namespace dormouse::cli
