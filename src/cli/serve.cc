#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/log.h"
#include "catalog/catalog.h"
#include "catalog/config_file.h"
#include "cli/machine.h"
#include "cli/verbs.h"
#include "console/console.h"
#include "gateway/gateway.h"
#include "gateway/house.h"

namespace dormouse::cli {
namespace {

constexpr const char* kDemoImage = "qwen3-demo:q8_0";

struct ServeFlags {
  gateway::ExposureOptions exposure;
  std::vector<std::string> ollama_listen;
  std::vector<std::string> worker_listen;
  std::string config;
  std::vector<std::string> models;
  std::vector<std::string> names;
  std::string idle_timeout;
  std::string models_dir;
  std::string worker;
  std::string watch_period;
  bool demo = false;
  bool socket_only = false;  // `dormouse run` starts its own server this way
  bool quiet = false;
};

std::string config_path(const Context& context, const ServeFlags& flags) {
  if (flags.config.empty()) return context.data_dir + "/dormouse.toml";
  std::error_code ec;
  const std::filesystem::path absolute = std::filesystem::absolute(flags.config, ec);
  return ec ? flags.config : absolute.lexically_normal().string();
}

Result<catalog::ConfigFile> read_config(const ServeFlags& flags, const std::string& path) {
  Result<catalog::ConfigFile> config = catalog::read_config(path);
  // Without --config the file need not exist.
  if (!config.has_value() && config.error().code == Code::kNotFound && flags.config.empty()) {
    return catalog::ConfigFile{};
  }
  return config;
}

// Flags win over the file, key by key; the certificate's two are one.
gateway::ExposureOptions plan_exposure(const ServeFlags& flags, const catalog::ConfigFile& config) {
  gateway::ExposureOptions out = flags.exposure;
  const auto or_file = [](std::vector<std::string>& given, const std::vector<std::string>& file) {
    if (given.empty()) given = file;
  };
  or_file(out.listen, config.listen);
  or_file(out.admin_listen, config.admin_listen);
  or_file(out.hosts, config.hosts);
  or_file(out.cors, config.cors);
  or_file(out.behind_proxy, config.behind_proxy);
  if (out.tls_certificate.empty() && out.tls_key.empty()) {
    out.tls_certificate = config.tls_cert;
    out.tls_key = config.tls_key;
  }
  if (out.listen.empty()) out.listen.emplace_back("127.0.0.1:8080");
  const std::vector<std::string>& ollama = flags.ollama_listen.empty() ? config.ollama_listen : flags.ollama_listen;
  out.listen.insert(out.listen.end(), ollama.begin(), ollama.end());
  if (flags.socket_only) out = {};
  return out;
}

std::vector<gateway::StartDeployment> given_deployments(const ServeFlags& flags) {
  std::vector<gateway::StartDeployment> out;
  if (flags.demo) {
    gateway::StartDeployment& demo = out.emplace_back();
    demo.wish.name = "demo";
    demo.wish.image = kDemoImage;
    demo.source = ledger::Source::kDemo;
    demo.defined_by = "--demo";
  }
  for (std::size_t i = 0; i < flags.models.size(); ++i) {
    gateway::StartDeployment& model = out.emplace_back();
    model.wish.image = flags.models[i];
    if (i < flags.names.size()) model.wish.name = flags.names[i];
    model.defined_by = "--model";
  }
  return out;
}

Result<gateway::HouseOptions> plan_house(const Context& context, const ServeFlags& flags) {
  if (flags.names.size() > flags.models.size()) {
    return make_error(Code::kInvalidArgument, "more --name than --model");
  }
  gateway::HouseOptions out;
  out.config_path = config_path(context, flags);
  TRY(out.config, read_config(flags, out.config_path));
  const catalog::ConfigFile& config = out.config;
  out.data_dir = context.data_dir;
  out.console = console::files();
  out.worker_path = flags.worker.empty() ? context.program_dir + "/dormouse-worker" : flags.worker;
  if (::access(out.worker_path.c_str(), X_OK) != 0) {
    return make_error(Code::kNotFound, fmt::format("the worker program {} is missing", out.worker_path));
  }
  out.worker_environment = context.worker_environment;
  out.memory_budget = look_at_machine().ram_bytes / 10 * 9;  // the rest is the system's, and ours
  const std::string& models_dir = flags.models_dir.empty() ? config.models_dir : flags.models_dir;
  out.model_directories = catalog::model_directories(models_dir, context.data_dir, context.program_dir);
  out.idle_timeout_is_given = !flags.idle_timeout.empty();
  if (out.idle_timeout_is_given) {
    TRY(out.default_idle_timeout, catalog::parse_duration(flags.idle_timeout));
  }
  out.exposure = plan_exposure(flags, config);
  out.worker_listen = !flags.worker_listen.empty() ? flags.worker_listen : config.worker_listen;
  out.environment = environ;
  if (!flags.watch_period.empty()) {
    TRY(out.watch_period, catalog::parse_duration(flags.watch_period));
  }
  out.deployments = given_deployments(flags);
  return out;
}

// A listener that others can reach, without what keeps them out (docs/exposure.md). False: the error is another.
bool report_exposure(Context& context, const Error& error) {
  const bool no_key = error.message.find(gateway::kCreateKeyCommand) != std::string::npos;
  const bool no_tls = error.message.find(gateway::kTlsFlags) != std::string::npos;
  if (error.code != Code::kPermissionDenied || (!no_key && !no_tls)) return false;
  if (no_key) {
    fmt::print(stderr, "{}\n  {}\n", context.say("Make a key first:", "请先创建密钥："), gateway::kCreateKeyCommand);
  }
  if (no_tls) {
    fmt::print(stderr,
               fmt::runtime(context.say("Encrypt it: {}, or name the proxy that does: --behind-proxy CIDR\n",
                                        "请加密：{}，或用 --behind-proxy CIDR 指定负责加密的代理\n")),
               gateway::kTlsFlags);
  }
  fmt::print(stderr, "{}\n",
             context.say("To stay on this machine: dormouse serve --listen 127.0.0.1:8080",
                         "如只供本机使用：dormouse serve --listen 127.0.0.1:8080"));
  context.exit_code = kExitConfig;
  return true;
}

// A port that is taken is the commonest first failure: say what to do.
void report_start_failure(Context& context, const Error& error) {
  fmt::print(stderr, "{}: {}\n", context.say("cannot start", "无法启动"), error.message);
  if (report_exposure(context, error)) return;
  if (error.code == Code::kAlreadyExists && error.message.find("data directory") == std::string::npos) {
    fmt::print(stderr, "{}\n",
               context.say("Something listens there already: `ss -ltnp` shows what. Stop it, or choose another port: "
                           "dormouse serve --listen 127.0.0.1:8081",
                           "该端口已被占用：用 `ss -ltnp` 查看是谁。可以停掉它，或换一个端口："
                           "dormouse serve --listen 127.0.0.1:8081"));
  } else if (error.code == Code::kAlreadyExists) {
    fmt::print(stderr, "{}\n",
               context.say("`dormouse ps` talks to it; another --data-dir makes a second server possible",
                           "用 `dormouse ps` 查看它；指定另一个 --data-dir 可以再启动一个服务"));
  }
  context.exit_code = error.code == Code::kInvalidArgument ? kExitUsage : kExitFailed;
}

void print_doors(const Context& context, const gateway::Exposure& exposure) {
  for (const gateway::Door& door : exposure.doors()) {
    const bool only_admin = door.kind == gateway::DoorKind::kAdmin;
    const bool is_public = door.reach == gateway::Reach::kPublic;
    fmt::print("  {:<8} {:<29} {}{}\n", only_admin ? "ADMIN" : "API", exposure.url(door),
               only_admin ? "/admin/v1 · /metrics" : "POST /generate · /v1 (OpenAI) · /api (Ollama)",
               is_public ? context.say(" · public", " · 公开") : std::string_view());
  }
}

void print_banner(const Context& context, gateway::House& house) {
  const std::map<std::string, gateway::Deployment>& deployments = house.deployments().all();
  const Machine machine = look_at_machine();
  fmt::print("dormouse {}  ·  {} {}, {}, {:.0f} GB RAM\n", gateway::kVersion, machine.cores,
             context.say(machine.cores == 1 ? "core" : "cores", "核"), machine.isa_words(),
             static_cast<double>(machine.ram_bytes) / 1e9);
  print_doors(context, house.exposure());
  if (const std::optional<std::string> link = house.make_console_link()) {
    fmt::print("  {:<8} {}   {}\n", context.say("Console", "控制台"), *link,
               context.say("(one use, 10 minutes)", "（一次有效，10 分钟内）"));
  }
  for (const std::string& address : house.worker_addresses()) {
    fmt::print("  {:<8} {:<29} {}\n", "WORKERS", address, house.worker_fingerprint());
  }
  for (const auto& [name, d] : deployments) {
    const double idle_s = static_cast<double>(gateway::idle_after(d.rules).count()) / 1e3;
    const std::string idle = duration_words(idle_s, context.language);
    fmt::print("  {:<8} {:<29} {}\n", name, d.image,
               fmt::format(fmt::runtime(context.say("asleep, wakes on the first request, sleeps after {} idle",
                                                    "休眠中，第一个请求将其唤醒，空闲 {} 后休眠")),
                           idle));
  }
  if (deployments.empty()) {
    fmt::print("  {}\n", context.say("no deployment yet: dormouse deploy IMAGE --on local",
                                     "还没有部署：dormouse deploy 镜像 --on local"));
  }
  if (!house.notice().empty()) fmt::print("  {}\n", house.notice());
  if (!deployments.empty() && !house.addresses().empty()) {
    fmt::print("\n  curl {}/generate -d '{{\"prompt\":\"写一首关于月亮的诗\",\"max_tokens\":64{}}}'\n",
               house.exposure().url(house.exposure().doors().front()),
               deployments.size() > 1 ? fmt::format(",\"model\":\"{}\"", deployments.begin()->first) : std::string());
  }
  std::fflush(stdout);
}

void serve(Context& context, const ServeFlags& flags) {
  Result<gateway::HouseOptions> options = plan_house(context, flags);
  if (!options.has_value()) return report_start_failure(context, options.error());
  if (flags.quiet) set_log_level(LogLevel::kWarn);
  Result<std::unique_ptr<gateway::House>> house = gateway::House::open(*std::move(options));
  if (!house.has_value()) return report_start_failure(context, house.error());
  gateway::House& opened = **house;
  const Status status = (*house)->run([&context, &opened, &flags] {
    if (!flags.quiet) print_banner(context, opened);
  });
  if (!status.has_value()) report_start_failure(context, status.error());
}

void add_exposure_flags(CLI::App& verb, const Context& context, gateway::ExposureOptions& out) {
  const auto add = [&](const char* flag, auto& into, std::string_view en, std::string_view zh) {
    verb.add_option(flag, into, std::string(context.say(en, zh)));
  };
  add("--listen", out.listen, "address, repeatable (default 127.0.0.1:8080); open to others only with a key",
      "监听地址，可重复（默认 127.0.0.1:8080）；对外开放须先有密钥");
  add("--admin-listen", out.admin_listen,
      "address of /admin/v1 and /metrics, repeatable (default: with --listen; 127.0.0.1:8081 once that is open to "
      "others)",
      "/admin/v1 与 /metrics 的地址，可重复（默认与 --listen 相同；对外开放后为 127.0.0.1:8081）");
  add("--host", out.hosts, "a further name it answers for, repeatable", "允许的 Host 名称，可重复");
  add("--cors", out.cors, "origin whose pages may read answers, repeatable; or *",
      "允许跨域读取的网页来源，可重复；或 *");
  add("--behind-proxy", out.behind_proxy,
      "network (CIDR) of the proxy before it, repeatable: its X-Forwarded-For is believed, and --listen is public",
      "前置代理所在网段（CIDR），可重复：信任其 X-Forwarded-For，并视 --listen 为对外开放");
  add("--tls-cert", out.tls_certificate, "certificate (PEM, with its chain) of --listen; followed while it runs",
      "--listen 的证书（PEM，含证书链）；运行中更新即生效");
  add("--tls-key", out.tls_key, "its key (PEM)", "证书的私钥（PEM）");
}

}  // namespace

void add_serve(CLI::App& app, Context& context) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* verb = app.add_subcommand("serve", std::string(context.say("run the server", "启动服务")));
  const auto describe = [&context](std::string_view en, std::string_view zh) {
    return std::string(context.say(en, zh));
  };
  add_exposure_flags(*verb, context, flags->exposure);
  verb->add_option("--ollama-listen", flags->ollama_listen,
                   describe("a further --listen, where Ollama's clients look: 127.0.0.1:11434",
                            "另一个 --listen 地址，供 Ollama 客户端使用：127.0.0.1:11434"));
  verb->add_option("--worker-listen", flags->worker_listen,
                   describe("address for workers on other machines, TLS, repeatable",
                            "供其他机器上的工作进程接入的地址（TLS），可重复"));
  verb->add_option("--config", flags->config,
                   describe("file, followed while it runs (default DATA-DIR/dormouse.toml)",
                            "配置文件，运行中改动即生效（默认 数据目录/dormouse.toml）"));
  verb->add_flag("--demo", flags->demo, describe("serve the demo model", "运行示例模型"));
  verb->add_option("--model", flags->models,
                   describe("an image or a .gguf file, repeatable", "镜像名或 .gguf 文件，可重复"));
  verb->add_option("--name", flags->names,
                   describe("the deployment's name, one for each --model in order", "部署名称，与 --model 依次对应"));
  verb->add_option("--idle-timeout", flags->idle_timeout,
                   describe("sleep after this long without requests (default 10m)", "空闲多久后休眠（默认 10m）"));
  verb->add_option("--models-dir", flags->models_dir, describe("where model files lie", "模型文件目录"));
  verb->add_option("--worker", flags->worker,
                   describe("the worker program (default: beside this one)", "工作进程程序（默认在本程序旁）"));
  verb->add_flag("--socket-only", flags->socket_only)->group("");
  verb->add_option("--watch-period", flags->watch_period)->group("");  // for tests, which have no ten seconds
  verb->add_flag("--quiet", flags->quiet, describe("no banner, warnings only", "不显示横幅，只记警告"));
  verb->footer(
      describe("Examples:\n  dormouse serve --demo\n"
               "  dormouse serve --model ~/models/Qwen3-4B-Q4_K_M.gguf --name chat --idle-timeout 10m",
               "示例：\n  dormouse serve --demo\n"
               "  dormouse serve --model ~/models/Qwen3-4B-Q4_K_M.gguf --name chat --idle-timeout 10m"));
  verb->callback([&context, flags] { serve(context, *flags); });
}

}  // namespace dormouse::cli
