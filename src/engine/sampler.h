// From a row of logits to one token. The result depends on (logits, parameters, prompt, generated, seed) and on nothing
// else: the random number of a token comes from a counter, not a stream, so neither the batch, nor preemption, nor the
// neighbour's cancellation changes a text.
// Owner: the worker's engine thread; scratch is reserved at construction, sample() allocates nothing.
// Order of operations (as HF's generate has it, which Qwen's recommended settings are for): the allowed set;
// logit_bias, penalties; temperature; top_k; top_p; min_p. Ties anywhere: the lower id first.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/row_logits.h"
#include "sched/batch_plan.h"

namespace dormouse::engine {

using TokenId = sched::TokenId;

inline constexpr int kMaxTopLogprobs = 20;

struct SamplingParams {
  float temperature = 0;         // 0: the most likely token, lowest id among equals
  std::int32_t top_k = 0;        // <= 0: off
  float top_p = 1;               // 1: off
  float min_p = 0;               // 0: off
  float repetition_penalty = 1;  // over prompt and generated, by presence (CTRL paper, section 4.1)
  float presence_penalty = 0;    // over generated, as OpenAI defines it
  float frequency_penalty = 0;   // over generated, a count
  std::uint64_t seed = 0;
  std::vector<std::pair<TokenId, float>> logit_bias;  // ids outside the vocabulary are ignored
  int logprob_count = -1;                             // -1: none; 0: of the token; n: and of the n most likely
};

// What the model's authors recommend. Source: the Qwen3 model cards (engine notes 4.2).
enum class SamplingMode { kThinking, kNonThinking };
[[nodiscard]] SamplingParams recommended(SamplingMode mode);

struct TokenScore {
  TokenId token = 0;
  float logprob = 0;
};

struct Sample {
  TokenId token = 0;
  float logprob = 0;                // of the raw distribution, before penalties and temperature; 0 unless asked
  std::span<const TokenScore> top;  // most likely first; valid until the next sample()
};

// Tokens that may be drawn: bit `id % 64` of word `id / 64`. No words: all of them.
using AllowedTokens = std::span<const std::uint64_t>;

class Sampler {
 public:
  // Ids in [first_padding_id, vocab_size) are never given.
  Sampler(std::int32_t vocab_size, std::int32_t first_padding_id);

  // logits: [vocab_size]. generated.size() is the counter of the random number.
  // `allowed`: an answer held to a grammar; logprobs stay those of the whole vocabulary.
  // Errors: kDataLoss (a logit is NaN or infinite), kInvalidArgument (no token is allowed): ends that sequence, no
  // other. Cost: at 151,936 ids <= 1 ms on one core for every combination of parameters (sampler_bench.cc).
  Result<Sample> sample(std::span<const float> logits, const SamplingParams& params, std::span<const TokenId> prompt,
                        std::span<const TokenId> generated, AllowedTokens allowed = {});

  // Whether a row's likeliest tokens are all that sample() would look at: greedy, or some of the most likely, by the
  // logits as they are.
  [[nodiscard]] bool is_top_enough(const SamplingParams& params) const;
  // The token that sample() gives of the whole row, always: what top_k leaves are the first of `top`, the greatest
  // logit is the first one's, and from there on both go the same way. generated_count: the counter of the random
  // number. REQUIRES: is_top_enough(params). Errors: kDataLoss as sample(), kInvalidArgument (`top` is too short).
  Result<Sample> sample_top(std::span<const TopToken> top, const SamplingParams& params, std::size_t generated_count);

 private:
  struct Candidate {
    float value = 0;  // a logit, later a weight
    TokenId token = 0;
  };
  [[nodiscard]] std::span<const float> adjust(std::span<const float> logits, const SamplingParams& params,
                                              std::span<const TokenId> prompt, std::span<const TokenId> generated);
  [[nodiscard]] std::span<const float> keep_allowed(std::span<const float> row, AllowedTokens allowed);
  void select_top(std::span<const float> logits, std::size_t count);
  [[nodiscard]] TokenId draw_from_candidates(float max_logit, const SamplingParams& params, double uniform);
  [[nodiscard]] TokenId draw_from_all(std::span<const float> logits, float max_logit, const SamplingParams& params,
                                      double uniform);
  void score(std::span<const float> logits, float max_logit, const SamplingParams& params, Sample& sample);
  [[nodiscard]] float nucleus_threshold(std::span<const float> weights, double mass, std::int64_t& ties_kept);

  const std::size_t real_ids_;
  std::vector<float> adjusted_;        // [real_ids]
  std::vector<float> weights_;         // [real_ids] exp((logit - max) / temperature)
  std::vector<float> kept_;            // [real_ids] logits of the allowed tokens, without gaps
  std::vector<TokenId> kept_ids_;      // and whose they are
  std::vector<std::int32_t> counts_;   // [real_ids] all 0 between calls; bit 30 says "in the prompt"
  std::vector<Candidate> candidates_;  // reserved real_ids
  std::vector<double> bucket_mass_;    // [kBuckets]
  std::vector<TokenScore> top_;        // reserved kMaxTopLogprobs
};

// A uniform number in [0, 1) for the token at `position` of the sequence with `seed`. Source: splitmix64 (Steele et
// al., 2014) over seed and counter; 53 bits.
[[nodiscard]] double uniform_at(std::uint64_t seed, std::uint64_t position);

}  // namespace dormouse::engine
