#include "loadtest/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <utility>

#include "api/strict_json.h"
#include "base/check.h"
#include "loadtest/answer_reader.h"

namespace dormouse::loadtest {
namespace {

namespace json = boost::json;

constexpr std::chrono::seconds kConnectDeadline{10};
constexpr std::size_t kMostRefusalBytes = 1U << 20;
constexpr std::size_t kMostSaid = 200;

// A server's words on one line of a terminal: no control characters, and not too many.
std::string one_line(std::string_view text) {
  std::string out(text.substr(0, kMostSaid));
  const bool is_cut = out.size() < text.size();
  // Not in the middle of a character.
  while (is_cut && !out.empty() && (static_cast<unsigned char>(text[out.size()]) & 0xC0U) == 0x80U) out.pop_back();
  std::replace_if(
      out.begin(), out.end(), [](char c) { return (c >= 0 && c < ' ') || c == 0x7F; }, ' ');
  return out;
}

std::string words_of(int status, std::string_view body) {
  const std::string words = error_words(body);
  return one_line(words.empty() ? fmt::format("HTTP {}", status) : fmt::format("HTTP {}: {}", status, words));
}

Failure failure_of(int status) {
  if (status == 429) return Failure::kHttp429;
  if (status >= 500) return Failure::kHttp5xx;
  if (status >= 400) return Failure::kHttp4xx;
  return Failure::kBadAnswer;
}

void fail(Sample& sample, Failure failure, std::string_view said) {
  sample.failure = failure;
  sample.said = one_line(said);
}

// "data":[{"id":...
Result<std::string> first_id(std::string_view body) {
  const Error none = make_error(Code::kNotFound, "the server lists no model at /models; name one with --model");
  const api::ApiResult<json::value> parsed = api::parse_strict_json(body);
  const json::object* const root = parsed.has_value() ? parsed->if_object() : nullptr;
  const json::value* const data = root == nullptr ? nullptr : root->if_contains("data");
  const json::array* const models = data == nullptr ? nullptr : data->if_array();
  const json::object* const first = models == nullptr || models->empty() ? nullptr : models->front().if_object();
  const json::value* const id = first == nullptr ? nullptr : first->if_contains("id");
  const json::string* const name = id == nullptr ? nullptr : id->if_string();
  if (name == nullptr || name->empty()) return none;
  return std::string(name->data(), name->size());
}

}  // namespace

// The end of the time that a request has: cancels it, and remembers that it was this.
struct LoadRunner::Deadline {
  Deadline(asio::io_context& io, std::chrono::milliseconds after, const std::shared_ptr<http::Canceller>& canceller)
      : timer(io, after) {
    timer.async_wait([canceller, passed = passed](const boost::system::error_code& ec) {
      if (ec) return;
      *passed = true;
      canceller->cancel();
    });
  }
  // Which failure an error is, of a request that had come so far.
  [[nodiscard]] Failure failure_of(const Error& error, Failure otherwise) const {
    return *passed || error.code == Code::kDeadlineExceeded ? Failure::kTimeout : otherwise;
  }

  std::shared_ptr<bool> passed = std::make_shared<bool>(false);
  asio::steady_timer timer;
};

LoadRunner::LoadRunner(asio::io_context& io, const Clock& clock, LoadOptions options, Prompts prompts)
    : io_(io),
      clock_(clock),
      options_(std::move(options)),
      prompts_(std::move(prompts)),
      client_(io),
      ended_(io),
      due_(io) {}

LoadRunner::~LoadRunner() {
  CHECK(tasks_ == 0);
}

void LoadRunner::begin(Step step) {
  measured_ = {};
  measured_.step = step;
  started_ = 0;
  failed_ = 0;
  start_ = clock_.now();
}

Measured LoadRunner::finish() {
  measured_.duration_s = now_s();
  return std::exchange(measured_, {});
}

double LoadRunner::now_s() const {
  return std::chrono::duration<double>(clock_.now() - start_).count();
}

Progress LoadRunner::progress() const {
  return {started_, static_cast<std::int64_t>(measured_.samples.size()), failed_, now_s()};
}

void LoadRunner::stop() {
  stopped_ = true;
  // A copy: what ends is taken out.
  const auto on_their_way = on_their_way_;
  for (const auto& [number, canceller] : on_their_way) canceller->cancel();
  due_.cancel();
  ended_.cancel();
}

void LoadRunner::spawn(Task<void> task) {
  ++tasks_;
  asio::co_spawn(io_, std::move(task), [this](const std::exception_ptr& failure) {
    CHECK(failure == nullptr);
    --tasks_;
    ended_.cancel();
  });
}

Task<void> LoadRunner::wait_for_one_to_end() {
  ended_.expires_at(asio::steady_timer::time_point::max());
  [[maybe_unused]] const auto [ec] = co_await ended_.async_wait(kTuple);
}

Task<void> LoadRunner::pause(std::chrono::nanoseconds time) {
  asio::steady_timer timer(io_, time);
  [[maybe_unused]] const auto [ec] = co_await timer.async_wait(kTuple);
}

http::ClientRequest LoadRunner::request_to(std::string method, std::string_view path) const {
  http::ClientRequest request;
  request.method = std::move(method);
  request.target = options_.endpoint.base + std::string(path);
  request.headers.set("host", options_.endpoint.host);
  if (!options_.key.empty()) request.headers.set("authorization", "Bearer " + options_.key);
  request.connect_deadline = std::min<std::chrono::milliseconds>(kConnectDeadline, options_.timeout);
  request.header_deadline = options_.timeout;
  request.read_deadline = options_.timeout;
  request.max_body_bytes = kMostRefusalBytes;
  return request;
}

std::string LoadRunner::body_of(const Due& due, std::int64_t number) const {
  api::GenerationRequest request;
  request.kind = options_.dialect;
  request.model = options_.model;
  request.stream = true;
  request.stream_options.include_usage = true;
  request.sampling.max_tokens = due.output_tokens > 0 ? due.output_tokens : options_.output_tokens;
  request.sampling.ignore_eos = options_.ignore_eos;
  std::string prompt = prompts_.text(number, due.input_tokens > 0 ? due.input_tokens : options_.input_tokens);
  if (request.kind == api::GenerationRequest::Kind::kCompletion) {
    request.prompt = std::move(prompt);
  } else {
    api::Message message;
    message.role = "user";
    message.content = std::move(prompt);
    request.messages.push_back(std::move(message));
  }
  return api::to_json(request);
}

Task<Result<std::string>> LoadRunner::first_model() {
  http::ClientRequest request = request_to("GET", "/models");
  const auto canceller = std::make_shared<http::Canceller>();
  request.canceller = canceller;
  const Deadline deadline(io_, options_.timeout, canceller);
  const std::int64_t number = next_number_++;
  on_their_way_[number] = canceller;
  http::Address address = options_.endpoint.address;
  const Result<std::unique_ptr<http::ClientResponse>> response =
      co_await client_.send(std::move(address), std::move(request));
  if (!response.has_value()) {
    on_their_way_.erase(number);
    co_return response.error();
  }
  const Result<std::string> body = co_await (*response)->read_all();
  on_their_way_.erase(number);
  if (!body.has_value()) co_return body.error();
  const int status = (*response)->status();
  if (status != 200) {
    co_return make_error(Code::kInternal, fmt::format("{}{}/models: {}", options_.endpoint.host, options_.endpoint.base,
                                                      words_of(status, *body)));
  }
  co_return first_id(*body);
}

Task<void> LoadRunner::read_answer(http::ClientResponse& response, const Deadline& deadline, Asked& asked) {
  Sample& sample = asked.sample;
  if (response.status() != 200) {
    const Result<std::string> body = co_await response.read_all();
    fail(sample, failure_of(response.status()), words_of(response.status(), body.value_or("")));
    co_return;
  }
  AnswerReader reader;
  while (true) {
    const Result<std::optional<std::string>> piece = co_await response.read_some();
    if (!piece.has_value()) {
      fail(sample, deadline.failure_of(piece.error(), Failure::kBrokenStream), piece.error().message);
      co_return;
    }
    if (!piece->has_value()) break;
    reader.push(**piece, now_s());
  }
  if (reader.failure().has_value()) {
    fail(sample, Failure::kBrokenStream, *reader.failure());
  } else if (!reader.has_answer()) {
    fail(sample, Failure::kBadAnswer, "no event stream with text or a finish_reason in it");
  } else if (!reader.is_whole()) {
    fail(sample, Failure::kBrokenStream, "the stream ended without [DONE] or a finish_reason");
  }
  sample.first_s = reader.first_s();
  sample.last_s = reader.last_s();
  // A usage of zeros beside text is one that nobody counted.
  sample.is_usage = reader.usage().has_value() && (reader.usage()->completion_tokens > 0 || reader.pieces() == 0);
  sample.output_tokens = sample.is_usage ? reader.usage()->completion_tokens : reader.pieces();
  sample.input_tokens = reader.usage().has_value() ? reader.usage()->prompt_tokens : 0;
  asked.gaps_s = reader.gaps_s();
}

Task<LoadRunner::Asked> LoadRunner::perform(Due due) {
  Asked asked;
  const std::int64_t number = next_number_++;
  asked.sample.due_s = due.at_s;
  asked.sample.sent_s = now_s();
  http::ClientRequest request = request_to(
      "POST", options_.dialect == api::GenerationRequest::Kind::kChat ? "/chat/completions" : "/completions");
  request.headers.set("content-type", "application/json");
  request.body = body_of(due, number);
  const auto canceller = std::make_shared<http::Canceller>();
  request.canceller = canceller;
  const Deadline deadline(io_, options_.timeout, canceller);
  on_their_way_[number] = canceller;
  http::Address address = options_.endpoint.address;
  const Result<std::unique_ptr<http::ClientResponse>> response =
      co_await client_.send(std::move(address), std::move(request));
  if (response.has_value()) {
    co_await read_answer(**response, deadline, asked);
  } else {
    fail(asked.sample, deadline.failure_of(response.error(), Failure::kConnect), response.error().message);
  }
  on_their_way_.erase(number);
  asked.sample.end_s = now_s();
  asked.is_cut = stopped_ && asked.sample.failure.has_value();
  co_return asked;
}

Task<bool> LoadRunner::perform_and_keep(Due due) {
  ++started_;
  Asked asked = co_await perform(due);
  const bool is_good = !asked.sample.failure.has_value();
  if (asked.is_cut) co_return false;
  for (const double gap_s : asked.gaps_s) {
    if (is_good) measured_.gaps.add(gap_s);
  }
  if (!is_good) ++failed_;
  measured_.samples.push_back(std::move(asked.sample));
  co_return is_good;
}

Task<void> LoadRunner::call_once(Due due) {
  [[maybe_unused]] const bool is_good = co_await perform_and_keep(due);
}

bool LoadRunner::has_more(const Extent& extent) const {
  if (stopped_ || started_ >= kMostRequests) return false;
  if (extent.requests > 0 && started_ >= extent.requests) return false;
  return extent.duration_s <= 0 || now_s() < extent.duration_s;
}

Task<void> LoadRunner::call_again_and_again(Extent extent) {
  while (has_more(extent)) {
    const Due due{.at_s = now_s()};
    const bool is_good = co_await perform_and_keep(due);
    if (!is_good && has_more(extent)) co_await pause(kPauseAfterFailure);
  }
}

Task<Status> LoadRunner::warm_up(std::int64_t requests) {
  start_ = clock_.now();
  for (std::int64_t i = 0; i < requests && !stopped_; ++i) {
    const Due due{.at_s = now_s()};
    const Asked asked = co_await perform(due);
    if (asked.is_cut || !asked.sample.failure.has_value()) continue;
    const Failure failure = *asked.sample.failure;
    co_return make_error(failure == Failure::kConnect ? Code::kUnavailable : Code::kInternal,
                         fmt::format("warm-up: {} ({})", asked.sample.said, to_string(failure)));
  }
  co_return Status();
}

Task<Measured> LoadRunner::run_closed(std::int64_t concurrency, Extent extent) {
  begin({.kind = Step::Kind::kClosed, .concurrency = concurrency});
  for (std::int64_t i = 0; i < concurrency; ++i) spawn(call_again_and_again(extent));
  while (tasks_ > 0) co_await wait_for_one_to_end();
  co_return finish();
}

Task<Measured> LoadRunner::run_open(Step step, std::vector<Due> schedule, double lasts_s) {
  begin(step);
  for (const Due& due : schedule) {
    while (!stopped_ && now_s() < due.at_s) {
      const std::chrono::duration<double> left(due.at_s - now_s());
      due_.expires_after(std::chrono::ceil<std::chrono::microseconds>(left));
      [[maybe_unused]] const auto [ec] = co_await due_.async_wait(kTuple);
    }
    while (!stopped_ && tasks_ >= options_.max_outstanding) co_await wait_for_one_to_end();
    if (stopped_) break;
    spawn(call_once(due));
  }
  while (tasks_ > 0) co_await wait_for_one_to_end();
  Measured out = finish();
  if (!stopped_) out.duration_s = std::max(out.duration_s, lasts_s);
  co_return out;
}

Task<Result<Measured>> LoadRunner::run_cold(std::int64_t requests, std::function<Task<Status>()> prepare) {
  begin({.kind = Step::Kind::kCold});
  for (std::int64_t i = 0; i < requests && !stopped_; ++i) {
    const Status prepared = co_await prepare();
    if (!prepared.has_value()) co_return prepared.error();
    if (stopped_) break;
    const Due due{.at_s = now_s()};
    [[maybe_unused]] const bool is_good = co_await perform_and_keep(due);
  }
  Measured out = finish();
  // Going to sleep is not the requests' time, and would be in every rate.
  out.duration_s = 0;
  for (const Sample& sample : out.samples) out.duration_s += sample.e2e_s();
  co_return out;
}

}  // namespace dormouse::loadtest
