// Goal: every sampling parameter does what its definition says, on any row, without touching the heap. Method: tables
// with hand-computed answers; supports and frequencies against a reference in double that sorts everything; a counted
// operator new. Random rows come from fixed seeds, so a bound that holds once holds always.
#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <numeric>
#include <random>
#include <set>

namespace {
std::atomic<long> allocations{0};
}  // namespace

// Not inlined: GCC would pair the free() inside with a new expression and warn.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(size); p != nullptr) return p;
  std::abort();
}
// std::stable_sort takes its buffer from this one; all that free() gives back must come from malloc().
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size);
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}

namespace dormouse::engine {
namespace {

SamplingParams plain(float temperature, std::uint64_t seed = 1) {
  SamplingParams out;
  out.temperature = temperature;
  out.seed = seed;
  return out;
}

TokenId draw(const std::vector<float>& logits, const SamplingParams& params, const std::vector<TokenId>& prompt = {},
             const std::vector<TokenId>& generated = {}) {
  Sampler sampler(static_cast<std::int32_t>(logits.size()), static_cast<std::int32_t>(logits.size()));
  const Result<Sample> sample = sampler.sample(logits, params, prompt, generated);
  EXPECT_TRUE(sample.has_value());
  return sample.has_value() ? sample->token : -1;
}

std::vector<float> random_row(std::size_t size, std::uint64_t seed, float deviation) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> out(size);
  for (float& x : out) x = normal(random);
  return out;
}

// The definition of a row's likeliest tokens, as a device gives them.
std::vector<TopToken> top_of(const std::vector<float>& row, std::int32_t ids) {
  std::vector<TopToken> out;
  for (TokenId id = 0; id < ids; ++id) out.push_back({.logit = row[static_cast<std::size_t>(id)], .token = id});
  std::stable_sort(out.begin(), out.end(), [](const TopToken& a, const TopToken& b) {
    if (std::isfinite(a.logit) != std::isfinite(b.logit)) return !std::isfinite(a.logit);
    return a.logit > b.logit;
  });
  out.resize(std::min<std::size_t>(out.size(), kTopTokens));
  return out;
}

// The definition, slowly: probabilities after temperature, top_k, top_p, min_p; 0 outside the support.
std::vector<double> reference(const std::vector<float>& logits, const SamplingParams& params) {
  const double max = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  std::vector<double> p(logits.size());
  for (std::size_t i = 0; i < p.size(); ++i) {
    p[i] = std::exp((static_cast<double>(logits[i]) - max) / static_cast<double>(params.temperature));
  }
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  std::size_t kept = order.size();
  if (params.top_k > 0) kept = std::min(kept, static_cast<std::size_t>(params.top_k));
  double total = 0;
  for (std::size_t i = 0; i < kept; ++i) total += p[order[i]];
  if (params.top_p < 1) {
    double mass = 0;
    std::size_t n = 0;
    while (n < kept && (n == 0 || mass < static_cast<double>(params.top_p) * total)) mass += p[order[n++]];
    kept = n;
  }
  while (kept > 1 && p[order[kept - 1]] < static_cast<double>(params.min_p)) --kept;
  std::vector<double> out(p.size(), 0.0);
  total = 0;
  for (std::size_t i = 0; i < kept; ++i) total += p[order[i]];
  for (std::size_t i = 0; i < kept; ++i) out[order[i]] = p[order[i]] / total;
  return out;
}

TEST(Sampler, TemperatureZeroTakesTheGreatestAndTheLowestIdAmongEquals) {
  EXPECT_EQ(draw({0.5F, 3.0F, -1.0F, 3.0F}, plain(0)), 1);
  std::vector<float> long_row(1000, -5.0F);
  long_row[999] = 2.0F;  // in the tail no lane covers
  EXPECT_EQ(draw(long_row, plain(0)), 999);
  long_row[17] = 2.0F;
  EXPECT_EQ(draw(long_row, plain(0)), 17);
  EXPECT_EQ(draw({-3.0F, -2.0F}, plain(1e-30F)), 1) << "a temperature too small to divide by is greedy";
}

TEST(Sampler, PaddingIdsAreNeverGivenEvenWhenTheyWouldWin) {
  Sampler sampler(8, 5);
  std::vector<float> row{0, 1, 2, 3, 4, 100, 100, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_EQ(sampler.sample(row, plain(0), {}, {})->token, 4);
  SamplingParams params = plain(2.0F);
  params.logit_bias = {{6, 100.0F}, {-1, 5.0F}, {4000, 5.0F}};
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    params.seed = seed;
    EXPECT_LT(sampler.sample(row, params, {}, {})->token, 5);
  }
}

TEST(Sampler, ALogitThatIsNotFiniteIsATypedError) {
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity()};
  for (const float value : bad) {
    for (const std::size_t place : {std::size_t{0}, std::size_t{31}, std::size_t{32}, std::size_t{36}}) {
      std::vector<float> row(37, 1.0F);
      row[place] = value;
      Sampler sampler(37, 37);
      const Result<Sample> sample = sampler.sample(row, plain(1), {}, {});
      ASSERT_FALSE(sample.has_value());
      EXPECT_EQ(sample.error().code, Code::kDataLoss);
      // The next sequence's row is fine again.
      row[place] = 9.0F;
      EXPECT_EQ(sampler.sample(row, plain(0), {}, {})->token, static_cast<TokenId>(place));
    }
  }
  Sampler sampler(37, 37);
  EXPECT_EQ(sampler.sample(std::vector<float>(36, 0.0F), plain(0), {}, {}).error().code, Code::kInvalidArgument);
}

TEST(Sampler, NarrowParametersLeaveOnlyTheGreatest) {
  const std::vector<float> row = random_row(500, 3, 2.0F);
  const TokenId best = draw(row, plain(0));
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SamplingParams params = plain(1.5F, seed);
    params.top_k = 1;
    EXPECT_EQ(draw(row, params), best);
    params.top_k = 0;
    params.top_p = 1e-6F;
    EXPECT_EQ(draw(row, params), best);
    params.top_k = 40;
    EXPECT_EQ(draw(row, params), best);
    params.top_p = 1;
    params.min_p = 1;
    EXPECT_EQ(draw(row, params), best);
    params.top_k = 0;
    EXPECT_EQ(draw(row, params), best);
  }
}

TEST(Sampler, PenaltiesAndBiasFollowTheirDefinitions) {
  // Greedy over adjusted logits shows the arithmetic at its borders.
  SamplingParams params = plain(0);
  params.repetition_penalty = 2.0F;
  EXPECT_EQ(draw({4.0F, 2.1F, -1.0F}, params, {0}), 1) << "4 / 2 < 2.1: a prompt token counts";
  EXPECT_EQ(draw({4.0F, 1.9F, -1.0F}, params, {0}, {0}), 0) << "penalised once, not once per occurrence";
  EXPECT_EQ(draw({-1.0F, -1.5F}, params, {0}), 1) << "a negative logit is multiplied";
  params = plain(0);
  params.presence_penalty = 1.0F;
  EXPECT_EQ(draw({4.0F, 3.5F}, params, {0}), 0) << "the prompt does not count";
  EXPECT_EQ(draw({4.0F, 3.5F}, params, {}, {0, 0}), 1);
  EXPECT_EQ(draw({5.0F, 3.5F}, params, {}, {0, 0}), 0) << "presence counts once";
  params.presence_penalty = 0;
  params.frequency_penalty = 1.0F;
  EXPECT_EQ(draw({5.0F, 3.5F}, params, {}, {0}), 0);
  EXPECT_EQ(draw({5.0F, 3.5F}, params, {}, {0, 0}), 1) << "frequency counts each";
  params.frequency_penalty = 0;
  params.logit_bias = {{2, 100.0F}};
  EXPECT_EQ(draw({5.0F, 3.5F, -40.0F}, params), 2);
  params.logit_bias = {{0, -100.0F}};
  EXPECT_EQ(draw({5.0F, 3.5F, -40.0F}, params), 1);
}

TEST(Sampler, CountsAreCleanForTheNextSequence) {
  Sampler sampler(4, 4);
  SamplingParams params = plain(0);
  params.frequency_penalty = 2.0F;
  params.repetition_penalty = 1.5F;
  const std::vector<float> row{5.0F, 4.5F, 0, 0};
  const std::vector<TokenId> history{0, 0, 2, -7, 99};
  EXPECT_EQ(sampler.sample(row, params, history, history)->token, 1);
  EXPECT_EQ(sampler.sample(row, params, {}, {})->token, 0);
}

struct Case {
  const char* name;
  float temperature;
  std::int32_t top_k;
  float top_p;
  float min_p;
};
constexpr Case kCases[] = {
    {"plain", 1.0F, 0, 1.0F, 0},    {"hot", 1.9F, 0, 1.0F, 0},
    {"k", 1.0F, 7, 1.0F, 0},        {"p", 1.0F, 0, 0.8F, 0},
    {"k and p", 0.7F, 20, 0.8F, 0}, {"thinking", 0.6F, 20, 0.95F, 0},
    {"min_p", 1.0F, 0, 1.0F, 0.2F}, {"p and min_p", 1.2F, 0, 0.9F, 0.1F},
    {"all", 1.0F, 12, 0.9F, 0.05F}, {"k over the heap", 1.5F, 600, 1.0F, 0},
};

// Pearson's chi-square of 20,000 draws against the reference's probabilities. Bound: for d degrees of freedom the
// statistic is within d + 5 sqrt(2 d) + 12 except once in more than a million; cells under 5 expected are pooled.
TEST(Sampler, FrequenciesFollowTheDefinition) {
  constexpr int kDraws = 20'000;
  for (const Case& c : kCases) {
    const std::vector<float> row = random_row(700, 11, 1.7F);
    SamplingParams params = plain(c.temperature, 42);
    params.top_k = c.top_k;
    params.top_p = c.top_p;
    params.min_p = c.min_p;
    const std::vector<double> expected = reference(row, params);
    Sampler sampler(700, 700);
    std::vector<int> seen(row.size(), 0);
    std::vector<TokenId> generated;
    for (int i = 0; i < kDraws; ++i) {
      const TokenId token = sampler.sample(row, params, {}, generated)->token;
      seen[static_cast<std::size_t>(token)] += 1;
      generated.push_back(token);
    }
    double statistic = 0;
    double pooled_expected = 0;
    double pooled_seen = 0;
    int cells = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const double e = expected[i] * kDraws;
      if (expected[i] == 0.0) {
        EXPECT_EQ(seen[i], 0) << c.name << ": id " << i << " is outside the support";
        continue;
      }
      if (e < 5) {
        pooled_expected += e;
        pooled_seen += seen[i];
        continue;
      }
      statistic += (seen[i] - e) * (seen[i] - e) / e;
      ++cells;
    }
    if (pooled_expected >= 5) {
      statistic += (pooled_seen - pooled_expected) * (pooled_seen - pooled_expected) / pooled_expected;
      ++cells;
    }
    const double d = std::max(cells - 1, 1);
    EXPECT_LT(statistic, d + 5 * std::sqrt(2 * d) + 12) << c.name << " with " << cells << " cells";
  }
}

TEST(Sampler, ARowOfEqualLogitsKeepsTheLowestIdsOfTheNucleus) {
  const std::vector<float> row(1000, 1.0F);
  SamplingParams params = plain(1.0F);
  params.top_p = 0.1F;
  TokenId greatest = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    params.seed = seed;
    greatest = std::max(greatest, draw(row, params));
  }
  EXPECT_LE(greatest, 100);
  EXPECT_GE(greatest, 90);
  params.top_k = 10;
  params.top_p = 1;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    params.seed = seed;
    EXPECT_LT(draw(row, params), 10);
  }
}

TEST(Sampler, TheSameSeedAndPositionGiveTheSameTokenWhateverWasSampledBetween) {
  const std::vector<float> row = random_row(3000, 5, 1.0F);
  const SamplingParams params = plain(1.3F, 77);
  Sampler sampler(3000, 3000);
  std::vector<TokenId> text;
  for (int i = 0; i < 30; ++i) text.push_back(sampler.sample(row, params, {}, text)->token);
  Sampler other(3000, 3000);
  for (std::size_t i = 0; i < text.size(); ++i) {
    static_cast<void>(other.sample(row, plain(0.9F, i), {}, {}));
    EXPECT_EQ(other.sample(row, params, {}, std::span<const TokenId>(text).first(i))->token, text[i]);
  }
  const std::set<TokenId> distinct(text.begin(), text.end());
  EXPECT_GT(distinct.size(), 20U) << "positions are not alike";
}

// 100,000 numbers: the mean of uniform ones lies within 5 / sqrt(12 n) = 0.0046 of 1/2; so do products of neighbours
// around 1/4 (deviation sqrt(7/144/n), 5 of them = 0.0035), along positions and along seeds.
TEST(Sampler, UniformNumbersAreUniformAlongPositionsAndSeeds) {
  constexpr int kCount = 100'000;
  for (const bool along_seeds : {false, true}) {
    const auto at = [&](int i) {
      const auto u = static_cast<std::uint64_t>(i);
      return along_seeds ? uniform_at(u, 3) : uniform_at(3, u);
    };
    double sum = 0;
    double products = 0;
    for (int i = 0; i < kCount; ++i) {
      ASSERT_GE(at(i), 0.0);
      ASSERT_LT(at(i), 1.0);
      sum += at(i);
      products += at(i) * at(i + 1);
    }
    EXPECT_NEAR(sum / kCount, 0.5, 0.0046);
    EXPECT_NEAR(products / kCount, 0.25, 0.0035);
  }
}

// The raw distribution, whatever temperature and penalties do. Tolerance: exp is good to 3e-7, the sum to 1e-5.
TEST(Sampler, LogprobsAreThoseOfTheRawRow) {
  const std::vector<float> row = random_row(5000, 9, 3.0F);
  double sum = 0;
  for (const float x : row) sum += std::exp(static_cast<double>(x));
  SamplingParams params = plain(0.7F, 5);
  params.top_k = 20;
  params.repetition_penalty = 1.3F;
  params.logprob_count = 20;
  Sampler sampler(5000, 5000);
  const Result<Sample> sample = sampler.sample(row, params, {}, std::vector<TokenId>{1, 2, 3});
  ASSERT_TRUE(sample.has_value());
  const auto exact = [&](TokenId id) { return static_cast<double>(row[static_cast<std::size_t>(id)]) - std::log(sum); };
  EXPECT_NEAR(static_cast<double>(sample->logprob), exact(sample->token), 2e-5);
  ASSERT_EQ(sample->top.size(), 20U);
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_NEAR(static_cast<double>(sample->top[i].logprob), exact(sample->top[i].token), 2e-5);
    if (i > 0) {
      EXPECT_GE(sample->top[i - 1].logprob, sample->top[i].logprob);
    }
  }
  EXPECT_EQ(sample->top[0].token, draw(row, plain(0)));
  params.logprob_count = 0;
  EXPECT_TRUE(sampler.sample(row, params, {}, {})->top.empty());
}

TEST(Sampler, SamplingAllocatesNothing) {
  const std::vector<float> row = random_row(151'936, 1, 3.0F);
  Sampler sampler(151'936, 151'669);
  const std::vector<TokenId> history{5, 6, 7, 5};
  for (const Case& c : kCases) {
    SamplingParams params = plain(c.temperature, 42);
    params.top_k = c.top_k;
    params.top_p = c.top_p;
    params.min_p = c.min_p;
    params.presence_penalty = 1.5F;
    params.repetition_penalty = 1.1F;
    params.logprob_count = 20;
    const long before = allocations.load();
    const Result<Sample> sample = sampler.sample(row, params, history, history);
    EXPECT_EQ(allocations.load() - before, 0) << c.name;
    EXPECT_TRUE(sample.has_value());
  }
  const std::vector<TopToken> top = top_of(row, 151'669);
  const long before = allocations.load();
  EXPECT_TRUE(sampler.sample_top(top, recommended(SamplingMode::kThinking), 4).has_value());
  EXPECT_EQ(allocations.load() - before, 0);
}

TEST(Sampler, RecommendedSettingsAreTheModelCards) {
  const SamplingParams thinking = recommended(SamplingMode::kThinking);
  EXPECT_FLOAT_EQ(thinking.temperature, 0.6F);
  EXPECT_FLOAT_EQ(thinking.top_p, 0.95F);
  EXPECT_EQ(thinking.top_k, 20);
  EXPECT_FLOAT_EQ(thinking.min_p, 0);
  const SamplingParams plain_mode = recommended(SamplingMode::kNonThinking);
  EXPECT_FLOAT_EQ(plain_mode.temperature, 0.7F);
  EXPECT_FLOAT_EQ(plain_mode.top_p, 0.8F);
  EXPECT_EQ(plain_mode.top_k, 20);
}

// A row of one of the kinds that differ in ties, signs and sizes.
std::vector<float> odd_row(std::size_t kind, std::size_t size, std::mt19937_64& random) {
  std::vector<float> row = random_row(size, random(), kind % 2 == 0 ? 3.0F : 0.2F);
  for (float& x : row) {
    if (kind == 2) x = std::round(x);                                     // ties everywhere
    if (kind == 3) x = 1.0F;                                              // nothing else
    if (kind == 4) x = std::abs(x) < 1.0F ? (x < 0 ? -0.0F : 0.0F) : -1;  // the greatest are zeros of both signs
    if (kind == 5) x *= 1e-40F;                                           // denormal
    if (kind == 6) x = x * 1e4F - 3e4F;                                   // weights below what exp gives
  }
  return row;
}

// Goal: a token from the likeliest is the token from the whole row. Method: both, over 14,000 rows and parameters of
// every kind that is enough for; row by row so close to each other that a changed order of a sum would show.
TEST(Sampler, TheLikeliestTokensGiveTheTokenOfTheWholeRow) {
  constexpr std::int32_t kVocab = 700;
  constexpr std::int32_t kIds = 693;
  constexpr float kTemperatures[] = {0.0F, 1e-6F, 0.01F, 0.6F, 0.7F, 1.0F, 1.9F, 40.0F};
  constexpr float kTopPs[] = {1.0F, 0.95F, 0.8F, 0.3F, 1e-6F};
  constexpr float kMinPs[] = {0.0F, 0.05F, 0.9F};
  std::mt19937_64 random(31);
  Sampler sampler(kVocab, kIds);
  std::set<TokenId> distinct;
  for (std::size_t i = 0; i < 14'000; ++i) {
    std::vector<float> row = odd_row(i % 7, kVocab, random);
    std::fill(row.begin() + kIds, row.end(), std::numeric_limits<float>::quiet_NaN());
    SamplingParams params = plain(kTemperatures[random() % std::size(kTemperatures)], random());
    params.top_k = params.temperature == 0 ? 0 : static_cast<std::int32_t>(1 + random() % kTopTokens);
    params.top_p = kTopPs[random() % std::size(kTopPs)];
    params.min_p = kMinPs[random() % std::size(kMinPs)];
    const std::vector<TokenId> generated(random() % 50, 3);
    ASSERT_TRUE(sampler.is_top_enough(params));
    const Result<Sample> want = sampler.sample(row, params, {}, generated);
    const Result<Sample> got = sampler.sample_top(top_of(row, kIds), params, generated.size());
    ASSERT_TRUE(want.has_value() && got.has_value());
    ASSERT_EQ(got->token, want->token) << "row " << i << ", kind " << i % 7 << ", temperature " << params.temperature
                                       << ", top_k " << params.top_k << ", top_p " << params.top_p;
    distinct.insert(got->token);
  }
  EXPECT_GT(distinct.size(), 500U) << "the rows are not alike";
}

TEST(Sampler, WhatLooksAtMoreThanTheLikeliestTokensSaysSo) {
  const Sampler sampler(1000, 990);
  const auto enough = [&](const auto& change) {
    SamplingParams params = recommended(SamplingMode::kThinking);
    change(params);
    return sampler.is_top_enough(params);
  };
  EXPECT_TRUE(enough([](SamplingParams&) {}));
  EXPECT_TRUE(enough([](SamplingParams& p) { p.top_k = kTopTokens; }));
  EXPECT_TRUE(enough([](SamplingParams& p) { p.temperature = 0, p.top_k = 0; }));
  EXPECT_FALSE(enough([](SamplingParams& p) { p.top_k = kTopTokens + 1; }));
  EXPECT_FALSE(enough([](SamplingParams& p) { p.top_k = 0; }));
  EXPECT_FALSE(enough([](SamplingParams& p) { p.top_k = -1; }));
  EXPECT_FALSE(enough([](SamplingParams& p) { p.repetition_penalty = 1.1F; }));
  EXPECT_FALSE(enough([](SamplingParams& p) { p.presence_penalty = 0.5F; }));
  EXPECT_FALSE(enough([](SamplingParams& p) { p.frequency_penalty = 0.5F; }));
  EXPECT_FALSE(enough([](SamplingParams& p) { p.logit_bias = {{7, 1.0F}}; }));
  EXPECT_FALSE(enough([](SamplingParams& p) { p.logprob_count = 0; }));
  EXPECT_FALSE(enough([](SamplingParams& p) { p.temperature = 0, p.logprob_count = 5; }));
  // All of a small vocabulary are drawn in the order of ids.
  SamplingParams params = recommended(SamplingMode::kThinking);
  EXPECT_FALSE(Sampler(20, 20).is_top_enough(params));
  EXPECT_TRUE(Sampler(21, 21).is_top_enough(params));
}

TEST(Sampler, OfTheLikeliestTokensOneThatIsNotFiniteIsTheSameTypedError) {
  Sampler sampler(100, 100);
  SamplingParams params = recommended(SamplingMode::kThinking);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    std::vector<float> row = random_row(100, 2, 1.0F);
    row[61] = bad;
    for (const float temperature : {0.0F, 1.0F}) {
      params.temperature = temperature;
      const Result<Sample> whole = sampler.sample(row, params, {}, {});
      const Result<Sample> top = sampler.sample_top(top_of(row, 100), params, 0);
      ASSERT_FALSE(whole.has_value() || top.has_value());
      EXPECT_EQ(top.error().code, Code::kDataLoss);
      EXPECT_EQ(top.error().message, whole.error().message);
    }
  }
  const std::vector<TopToken> short_of(19);
  EXPECT_EQ(sampler.sample_top(short_of, params, 0).error().code, Code::kInvalidArgument);
  EXPECT_EQ(sampler.sample_top({}, params, 0).error().code, Code::kInvalidArgument);
}

// Goal: with an allowed set the draw is the one over a vocabulary of just these tokens. Method: that vocabulary made.
TEST(Sampler, TheAllowedSetIsLikeASmallerVocabulary) {
  constexpr std::int32_t kVocab = 1000;
  std::mt19937_64 random(5);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(kVocab);
  for (float& x : logits) x = normal(random);
  std::vector<std::uint64_t> allowed((kVocab + 63) / 64, 0);
  allowed[3] = ~std::uint64_t{0};  // a whole word, and odd ones
  std::vector<float> few;
  std::vector<TokenId> ids;
  for (TokenId id = 0; id < kVocab; ++id) {
    const auto i = static_cast<std::size_t>(id);
    if (i / 64 != 3 && random() % 5 == 0) allowed[i / 64] |= std::uint64_t{1} << (i % 64);
    if ((allowed[i / 64] >> (i % 64) & 1) == 0) continue;
    few.push_back(logits[i]);
    ids.push_back(id);
  }
  Sampler whole(kVocab, kVocab);
  Sampler small(static_cast<std::int32_t>(few.size()), static_cast<std::int32_t>(few.size()));
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SamplingParams params;
    params.temperature = seed % 4 == 0 ? 0.0F : 1.5F;
    params.top_k = seed % 3 == 0 ? 20 : 0;
    params.top_p = seed % 2 == 0 ? 0.9F : 1.0F;
    params.seed = seed;
    const auto got = whole.sample(logits, params, {}, {}, allowed);
    const auto want = small.sample(few, params, {}, {});
    ASSERT_TRUE(got.has_value() && want.has_value());
    EXPECT_EQ(got->token, ids[static_cast<std::size_t>(want->token)]) << "seed " << seed;
  }
  const std::vector<std::uint64_t> none(allowed.size(), 0);
  const auto refused = whole.sample(logits, {}, {}, {}, none);
  ASSERT_FALSE(refused.has_value()) << "never without its constraint";
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace dormouse::engine
