#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "base/subprocess.h"
#include "base/unique_fd.h"
#include "catalog/image_name.h"
#include "cli/admin_client.h"
#include "cli/terminal_chat.h"
#include "cli/verbs.h"
#include "gateway/admin_wire.h"

namespace dormouse::cli {
namespace {

// Our own server opens a ledger and a socket: milliseconds, unless the disk is very slow.
constexpr int kStartTries = 500;
constexpr std::chrono::milliseconds kStartStep{20};

void pause_for(std::chrono::milliseconds step) {
  asio::io_context io{1};
  asio::steady_timer timer(io, step);
  timer.async_wait([](const boost::system::error_code&) {});
  io.run();
}

// A server for this session only: the admin socket, no port. It ends with this process, however that ends.
Result<Subprocess> start_server(Context& context, const std::string& image) {
  SubprocessOptions options;
  options.argv = {
      context.program,  "serve",   "--socket-only", "--quiet", "--data-dir",
      context.data_dir, "--model", image,           "--lang",  context.language == Language::kChinese ? "zh" : "en"};
  options.environment = context.worker_environment;
  const UniqueFd errors(::dup(STDERR_FILENO));  // what goes wrong at its start is for the same reader
  options.output_fd = errors.get();
  TRY(Subprocess server, Subprocess::spawn(options));
  AdminClient client(context.admin_socket());
  for (int i = 0; i < kStartTries; ++i) {
    if (client.get("/readyz").has_value()) return server;
    if (server.try_wait().has_value()) return make_error(Code::kInternal, "the server did not start");
    pause_for(kStartStep);
  }
  return make_error(Code::kDeadlineExceeded, "the server did not start in time");
}

// The deployment that runs this image, made where there is none.
Result<std::string> deployment_for(AdminClient& client, const std::string& image) {
  TRY(const std::string body, client.get("/admin/v1/status"));
  TRY(const gateway::StatusView status, gateway::parse_status(body));
  const std::string key = catalog::canonical_image_key(image);
  for (const gateway::DeploymentView& d : status.deployments) {
    const std::string repository = d.image.substr(0, d.image.find(':'));
    if (d.name == image || catalog::canonical_image_key(d.image) == key ||
        catalog::canonical_image_key(repository) == key) {
      return d.name;
    }
  }
  TRY(const std::string made, client.post("/admin/v1/deployments", gateway::to_json(gateway::NewDeployment{
                                                                       .name = {}, .image = image, .rules = {}})));
  TRY(const gateway::DeploymentView deployment, gateway::parse_deployment(made));
  return deployment.name;
}

void run(Context& context, std::string image, const std::string& prompt) {
  if (::access(image.c_str(), R_OK) == 0) image = std::filesystem::absolute(image).string();
  AdminClient client(context.admin_socket());
  std::optional<Subprocess> own;
  if (!client.get("/livez").has_value()) {
    Result<Subprocess> server = start_server(context, image);
    if (!server.has_value()) {
      fmt::print(stderr, "{}: {}\n", context.say("failed", "失败"), server.error().message);
      context.exit_code = kExitFailed;
      return;
    }
    own.emplace(*std::move(server));
  }
  const Result<std::string> name = deployment_for(client, image);
  if (!name.has_value()) return report_failure(context, name.error());
  TerminalChat chat(context, context.admin_socket(), *name);
  const Status done = prompt.empty() ? chat.converse() : chat.ask(prompt);
  if (!done.has_value()) {
    fmt::print(stderr, "{}: {}\n", context.say("failed", "失败"), done.error().message);
    context.exit_code = kExitFailed;
  }
  if (!own.has_value()) return;
  own->signal_group(SIGTERM);  // its worker first, then itself; ~Subprocess is the stronger word
  for (int i = 0; i < kStartTries && !own->try_wait().has_value(); ++i) pause_for(kStartStep);
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  auto image = std::make_shared<std::string>();
  auto prompt = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("run", std::string(context.say("talk in the terminal", "在终端里对话")));
  verb->add_option("IMAGE", *image,
                   std::string(context.say("an image, a deployment or a .gguf file", "镜像、部署或 .gguf 文件")))
      ->required();
  verb->add_option("PROMPT", *prompt,
                   std::string(context.say("one question; without it a conversation", "一个问题；不给则进入对话")));
  verb->footer(
      std::string(context.say("Examples:\n  dormouse run qwen3-demo\n  dormouse run qwen3-demo 写一首关于月亮的诗",
                              "示例：\n  dormouse run qwen3-demo\n  dormouse run qwen3-demo 写一首关于月亮的诗")));
  verb->callback([&context, image, prompt] { run(context, *image, *prompt); });
}

}  // namespace dormouse::cli
