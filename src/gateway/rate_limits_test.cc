// Goal: what a caller sees of limits: statuses, codes, headers, to the letter. Method: the pipeline with a handler that
// waits, exchanges that keep the answer, ManualClock; no sockets (tests/e2e/limits_test.cc has them).
#include <gtest/gtest.h>

#include <deque>

#include "api/generation.h"
#include "gateway/admit.h"
#include "gateway/held_stream.h"
#include "gateway/limits/keeper.h"
#include "gateway/middleware/middleware.h"
#include "gateway/rate_headers.h"
#include "gateway/still_exchange.h"

namespace dormouse::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(RateHeaders, DurationsAreGosAndNeverTooShort) {
  for (const auto& [duration, text] :
       std::vector<std::pair<Nanoseconds, const char*>>{{Nanoseconds(0), "0s"},
                                                        {Nanoseconds(1), "1ms"},
                                                        {milliseconds(12), "12ms"},
                                                        {seconds(1), "1s"},
                                                        {milliseconds(1'500), "1.5s"},
                                                        {milliseconds(8'640), "8.64s"},
                                                        {milliseconds(59'999) + Nanoseconds(1), "1m0s"},
                                                        {minutes(6), "6m0s"},
                                                        {milliseconds(90'250), "1m30.25s"},
                                                        {minutes(61) + seconds(1), "1h1m1s"}}) {
    EXPECT_EQ(go_duration(duration), text);
  }
}

TEST(RateHeaders, JitterIsUpwardsByAFifthAtMostAndObeyed) {
  Nanoseconds least = seconds(100);
  Nanoseconds most{0};
  for (int i = 0; i < 2'000; ++i) {
    const std::string id = "request" + std::to_string(i);
    const Nanoseconds wait = with_jitter(seconds(10), id);
    least = std::min(least, wait);
    most = std::max(most, wait);
    EXPECT_LE(with_jitter(seconds(59), id), seconds(60));
    EXPECT_GE(with_jitter(seconds(59), id), seconds(59));
    EXPECT_GE(with_jitter(seconds(90), id), seconds(90));
  }
  EXPECT_GE(least, seconds(10));
  EXPECT_LT(least, milliseconds(10'200));
  EXPECT_LE(most, seconds(12));
  EXPECT_GT(most, milliseconds(11'800));
}

TEST(MostItCanCost, IsAWholeInstanceUntilTheDeadlineAtTheDearerPrice) {
  Deployments book;
  Deployment chat;
  chat.name = "chat";
  book.put(chat);
  EXPECT_FALSE(most_it_can_cost(book, "chat", minutes(10)).has_value()) << "no price";
  EXPECT_FALSE(most_it_can_cost(book, "other", minutes(10)).has_value());
  constexpr std::int64_t kHourNs = 3'600'000'000'000;
  chat.pricing.price = fleet::InstancePrice{1, {1'800'000, kHourNs, "CNY"}};
  book.put(chat);
  EXPECT_EQ(most_it_can_cost(book, "chat", minutes(10)), (Money{300'001, "CNY"}));
  chat.pricing.base_price = fleet::InstancePrice{2, {3'600'000, kHourNs, "CNY"}};
  book.put(chat);
  EXPECT_EQ(most_it_can_cost(book, "chat", minutes(10)), (Money{600'001, "CNY"}));
  EXPECT_EQ(most_it_can_cost(book, "chat", Nanoseconds(-1)), (Money{1, "CNY"}));
}

class KeptExchange final : public StillExchange {
 public:
  KeptExchange(std::string method, std::string path) : StillExchange(of_the_socket(std::move(method), path), "api") {}
  Task<Status> send(http::Response response) override {
    answer = std::move(response);
    co_return Status();
  }
  Task<Status> start_stream(int status, http::Headers headers) override {
    answer.status = status;
    answer.headers = std::move(headers);
    co_return Status();
  }
  bool started() const override { return answer.status != 0 && answer.headers.find("content-type").has_value(); }
  std::string header(std::string_view name) const { return std::string(answer.headers.find(name).value_or("-")); }

  http::Response answer{.status = 0, .headers = {}, .body = {}};

 private:
  static http::Request of_the_socket(std::string method, const std::string& path) {
    http::Request out;
    out.method = std::move(method);
    out.path = path;
    out.peer = "unix";
    return out;
  }
};

class RateLimitsTest : public ::testing::Test {
 protected:
  RateLimitsTest() {
    std::vector<std::unique_ptr<Middleware>> order;
    order.push_back(make_request_id(clock));
    order.push_back(make_refusal_count(clock, keeper.refusals()));
    order.push_back(make_error_boundary());
    order.push_back(make_rate_limits(keeper.limiter()));
    pipeline = std::make_unique<Pipeline>(std::move(order));
    chat.name = "chat";
    route.handler = [this](Call& call) { return answer(call); };
    look.handler = [](Call& call) { return reply_json(call, 200, "{}"); };
  }

  // What the gateway's handlers do: admit, then answer when the test says so.
  Task<void> answer(Call& call) {
    api::GenerationRequest request = wanted;
    const auto refused = admit_request(keeper.limiter(), call, chat, request);
    if (refused.has_value()) {
      co_await reply_error(call, *refused);
      co_return;
    }
    ++passed;
    granted = request.sampling.max_tokens;
    if (hold) [[maybe_unused]]
      const auto ec = co_await gate.async_wait(kTuple);
    call.admission.settle(used, 0);
    if (request.stream) {
      [[maybe_unused]] const Status begun = co_await begin_stream(call, StreamForm{}.content_type);
      co_return;
    }
    co_await reply_json(call, 200, "{}");
  }

  Task<void> run(KeptExchange& exchange, const Route& r) {
    Call call(exchange);
    call.route = &r;
    call.caller = caller;
    co_await pipeline->run(call);
  }
  void start(KeptExchange& exchange) { asio::co_spawn(io, run(exchange, route), asio::detached); }
  KeptExchange post() {
    KeptExchange exchange("POST", "/generate");
    start(exchange);
    io.restart();
    io.run();
    return exchange;
  }
  void limit(KeyLimits limits) {
    auto made = std::make_shared<Caller>();
    made->key_id = "k1";
    made->limits = std::move(limits);
    caller = std::move(made);
  }

  asio::io_context io;
  ManualClock clock;
  LimitKeeper keeper{io, clock, {}};
  std::unique_ptr<Pipeline> pipeline;
  Route route{"POST", "/generate", Access::kInference, {}};
  Route look{"GET", "/v1/models", Access::kInference, {}};
  Deployment chat;
  CallerPtr caller;
  api::GenerationRequest wanted;
  asio::steady_timer gate{io, std::chrono::hours(1)};
  bool hold = false;
  std::int64_t used = 0;
  int passed = 0;
  std::optional<std::int64_t> granted;
};

TEST_F(RateLimitsTest, TenThousandAtOnceAgainstAHundredLetExactlyAHundredThrough) {
  KeyLimits limits;
  limits.requests_per_minute = 100;
  limit(limits);
  hold = true;
  std::deque<KeptExchange> all;
  for (int i = 0; i < 10'000; ++i) start(all.emplace_back("POST", "/generate"));
  io.poll();
  EXPECT_EQ(passed, 100) << "while none has ended";
  gate.cancel();
  io.run();
  int answered = 0;
  int refused = 0;
  for (const KeptExchange& exchange : all) {
    answered += exchange.answer.status == 200 ? 1 : 0;
    if (exchange.answer.status != 429) continue;
    ++refused;
    ASSERT_EQ(exchange.header("retry-after"), "1");
    ASSERT_EQ(exchange.header("x-ratelimit-remaining-requests"), "0");
    ASSERT_EQ(exchange.header("x-should-retry"), "-");
    ASSERT_NE(exchange.answer.body.find("rate_limit_requests"), std::string::npos);
  }
  EXPECT_EQ(answered, 100);
  EXPECT_EQ(refused, 9'900);
  const std::vector<RefusalCount> counts = keeper.refusals().take_all();
  ASSERT_EQ(counts.size(), 1U);
  EXPECT_EQ(counts[0].requests, 9'900);
  EXPECT_EQ(counts[0].key_id, "k1");
  EXPECT_EQ(counts[0].reason, "rate_limit_requests");
}

TEST_F(RateLimitsTest, EveryAnswerSaysHowThingsStand) {
  KeyLimits limits;
  limits.requests_per_minute = 60;
  limits.tokens_per_minute = 10'000;
  limit(limits);
  wanted.prompt = std::string(88, 'x');  // with the template's allowance: 600 tokens at most
  wanted.sampling.max_tokens = 400;
  used = 150;
  const KeptExchange whole = post();
  ASSERT_EQ(whole.answer.status, 200);
  EXPECT_EQ(whole.header("x-ratelimit-limit-requests"), "60");
  EXPECT_EQ(whole.header("x-ratelimit-remaining-requests"), "59");
  EXPECT_EQ(whole.header("x-ratelimit-reset-requests"), "1s");
  EXPECT_EQ(whole.header("x-ratelimit-limit-tokens"), "10000");
  EXPECT_EQ(whole.header("x-ratelimit-remaining-tokens"), "9850");
  EXPECT_EQ(whole.header("x-ratelimit-reset-tokens"), "900ms");
  EXPECT_EQ(whole.header("retry-after"), "-");
  wanted.stream = true;
  const KeptExchange stream = post();
  EXPECT_EQ(stream.header("content-type"), "text/event-stream");
  EXPECT_EQ(stream.header("x-ratelimit-remaining-requests"), "58");
  EXPECT_EQ(stream.header("x-ratelimit-remaining-tokens"), "9700");
  KeptExchange models("GET", "/v1/models");
  asio::co_spawn(io, run(models, look), asio::detached);
  io.restart();
  io.run();
  EXPECT_EQ(models.header("x-ratelimit-remaining-requests"), "58") << "looking costs nothing";
  caller = nullptr;
  EXPECT_EQ(post().header("x-ratelimit-limit-requests"), "-") << "nobody's limit is not shown";
}

TEST_F(RateLimitsTest, ADeploymentsLimitHoldsForEverybodyTogether) {
  ASSERT_TRUE(catalog::set_rule(chat.rules, "requests_per_minute", catalog::FieldValue(std::int64_t{2})).has_value());
  KeyLimits limits;
  limits.requests_per_minute = 60;
  limit(limits);
  EXPECT_EQ(post().header("x-ratelimit-limit-requests"), "2") << "the tighter of the two";
  caller = nullptr;
  EXPECT_EQ(post().answer.status, 200);
  limit(limits);
  const KeptExchange refused = post();
  EXPECT_EQ(refused.answer.status, 429);
  EXPECT_NE(refused.answer.body.find("for this model: the limit is 2 a minute"), std::string::npos);
  const int after = 30;
  EXPECT_GE(std::stoi(refused.header("retry-after")), after);
  EXPECT_LE(std::stoi(refused.header("retry-after")), after * 6 / 5);
  EXPECT_GE(std::stoi(refused.header("retry-after-ms")), after * 1'000);
  EXPECT_EQ(keeper.limiter().view(Holder::kKey, "k1")->requests_left, 59) << "a refusal takes nothing from the key";
}

TEST_F(RateLimitsTest, TokensThatCanNeverFitAreABadRequest) {
  KeyLimits limits;
  limits.tokens_per_minute = 1'000;
  limit(limits);
  wanted.prompt = std::string(88, 'x');
  wanted.sampling.max_tokens = 401;
  const KeptExchange never = post();
  EXPECT_EQ(never.answer.status, 400);
  EXPECT_NE(never.answer.body.find(R"("param":"max_tokens","code":"invalid_value")"), std::string::npos);
  EXPECT_NE(never.answer.body.find("max_tokens of 400 at most"), std::string::npos) << never.answer.body;
  EXPECT_EQ(never.header("x-should-retry"), "false");
  EXPECT_EQ(never.header("retry-after"), "-");
  wanted.sampling.max_tokens = 400;
  used = 1'000;
  EXPECT_EQ(post().answer.status, 200);
  const KeptExchange wait = post();
  EXPECT_EQ(wait.answer.status, 429);
  EXPECT_NE(wait.answer.body.find("rate_limit_tokens"), std::string::npos);
  EXPECT_EQ(wait.header("retry-after"), "60") << "not more: an SDK ignores it";
  EXPECT_EQ(wait.header("x-ratelimit-remaining-tokens"), "0");
  EXPECT_EQ(wait.header("x-ratelimit-reset-tokens"), "1m0s");
  wanted.prompt = std::string(600, 'x');
  EXPECT_EQ(post().answer.status, 400) << "the prompt alone";
}

TEST_F(RateLimitsTest, AnAnswerWithoutABoundGetsOneFromTheLimit) {
  post();
  EXPECT_FALSE(granted.has_value()) << "no limit, no bound";
  KeyLimits limits;
  limits.tokens_per_minute = 10'000;
  limit(limits);
  wanted.prompt = std::string(88, 'x');
  EXPECT_EQ(post().answer.status, 200);
  EXPECT_EQ(granted, 9'400);
  limits.tokens_per_minute = 100'000;
  limit(limits);
  wanted.sampling.max_tokens = INT64_MAX;
  EXPECT_EQ(post().answer.status, 200) << "giant, and legal: the context bounds it (T-48)";
}

TEST_F(RateLimitsTest, ConcurrencyIsToldToComeBackInASecond) {
  KeyLimits limits;
  limits.concurrency = 1;
  limit(limits);
  hold = true;
  KeptExchange first("POST", "/generate");
  start(first);
  io.poll();
  ASSERT_EQ(passed, 1);
  KeptExchange second("POST", "/generate");
  start(second);
  io.poll();
  EXPECT_EQ(second.answer.status, 429);
  EXPECT_EQ(second.header("retry-after"), "1");
  EXPECT_NE(second.answer.body.find("rate_limit_concurrency"), std::string::npos);
  gate.cancel();
  io.run();
  EXPECT_EQ(first.answer.status, 200);
  hold = false;
  EXPECT_EQ(post().answer.status, 200);
}

TEST_F(RateLimitsTest, AnEmptyBudgetSaysThatWaitingIsNoUse) {
  keeper.limiter().add_spent(Holder::kKey, "k1", BudgetPeriod::kMonth, 5'000'000);
  KeyLimits limits;
  limits.budget_micros = 5'000'000;
  limits.budget_currency = "CNY";
  limit(limits);
  const KeptExchange refused = post();
  EXPECT_EQ(refused.answer.status, 429);
  EXPECT_NE(refused.answer.body.find(R"("type":"insufficient_quota","param":null,"code":"insufficient_quota")"),
            std::string::npos);
  EXPECT_EQ(refused.header("x-should-retry"), "false");
  EXPECT_EQ(refused.header("retry-after"), "-");
  EXPECT_EQ(refused.header("retry-after-ms"), "-");
}

}  // namespace
}  // namespace dormouse::gateway
