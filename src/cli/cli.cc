#include "cli/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "base/environment.h"
#include "cli/completions.h"
#include "cli/exit_codes.h"
#include "cli/self_describe.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "fleet/drivers/process_driver.h"
#include "gateway/data_dir.h"
#include "gateway/gateway.h"

namespace dormouse::cli {
namespace {

constexpr std::size_t kHelpColumns = 80;

// $XDG_DATA_HOME/dormouse, else ~/.local/share/dormouse.
std::string default_data_dir() {
  const std::string xdg = environment_variable("XDG_DATA_HOME");
  if (xdg.starts_with('/')) return xdg + "/dormouse";
  const std::string home = environment_variable("HOME");
  return (home.empty() ? std::string("/var/lib") : home + "/.local/share") + "/dormouse";
}

// --lang decides the language of --help too, so it is looked for before CLI11 reads anything.
std::string language_flag(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    if (argument.starts_with("--lang=")) return std::string(argument.substr(7));
    if (argument == "--lang" && i + 1 < argc) return argv[i + 1];
  }
  return {};
}

void make_absolute(std::string& path) {
  std::error_code ec;
  const std::filesystem::path absolute = std::filesystem::absolute(path, ec).lexically_normal();
  if (!ec) path = absolute.string();
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
}

// What the parser itself says in --help. Before the verbs: they take it over.
void speak_chinese(CLI::App& app) {
  app.set_help_flag("-h,--help", "显示帮助并退出");
  app.set_version_flag("--version", std::string("dormouse ") + gateway::kVersion, "显示版本并退出");
  app.get_option("--help")->group("选项");
  app.get_option("--version")->group("选项");
  app.option_defaults()->group("选项");
  constexpr std::array<std::pair<const char*, const char*>, 6> kLabels{{{"Usage", "用法"},
                                                                        {"OPTIONS", "选项"},
                                                                        {"SUBCOMMAND", "命令"},
                                                                        {"Positionals", "参数"},
                                                                        {"REQUIRED", "必填"},
                                                                        {"Env", "环境变量"}}};
  for (const auto& [english, chinese] : kLabels) app.get_formatter()->label(english, chinese);
}

void add_verbs(CLI::App& app, Context& context) {
  add_serve(app, context);
  add_run(app, context);
  add_deploy(app, context);
  add_set(app, context);
  add_rm(app, context);
  add_console(app, context);
  add_ps(app, context);
  add_wake(app, context);
  add_sleep(app, context);
  add_usage(app, context);
  add_bill(app, context);
  add_plan(app, context);
  add_bench(app, context);
  add_keys(app, context);
  add_logs(app, context);
  add_alerts(app, context);
  add_images(app, context);
  add_pull(app, context);
  add_doctor(app, context);
  add_completions(app, context);
  add_man(app, context);
  for (CLI::App* verb : app.get_subcommands({})) {
    verb->fallthrough();
    if (context.language != Language::kChinese) continue;
    verb->group("命令");
    verb->get_option("--help")->group("选项");
    for (CLI::App* below : verb->get_subcommands({})) {
      below->group("命令");
      below->get_option("--help")->group("选项");
    }
  }
}

}  // namespace

std::string Context::admin_socket() const {
  return gateway::run_directory_for(data_dir, environment_variable("XDG_RUNTIME_DIR")) + "/admin.sock";
}

void build_app(CLI::App& app, Context& context) {
  app.description(std::string(
      context.say("Dormouse: serves Qwen3 models; asleep when nobody asks", "睡鼠：运行 Qwen3 模型，无人使用时休眠")));
  app.name("dormouse");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("dormouse ") + gateway::kVersion);
  if (context.language == Language::kChinese) speak_chinese(app);
  app.footer(
      fmt::format("{}\n{}\n  dormouse serve --demo\n  dormouse deploy qwen3-demo --on local\n"
                  "  dormouse run qwen3-demo\n  dormouse ps",
                  exit_codes_text(context.language, kHelpColumns), context.say("Examples:", "示例：")));
  const auto language = std::make_shared<std::string>();  // read before, by language_flag
  app.add_option("--lang", *language, std::string(context.say("language: zh or en", "语言：zh 或 en")))
      ->check(CLI::IsMember({"zh", "en"}));
  app.add_option("--data-dir", context.data_dir,
                 std::string(context.say("ledger, sockets, logs, models", "账本、套接字、日志与模型所在目录")))
      ->capture_default_str();
  app.parse_complete_callback([&context, language] { make_absolute(context.data_dir); });

  add_verbs(app, context);
}

int run_dormouse(int argc, const char* const* argv, const char* const* environment) {
  Context context;
  context.language = choose_language(language_flag(argc, argv), environment_variable("LC_ALL"),
                                     environment_variable("LC_MESSAGES"), environment_variable("LANG"));
  context.data_dir = default_data_dir();
  std::error_code ec;
  context.program = std::filesystem::read_symlink("/proc/self/exe", ec).string();
  context.program_dir = std::filesystem::path(context.program).parent_path().string();
  context.terminal = ::isatty(STDOUT_FILENO) == 1;
  context.worker_environment = fleet::allowed_environment(environment);

  CLI::App app;
  build_app(app, context);
  if (argc > 1 && argv[1] == kCompleteWords) {  // its words are no switches of this call
    complete_words(app, context, {argv + 2, argv + argc});
    return 0;
  }

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    fmt::print(stderr, "{}", usage_error_text(app, error, context.language));
    return kExitUsage;
  }
  return context.exit_code;
}

}  // namespace dormouse::cli
