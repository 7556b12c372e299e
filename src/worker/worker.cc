#include "worker/worker.h"

#include <unistd.h>

#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/log.h"

namespace dormouse::worker {
namespace {

constexpr std::chrono::seconds kStatsInterval{1};
// A worker that failed says so before it goes; a gateway that does not listen must not keep it.
constexpr std::chrono::milliseconds kLastWord{1'000};

// What the server answers on its own account (400, 408, 413, ...): the row with that code, or of that status.
std::string server_error_body(int, std::string_view code) {
  api::ApiError error;
  error.code = api::find_code(code).value_or(api::ErrorCode::kMalformedRequest);
  return api::error_body(error);
}

std::string name_of(const ServeOptions& options) {
  if (!options.served_model_name.empty()) return options.served_model_name;
  return std::filesystem::path(options.load.path).stem().string();
}

const char* code_of(const Error& error) {
  switch (error.code) {
    case Code::kInvalidArgument:
    case Code::kNotFound:
    case Code::kPermissionDenied:
    case Code::kDataLoss: return "model_invalid";
    case Code::kTooLarge:
    case Code::kOverloaded: return "out_of_memory";
    case Code::kUnauthenticated:
    case Code::kAlreadyExists:
    case Code::kRateLimited:
    case Code::kDeadlineExceeded:
    case Code::kCancelled:
    case Code::kUnavailable:
    case Code::kInternal: return "internal_error";
  }
  return "internal_error";
}

}  // namespace

Worker::Worker(asio::io_context& io, ServeOptions options, ModelLoader loader, std::function<void(int)> on_exit)
    : io_(io),
      options_(std::move(options)),
      on_exit_(std::move(on_exit)),
      service_(io),
      engine_(io, service_.clock, std::move(loader), options_.generator, engine_events()),
      server_(
          io, http::ServerLimits{}, [this](http::Exchange& exchange) { return handle(service_, exchange); },
          server_error_body),
      stats_timer_(io),
      orphan_timer_(io) {
  started_ = service_.clock.now();
  service_.engine = &engine_;
  service_.model_name = name_of(options_);
  service_.created_s = service_.clock.wall().us / 1'000'000;
  service_.on_quiet = [this] { exit_if_quiet(); };
  service_.report_ended = [this](const std::string& request_id, JobTotals totals) {
    if (link_.has_value()) {
      link_->send(control::Ended{request_id, totals.prompt_tokens, totals.generated_tokens});
    }
  };
}

Worker::~Worker() {
  engine_.stop();
  service_.encoders.join();
}

EngineLoopEvents Worker::engine_events() {
  EngineLoopEvents events;
  events.on_progress = [this](double fraction) {
    if (link_.has_value()) link_->send(control::Progress{.phase = "loading", .fraction = fraction});
  };
  events.on_ready = [this](const LoadedModel& model) { become_ready(model); };
  events.on_load_failed = [this](const Error& error) { fail(code_of(error), error, 2); };
  events.on_fatal = [this](const Error& error) {
    fail(error.code == Code::kDataLoss ? "golden_mismatch" : "internal_error", error, 3);
  };
  return events;
}

Status Worker::start() {
  TRY(door_, open_data_door(server_, options_.listen, options_.gateway));
  service_.lease = door_.lease;
  TRY_STATUS(dial_gateway());
  log_info("event=worker_started address={} model={} pid={} build={}", address().to_string(), service_.model_name,
           ::getpid(), kBuildVersion);
  engine_.start();
  asio::co_spawn(io_, report_stats(), asio::detached);
  return {};
}

Status Worker::dial_gateway() {
  if (options_.gateway.control.empty()) return {};
  TRY(ControlLinkOptions link, call_gateway(options_.gateway, door_, kBuildVersion));
  ControlEvents events;
  events.on_drain = [this] {
    if (service_.state != ServiceState::kDraining) drain();
  };
  events.on_stop = [this] { stop(); };
  const bool is_remote = link.is_remote();
  events.on_lost = [this, is_remote] { is_remote ? end_orphaned() : stop(); };
  link_.emplace(io_, std::move(link), std::move(events));
  link_->start();
  return {};
}

void Worker::become_ready(const LoadedModel& model) {
  service_.model = view_of(model);
  if (options_.served_model_name.empty() && !model.name.empty()) service_.model_name = model.name;
  const std::chrono::microseconds load =
      std::chrono::duration_cast<std::chrono::microseconds>(service_.clock.now() - started_);
  service_.metrics.set_load_seconds(std::chrono::duration<double>(load).count());
  if (service_.state == ServiceState::kLoading) service_.state = ServiceState::kReady;
  log_info("event=ready model={} isa={} threads={} context={} kv_tokens={} max_sequences={} load_ms={}",
           service_.model_name, model.engine->isa(), model.engine->threads(), model.context_length,
           service_.model.kv_tokens, model.max_sequences, load.count() / 1000);
  if (!link_.has_value()) return;
  control::Ready ready;
  ready.model = service_.model_name;
  ready.isa = model.engine->isa();
  ready.threads = model.engine->threads();
  ready.context_length = model.context_length;
  ready.max_sequences = model.max_sequences;
  ready.kv_tokens = service_.model.kv_tokens;
  ready.load_us = load.count();
  link_->send(std::move(ready));
}

void Worker::fail(const char* code, const Error& error, int exit_code) {
  log_error("event=worker_failed code={} error=\"{}\"", code, error.message);
  service_.state = ServiceState::kDraining;
  if (!link_.has_value()) return exit_with(exit_code);
  control::Failed failed{.code = code, .message = error.message};
  link_->send_last(std::move(failed), kLastWord, [this, exit_code] { exit_with(exit_code); });
}

void Worker::drain() {
  if (service_.state == ServiceState::kDraining) return stop();
  log_info("event=drain running={}", service_.active);
  service_.state = ServiceState::kDraining;
  exit_if_quiet();
}

// A remote gateway has been away for a whole lease: what still runs may finish soon, nothing new comes.
void Worker::end_orphaned() {
  log_warn("event=orphaned running={}", service_.active);
  orphan_timer_.expires_after(kOrphanGrace);
  orphan_timer_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec) stop();
  });
  drain();
}

void Worker::stop() {
  exit_with(0);
}

void Worker::exit_if_quiet() {
  if (service_.state != ServiceState::kDraining || service_.active > 0 || exiting_) return;
  exit_with(0);
}

void Worker::exit_with(int code) {
  if (exiting_) return;
  exiting_ = true;
  stats_timer_.cancel();
  orphan_timer_.cancel();
  server_.close_listeners();
  if (address().kind == http::Address::Kind::kUnix) ::unlink(address().path.c_str());
  if (link_.has_value()) link_->close();
  log_info("event=worker_exit code={}", code);
  on_exit_(code);
}

Task<void> Worker::report_stats() {
  while (!exiting_) {
    stats_timer_.expires_after(kStatsInterval);
    co_await stats_timer_.async_wait(kTuple);
    if (exiting_ || !link_.has_value()) co_return;
    const EngineSnapshot engine = engine_.snapshot();
    const bool is_quiet = engine.running == 0 && engine.waiting == 0 && service_.active == 0;
    if (!news_.is_news(is_quiet, engine.steps)) continue;
    control::Stats stats;
    stats.steps = engine.steps;
    stats.running = engine.running;
    stats.waiting = engine.waiting;
    stats.prompt_tokens = engine.prompt_tokens;
    stats.generated_tokens = engine.generated_tokens;
    stats.slow_step_us = std::chrono::duration_cast<std::chrono::microseconds>(engine.slow_step).count();
    link_->send(stats);
  }
}

namespace {

Task<void> watch_signals(asio::io_context& io, Worker& worker) {
  asio::signal_set signals(io, SIGTERM, SIGINT);
  while (true) {
    const auto [ec, number] = co_await signals.async_wait(kTuple);
    if (ec) co_return;
    worker.drain();
  }
}

// A read beyond the end of a mapped file: nothing can be computed any more, and which request met it is chance. One
// sentence, then the end; callers get `worker_crashed` from the gateway. Only write() and _exit() are allowed here.
void on_file_cut(int) {
  constexpr std::string_view kSentence =
      "event=worker_failed code=file_cut error=\"a model file was cut short while in use; copy it again beside the old "
      "one "
      "and rename it into place\"\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kSentence.data(), kSentence.size());
  ::_exit(kExitFileCut);
}

}  // namespace

int run_worker(ServeOptions options, ModelLoader loader) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGBUS, on_file_cut);
  asio::io_context io;
  // The engine may be in the middle of a step or of a load of minutes; nothing of it needs an orderly end.
  Worker worker(io, std::move(options), std::move(loader), [](int code) { std::_Exit(code); });
  if (const Status started = worker.start(); !started.has_value()) {
    std::fprintf(stderr, "dormouse-worker: %s\n", started.error().message.c_str());
    return 1;
  }
  asio::co_spawn(io, watch_signals(io, worker), asio::detached);
  io.run();
  return 0;
}

}  // namespace dormouse::worker
