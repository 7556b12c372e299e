// What deciding costs: a request let in and settled, and one refused, of one key and of one of 10,000; with every kind
// of limit at once. The decision alone: what an HTTP answer costs beside it is bench/rejections.py's to measure.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "gateway/limits/limiter.h"
#include "gateway/limits/refusals.h"

namespace dormouse::gateway {
namespace {

KeyLimits everything(std::int64_t requests) {
  KeyLimits out;
  out.requests_per_minute = requests;
  out.tokens_per_minute = Bucket::kMostPerMinute;
  out.concurrency = 1'000;
  out.budget_micros = INT64_MAX / 4;
  out.budget_currency = "CNY";
  return out;
}

LimiterOptions priced() {
  LimiterOptions out;
  out.most_it_can_cost = [](const std::string&, const TokenWish& wish) {
    return Money{wish.prompt + wish.answer, "CNY"};
  };
  return out;
}

std::vector<std::string> keys(std::int64_t count) {
  std::vector<std::string> out;
  for (std::int64_t i = 0; i < count; ++i) out.push_back("key-" + std::to_string(1'000'000 + i));
  return out;
}

void admit_and_settle(benchmark::State& state) {
  const SystemClock clock;
  Limiter limiter(clock, priced());
  const KeyLimits limits = everything(Bucket::kMostPerMinute);
  const std::vector<std::string> names = keys(state.range(0));
  const std::string deployment = "chat";
  std::size_t next = 0;
  for (auto _ : state) {
    Admission admission;
    TokenWish wish;
    wish.prompt = 600;
    wish.answer = 100;
    auto refused = limiter.begin(admission, names[next], limits);
    if (!refused.has_value()) refused = limiter.reserve(admission, deployment, limits, wish);
    if (refused.has_value()) state.SkipWithError("refused");
    admission.settle(100, 100);
    next = next + 1 == names.size() ? 0 : next + 1;
  }
}
BENCHMARK(admit_and_settle)->Arg(1)->Arg(10'000);

void refuse(benchmark::State& state) {
  const SystemClock clock;
  Limiter limiter(clock, priced());
  RefusalCounts counts;
  const KeyLimits limits = everything(1);
  const std::vector<std::string> names = keys(state.range(0));
  for (const std::string& name : names) {
    Admission admission;
    if (limiter.begin(admission, name, limits).has_value()) state.SkipWithError("refused too early");
  }
  std::size_t next = 0;
  std::int64_t passed = 0;
  for (auto _ : state) {
    Admission admission;
    const auto refused = limiter.begin(admission, names[next], limits);
    passed += refused.has_value() ? 0 : 1;
    if (refused.has_value()) counts.count(clock.wall(), names[next], "", "rate_limit_requests");
    next = next + 1 == names.size() ? 0 : next + 1;
  }
  state.counters["passed"] = static_cast<double>(passed);  // one a key and minute
}
BENCHMARK(refuse)->Arg(1)->Arg(10'000);

}  // namespace
}  // namespace dormouse::gateway

BENCHMARK_MAIN();
