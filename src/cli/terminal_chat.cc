#include "cli/terminal_chat.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <boost/asio/signal_set.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "base/clock.h"
#include "cli/terminal.h"
#include "http/sse.h"

namespace dormouse::cli {
namespace {

constexpr std::size_t kReadBytes = 4'096;
constexpr std::size_t kMaxLineBytes = 1U << 20;
constexpr std::chrono::minutes kAnswerDeadline{10};

double seconds_between(MonoTime from, MonoTime to) {
  return static_cast<double>((to - from).count()) / 1e9;
}

api::Message message(std::string role, std::string content) {
  api::Message out;
  out.role = std::move(role);
  out.content = std::move(content);
  return out;
}

}  // namespace

struct TerminalChat::Signals {
  explicit Signals(asio::io_context& io) : set(io, SIGINT) {}
  asio::signal_set set;
};

TerminalChat::TerminalChat(const Context& context, std::string socket, std::string model)
    : context_(context),
      socket_(std::move(socket)),
      model_(std::move(model)),
      client_(io_),
      signals_(std::make_unique<Signals>(io_)) {
  asio::co_spawn(io_, watch_interrupts(), asio::detached);
}

TerminalChat::~TerminalChat() = default;

Task<void> TerminalChat::watch_interrupts() {
  while (true) {
    const auto [ec, number] = co_await signals_->set.async_wait(kTuple);
    if (ec) co_return;
    if (on_interrupt_) on_interrupt_();
  }
}

void TerminalChat::print_delta(const api::Delta& delta) {
  const bool dim = stdout_colours() == Colours::kOn;
  if (!delta.reasoning_content.empty()) {
    if (!thinking_ && dim) fmt::print("\x1b[2m");
    thinking_ = true;
    fmt::print("{}", delta.reasoning_content);
  }
  if (!delta.content.empty()) {
    if (thinking_) fmt::print("{}\n\n", dim ? "\x1b[0m" : "");
    thinking_ = false;
    fmt::print("{}", delta.content);
    result_.text += delta.content;
  }
  std::fflush(stdout);
}

Task<void> TerminalChat::stream(std::string body) {
  const SystemClock clock;
  const MonoTime sent = clock.now();
  Result<http::Address> address = http::Address::parse("unix:" + socket_);
  if (!address.has_value()) {
    failure_ = address.error();
    co_return;
  }
  http::ClientRequest request;
  request.method = "POST";
  request.target = "/v1/chat/completions";
  request.headers.set("content-type", "application/json");
  request.body = std::move(body);
  request.header_deadline = kAnswerDeadline;
  request.read_deadline = kAnswerDeadline;
  const auto canceller = std::make_shared<http::Canceller>();
  request.canceller = canceller;
  on_interrupt_ = [this, canceller] {
    result_.stopped = true;
    canceller->cancel();
  };
  Result<std::unique_ptr<http::ClientResponse>> response =
      co_await client_.send(*std::move(address), std::move(request));
  if (!response.has_value()) {
    on_interrupt_ = {};
    failure_ = response.error();
    co_return;
  }
  http::ClientResponse& answer = **response;
  http::SseParser parser;
  MonoTime first{};
  while (true) {
    Result<std::optional<std::string>> piece = co_await answer.read_some();
    if (result_.stopped || !piece.has_value() || !piece->has_value()) break;
    // A refusal is no event stream: one JSON body.
    if (answer.status() != 200) {
      const Result<api::ParsedChunk> refusal = api::parse_chunk(**piece);
      const bool said = refusal.has_value() && refusal->error.has_value();
      failure_ = make_error(Code::kUnavailable, said ? refusal->error->message : "the server refused");
      break;
    }
    parser.push(**piece);
    while (std::optional<http::SseEvent> event = parser.next()) {
      if (event->data == "[DONE]") continue;
      const Result<api::ParsedChunk> chunk = api::parse_chunk(event->data);
      if (!chunk.has_value()) continue;
      if (chunk->error.has_value()) failure_ = make_error(Code::kInternal, chunk->error->message);
      if (chunk->usage.has_value()) result_.tokens = chunk->usage->completion_tokens;
      for (const api::Delta& delta : chunk->choices) {
        if (delta.content.empty() && delta.reasoning_content.empty()) continue;
        if (first.ns == 0) first = clock.now();
        result_.seconds = seconds_between(first, clock.now());
        print_delta(delta);
      }
    }
  }
  if (first.ns != 0) result_.first_token_s = seconds_between(sent, first);
  on_interrupt_ = {};
}

void TerminalChat::print_summary() const {
  if (thinking_ && stdout_colours() == Colours::kOn) fmt::print("\x1b[0m");
  fmt::print("\n");
  if (!context_.terminal) return;
  const bool zh = context_.language == Language::kChinese;
  // The first token's time is the prompt's, so n tokens take n - 1 steps.
  const double rate =
      result_.tokens > 1 && result_.seconds > 0 ? static_cast<double>(result_.tokens - 1) / result_.seconds : 0;
  const std::string summary = fmt::format(fmt::runtime(zh ? "{}{} 词元，{:.1f} 词元/秒，首字 {:.2f} 秒"
                                                          : "{}{} tokens, {:.1f} tokens/s, first after {:.2f} s"),
                                          result_.stopped ? context_.say("stopped; ", "已停止；") : std::string_view(),
                                          result_.tokens, rate, result_.first_token_s);
  fmt::print("{}\n", painted(summary, Colour::kDim, stdout_colours()));
}

Status TerminalChat::ask(const std::string& prompt) {
  history_.push_back(message("user", prompt));
  api::GenerationRequest request;
  request.model = model_;
  request.messages = history_;
  request.stream = true;
  request.stream_options.include_usage = true;
  request.stream_options.continuous_usage_stats = true;
  result_ = {};
  failure_.reset();
  done_ = false;
  thinking_ = false;
  io_.restart();
  io_.poll();  // a Ctrl-C at the prompt is over
  asio::co_spawn(io_, stream(api::to_json(request)), [this](const std::exception_ptr&) { done_ = true; });
  while (!done_ && io_.run_one() > 0) {
  }
  if (failure_.has_value() && !result_.stopped) {
    history_.pop_back();
    if (!result_.text.empty()) fmt::print("\n");
    return *failure_;
  }
  history_.push_back(message("assistant", result_.text));
  print_summary();
  return {};
}

TerminalChat::Line TerminalChat::read_line() {
  while (true) {
    const std::size_t end = pending_.find('\n');
    if (end != std::string::npos) {
      Line line{Line::Kind::kText, pending_.substr(0, end)};
      pending_.erase(0, end + 1);
      return line;
    }
    std::array<char, kReadBytes> bytes{};
    const ssize_t got = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) return {Line::Kind::kInterrupted, {}};
    if (got <= 0 || pending_.size() > kMaxLineBytes) {
      if (pending_.empty()) return {Line::Kind::kEnd, {}};
      return {Line::Kind::kText, std::exchange(pending_, {})};
    }
    pending_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

Status TerminalChat::converse() {
  const bool interactive = ::isatty(STDIN_FILENO) == 1;
  if (interactive) {
    fmt::print("{}\n",
               context_.say("/bye or Ctrl-D leaves, Ctrl-C stops an answer", "/bye 或 Ctrl-D 退出，Ctrl-C 停止回答"));
  }
  while (true) {
    if (interactive) fmt::print(">>> ");
    std::fflush(stdout);
    Line line = read_line();
    if (line.kind == Line::Kind::kEnd) break;
    if (line.kind == Line::Kind::kInterrupted) {
      pending_.clear();
      fmt::print("\n{}\n", context_.say("(/bye or Ctrl-D leaves)", "（/bye 或 Ctrl-D 退出）"));
      continue;
    }
    while (!line.text.empty() && (line.text.back() == '\r' || line.text.back() == ' ')) line.text.pop_back();
    if (line.text == "/bye" || line.text == "/exit") break;
    if (line.text.empty()) continue;
    const Status asked = ask(line.text);
    if (asked.has_value()) continue;
    fmt::print(stderr, "{}: {}\n", context_.say("failed", "失败"), asked.error().message);
    if (!interactive) return asked;
  }
  if (interactive) fmt::print("\n");
  return {};
}

}  // namespace dormouse::cli
