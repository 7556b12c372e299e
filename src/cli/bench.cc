// `dormouse bench`: a load test of any server that speaks the OpenAI dialect.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <utility>

#include "base/file_limit.h"
#include "base/time_zone.h"
#include "cli/admin_client.h"
#include "cli/bench_flags.h"
#include "cli/bench_html.h"
#include "cli/bench_text.h"
#include "cli/input_file.h"
#include "cli/price_list.h"
#include "cli/verbs.h"
#include "gateway/admin_wire.h"
#include "loadtest/answer_reader.h"

namespace dormouse::cli {
namespace {

constexpr std::string_view kUsualUrl = "http://127.0.0.1:8080";
constexpr std::chrono::milliseconds kRedraw{250};
constexpr std::chrono::minutes kSleepDeadline{11};  // a drain takes at most ten
// A connection each: the usual soft limit of 1,024 files would show as the server's failure.
constexpr std::size_t kMostFiles = 65'536;

// One run of the verb: its loop, its runner, what it measured. Threads: one.
class BenchRun {
 public:
  BenchRun(const Context& context, BenchQuestion question, loadtest::Prompts prompts)
      : context_(context),
        question_(std::move(question)),
        runner_(io_, clock_, question_.options, std::move(prompts)),
        admin_(io_),
        signals_(io_, SIGINT, SIGTERM),
        redraw_(io_),
        shows_progress_(::isatty(STDERR_FILENO) == 1) {}

  void use_trace(std::vector<loadtest::Due> trace) { trace_ = std::move(trace); }
  void use_price(Money hour_price) { hour_price_ = std::move(hour_price); }
  void use_seed(std::uint64_t seed) { seed_ = seed; }
  void use_cold(std::string deployment) { cold_ = std::move(deployment); }

  // Until it is done or interrupted. Errors: why it could not go on; what was measured before stays.
  Status run() {
    std::optional<Status> out;
    asio::co_spawn(io_, drive(out), [this](const std::exception_ptr&) {
      signals_.cancel();
      redraw_.cancel();
      is_over_ = true;
    });
    asio::co_spawn(io_, watch_signals(), asio::detached);
    if (shows_progress_) asio::co_spawn(io_, draw(), asio::detached);
    io_.run();
    return out.value_or(make_error(Code::kInternal, "the load test ended without a word"));
  }

  [[nodiscard]] bool is_interrupted() const { return runner_.is_stopped(); }
  [[nodiscard]] const std::string& model() const { return model_; }
  [[nodiscard]] std::vector<loadtest::StepResult> take_results() { return std::move(results_); }

 private:
  Task<void> drive(std::optional<Status>& out) { out.emplace(co_await measure()); }

  Task<Status> measure() {
    model_ = question_.options.model;
    if (model_.empty()) {
      CO_TRY(model_, co_await runner_.first_model());
      runner_.set_model(model_);
    }
    bool is_warm = false;
    for (std::size_t i = 0; i < question_.steps.size() && !runner_.is_stopped(); ++i) {
      const bool is_cold = question_.steps[i].step.kind == loadtest::Step::Kind::kCold;
      if (!is_cold && !is_warm) CO_TRY_STATUS(co_await runner_.warm_up(question_.warm_up));
      is_warm = is_warm || !is_cold;
      CO_TRY(const loadtest::Measured measured, co_await run_step(i));
      running_ = nullptr;
      clear_line();
      if (measured.samples.empty()) continue;
      results_.push_back(loadtest::summarize(measured, question_.slo, hour_price_));
    }
    co_return Status();
  }

  Task<Result<loadtest::Measured>> run_step(std::size_t index) {
    const BenchStep& step = question_.steps[index];
    running_requests_ = step.extent.requests;
    running_ = &step;
    using Kind = loadtest::Step::Kind;
    if (step.step.kind == Kind::kCold) {
      std::function<Task<Status>()> prepare = [this] { return put_to_sleep(); };
      co_return co_await runner_.run_cold(step.extent.requests, std::move(prepare));
    }
    if (step.step.kind == Kind::kClosed) {
      co_return co_await runner_.run_closed(step.step.concurrency, step.extent);
    }
    std::vector<loadtest::Due> schedule = schedule_of(step, seed_ + index);
    running_requests_ = static_cast<std::int64_t>(schedule.size());
    // A trace ends with its last request, and so does a number of requests; a time ends when it is over.
    const bool is_timed = step.step.kind != Kind::kTrace && running_requests_ != step.extent.requests;
    co_return co_await runner_.run_open(step.step, std::move(schedule), is_timed ? step.extent.duration_s : 0);
  }

  [[nodiscard]] std::vector<loadtest::Due> schedule_of(const BenchStep& step, std::uint64_t seed) const {
    using Kind = loadtest::Step::Kind;
    if (step.step.kind == Kind::kTrace) return loadtest::sped_up(trace_, step.step.speed, step.extent);
    if (step.step.kind == Kind::kConstant) return loadtest::constant_arrivals(step.step.rate, step.extent);
    return loadtest::poisson_arrivals(step.step.rate, step.extent, seed);
  }

  Task<Status> put_to_sleep() {
    CO_TRY(http::Address address, http::Address::parse("unix:" + context_.admin_socket()));
    http::ClientRequest request;
    request.method = "POST";
    request.target = fmt::format("/admin/v1/deployments/{}/sleep", cold_);
    request.header_deadline = kSleepDeadline;
    sleeping_ = std::make_shared<http::Canceller>();
    request.canceller = sleeping_;
    const Result<std::unique_ptr<http::ClientResponse>> response =
        co_await admin_.send(std::move(address), std::move(request));
    if (!response.has_value()) {
      if (response.error().code == Code::kCancelled) co_return Status();
      co_return response.error();
    }
    const int status = (*response)->status();
    const Result<std::string> body = co_await (*response)->read_all();
    if (status < 300) co_return Status();
    co_return make_error(Code::kInternal, fmt::format("--cold {}: HTTP {}: {}", cold_, status,
                                                      loadtest::error_words(body.value_or(""))));
  }

  // The first Ctrl-C ends the run and shows what there is; a second one is the system's again.
  Task<void> watch_signals() {
    const auto [ec, number] = co_await signals_.async_wait(kTuple);
    if (ec) co_return;
    runner_.stop();
    if (sleeping_ != nullptr) sleeping_->cancel();
    signals_.clear();
  }

  Task<void> draw() {
    while (!is_over_) {
      redraw_.expires_after(kRedraw);
      const auto [ec] = co_await redraw_.async_wait(kTuple);
      if (ec || is_over_) co_return;
      if (running_ == nullptr) continue;
      fmt::print(stderr, "\r\x1b[2K{}",
                 progress_text(*running_, running_requests_, runner_.progress(), context_.language));
      std::fflush(stderr);
    }
  }

  void clear_line() const {
    if (shows_progress_) fmt::print(stderr, "\r\x1b[2K");
  }

  const Context& context_;
  const BenchQuestion question_;
  const SystemClock clock_;
  asio::io_context io_{1};
  loadtest::LoadRunner runner_;
  http::Client admin_;
  asio::signal_set signals_;
  asio::steady_timer redraw_;
  const bool shows_progress_;
  std::shared_ptr<http::Canceller> sleeping_;  // null: none asked yet
  std::vector<loadtest::Due> trace_;
  std::optional<Money> hour_price_;
  std::string cold_;
  std::uint64_t seed_ = 1;
  std::string model_;
  const BenchStep* running_ = nullptr;  // null: none
  std::int64_t running_requests_ = 0;
  std::vector<loadtest::StepResult> results_;
  bool is_over_ = false;
};

void fail_usage(Context& context, const Error& error) {
  fmt::print(stderr, "{}: {}\n", context.say("failed", "失败"), error.message);
  context.exit_code = kExitUsage;
}

Status write_file(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (file) return {};
  return make_error(Code::kUnavailable, fmt::format("cannot write {}", path));
}

// Known before an hour of measuring, not after it.
Status check_writable(std::string_view flag, const std::string& path) {
  if (path.empty() || std::ofstream(path, std::ios::binary | std::ios::app)) return {};
  return make_error(Code::kInvalidArgument, fmt::format("{}: cannot write {}", flag, path));
}

Result<std::vector<std::string>> read_prompts(const std::string& path) {
  TRY(const std::string text, read_input_file("--prompts", path));
  std::vector<std::string> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) out.push_back(line);
  }
  if (out.empty()) return make_error(Code::kInvalidArgument, fmt::format("--prompts: {} has no line", path));
  return out;
}

// What an hour of it costs: the compiled-in types and the user's own.
Result<Money> hour_price_of(const Context& context, const BenchFlags& flags) {
  TRY(const PriceList prices, read_price_list(context, flags.config));
  const catalog::InstanceType* const type = prices.types.find(flags.on);
  if (type != nullptr && type->hour_micros.has_value()) return Money{*type->hour_micros, type->currency};
  std::string names;
  for (const catalog::InstanceType& known : prices.types.all()) {
    if (known.hour_micros.has_value()) names += (names.empty() ? "" : ", ") + known.name;
  }
  return make_error(
      Code::kInvalidArgument,
      fmt::format("--on: no instance type '{}' with a price by the hour; there are: {}", flags.on, names));
}

// The running server's own address. nullopt: none runs here.
std::optional<std::string> own_url(const Context& context) {
  AdminClient client(context.admin_socket());
  const Result<std::string> body = client.get("/admin/v1/status");
  if (!body.has_value()) return std::nullopt;
  const Result<gateway::StatusView> status = gateway::parse_status(*body);
  if (!status.has_value() || status->urls.empty()) return std::nullopt;
  return status->urls.front();
}

// DATA-DIR/bench/20261101T080000Z-t4.json: names sort by time. Whole or not at all, for `dormouse plan` reads it.
Result<std::string> keep(const Context& context, const loadtest::BenchRecord& record, WallTime began) {
  const CivilTime at = TimeZone().local(began);
  const std::string directory = context.data_dir + "/bench";
  const std::string path =
      fmt::format("{}/{:04}{:02}{:02}T{:02}{:02}{:02}Z-{}.json", directory, at.year, at.month, at.day, at.hour,
                  at.minute, at.second, record.instance_type.empty() ? "local" : record.instance_type);
  std::error_code ec;
  std::filesystem::create_directories(directory, ec);
  const std::string partial = fmt::format("{}.{}.partial", path, ::getpid());
  TRY_STATUS(write_file(partial, loadtest::to_json(record) + "\n"));
  std::filesystem::rename(partial, path, ec);
  if (ec) return make_error(Code::kUnavailable, fmt::format("cannot write {}: {}", path, ec.message()));
  return path;
}

void report(Context& context, const BenchFlags& flags, const loadtest::BenchRecord& record) {
  if (flags.format == "json") {
    fmt::print("{}\n", loadtest::to_json(record));
  } else {
    fmt::print("{}", bench_table(record, context.language));
  }
  Status written;
  if (!flags.output.empty()) written = write_file(flags.output, loadtest::to_json(record) + "\n");
  if (written.has_value() && !flags.html.empty())
    written = write_file(flags.html, bench_html(record, context.language));
  if (written.has_value()) return;
  fmt::print(stderr, "{}: {}\n", context.say("failed", "失败"), written.error().message);
  context.exit_code = kExitFailed;
}

// What was asked, as a run that is ready to start.
Result<std::unique_ptr<BenchRun>> prepare(const Context& context, const BenchFlags& flags, BenchQuestion question) {
  using Beginning = loadtest::Prompts::Beginning;
  loadtest::Prompts prompts(flags.seed, flags.same_prompt ? Beginning::kSame : Beginning::kFresh);
  if (!flags.prompts.empty()) {
    TRY(std::vector<std::string> lines, read_prompts(flags.prompts));
    prompts.use(std::move(lines));
  }
  TRY_STATUS(check_writable("--output", flags.output));
  TRY_STATUS(check_writable("--html", flags.html));
  auto run = std::make_unique<BenchRun>(context, std::move(question), std::move(prompts));
  run->use_seed(flags.seed);
  run->use_cold(flags.cold);
  if (!flags.trace.empty()) {
    TRY(const std::string csv, read_input_file("--trace", flags.trace));
    TRY(std::vector<loadtest::Due> trace, loadtest::parse_trace(csv));
    run->use_trace(std::move(trace));
  }
  if (!flags.on.empty()) {
    TRY(Money price, hour_price_of(context, flags));
    run->use_price(std::move(price));
  }
  return run;
}

void finish(Context& context, const BenchFlags& flags, BenchRun& run, const Status& done, loadtest::BenchRecord record,
            WallTime began) {
  record.model = run.model();
  record.steps = run.take_results();
  const bool any_good = std::any_of(record.steps.begin(), record.steps.end(),
                                    [](const loadtest::StepResult& step) { return step.ttft_s.has_value(); });
  if (!record.steps.empty()) report(context, flags, record);
  if (run.is_interrupted()) {
    fmt::print(stderr, "{}\n",
               context.say("interrupted: this is what was measured until then; it is not kept",
                           "已中断：以上是中断前的测量结果，不会保存"));
    context.exit_code = kExitInterrupted;
    return;
  }
  if (!done.has_value()) {
    const bool is_ours = flags.url.empty() && done.error().code == Code::kUnavailable;
    if (is_ours) return report_failure(context, done.error());
    fmt::print(stderr, "{}: {}\n", context.say("failed", "失败"), done.error().message);
    context.exit_code = kExitFailed;
    return;
  }
  if (!any_good) {
    context.exit_code = kExitFailed;
    return;
  }
  const Result<std::string> kept = keep(context, record, began);
  if (kept.has_value()) {
    fmt::print(stderr, "{}: {}\n", context.say("kept", "已保存"), *kept);
    return;
  }
  fmt::print(stderr, "{}: {}\n", context.say("failed", "失败"), kept.error().message);
  context.exit_code = kExitFailed;
}

void bench(Context& context, const BenchFlags& flags) {
  Result<BenchQuestion> question = read_bench_flags(flags);
  if (!question.has_value()) return fail_usage(context, question.error());
  std::string url = flags.url;
  if (url.empty()) url = own_url(context).value_or(std::string(kUsualUrl));
  const Result<loadtest::Endpoint> endpoint = loadtest::parse_endpoint(url, flags.ca_file);
  if (!endpoint.has_value()) return fail_usage(context, endpoint.error());
  question->options.endpoint = *endpoint;
  const loadtest::Slo slo = question->slo;
  Result<std::unique_ptr<BenchRun>> run = prepare(context, flags, *std::move(question));
  if (!run.has_value()) return fail_usage(context, run.error());
  raise_file_limit(kMostFiles);
  const WallTime began = SystemClock().wall();
  loadtest::BenchRecord record;
  record.at = TimeZone().iso(began);
  record.url_host = endpoint->host;
  record.instance_type = flags.on;
  record.slo = slo;
  const Status done = (*run)->run();
  finish(context, flags, **run, done, std::move(record), began);
}

using Say = std::function<std::string(std::string_view, std::string_view)>;

void add_load_flags(CLI::App& verb, BenchFlags& flags, const Say& say) {
  verb.add_option("--concurrency", flags.concurrency,
                  say("closed loop: callers who ask again once answered; one step each, as 1,2,4,8 (default 1)",
                      "闭环：每个调用方得到回答后立即再问；每个数值一个步骤，如 1,2,4,8（默认 1）"));
  verb.add_option("--rate", flags.rate,
                  say("open loop: requests a second, whatever the server does; one step each, as 0.5,1,2",
                      "开环：每秒请求数，不受服务快慢影响；每个数值一个步骤，如 0.5,1,2"));
  verb.add_option("--arrivals", flags.arrivals,
                  say("of --rate: poisson (independent callers, default) or constant",
                      "--rate 的到达方式：poisson（随机独立，默认）或 constant（匀速）"))
      ->check(CLI::IsMember({"poisson", "constant"}));
  verb.add_option("--trace", flags.trace,
                  say("open loop: measured requests, CSV with t_s,input_tokens,output_tokens",
                      "开环：回放实测请求，CSV，列为 t_s,input_tokens,output_tokens"));
  verb.add_option("--speed", flags.speed,
                  say("of --trace: how many times as fast (default 1)", "--trace 的回放倍速（默认 1）"));
  verb.add_option("--cold", flags.cold,
                  say("first, put this deployment to sleep before each of --requests requests (default 3)",
                      "先测冷请求：每次请求前让该部署休眠，共 --requests 次（默认 3）"));
  verb.add_option("--requests", flags.requests, say("of a step", "每个步骤的请求数"));
  verb.add_option(
      "--duration", flags.duration,
      say("of a step (default 30s, where no --requests end it)", "每个步骤的时长（未给 --requests 时默认 30s）"));
  verb.add_option(
      "--warm-up", flags.warm_up,
      say("requests before the first step, not measured (default 1)", "首个步骤前的预热请求数，不计入结果（默认 1）"));
  verb.add_option("--timeout", flags.timeout, say("of a request (default 120s)", "单个请求的时限（默认 120s）"));
  verb.add_option("--max-outstanding", flags.max_outstanding,
                  say("open loop: requests on their way at once; others wait, and count from due (default 1024)",
                      "开环：同时在途的请求数上限；超出者排队，延迟仍从应发时刻算起（默认 1024）"));
}

void add_request_flags(CLI::App& verb, BenchFlags& flags, const Say& say) {
  verb.add_option("URL", flags.url,
                  say("any server of the OpenAI dialect (default: the one running here)",
                      "任何兼容 OpenAI 的服务（默认：本机正在运行的）"));
  verb.add_option("--model", flags.model, say("default: the first it lists", "默认取服务列出的第一个模型"));
  verb.add_option("--key", flags.key,
                  say("API key; in the environment nobody else sees it", "API 密钥；放在环境变量中不会被他人看到"))
      ->envname("DORMOUSE_API_KEY");
  verb.add_option("--ca-file", flags.ca_file,
                  say("PEM of an authority to trust instead of the system's", "代替系统证书机构的 PEM 文件"));
  verb.add_flag("--completions", flags.completions,
                say("/completions instead of /chat/completions", "使用 /completions 而非 /chat/completions"));
  verb.add_option("--input-tokens", flags.input_tokens,
                  say("of a prompt, about (default 128)", "提示词的大致词元数（默认 128）"));
  verb.add_option("--output-tokens", flags.output_tokens,
                  say("of an answer, at most (default 64)", "回答的最大词元数（默认 64）"));
  verb.add_flag("--ignore-eos", flags.ignore_eos,
                say("answers as long as they may be, where the server knows ignore_eos",
                    "让回答达到最大长度（需服务支持 ignore_eos）"));
  verb.add_option("--prompts", flags.prompts, say("file of prompts, one a line", "提示词文件，每行一条"));
  verb.add_flag("--same-prompt", flags.same_prompt,
                say("do not begin each prompt differently: lets a prefix cache help",
                    "不为每个提示词加不同的开头：允许前缀缓存生效"));
  verb.add_option("--seed", flags.seed,
                  say("of arrivals and prompts (default 1)", "到达时刻与提示词的随机种子（默认 1）"));
}

void add_report_flags(CLI::App& verb, BenchFlags& flags, const Say& say) {
  verb.add_option("--slo-ttft", flags.slo_ttft,
                  say("goodput: the first token within, as 1s", "达标要求：首字延迟上限，如 1s"));
  verb.add_option(
      "--slo-itl", flags.slo_itl,
      say("goodput: a request's mean time per token within, as 100ms", "达标要求：平均每字延迟上限，如 100ms"));
  verb.add_option("--slo-e2e", flags.slo_e2e,
                  say("goodput: the whole answer within, as 10s", "达标要求：全程延迟上限，如 10s"));
  verb.add_option("--on", flags.on,
                  say("instance type it runs on: adds the cost per million tokens, and `dormouse plan` uses the speed",
                      "服务所在的实例类型：据此计算每百万词元成本，`dormouse plan` 也会采用测得的速度"));
  verb.add_option("--config", flags.config,
                  say("whose [[instance]] tables add prices (default DATA-DIR/dormouse.toml)",
                      "其中的 [[instance]] 提供价格（默认 数据目录/dormouse.toml）"));
  verb.add_option("--format", flags.format, say("table or json", "table 或 json"))
      ->check(CLI::IsMember({"table", "json"}));
  verb.add_option("--html", flags.html, say("write a report with charts", "写出带图表的报告"));
  verb.add_option("--output", flags.output, say("write the JSON", "写出 JSON"));
}

}  // namespace

void add_bench(CLI::App& app, Context& context) {
  auto flags = std::make_shared<BenchFlags>();
  const Say say = [&context](std::string_view en, std::string_view zh) { return std::string(context.say(en, zh)); };
  CLI::App* verb = app.add_subcommand("bench", say("load test of any OpenAI server: latencies, tokens/s, cost",
                                                   "压测任何兼容 OpenAI 的服务：延迟、速度、成本"));
  add_request_flags(*verb, *flags, say);
  add_load_flags(*verb, *flags, say);
  add_report_flags(*verb, *flags, say);
  verb->footer(
      say("Exit codes: 0 measured, 1 no request succeeded or it could not go on, 3 no server is running here,\n"
          "130 interrupted.\n"
          "Examples:\n"
          "  dormouse bench --concurrency 1,2,4,8 --requests 40 --html report.html\n"
          "  dormouse bench https://api.example.org/v1 --model m --rate 0.5,1,2 --duration 60s --slo-ttft 1s\n"
          "  dormouse bench --trace requests.csv --speed 10 --on t4\n"
          "  dormouse bench --cold demo",
          "退出码：0 完成测量，1 没有成功的请求或无法继续，3 本机没有正在运行的服务，130 被中断。\n"
          "示例：\n"
          "  dormouse bench --concurrency 1,2,4,8 --requests 40 --html report.html\n"
          "  dormouse bench https://api.example.org/v1 --model m --rate 0.5,1,2 --duration 60s --slo-ttft 1s\n"
          "  dormouse bench --trace requests.csv --speed 10 --on t4\n"
          "  dormouse bench --cold demo"));
  verb->callback([&context, flags] { bench(context, *flags); });
}

}  // namespace dormouse::cli
