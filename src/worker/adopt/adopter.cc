#include "worker/adopt/adopter.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "worker/adopt/readiness.h"
#include "worker/build_version.h"

namespace dormouse::worker::adopt {
namespace {

constexpr std::chrono::seconds kReportInterval{1};
// A worker that failed says so before it goes; a gateway that does not listen must not keep it.
constexpr std::chrono::milliseconds kLastWord{1'000};
// What failed says on the control channel: within the channel's own bound.
constexpr std::size_t kMaxReason = 4 * 1024;

// What the server answers on its own account (400, 408, 413, ...): the row with that code, or of that status.
std::string server_error_body(int, std::string_view code) {
  api::ApiError error;
  error.code = api::find_code(code).value_or(api::ErrorCode::kMalformedRequest);
  return api::error_body(error);
}

std::string path_of(const std::vector<std::string>& environment) {
  for (const std::string& entry : environment) {
    if (entry.starts_with("PATH=")) return entry.substr(std::string_view("PATH=").size());
  }
  return "/usr/local/bin:/usr/bin:/bin";
}

std::string how_it_ended(ExitStatus status) {
  return status.signal != 0 ? fmt::format("signal {}", status.signal) : fmt::format("exit code {}", status.exit_code);
}

// "CUDA out of memory", "torch.OutOfMemoryError", "failed to allocate ... out of memory": every server says it so.
const char* code_of(const Error& error) {
  const bool memory =
      error.message.find("ut of memory") != std::string::npos || error.message.find("OutOfMemory") != std::string::npos;
  return memory ? "out_of_memory" : "internal_error";
}

}  // namespace

Adopter::Adopter(asio::io_context& io, AdoptOptions options, const char* const* environment, AdopterEvents events)
    : io_(io),
      options_(std::move(options)),
      environment_(environment),
      events_(std::move(events)),
      front_(io),
      server_(
          io, http::ServerLimits{}, [this](http::Exchange& exchange) { return handle(front_, exchange); },
          server_error_body),
      report_timer_(io),
      orphan_timer_(io) {
  started_ = front_.clock.now();
  front_.names.served = served_name(options_);
  front_.context_length = options_.context_length;
  front_.created_s = front_.clock.wall().us / 1'000'000;
  front_.on_quiet = [this] { end_child_if_quiet(); };
}

Adopter::~Adopter() {
  *abandoned_ = true;
}

Status Adopter::start() {
  if (options_.pick_port) {
    TRY(options_.upstream, free_loopback_address());
  }
  front_.upstream = options_.upstream;
  front_.upstream_path = options_.upstream_path;
  TRY(door_, open_data_door(server_, options_.listen, options_.gateway));
  front_.lease = door_.lease;
  TRY_STATUS(dial_gateway());
  log_info("event=worker_started address={} model={} pid={} build={} upstream={}", address().to_string(),
           front_.names.served, ::getpid(), kBuildVersion, options_.upstream.to_string());
  asio::co_spawn(io_, report(abandoned_), asio::detached);
  if (const Status started = start_server(); !started.has_value()) {
    // From the loop, as a death would be: start()'s caller has nothing to do yet.
    asio::post(io_, [this, alive = std::weak_ptr<bool>(abandoned_), error = started.error()] {
      if (!alive.expired()) fail(error, kExitNotStarted);
    });
  }
  return {};
}

Status Adopter::start_server() {
  if (options_.container.image.empty()) {
    TRY_STATUS(start_child());
    asio::co_spawn(io_, become_ready(abandoned_), asio::detached);
    return {};
  }
  TRY(ContainerPlan plan, plan_container(options_, address(), environment_));
  if (plan.image.find('@') == std::string::npos) {
    log_warn("event=image_not_pinned image={} hint=\"a tag may move; NAME@sha256:... does not\"", plan.image);
  }
  log_info("event=container engine={} name={} image={}", plan.engine, plan.name, plan.image);
  container_ = std::make_shared<Container>(io_, front_.clock, std::move(plan));
  asio::co_spawn(io_, start_container(container_, abandoned_), asio::detached);
  return {};
}

Task<void> Adopter::start_container(std::shared_ptr<Container> container, std::shared_ptr<bool> abandoned) {
  Status started = co_await container->prepare();
  if (*abandoned || exit_code_.has_value()) co_return;
  if (started.has_value()) {
    container->set_running();
    ChildOptions child;
    child.argv = container->plan().run;
    child.environment = container->plan().environment;
    child.on_our_death = SubprocessOptions::Guard::kGroupGently;
    started = launch(std::move(child));
  }
  if (!started.has_value()) {
    fail(started.error(), kExitNotStarted);
    co_return;
  }
  co_await become_ready(std::move(abandoned));
}

// The client ends with its container; one that does not is ended like any child.
Task<void> Adopter::end_container(std::shared_ptr<Container> container, std::shared_ptr<bool> abandoned) {
  co_await container->end();
  if (!*abandoned) end_child(exit_code_.value_or(0));
}

Status Adopter::start_child() {
  TRY(ChildCommand command, expand_command(options_));
  ChildOptions child;
  child.environment = child_environment(environment_, command.environment);
  child.argv = std::move(command.argv);
  TRY(child.argv[0], find_program(child.argv[0], path_of(child.environment)));
  return launch(std::move(child));
}

Status Adopter::launch(ChildOptions child) {
  ChildEvents events;
  events.on_output = events_.on_output;
  events.on_exit = [this](ExitStatus status) { child_ended(status); };
  TRY(child_, Child::start(io_, std::move(child), std::move(events)));
  log_info("event=upstream_started pid={} address={}", child_->pid(), options_.upstream.to_string());
  return {};
}

Status Adopter::dial_gateway() {
  if (options_.gateway.control.empty()) return {};
  TRY(ControlLinkOptions link, call_gateway(options_.gateway, door_, kBuildVersion));
  ControlEvents events;
  events.on_drain = [this] {
    if (front_.state != FrontState::kDraining) drain();
  };
  events.on_stop = [this] { stop(); };
  const bool is_remote = link.is_remote();
  events.on_lost = [this, is_remote] { is_remote ? end_orphaned() : stop(); };
  link_.emplace(io_, std::move(link), std::move(events));
  link_->start();
  return {};
}

Task<void> Adopter::become_ready(std::shared_ptr<bool> abandoned) {
  const std::string models_path = options_.upstream_path + "/v1/models";
  ReadinessOptions wanted{options_.upstream, options_.ready_path, models_path, options_.ready_deadline};
  const Status ready = co_await wait_until_ready(io_, front_.client, front_.clock, std::move(wanted), abandoned);
  if (*abandoned || exit_code_.has_value()) co_return;
  if (!ready.has_value()) {
    const std::string words = child_->last_words();
    fail(make_error(ready.error().code, ready.error().message + (words.empty() ? "" : "; its last words:\n" + words)),
         kExitNotStarted);
    co_return;
  }
  std::string name = options_.upstream_model;
  if (name.empty()) {
    http::Address upstream = options_.upstream;
    std::string path = models_path;
    name = co_await ask_model_name(front_.client, std::move(upstream), std::move(path));
    if (*abandoned || exit_code_.has_value()) co_return;
    if (name.empty()) {
      log_warn("event=upstream_model_unknown used={}", front_.names.served);
      name = front_.names.served;
    }
  }
  front_.names.upstream = std::move(name);
  announce();
}

void Adopter::announce() {
  const std::chrono::microseconds load =
      std::chrono::duration_cast<std::chrono::microseconds>(front_.clock.now() - started_);
  if (front_.state == FrontState::kStarting) front_.state = FrontState::kReady;
  log_info("event=ready model={} upstream_model={} context={} max_sequences={} load_ms={}", front_.names.served,
           front_.names.upstream, options_.context_length, options_.max_sequences, load.count() / 1000);
  if (!link_.has_value()) return;
  control::Ready ready;
  ready.model = front_.names.served;
  ready.isa = "external";
  ready.context_length = options_.context_length;
  ready.max_sequences = options_.max_sequences;
  ready.load_us = load.count();
  link_->send(std::move(ready));
}

void Adopter::child_ended(ExitStatus status) {
  log_info("event=upstream_exited {}={}", status.signal != 0 ? "signal" : "exit",
           status.signal != 0 ? status.signal : status.exit_code);
  const std::string words = child_->last_words();
  child_.reset();
  if (saying_last_word_) return;
  if (exit_code_.has_value()) return end_child(*exit_code_);
  const bool was_ready = !front_.names.upstream.empty();
  const std::string what =
      container_ == nullptr ? options_.command.front() : "container of " + container_->plan().image;
  std::string message = fmt::format("{} ended with {} {}", what, how_it_ended(status),
                                    was_ready ? "while serving" : "before it was ready");
  if (container_ != nullptr && !was_ready) {
    return fail(container_death(container_->plan(), std::move(message), words), kExitNotStarted);
  }
  if (!words.empty()) message += "; its last words:\n" + words;
  fail(make_error(Code::kUnavailable, std::move(message)), was_ready ? kExitUpstreamDied : kExitNotStarted);
}

void Adopter::fail(const Error& error, int exit_code) {
  if (exit_code_.has_value()) return;
  log_error("event=worker_failed code={} error=\"{}\"", code_of(error), error.message);
  front_.state = FrontState::kDraining;
  if (!link_.has_value()) return end_child(exit_code);
  exit_code_ = exit_code;
  saying_last_word_ = true;
  std::string reason = error.message.substr(0, kMaxReason);
  control::Failed failed{.code = code_of(error), .message = std::move(reason)};
  link_->send_last(std::move(failed), kLastWord, [this, alive = std::weak_ptr<bool>(abandoned_), exit_code] {
    if (alive.expired()) return;
    saying_last_word_ = false;
    end_child(exit_code);
  });
}

void Adopter::drain() {
  if (front_.state == FrontState::kDraining) return stop();
  log_info("event=drain running={}", front_.active);
  front_.state = FrontState::kDraining;
  end_child_if_quiet();
}

// A remote gateway has been away for a whole lease: what still runs may finish soon, nothing new comes.
void Adopter::end_orphaned() {
  log_warn("event=orphaned running={}", front_.active);
  orphan_timer_.expires_after(kOrphanGrace);
  orphan_timer_.async_wait([this, alive = std::weak_ptr<bool>(abandoned_)](const boost::system::error_code& ec) {
    if (!ec && !alive.expired()) stop();
  });
  if (front_.state != FrontState::kDraining) drain();
}

void Adopter::stop() {
  front_.state = FrontState::kDraining;
  // Whoever asks twice does not want to wait for the grace: the child's destructor kills.
  if (exit_code_.has_value()) {
    child_.reset();
    if (container_ != nullptr) container_->hurry();
  }
  end_child(exit_code_.value_or(0));
}

void Adopter::end_child_if_quiet() {
  if (front_.state != FrontState::kDraining || front_.active > 0 || exit_code_.has_value()) return;
  end_child(0);
}

// SIGTERM, grace, SIGKILL; child_ended() goes on from there.
void Adopter::end_child(int exit_code) {
  exit_code_ = exit_code;
  if (container_ != nullptr && !container_->is_over()) {
    if (std::exchange(ending_container_, true)) return;
    asio::co_spawn(io_, end_container(container_, abandoned_), asio::detached);
    return;
  }
  if (child_ == nullptr) return exit_with(exit_code);
  child_->stop();
}

void Adopter::exit_with(int code) {
  if (exiting_) return;
  exiting_ = true;
  *abandoned_ = true;
  report_timer_.cancel();
  orphan_timer_.cancel();
  server_.close_listeners();
  if (address().kind == http::Address::Kind::kUnix) ::unlink(address().path.c_str());
  if (options_.upstream.kind == http::Address::Kind::kUnix) ::unlink(options_.upstream.path.c_str());
  if (link_.has_value()) link_->close();
  log_info("event=worker_exit code={}", code);
  events_.on_exit(code);
}

// Once a second: that it still starts; then what it does.
Task<void> Adopter::report(std::shared_ptr<bool> abandoned) {
  while (true) {
    if (front_.state == FrontState::kStarting && link_.has_value()) {
      const bool is_pulling = container_ != nullptr && container_->is_pulling();
      link_->send(control::Progress{.phase = is_pulling ? "pulling" : "starting", .fraction = 0});
    }
    report_timer_.expires_after(kReportInterval);
    co_await report_timer_.async_wait(kTuple);
    if (*abandoned || !link_.has_value()) co_return;
    if (front_.names.upstream.empty() || !news_.is_news(front_.active == 0, front_.steps)) continue;
    control::Stats stats;
    stats.steps = front_.steps;
    stats.running = front_.active;
    stats.prompt_tokens = front_.prompt_tokens;
    stats.generated_tokens = front_.generated_tokens;
    link_->send(stats);
  }
}

namespace {

Task<void> watch_signals(asio::io_context& io, Adopter& adopter) {
  asio::signal_set signals(io, SIGTERM, SIGINT);
  while (true) {
    const auto [ec, number] = co_await signals.async_wait(kTuple);
    if (ec) co_return;
    adopter.drain();
  }
}

// A log that nobody reads any more loses lines, never the server.
void write_out(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

int run_adopter(AdoptOptions options, const char* const* environment) {
  std::signal(SIGPIPE, SIG_IGN);
  asio::io_context io;
  AdopterEvents events;
  events.on_output = write_out;
  // The child is gone by now; answers still being written have lost their source.
  events.on_exit = [](int code) { std::_Exit(code); };
  Adopter adopter(io, std::move(options), environment, std::move(events));
  if (const Status started = adopter.start(); !started.has_value()) {
    std::fprintf(stderr, "dormouse-worker: %s\n", started.error().message.c_str());
    return 1;
  }
  asio::co_spawn(io, watch_signals(io, adopter), asio::detached);
  io.run();
  return 0;
}

}  // namespace dormouse::worker::adopt
