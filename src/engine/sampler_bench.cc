// Time of one sample() at Qwen3's vocabulary. Limit named in sampler.h: 1 ms. Rows: normal logits with deviation 3,
// which is what a model's row looks like; and deviation 0.3, nearly flat, the worst for a nucleus.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>

#include "engine/sampler.h"

namespace dormouse::engine {
namespace {

constexpr std::int32_t kVocab = 151'936;

std::vector<float> row(float deviation) {
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> out(kVocab);
  for (float& x : out) x = normal(random);
  return out;
}

void run(benchmark::State& state, SamplingParams params, float deviation) {
  const std::vector<float> logits = row(deviation);
  Sampler sampler(kVocab, 151'669);
  std::vector<TokenId> generated;
  for (auto _ : state) {
    const Result<Sample> sample = sampler.sample(logits, params, {}, generated);
    if (!sample.has_value()) state.SkipWithError("refused");
    if (generated.size() < 1000) generated.push_back(sample->token);
  }
}

// From what a device gives of the row.
void run_top(benchmark::State& state, SamplingParams params) {
  const std::vector<float> logits = row(3.0F);
  std::vector<TopToken> top;
  for (TokenId id = 0; id < kVocab; ++id) top.push_back({.logit = logits[static_cast<std::size_t>(id)], .token = id});
  std::stable_sort(top.begin(), top.end(), [](const auto& a, const auto& b) { return a.logit > b.logit; });
  top.resize(kTopTokens);
  Sampler sampler(kVocab, 151'669);
  std::size_t generated = 0;
  for (auto _ : state) {
    if (!sampler.sample_top(top, params, generated++).has_value()) state.SkipWithError("refused");
  }
}

// Held to a grammar, inside a string of JSON: nearly everything is allowed.
void run_allowed(benchmark::State& state, SamplingParams params) {
  const std::vector<float> logits = row(3.0F);
  Sampler sampler(kVocab, 151'669);
  std::vector<std::uint64_t> allowed(kVocab / 64, ~std::uint64_t{0});
  for (std::size_t word = 0; word < allowed.size(); word += 3) allowed[word] ^= std::uint64_t{1} << (word % 64);
  for (auto _ : state) {
    if (!sampler.sample(logits, params, {}, {}, allowed).has_value()) state.SkipWithError("refused");
  }
}

SamplingParams full(float top_p) {
  SamplingParams out;
  out.temperature = 1;
  out.top_p = top_p;
  return out;
}
SamplingParams with_logprobs(SamplingParams params) {
  params.logprob_count = 20;
  params.presence_penalty = 1.5F;
  return params;
}

BENCHMARK_CAPTURE(run, greedy, SamplingParams{}, 3.0F)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run, recommended, recommended(SamplingMode::kThinking), 3.0F)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run_top, recommended, recommended(SamplingMode::kThinking))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run_allowed, recommended, recommended(SamplingMode::kThinking))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run, recommended_logprobs, with_logprobs(recommended(SamplingMode::kThinking)), 3.0F)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run, no_top_k, full(1.0F), 3.0F)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run, nucleus, full(0.95F), 3.0F)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run, nucleus_nearly_flat, full(0.95F), 0.3F)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace dormouse::engine

BENCHMARK_MAIN();
