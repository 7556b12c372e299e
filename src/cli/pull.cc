// The verb `pull`: an image's file onto this machine.
#include "catalog/pull.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <thread>

#include "base/environment.h"
#include "catalog/catalog.h"
#include "cli/image_text.h"
#include "cli/pull_text.h"
#include "cli/table.h"
#include "cli/verbs.h"

namespace dormouse::cli {
namespace {

struct PullFlags {
  std::string image;
  std::string source;
  std::string sha256;
  std::string models_dir;
  std::string format = "text";
  std::vector<std::string> allow_hosts;
  int connections = 4;
};

constexpr int kMaxConnections = 16;

// Ctrl-C and a service manager's stop, as a wish: what has come is kept. A thread of its own waits for them.
class Interrupt {
 public:
  Interrupt() : signals_(io_, SIGINT, SIGTERM) {
    signals_.async_wait([this](const boost::system::error_code& ec, int) {
      if (!ec) stop_.request_stop();
    });
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Interrupt() {
    io_.stop();
    thread_.join();
  }
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  [[nodiscard]] std::stop_token token() const { return stop_.get_token(); }

 private:
  asio::io_context io_;
  asio::signal_set signals_;
  std::stop_source stop_;
  std::thread thread_;
};

// An image of the gallery, an address, or a file of this machine.
Result<catalog::PullRequest> plan(const Context& context, const PullFlags& flags) {
  catalog::PullRequest out;
  out.directory = flags.models_dir.empty() ? context.data_dir + "/models" : flags.models_dir;
  out.source = flags.source;
  std::error_code ec;
  const bool is_file = catalog::is_local_source(flags.image) && !flags.image.starts_with("file:")
                           ? std::filesystem::is_regular_file(flags.image, ec)
                           : flags.image.ends_with(".gguf") && std::filesystem::is_regular_file(flags.image, ec);
  if (is_file || flags.image.find("://") != std::string::npos) {
    TRY(out.image, catalog::image_of_source(flags.image));
    out.source = is_file ? std::filesystem::absolute(flags.image, ec).string() : flags.image;
  } else {
    TRY(const catalog::Catalog gallery, read_gallery(context));
    const catalog::Image* const image = gallery.find(flags.image);
    if (image == nullptr) return gallery.resolve(flags.image, {}).error();  // with what was near
    out.image = *image;
    const std::string here = catalog::Catalog::find_local(
        *image, catalog::model_directories(flags.models_dir, context.data_dir, context.program_dir));
    if (!here.empty()) out.directory = std::filesystem::path(here).parent_path().string();
  }
  if (flags.sha256.empty()) return out;
  if (!catalog::is_sha256(flags.sha256)) {
    return make_error(Code::kInvalidArgument, "--sha256: want 64 hexadecimal digits in lower case");
  }
  if (!out.image.sha256.empty() && out.image.sha256 != flags.sha256) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("--sha256: the gallery says {} of {}", out.image.sha256, out.image.reference()));
  }
  out.image.sha256 = flags.sha256;
  return out;
}

Result<catalog::PullOptions> options_of(const PullFlags& flags) {
  TRY(catalog::PullOptions out, catalog::pull_options(flags.allow_hosts, environment_variable));
  out.connections = flags.connections;
  return out;
}

// One line that is written over on a terminal, lines at each tenth elsewhere, JSON for a script.
class Reporter {
 public:
  Reporter(const Context& context, const PullFlags& flags) : context_(context), is_json_(flags.format == "json") {}

  void say(const catalog::PullProgress& progress) {
    if (is_json_) {
      fmt::print("{}\n", pull_json(progress));
    } else if (context_.terminal) {
      fmt::print("\r\x1b[K{}", pull_words(progress, context_.language));
      is_open_ = true;
    } else if (steps_.is_due(progress)) {
      fmt::print("{}\n", pull_words(progress, context_.language));
    }
    std::fflush(stdout);
  }
  void close() {
    if (is_open_) fmt::print("\r\x1b[K");
    is_open_ = false;
  }

 private:
  const Context& context_;
  const bool is_json_;
  bool is_open_ = false;
  PullSteps steps_;
};

void fail(Context& context, const PullFlags& flags, const Error& error) {
  if (flags.format == "json") fmt::print("{}\n", pull_error_json(error));
  fmt::print(stderr, "{}: {}\n", context.say("failed", "失败"), error.message);
  context.exit_code = error.code == Code::kCancelled ? kExitInterrupted : kExitFailed;
}

void pull(Context& context, const PullFlags& flags) {
  const Result<catalog::PullRequest> request = plan(context, flags);
  if (!request.has_value()) return fail(context, flags, request.error());
  const Result<catalog::PullOptions> options = options_of(flags);
  if (!options.has_value()) return fail(context, flags, options.error());
  const SystemClock clock;
  const MonoTime begin = clock.now();
  const Interrupt interrupt;
  Reporter reporter(context, flags);
  const Result<catalog::Pulled> pulled = catalog::pull(
      *request, *options, clock, [&reporter](const catalog::PullProgress& p) { reporter.say(p); }, interrupt.token());
  reporter.close();
  if (!pulled.has_value()) return fail(context, flags, pulled.error());
  const double seconds = static_cast<double>((clock.now() - begin).count()) / 1e9;
  const bool is_named = request->image.name != "file";
  const std::string reference = is_named ? request->image.reference() : request->image.file;
  if (flags.format == "json") {
    fmt::print("{}\n", pulled_json(*pulled, reference, seconds));
    return;
  }
  fmt::print("{}  dormouse deploy {} --on local\n", pulled_words(*pulled, reference, seconds, context.language),
             is_named ? reference : pulled->path);
}

}  // namespace

void add_pull(CLI::App& app, Context& context) {
  auto flags = std::make_shared<PullFlags>();
  const auto describe = [&context](std::string_view en, std::string_view zh) {
    return std::string(context.say(en, zh));
  };
  CLI::App* verb = app.add_subcommand("pull", describe("fetch an image's file", "下载镜像文件"));
  verb->add_option("IMAGE", flags->image,
                   describe("an image of the gallery, an address, or a file", "镜像名、网址或本机文件"))
      ->required();
  verb->add_option("--source", flags->source,
                   describe("huggingface, modelscope, an address or a path (default: the hub that answers first)",
                            "huggingface、modelscope、网址或路径（默认取先应答的平台）"));
  verb->add_option("--sha256", flags->sha256,
                   describe("what it must be, where nobody else says", "文件的 sha256（来源没有给出时必填）"));
  verb->add_option("--allow-host", flags->allow_hosts,
                   describe("a further host that may be asked, repeatable; it may be a private one",
                            "额外允许访问的主机，可重复；可以是内网主机"));
  verb->add_option("--connections", flags->connections, describe("at a time", "同时连接数"))
      ->check(CLI::Range(1, kMaxConnections))
      ->capture_default_str();
  verb->add_option("--models-dir", flags->models_dir,
                   describe("where it goes (default: DATA_DIR/models)", "存放目录（默认：数据目录/models）"));
  verb->add_option("--format", flags->format,
                   describe("text, or json: an object a line", "text 或 json（每行一个对象）"))
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  verb->footer(describe(
      "Ctrl-C keeps what has come; the same command goes on from there. HTTPS_PROXY, NO_PROXY and HF_ENDPOINT count.\n"
      "Examples:\n  dormouse pull qwen3-4b\n  dormouse pull qwen3-8b:q8_0 --source modelscope\n"
      "  dormouse pull ~/Downloads/Qwen3-4B-Q4_K_M.gguf",
      "Ctrl-C 会保留已下载的部分，再次执行同一命令即可续传。读取 HTTPS_PROXY、NO_PROXY 和 HF_ENDPOINT。\n"
      "示例：\n  dormouse pull qwen3-4b\n  dormouse pull qwen3-8b:q8_0 --source modelscope\n"
      "  dormouse pull ~/Downloads/Qwen3-4B-Q4_K_M.gguf"));
  verb->callback([&context, flags] { pull(context, *flags); });
}

}  // namespace dormouse::cli
