// A worker without an engine: takes dormouse-worker's command line, speaks its control protocol and its OpenAI dialect,
// and misbehaves on demand (behaviour.h). Words are "w0 w1 w2 ..."; a prompt has as many tokens as its text has spaces,
// plus one. Test equipment for fleet, gateway and chaos tests.
#include <unistd.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "api/error_table.h"
#include "api/generation.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "fake_worker/behaviour.h"
#include "http/server.h"
#include "http/sse.h"
#include "worker/control_link.h"

namespace dormouse::fake {
namespace {

struct Options {
  std::string model_path;
  std::string model_name = "fake";
  std::string listen = "127.0.0.1:0";
  std::string control;
  std::string lease;
  std::uint64_t epoch = 0;
};

struct Worker {
  explicit Worker(asio::io_context& context, Options o, Behaviour b)
      : io(context), options(std::move(o)), behaviour(b), forever(context) {}

  void fail(std::string code, int exit_code);
  void count_token();
  void begin_drain();
  void exit_if_drained();
  [[noreturn]] void leave(int exit_code);

  asio::io_context& io;
  const Options options;
  const Behaviour behaviour;
  std::unique_ptr<http::Server> server;
  std::unique_ptr<worker::ControlLink> link;
  std::string socket_path;  // to unlink; empty: TCP
  asio::steady_timer forever;
  bool ready = false;
  bool draining = false;
  bool hung = false;
  int running = 0;
  std::uint64_t sent_tokens = 0;
  std::uint64_t prompt_tokens = 0;
};

void Worker::leave(int exit_code) {
  if (!socket_path.empty()) ::unlink(socket_path.c_str());
  std::_Exit(exit_code);
}

void Worker::fail(std::string code, int exit_code) {
  if (link == nullptr) leave(exit_code);
  control::Failed failed{.code = std::move(code), .message = "as told"};
  link->send_last(std::move(failed), std::chrono::seconds(1), [this, exit_code] { leave(exit_code); });
}

void Worker::count_token() {
  sent_tokens += 1;
  const auto sent = static_cast<std::int64_t>(sent_tokens);
  if (sent == behaviour.crash_at) ::raise(SIGKILL);
  if (sent == behaviour.exit_at) std::_Exit(7);
  if (sent == behaviour.hang_at) hung = true;
}

void Worker::begin_drain() {
  draining = true;
  exit_if_drained();
}

void Worker::exit_if_drained() {
  if (draining && running == 0) leave(0);
}

Task<void> pause(asio::io_context& io, std::chrono::microseconds duration) {
  asio::steady_timer timer(io, duration);
  co_await timer.async_wait(kTuple);
}

Task<void> answer_error(http::Exchange& exchange, api::ErrorCode code) {
  http::Response response;
  response.status = api::row(code).status;
  response.headers.set("content-type", "application/json");
  if (api::row(code).retry_after_s > 0) {
    response.headers.set("retry-after", std::to_string(api::row(code).retry_after_s));
  }
  response.body = api::error_body({.code = code, .message = {}, .param = {}});
  co_await exchange.send(std::move(response));
}

Task<void> answer_json(http::Exchange& exchange, std::string body) {
  http::Response response;
  response.headers.set("content-type", "application/json");
  if (const auto id = exchange.request().headers.find("x-request-id"); id.has_value()) {
    response.headers.set("x-request-id", *id);
  }
  response.body = std::move(body);
  co_await exchange.send(std::move(response));
}

// One answer's numbers.
struct Answer {
  api::GenerationRequest request;
  api::ResponseHead head;
  api::Usage usage;
  std::int64_t tokens = 0;
};

std::int64_t count_words(const api::GenerationRequest& request) {
  std::int64_t words = static_cast<std::int64_t>(request.prompt_tokens.size());
  const auto add = [&](const std::string& text) { words += 1 + std::count(text.begin(), text.end(), ' '); };
  if (!request.prompt.empty()) add(request.prompt);
  for (const api::Message& message : request.messages) add(message.content);
  return words;
}

std::string chunk(const Answer& answer, const api::Delta& delta, bool first) {
  const bool wants_each = answer.request.stream_options.continuous_usage_stats;
  const std::optional<api::Usage> usage = wants_each ? std::optional(answer.usage) : std::nullopt;
  const bool usage_null = answer.request.stream_options.include_usage && !wants_each;
  if (answer.request.kind == api::GenerationRequest::Kind::kChat) {
    return http::sse_data(api::chat_chunk(answer.head, delta, first, usage, usage_null));
  }
  return http::sse_data(api::completion_chunk(answer.head, delta, usage, usage_null));
}

// Waits as long as a token takes; for ever once hung.
Task<void> token_time(Worker& worker) {
  if (worker.hung) {
    worker.forever.expires_at(asio::steady_timer::time_point::max());
    co_await worker.forever.async_wait(kTuple);
  }
  if (worker.behaviour.tokens_per_s > 0) {
    co_await pause(worker.io, std::chrono::microseconds(1'000'000 / worker.behaviour.tokens_per_s));
  }
}

Task<void> stream_answer(Worker& worker, http::Exchange& exchange, Answer& answer) {
  http::Headers headers;
  headers.set("content-type", "text/event-stream");
  headers.set("cache-control", "no-store");
  Status status = co_await exchange.start_stream(200, std::move(headers));
  for (std::int64_t i = 0; i < answer.tokens && status.has_value(); ++i) {
    co_await token_time(worker);
    if (exchange.client_gone()) co_return;
    api::Delta delta;
    delta.content = (i == 0 ? "w" : " w") + std::to_string(i);
    answer.usage.completion_tokens = i + 1;
    std::string frame = chunk(answer, delta, i == 0);
    status = co_await exchange.write(std::move(frame));
    worker.count_token();
    if (worker.behaviour.garbage_stream && i == 2) {
      std::string garbage = "data: {\"choices\":[{]\n\n";
      status = co_await exchange.write(std::move(garbage));
    }
  }
  if (!status.has_value()) co_return;
  api::Delta last;
  last.finish_reason = answer.tokens == answer.request.sampling.max_tokens ? "length" : "stop";
  std::string end = chunk(answer, last, false);
  if (answer.request.stream_options.include_usage) {
    end += http::sse_data(api::usage_chunk(answer.head, answer.request.kind, answer.usage));
  }
  end += http::kSseDone;
  status = co_await exchange.write(std::move(end));
  if (status.has_value()) status = co_await exchange.finish();
}

Task<void> whole_answer(Worker& worker, http::Exchange& exchange, Answer& answer) {
  api::Delta delta;
  for (std::int64_t i = 0; i < answer.tokens; ++i) {
    co_await token_time(worker);
    if (exchange.client_gone()) co_return;
    delta.content += (i == 0 ? "w" : " w") + std::to_string(i);
    answer.usage.completion_tokens = i + 1;
    worker.count_token();
  }
  delta.finish_reason = answer.tokens == answer.request.sampling.max_tokens ? "length" : "stop";
  const std::vector<api::Delta> choices{delta};
  std::string body = answer.request.kind == api::GenerationRequest::Kind::kChat
                         ? api::chat_response(answer.head, choices, answer.usage)
                         : api::completion_response(answer.head, choices, answer.usage);
  co_await answer_json(exchange, std::move(body));
}

Task<void> generate(Worker& worker, http::Exchange& exchange, bool is_chat) {
  if (!worker.ready) {
    co_await answer_error(exchange, api::ErrorCode::kModelLoading);
    co_return;
  }
  if (worker.draining) {
    co_await answer_error(exchange, api::ErrorCode::kDraining);
    co_return;
  }
  if (worker.behaviour.golden_mismatch) {
    worker.fail("golden_mismatch", 3);
    co_await pause(worker.io, std::chrono::seconds(10));
    co_return;
  }
  const std::string& body = exchange.request().body;
  api::ApiResult<api::GenerationRequest> parsed =
      is_chat ? api::parse_chat_request(body) : api::parse_completion_request(body);
  if (!parsed.has_value()) {
    co_await answer_error(exchange, parsed.error().code);
    co_return;
  }
  Answer answer;
  answer.request = *std::move(parsed);
  answer.usage.prompt_tokens = count_words(answer.request);
  const SystemClock clock;
  answer.head = {.id = (is_chat ? "chatcmpl-" : "cmpl-") + make_uuid_v7(clock.wall()),
                 .created = clock.wall().us / 1'000'000,
                 .model = answer.request.model};
  answer.tokens = answer.request.sampling.max_tokens.value_or(worker.behaviour.tokens);
  if (!answer.request.sampling.ignore_eos) answer.tokens = std::min(answer.tokens, worker.behaviour.tokens);
  worker.prompt_tokens += static_cast<std::uint64_t>(answer.usage.prompt_tokens);
  worker.running += 1;
  const bool stream = answer.request.stream;
  if (stream) {
    co_await stream_answer(worker, exchange, answer);
  } else {
    co_await whole_answer(worker, exchange, answer);
  }
  if (exchange.client_gone() && worker.link != nullptr) {
    const auto id = exchange.request().headers.find("x-request-id");
    worker.link->send(
        control::Ended{std::string(id.value_or("")), answer.usage.prompt_tokens, answer.usage.completion_tokens});
  }
  worker.running -= 1;
  worker.exit_if_drained();
}

Task<void> handle(Worker& worker, http::Exchange& exchange) {
  const std::string& path = exchange.request().path;
  if (path == "/v1/chat/completions") {
    co_await generate(worker, exchange, true);
  } else if (path == "/v1/completions") {
    co_await generate(worker, exchange, false);
  } else if (path == "/v1/models") {
    const api::ModelCard card{.id = worker.options.model_name, .created = 1, .max_model_len = worker.behaviour.context};
    std::string body = api::models_response({card});
    co_await answer_json(exchange, std::move(body));
  } else if (path == "/health") {
    if (worker.ready) {
      std::string body = R"({"status":"ok"})";
      co_await answer_json(exchange, std::move(body));
    } else {
      co_await answer_error(exchange, api::ErrorCode::kModelLoading);
    }
  } else {
    co_await answer_error(exchange, api::ErrorCode::kNotFound);
  }
}

Task<void> load(Worker& worker) {
  const Behaviour& b = worker.behaviour;
  const int parts = 5;
  for (int i = 0; i < parts; ++i) {
    if (b.crash_load_ms >= 0) {
      co_await pause(worker.io, std::chrono::milliseconds(b.crash_load_ms));
      ::raise(SIGKILL);
    }
    co_await pause(worker.io, std::chrono::milliseconds(b.load_ms) / parts);
    if (worker.link != nullptr) worker.link->send(control::Progress{.phase = "loading", .fraction = 0.2 * (i + 1)});
    while (b.hang_load) co_await pause(worker.io, std::chrono::hours(1));
  }
  if (b.fail_load) {
    worker.fail("model_invalid", 2);
    co_return;
  }
  worker.ready = true;
  if (worker.link == nullptr) co_return;
  control::Ready ready;
  ready.model = worker.options.model_name;
  ready.isa = "fake";
  ready.threads = 1;
  ready.context_length = b.context;
  ready.max_sequences = 256;
  ready.kv_tokens = b.context * 4;
  ready.load_us = b.load_ms * 1000;
  worker.link->send(std::move(ready));
}

Task<void> report(Worker& worker) {
  int was_running = 0;
  while (true) {
    co_await pause(worker.io, std::chrono::milliseconds(200));
    if (worker.link == nullptr || (worker.running == 0 && was_running == 0)) continue;
    was_running = worker.running;
    control::Stats stats;
    stats.steps = worker.sent_tokens;
    stats.running = worker.running;
    stats.prompt_tokens = worker.prompt_tokens;
    stats.generated_tokens = worker.sent_tokens;
    worker.link->send(stats);
  }
}

Task<void> watch_signals(Worker& worker) {
  asio::signal_set signals(worker.io, SIGTERM, SIGINT);
  while (true) {
    const auto [ec, number] = co_await signals.async_wait(kTuple);
    if (ec) co_return;
    if (worker.behaviour.ignore_sigterm) continue;
    if (worker.draining) worker.leave(0);
    worker.begin_drain();
  }
}

Task<void> start(Worker& worker, http::Address bound) {
  const Behaviour& b = worker.behaviour;
  if (!worker.options.control.empty()) {
    co_await pause(worker.io, std::chrono::milliseconds(b.slow_hello_ms));
    const Result<http::Address> control = http::Address::parse(worker.options.control);
    if (!control.has_value()) worker.leave(1);
    control::Hello hello;
    hello.build = b.garbage ? std::string(200, '\x01') : "fake";
    hello.lease = b.wrong_lease ? "not-the-lease" : worker.options.lease;
    hello.epoch = worker.options.epoch;
    hello.address = bound.to_string();
    hello.pid = ::getpid();
    if (b.garbage) hello.protocol = -77;
    worker::ControlEvents events;
    Worker* const self = &worker;
    events.on_drain = [self] {
      if (!self->behaviour.ignore_drain) self->begin_drain();
    };
    events.on_stop = [self] {
      if (!self->behaviour.ignore_stop) self->leave(0);
    };
    events.on_lost = [self] {
      if (!self->behaviour.survive_eof) self->leave(0);
    };
    worker.link = std::make_unique<worker::ControlLink>(
        worker.io, worker::ControlLinkOptions{.address = *control, .hello = std::move(hello)}, std::move(events));
    worker.link->start();
  }
  co_await load(worker);
}

Options parse_arguments(int argc, char** argv) {
  Options out;
  if (const char* lease = std::getenv("DORMOUSE_LEASE"); lease != nullptr) out.lease = lease;
  for (int i = 1; i + 1 < argc; ++i) {
    const std::string_view flag = argv[i];
    const char* const value = argv[i + 1];
    if (flag == "--model")
      out.model_path = value;
    else if (flag == "--served-model-name")
      out.model_name = value;
    else if (flag == "--listen")
      out.listen = value;
    else if (flag == "--control")
      out.control = value;
    else if (flag == "--lease")
      out.lease = value;
    else if (flag == "--epoch")
      out.epoch = std::strtoull(value, nullptr, 10);
  }
  return out;
}

Result<Behaviour> read_behaviour(const Options& options) {
  Behaviour out;
  if (const char* text = std::getenv("DORMOUSE_FAKE"); text != nullptr) TRY_STATUS(apply(text, out));
  std::ifstream file(options.model_path, std::ios::binary);
  std::string text(4096, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.starts_with("fake:")) TRY_STATUS(apply(std::string_view(text).substr(5), out));
  const bool recovered = out.faulty_starts > 0 && options.epoch > static_cast<std::uint64_t>(out.faulty_starts);
  return recovered ? healthy(out) : out;
}

int run(int argc, char** argv) {
  const Options options = parse_arguments(argc, argv);
  const Result<Behaviour> behaviour = read_behaviour(options);
  const Result<http::Address> listen = http::Address::parse(options.listen);
  if (!behaviour.has_value() || !listen.has_value()) {
    std::fprintf(stderr, "fake_worker: %s\n",
                 (behaviour.has_value() ? listen.error() : behaviour.error()).message.c_str());
    return 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  asio::io_context io;
  Worker worker(io, options, *behaviour);
  http::Handler handler = [&worker](http::Exchange& exchange) { return handle(worker, exchange); };
  http::ErrorBody error_body = [](int, std::string_view) {
    return api::error_body({.code = api::ErrorCode::kMalformedRequest, .message = {}, .param = {}});
  };
  worker.server = std::make_unique<http::Server>(io, http::ServerLimits{}, std::move(handler), std::move(error_body));
  const Result<http::Address> bound = worker.server->listen(*listen, "data");
  if (!bound.has_value()) {
    std::fprintf(stderr, "fake_worker: %s\n", bound.error().message.c_str());
    return 1;
  }
  if (bound->kind == http::Address::Kind::kUnix) worker.socket_path = bound->path;
  log_info("event=fake_worker_started address={} pid={}", bound->to_string(), ::getpid());
  asio::co_spawn(io, start(worker, *bound), asio::detached);
  asio::co_spawn(io, report(worker), asio::detached);
  asio::co_spawn(io, watch_signals(worker), asio::detached);
  io.run();
  return 0;
}

}  // namespace
}  // namespace dormouse::fake

int main(int argc, char** argv) {
  return dormouse::fake::run(argc, argv);
}
