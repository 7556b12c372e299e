// Goal: what a load test says of a server is what the server did: a stall shows in every request that was due
// meanwhile, each failure has its kind, and nothing is left running. Method: a real server in a thread of its own,
// which does what the first part of the path says; its times are lower bounds, so a slow machine can only make them
// longer.
#include "loadtest/runner.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "http/server.h"

namespace dormouse::loadtest {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kStallTokens = 777;  // a request that asks for so many stalls /queue
constexpr auto kService = 10ms;
constexpr auto kStall = 1'000ms;

std::string word(std::string_view text) {
  return R"(data: {"choices":[{"index":0,"delta":{"content":")" + std::string(text) + "\"}}]}\n\n";
}
constexpr std::string_view kUsage =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n";
constexpr std::string_view kDone = "data: [DONE]\n\n";

http::Response plain(int status, std::string body) {
  http::Response response;
  response.status = status;
  response.headers.set("content-type", "application/json");
  response.body = std::move(body);
  return response;
}

Task<void> stream(http::Exchange& exchange, std::vector<std::string> pieces, bool breaks_off) {
  Status status = co_await exchange.start_stream(200, {});
  for (std::string& piece : pieces) {
    if (status.has_value()) status = co_await exchange.write(std::move(piece));
  }
  if (breaks_off) co_return exchange.abort();
  if (status.has_value()) status = co_await exchange.finish();
}

class FakeServer {
 public:
  FakeServer() {
    std::string pattern = "/tmp/dormouse-load-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    server_ = std::make_unique<http::Server>(
        io_, http::ServerLimits{}, [this](http::Exchange& exchange) { return handle(exchange); },
        [](int, std::string_view code) { return http::ErrorAnswer("{\"error\":\"" + std::string(code) + "\"}"); });
    address_ = server_->listen(http::Address::parse("unix:" + directory_ + "/s").value(), "test").value();
    thread_ = std::thread([this] {
      const auto guard = asio::make_work_guard(io_);
      io_.run();
    });
  }
  ~FakeServer() {
    std::promise<void> drained;
    asio::co_spawn(io_, server_->drain(100ms), [&drained](std::exception_ptr) { drained.set_value(); });
    drained.get_future().wait();
    asio::post(io_, [this] { server_.reset(); });
    io_.stop();
    thread_.join();
    server_.reset();
    ::rmdir(directory_.c_str());
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  [[nodiscard]] LoadOptions options(std::string behaviour) const {
    LoadOptions out;
    out.endpoint = {address_, "test", "/" + std::move(behaviour)};
    out.model = "m";
    out.input_tokens = 8;
    out.timeout = 30s;
    return out;
  }
  std::string last_request() {
    const std::lock_guard lock(mutex_);
    return last_;
  }
  std::atomic<int> most_at_once{0};
  std::atomic<int> stalls_in{0};  // the so-manyth request from now stalls too

 private:
  // One request at a time, in the order they come, each kService long; a stall is one that takes kStall more.
  Task<void> queue(http::Exchange& exchange) {
    const bool is_asked = exchange.request().body.find(std::to_string(kStallTokens)) != std::string::npos;
    const bool stalls = --stalls_in == 0 || is_asked;
    free_at_ = std::max(free_at_, asio::steady_timer::clock_type::now()) + kService +
               (stalls ? kStall : std::chrono::milliseconds(0));
    asio::steady_timer timer(io_, free_at_);
    most_at_once = std::max(most_at_once.load(), ++waiting_);
    [[maybe_unused]] const auto [ec] = co_await timer.async_wait(kTuple);
    --waiting_;
    std::vector<std::string> pieces{word("a") + std::string(kUsage) + std::string(kDone)};
    co_await stream(exchange, std::move(pieces), false);
  }

  Task<void> silence(http::Exchange& exchange) {
    asio::steady_timer timer(io_, asio::steady_timer::time_point::max());
    std::function<void()> wake = [&timer] { timer.cancel(); };
    exchange.on_client_gone(std::move(wake));
    [[maybe_unused]] const auto [ec] = co_await timer.async_wait(kTuple);
  }

  Task<void> handle(http::Exchange& exchange) {
    const http::Request& request = exchange.request();
    const std::string way = request.path.substr(1, request.path.find('/', 1) - 1);
    {
      const std::lock_guard lock(mutex_);
      last_ = request.path + " " + std::string(request.headers.find("authorization").value_or("")) + " " + request.body;
    }
    if (way == "queue") {
      co_await queue(exchange);
    } else if (way == "silent") {
      co_await silence(exchange);
    } else if (request.path.ends_with("/models")) {
      http::Response models = plain(200, way == "none" ? R"({"data":[]})" : R"({"data":[{"id":"first"},{"id":"b"}]})");
      co_await exchange.send(std::move(models));
    } else if (way.size() == 3 && way[0] >= '2' && way[0] <= '5') {
      const int status = (way[0] - '0') * 100 + (way[1] - '0') * 10 + (way[2] - '0');
      http::Response refusal = plain(status, R"({"error":{"message":"so\nsays the server","type":"x"}})");
      co_await exchange.send(std::move(refusal));
    } else {
      std::vector<std::string> pieces = pieces_of(way);
      co_await stream(exchange, std::move(pieces), way == "broken");
    }
  }

  static std::vector<std::string> pieces_of(const std::string& way) {
    if (way == "ok") return {word("a"), word("b"), std::string(kUsage), std::string(kDone)};
    if (way == "no-usage") return {word("a"), word("b"), word("c"), std::string(kDone)};
    if (way == "cut") return {word("a"), word("b")};
    if (way == "empty") return {std::string(kUsage), std::string(kDone)};
    if (way == "ill") return {word("a"), "data: {\"error\":{\"message\":\"out of memory\"}}\n\n", std::string(kDone)};
    return {word("a")};  // broken
  }

  asio::io_context io_;
  std::unique_ptr<http::Server> server_;
  http::Address address_;
  std::string directory_;
  asio::steady_timer::time_point free_at_{};
  int waiting_ = 0;
  std::mutex mutex_;
  std::string last_;
  std::thread thread_;
};

template <typename T>
Task<void> keep(Task<T> task, std::optional<T>& out) {
  out.emplace(co_await std::move(task));
}

// A runner on a loop of its own, in the test's thread.
struct Load {
  explicit Load(LoadOptions options) : runner(io, clock, std::move(options), Prompts(1, Prompts::Beginning::kFresh)) {}
  template <typename T>
  T run(Task<T> task) {
    std::optional<T> out;
    asio::co_spawn(io, keep(std::move(task), out), asio::detached);
    io.restart();
    io.run();
    return *std::move(out);
  }
  asio::io_context io{1};
  SystemClock clock;
  LoadRunner runner;
};

std::vector<Due> schedule_with_a_stall(std::size_t stall_at, std::int64_t requests) {
  std::vector<Due> due = constant_arrivals(50, {.requests = requests});
  due[stall_at].output_tokens = kStallTokens;
  return due;
}

std::int64_t over_half_a_second(const std::vector<Sample>& samples, double Sample::*from) {
  return std::count_if(samples.begin(), samples.end(), [from](const Sample& s) { return s.end_s - s.*from > 0.5; });
}

// 50 requests a second, 10 ms each, one at a time; the 20th, due at 0.4 s, stalls for 1 s. Whoever is due k * 20 ms
// after it cannot be answered before the stall ends: it waits at least 1 s - k * 20 ms. So the 25 of k = 0..24 wait
// more than half a second (with their own queue, 10 ms each, it is 50), and of 150 requests the 99th percentile is the
// second largest, at least 0.98 s.
void expect_the_stall_in_all_that_were_due(const Measured& measured) {
  constexpr std::int64_t kStallAt = 20;
  ASSERT_EQ(measured.samples.size(), 150U);
  for (const Sample& sample : measured.samples) {
    ASSERT_FALSE(sample.failure.has_value()) << sample.said;
    const double k = std::round(sample.due_s * 50) - kStallAt;
    if (k >= 0 && k < 50) {
      EXPECT_GE(sample.e2e_s(), 1 - k * 0.02) << k;
      EXPECT_GE(sample.ttft_s(), 1 - k * 0.02) << k;
    }
  }
  EXPECT_GE(over_half_a_second(measured.samples, &Sample::due_s), 25);
  const StepResult result = summarize(measured, {}, {});
  EXPECT_GE(result.e2e_s->p99, 0.98);
  EXPECT_GE(result.ttft_s->p99, 0.98);
}

TEST(OpenLoop, AStallShowsInEveryRequestThatWasDueMeanwhile) {
  FakeServer server;
  Load load(server.options("queue"));
  const Measured measured =
      load.run(load.runner.run_open({.kind = Step::Kind::kConstant, .rate = 50}, schedule_with_a_stall(20, 150), 0));
  expect_the_stall_in_all_that_were_due(measured);
  EXPECT_GT(server.most_at_once, 10) << "it kept sending while the server stood still";
}

TEST(OpenLoop, WhoWaitsForAFreePlaceWaitsFromWhenItWasDue) {
  FakeServer server;
  LoadOptions options = server.options("queue");
  options.max_outstanding = 1;
  Load load(std::move(options));
  const Measured measured =
      load.run(load.runner.run_open({.kind = Step::Kind::kConstant, .rate = 50}, schedule_with_a_stall(20, 150), 0));
  expect_the_stall_in_all_that_were_due(measured);
  EXPECT_EQ(server.most_at_once, 1);
  // Counted from when it was sent, the stall would be one request's alone (a busy machine may add a few).
  EXPECT_GE(over_half_a_second(measured.samples, &Sample::sent_s), 1);
  EXPECT_LE(over_half_a_second(measured.samples, &Sample::sent_s), 5);
}

TEST(OpenLoop, LastsAsLongAsItIsSaid) {
  FakeServer server;
  Load load(server.options("ok"));
  const Step step{.kind = Step::Kind::kConstant, .rate = 100};
  const Measured few = load.run(load.runner.run_open(step, {{.at_s = 0}, {.at_s = 0.05}}, 60));
  EXPECT_EQ(few.samples.size(), 2U);
  EXPECT_EQ(few.duration_s, 60) << "in which nobody else came";
  const Measured late = load.run(load.runner.run_open(step, {{.at_s = 0}, {.at_s = 0.2}}, 0.1));
  EXPECT_GE(late.duration_s, 0.2);
}

TEST(ClosedLoop, OnlyTheRequestThatStallsSeesTheStall) {
  FakeServer server;
  server.stalls_in = 20;
  Load load(server.options("queue"));
  const Measured measured = load.run(load.runner.run_closed(1, {.requests = 60}));
  ASSERT_EQ(measured.samples.size(), 60U);
  EXPECT_GE(measured.samples[19].e2e_s(), 1.0);
  // A closed loop waits with the server; its p95 knows nothing of it (a busy machine may add a few).
  EXPECT_GE(over_half_a_second(measured.samples, &Sample::due_s), 1);
  EXPECT_LE(over_half_a_second(measured.samples, &Sample::due_s), 5);
  EXPECT_GE(measured.duration_s, 1.6) << "60 requests of 10 ms, one after the other, and the stall";
}

TEST(ClosedLoop, HasAsManyCallersAsItSaysAndEndsWhenItShould) {
  FakeServer server;
  Load load(server.options("queue"));
  const Measured counted = load.run(load.runner.run_closed(7, {.requests = 30}));
  EXPECT_EQ(counted.samples.size(), 30U);
  EXPECT_EQ(server.most_at_once, 7);
  const Measured timed = load.run(load.runner.run_closed(2, {.duration_s = 0.3}));
  EXPECT_GE(timed.duration_s, 0.3);
  // 10 ms each, one at a time: what was sent before the end of the time, and the last two on their way.
  EXPECT_LE(static_cast<double>(timed.samples.size()), timed.duration_s / 0.01 + 2);
  EXPECT_GE(timed.samples.size(), 2U);
}

TEST(Runner, CountsTokensByUsageElseByPieces) {
  FakeServer server;
  Load load(server.options("ok"));
  const Measured usage = load.run(load.runner.run_closed(1, {.requests = 3}));
  for (const Sample& sample : usage.samples) {
    EXPECT_TRUE(sample.is_usage);
    EXPECT_EQ(sample.output_tokens, 4);
    EXPECT_EQ(sample.input_tokens, 9);
  }
  EXPECT_TRUE(usage.gaps.percentiles().has_value());
  Load other(server.options("no-usage"));
  const Measured pieces = other.run(other.runner.run_closed(1, {.requests = 1}));
  EXPECT_FALSE(pieces.samples.at(0).is_usage);
  EXPECT_EQ(pieces.samples.at(0).output_tokens, 3);
  EXPECT_EQ(pieces.samples.at(0).input_tokens, 0);
}

TEST(Runner, AsksAsTheDialectWants) {
  FakeServer server;
  LoadOptions options = server.options("ok");
  options.key = "sk-test";
  options.output_tokens = 33;
  Load chat(options);
  chat.run(chat.runner.run_closed(1, {.requests = 1}));
  const std::string asked = server.last_request();
  for (const char* part : {"/ok/chat/completions", "Bearer sk-test", R"("model":"m")", R"("max_tokens":33)",
                           R"("stream":true)", R"("include_usage":true)", R"("role":"user")"}) {
    EXPECT_NE(asked.find(part), std::string::npos) << part << "\n" << asked;
  }
  EXPECT_EQ(asked.find("ignore_eos"), std::string::npos) << "only where it is asked for";
  options.dialect = api::GenerationRequest::Kind::kCompletion;
  options.ignore_eos = true;
  Load completion(options);
  completion.run(completion.runner.run_closed(1, {.requests = 1}));
  const std::string plain_request = server.last_request();
  for (const char* part : {"/ok/completions", R"("prompt":")", R"("ignore_eos":true)"}) {
    EXPECT_NE(plain_request.find(part), std::string::npos) << part << "\n" << plain_request;
  }
}

TEST(Runner, EachFailureHasItsKindAndNoLatency) {
  FakeServer server;
  struct Row {
    const char* way;
    Failure kind;
    const char* said;
  };
  for (const Row& row :
       {Row{"429", Failure::kHttp429, "so says the server"}, Row{"503", Failure::kHttp5xx, "HTTP 503"},
        Row{"404", Failure::kHttp4xx, "HTTP 404"}, Row{"204", Failure::kBadAnswer, "HTTP 204"},
        Row{"broken", Failure::kBrokenStream, "broke"}, Row{"cut", Failure::kBrokenStream, "[DONE]"},
        Row{"ill", Failure::kBrokenStream, "out of memory"}, Row{"empty", Failure::kBadAnswer, "finish_reason"},
        Row{"200", Failure::kBadAnswer, "no event stream"}}) {
    Load load(server.options(row.way));
    const Measured measured = load.run(load.runner.run_closed(1, {.requests = 2}));
    ASSERT_EQ(measured.samples.size(), 2U) << row.way;
    const StepResult result = summarize(measured, {}, {});
    EXPECT_EQ(result.failed, 2) << row.way;
    ASSERT_EQ(result.errors.size(), 1U) << row.way;
    EXPECT_EQ(to_string(result.errors.begin()->first), to_string(row.kind)) << row.way;
    EXPECT_NE(result.errors.begin()->second.said.find(row.said), std::string::npos)
        << row.way << ": " << result.errors.begin()->second.said;
    EXPECT_FALSE(result.ttft_s.has_value());
    EXPECT_FALSE(result.itl_s.has_value()) << row.way;
    EXPECT_EQ(result.output_tokens_per_s, 0);
  }
}

TEST(Runner, NobodyThereIsAConnectionFailure) {
  FakeServer server;
  LoadOptions options = server.options("ok");
  options.endpoint.address.path += "-not-there";
  Load load(std::move(options));
  const Measured measured = load.run(load.runner.run_closed(1, {.requests = 1}));
  EXPECT_EQ(measured.samples.at(0).failure, Failure::kConnect);
  const Status warm = load.run(load.runner.warm_up(1));
  ASSERT_FALSE(warm.has_value());
  EXPECT_EQ(warm.error().code, Code::kUnavailable);
  EXPECT_NE(warm.error().message.find("connect"), std::string::npos) << warm.error().message;
}

TEST(Runner, ARequestHasItsTimeAndNoMore) {
  FakeServer server;
  LoadOptions options = server.options("silent");
  options.timeout = 200ms;
  Load load(std::move(options));
  const Measured measured = load.run(load.runner.run_closed(2, {.requests = 2}));
  ASSERT_EQ(measured.samples.size(), 2U);
  for (const Sample& sample : measured.samples) {
    EXPECT_EQ(sample.failure, Failure::kTimeout);
    EXPECT_GE(sample.e2e_s(), 0.2);
  }
}

TEST(Runner, StoppedItEndsEverythingAndBlamesNobody) {
  FakeServer server;
  for (const bool is_open : {false, true}) {
    Load load(server.options("silent"));
    asio::steady_timer timer(load.io, 200ms);
    timer.async_wait([&load](const boost::system::error_code&) { load.runner.stop(); });
    Task<Measured> step = is_open ? load.runner.run_open({.kind = Step::Kind::kConstant, .rate = 50},
                                                         constant_arrivals(50, {.requests = 500'000}), 0)
                                  : load.runner.run_closed(4, {.duration_s = 1e6});
    const Measured measured = load.run(std::move(step));
    EXPECT_TRUE(measured.samples.empty());
    EXPECT_TRUE(load.runner.is_stopped());
    const Measured next = load.run(load.runner.run_closed(4, {.requests = 100}));
    EXPECT_EQ(load.runner.progress().started, 0) << "no other step begins";
    EXPECT_TRUE(next.samples.empty());
  }
}

TEST(Runner, FindsTheFirstModel) {
  FakeServer server;
  Load load(server.options("ok"));
  const Result<std::string> model = load.run(load.runner.first_model());
  ASSERT_TRUE(model.has_value()) << model.error().message;
  EXPECT_EQ(*model, "first");
  Load none(server.options("none"));
  const Result<std::string> nothing = none.run(none.runner.first_model());
  ASSERT_FALSE(nothing.has_value());
  EXPECT_NE(nothing.error().message.find("--model"), std::string::npos);
}

Task<Status> count_up(int& times, int fails_at) {
  if (++times == fails_at) co_return make_error(Code::kUnavailable, "cannot sleep");
  co_return Status();
}

TEST(Cold, PreparesEachRequestOutsideOfItsTime) {
  FakeServer server;
  Load load(server.options("ok"));
  int times = 0;
  const Result<Measured> cold = load.run(load.runner.run_cold(3, [&times] { return count_up(times, -1); }));
  ASSERT_TRUE(cold.has_value());
  EXPECT_EQ(times, 3);
  EXPECT_EQ(cold->samples.size(), 3U);
  double sum_s = 0;
  for (const Sample& sample : cold->samples) sum_s += sample.e2e_s();
  EXPECT_DOUBLE_EQ(cold->duration_s, sum_s);
  times = 0;
  const Result<Measured> refused = load.run(load.runner.run_cold(3, [&times] { return count_up(times, 2); }));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message, "cannot sleep");
}

}  // namespace
}  // namespace dormouse::loadtest
