#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace dormouse::engine {
namespace {

constexpr std::int32_t kInPrompt = 1 << 30;
// Weights lie in [0, 1]; the top 16 bits of such a float (sign 0, exponent, 7 bits of mantissa) order them in 16,257
// steps of under 1 %: fine enough that the one bucket that has to be sorted is small.
constexpr std::size_t kBuckets = (0x3F800000U >> 16) + 1;

// Below this 1 / temperature times a gap of logits leaves float's range; vLLM draws the line at the same place.
constexpr float kGreedyBelow = 1e-5F;

constexpr const char* kNotFinite = "sampler: a logit is not finite";

bool is_counted(const SamplingParams& params) {
  return params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F;
}
bool changes_logits(const SamplingParams& params) {
  return params.repetition_penalty != 1.0F || is_counted(params) || !params.logit_bias.empty();
}

// The widest the compiler makes of plain loops at the baseline ISA; independent lanes also hide the latency of max.
constexpr std::size_t kLanes = 16;

struct Scan {
  float max = 0;
  bool finite = true;
};

// One pass: the greatest value, and whether all are finite (x * 0 is NaN for NaN and infinity, and NaN sticks in a
// sum).
Scan scan(std::span<const float> values) {
  std::array<float, kLanes> max{};
  std::array<float, kLanes> poison{};
  max.fill(-std::numeric_limits<float>::infinity());
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float x = values[i + lane];
      max[lane] = x > max[lane] ? x : max[lane];
      poison[lane] += x * 0.0F;
    }
  }
  for (; i < values.size(); ++i) {
    max[0] = values[i] > max[0] ? values[i] : max[0];
    poison[0] += values[i] * 0.0F;
  }
  Scan out{.max = max[0], .finite = true};
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    out.max = std::max(out.max, max[lane]);
    out.finite = out.finite && poison[lane] == 0.0F;
  }
  return out;
}

TokenId first_equal(std::span<const float> values, float wanted) {
  const auto found = std::find(values.begin(), values.end(), wanted);
  return static_cast<TokenId>(found - values.begin());
}

// exp(x) for x <= 0; relative error under 3e-7, and never below exp(-87) = 1.6e-38, which no sum here notices. Cephes'
// expf as straight code, because a call to libm's does not vectorise and 151,936 of them take a millisecond; the clamp
// is on the bits as integers, because GCC 12 makes a branch of a float comparison that could trap.
inline float exp_nonpositive(float x) {
  constexpr auto kLeast = std::bit_cast<std::int32_t>(-87.0F);
  const std::int32_t bits = std::bit_cast<std::int32_t>(x) | std::numeric_limits<std::int32_t>::min();
  // Of two negative floats the lesser one is the greater integer.
  const float clamped = std::bit_cast<float>(bits < kLeast ? bits : kLeast);
  const float scaled = clamped * 1.44269504F;
  const auto n = static_cast<std::int32_t>(scaled - 0.5F);  // rounds to nearest: scaled <= 0
  const auto nf = static_cast<float>(n);
  const float r = (clamped - nf * 0.693359375F) + nf * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  return p * std::bit_cast<float>((n + 127) << 23);
}

// weights[i] = exp((values[i] - max) * scale); returns their sum. One plain loop to compute (that is what the compiler
// makes vectors of), one to add: 16 lanes of float over 4,096 values, double above, so the sum's relative error is
// under 1e-6.
double exponentials(std::span<const float> values, float max, float scale, std::span<float> weights) {
  const float* const in = values.data();
  float* const out = weights.data();
  const std::size_t size = values.size();
  for (std::size_t i = 0; i < size; ++i) out[i] = exp_nonpositive((in[i] - max) * scale);
  double total = 0;
  std::size_t i = 0;
  while (i + kLanes <= size) {
    std::array<float, kLanes> sum{};
    const std::size_t end = std::min(size - size % kLanes, i + 4096);
    for (; i < end; i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) sum[lane] += out[i + lane];
    }
    for (const float part : sum) total += static_cast<double>(part);
  }
  for (; i < size; ++i) total += static_cast<double>(out[i]);
  return total;
}

std::uint32_t bucket_of(float weight) {
  return std::bit_cast<std::uint32_t>(weight) >> 16;
}

}  // namespace

SamplingParams recommended(SamplingMode mode) {
  SamplingParams out;
  out.top_k = 20;
  switch (mode) {
    case SamplingMode::kThinking:
      out.temperature = 0.6F;
      out.top_p = 0.95F;
      break;
    case SamplingMode::kNonThinking:
      out.temperature = 0.7F;
      out.top_p = 0.8F;
      break;
  }
  return out;
}

double uniform_at(std::uint64_t seed, std::uint64_t position) {
  // Two rounds, so that seeds 1 and 2 do not give the same numbers one position apart.
  std::uint64_t z = seed;
  for (const std::uint64_t add : {std::uint64_t{0}, position}) {
    z += (add + 1) * 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
  }
  return static_cast<double>(z >> 11) * 0x1.0p-53;
}

Sampler::Sampler(std::int32_t vocab_size, std::int32_t first_padding_id)
    : real_ids_(static_cast<std::size_t>(std::min(vocab_size, first_padding_id))) {
  CHECK(real_ids_ > 0);
  adjusted_.resize(real_ids_);
  weights_.resize(real_ids_);
  kept_.resize(real_ids_);
  kept_ids_.resize(real_ids_);
  counts_.assign(real_ids_, 0);
  candidates_.reserve(real_ids_);
  bucket_mass_.assign(kBuckets, 0.0);
  top_.reserve(kMaxTopLogprobs);
}

Result<Sample> Sampler::sample(std::span<const float> logits, const SamplingParams& params,
                               std::span<const TokenId> prompt, std::span<const TokenId> generated,
                               AllowedTokens allowed) {
  if (logits.size() < real_ids_) return make_error(Code::kInvalidArgument, "sampler: row shorter than the vocabulary");
  const std::span<const float> raw = logits.first(real_ids_);
  const Scan raw_scan = scan(raw);
  if (!raw_scan.finite) return make_error(Code::kDataLoss, kNotFinite);

  const std::span<const float> adjusted = adjust(raw, params, prompt, generated);
  const Scan adjusted_scan = adjusted.data() == raw.data() ? raw_scan : scan(adjusted);
  if (!adjusted_scan.finite) return make_error(Code::kDataLoss, "sampler: a penalty takes a logit out of range");
  const std::span<const float> row = allowed.empty() ? adjusted : keep_allowed(adjusted, allowed);
  if (row.empty()) return make_error(Code::kInvalidArgument, "sampler: no token is allowed");
  const float max = allowed.empty() ? adjusted_scan.max : scan(row).max;
  Sample out;
  if (params.temperature < kGreedyBelow) {
    out.token = first_equal(row, max);
  } else {
    const double uniform = uniform_at(params.seed, generated.size());
    const bool some = params.top_k > 0 && static_cast<std::size_t>(params.top_k) < row.size();
    if (some) {
      select_top(row, static_cast<std::size_t>(params.top_k));
      out.token = draw_from_candidates(max, params, uniform);
    } else {
      out.token = draw_from_all(row, max, params, uniform);
    }
  }
  if (!allowed.empty()) out.token = kept_ids_[static_cast<std::size_t>(out.token)];
  if (params.logprob_count >= 0) score(raw, raw_scan.max, params, out);
  return out;
}

bool Sampler::is_top_enough(const SamplingParams& params) const {
  const bool takes_logits_as_they_are = !changes_logits(params) && params.logprob_count < 0;
  const bool takes_few =
      params.top_k > 0 && params.top_k <= kTopTokens && static_cast<std::size_t>(params.top_k) < real_ids_;
  return takes_logits_as_they_are && (params.temperature < kGreedyBelow || takes_few);
}

Result<Sample> Sampler::sample_top(std::span<const TopToken> top, const SamplingParams& params,
                                   std::size_t generated_count) {
  CHECK(is_top_enough(params));
  const bool greedy = params.temperature < kGreedyBelow;
  const std::size_t count = greedy ? 1 : static_cast<std::size_t>(params.top_k);
  if (top.size() < count) return make_error(Code::kInvalidArgument, "sampler: fewer tokens than top_k asks for");
  if (!std::isfinite(top.front().logit)) return make_error(Code::kDataLoss, kNotFinite);
  Sample out;
  out.token = top.front().token;
  if (greedy) return out;
  candidates_.clear();
  for (const TopToken& one : top.first(count)) candidates_.push_back({.value = one.logit, .token = one.token});
  out.token = draw_from_candidates(top.front().logit, params, uniform_at(params.seed, generated_count));
  return out;
}

// The row with bias and penalties; the row itself when there are none.
std::span<const float> Sampler::adjust(std::span<const float> logits, const SamplingParams& params,
                                       std::span<const TokenId> prompt, std::span<const TokenId> generated) {
  if (!changes_logits(params)) return logits;
  const bool repetition = params.repetition_penalty != 1.0F;
  const bool counted = is_counted(params);
  std::copy(logits.begin(), logits.end(), adjusted_.begin());
  const auto in_range = [&](TokenId id) { return id >= 0 && static_cast<std::size_t>(id) < real_ids_; };
  for (const auto& [id, bias] : params.logit_bias) {
    if (in_range(id)) adjusted_[static_cast<std::size_t>(id)] += bias;
  }
  if (!repetition && !counted) return adjusted_;
  for (const TokenId id : generated) {
    if (in_range(id)) counts_[static_cast<std::size_t>(id)] += 1;
  }
  if (repetition) {
    for (const TokenId id : prompt) {
      if (in_range(id)) counts_[static_cast<std::size_t>(id)] |= kInPrompt;
    }
  }
  const auto settle = [&](TokenId id) {
    if (!in_range(id)) return;
    std::int32_t& count = counts_[static_cast<std::size_t>(id)];
    if (count == 0) return;  // seen before in this loop, and cleared
    float& logit = adjusted_[static_cast<std::size_t>(id)];
    if (repetition) logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    const std::int32_t times = count & ~kInPrompt;
    if (times > 0) logit -= params.presence_penalty + params.frequency_penalty * static_cast<float>(times);
    count = 0;
  };
  for (const TokenId id : generated) settle(id);
  if (repetition) {
    for (const TokenId id : prompt) settle(id);
  }
  return adjusted_;
}

// The allowed logits moved together, in the order of ids: what follows never sees another. Cost: one pass over the bits
// and one step a token allowed; words of 64 allowed ones, which are most of them inside a string, are plain copies.
std::span<const float> Sampler::keep_allowed(std::span<const float> row, AllowedTokens allowed) {
  std::size_t count = 0;
  for (std::size_t word = 0; word < allowed.size() && word * 64 < row.size(); ++word) {
    const std::size_t begin = word * 64;
    if (allowed[word] == ~std::uint64_t{0} && begin + 64 <= row.size()) {
      std::copy_n(row.begin() + static_cast<std::ptrdiff_t>(begin), 64,
                  kept_.begin() + static_cast<std::ptrdiff_t>(count));
      for (std::size_t i = 0; i < 64; ++i) kept_ids_[count + i] = static_cast<TokenId>(begin + i);
      count += 64;
      continue;
    }
    for (std::uint64_t bits = allowed[word]; bits != 0; bits &= bits - 1) {
      const std::size_t id = begin + static_cast<std::size_t>(std::countr_zero(bits));
      if (id >= row.size()) break;
      kept_[count] = row[id];
      kept_ids_[count++] = static_cast<TokenId>(id);
    }
  }
  return std::span<const float>(kept_).first(count);
}

// candidates_ = the `count` greatest logits, greatest first, ties by lower id. A heap of the best so far and a block
// test against its least: real rows touch the heap some hundred times. Large counts go through nth_element.
void Sampler::select_top(std::span<const float> logits, std::size_t count) {
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.value != b.value ? a.value > b.value : a.token < b.token;
  };
  candidates_.clear();
  constexpr std::size_t kHeapLimit = 512;
  if (count > kHeapLimit) {
    for (std::size_t i = 0; i < logits.size(); ++i) {
      candidates_.push_back({.value = logits[i], .token = static_cast<TokenId>(i)});
    }
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(count), candidates_.end(),
                     better);
    candidates_.resize(count);
    std::sort(candidates_.begin(), candidates_.end(), better);
    return;
  }
  std::size_t i = 0;
  for (; i < count; ++i) candidates_.push_back({.value = logits[i], .token = static_cast<TokenId>(i)});
  std::make_heap(candidates_.begin(), candidates_.end(), better);  // its front is the worst
  float least = candidates_.front().value;
  const auto offer = [&](std::size_t index) {
    // Equal to the least is not better: the ids in the heap are lower.
    if (logits[index] <= least) return;
    std::pop_heap(candidates_.begin(), candidates_.end(), better);
    candidates_.back() = {.value = logits[index], .token = static_cast<TokenId>(index)};
    std::push_heap(candidates_.begin(), candidates_.end(), better);
    least = candidates_.front().value;
  };
  constexpr std::size_t kBlock = 64;
  for (; i + kBlock <= logits.size(); i += kBlock) {
    std::uint32_t above = 0;
    for (std::size_t j = 0; j < kBlock; ++j) above |= static_cast<std::uint32_t>(logits[i + j] > least);
    if (above == 0) continue;
    for (std::size_t j = 0; j < kBlock; ++j) offer(i + j);
  }
  for (; i < logits.size(); ++i) offer(i);
  std::sort(candidates_.begin(), candidates_.end(), better);
}

TokenId Sampler::draw_from_candidates(float max_logit, const SamplingParams& params, double uniform) {
  const float scale = 1.0F / params.temperature;
  double total = 0;
  for (Candidate& candidate : candidates_) {
    candidate.value = exp_nonpositive((candidate.value - max_logit) * scale);
    total += static_cast<double>(candidate.value);
  }
  std::size_t kept = candidates_.size();
  if (params.top_p < 1.0F) {
    const double wanted = static_cast<double>(params.top_p) * total;
    double mass = 0;
    for (kept = 0; kept < candidates_.size() && (kept == 0 || mass < wanted); ++kept) {
      mass += static_cast<double>(candidates_[kept].value);
    }
  }
  // The greatest weight is 1, so min_p is the bound itself.
  while (kept > 1 && candidates_[kept - 1].value < params.min_p) --kept;
  total = 0;
  for (std::size_t i = 0; i < kept; ++i) total += static_cast<double>(candidates_[i].value);
  double rest = uniform * total;
  for (std::size_t i = 0; i < kept; ++i) {
    rest -= static_cast<double>(candidates_[i].value);
    if (rest < 0) return candidates_[i].token;
  }
  return candidates_.front().token;  // rounding at the very end of the interval
}

// Without top_k. The nucleus is found by a histogram of weights with the mass of each bucket: exact, and linear in the
// vocabulary where sorting it is not. The draw then walks in the order of ids.
TokenId Sampler::draw_from_all(std::span<const float> logits, float max_logit, const SamplingParams& params,
                               double uniform) {
  const std::span<const float> weights = std::span<const float>(weights_).first(logits.size());
  const double total = exponentials(logits, max_logit, 1.0F / params.temperature, weights_);
  float least = params.min_p;
  std::int64_t ties_kept = std::numeric_limits<std::int64_t>::max();
  if (params.top_p < 1.0F) {
    std::int64_t nucleus_ties = 0;
    const float nucleus = nucleus_threshold(weights, static_cast<double>(params.top_p) * total, nucleus_ties);
    if (nucleus >= least) {
      least = nucleus;
      ties_kept = nucleus_ties;
    }
  }
  // Two walks over the same weights: their mass, then the place of `uniform` in it.
  double mass = 0;
  std::int64_t ties = ties_kept;
  for (const float w : weights) {
    if (w > least || (w == least && ties-- > 0)) mass += static_cast<double>(w);
  }
  double rest = uniform * mass;
  ties = ties_kept;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const float w = weights[i];
    if (!(w > least || (w == least && ties-- > 0))) continue;
    rest -= static_cast<double>(w);
    if (rest < 0) return static_cast<TokenId>(i);
  }
  return first_equal(weights, 1.0F);  // rounding at the very end of the interval
}

// The least weight inside the smallest set of greatest weights whose sum reaches `mass`, and how many that equal it are
// inside (lowest ids first).
float Sampler::nucleus_threshold(std::span<const float> weights, double mass, std::int64_t& ties_kept) {
  std::fill(bucket_mass_.begin(), bucket_mass_.end(), 0.0);
  for (const float w : weights) bucket_mass_[bucket_of(w)] += static_cast<double>(w);
  double above = 0;
  std::size_t bucket = kBuckets - 1;
  while (bucket > 0 && above + bucket_mass_[bucket] < mass) above += bucket_mass_[bucket--];
  candidates_.clear();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (bucket_of(weights[i]) == bucket) {
      candidates_.push_back({.value = weights[i], .token = static_cast<TokenId>(i)});
    }
  }
  // Equal weights are one entry for this purpose; a flat row would otherwise sort the whole vocabulary.
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.value > b.value; });
  float threshold = 0;
  ties_kept = 0;
  for (const Candidate& candidate : candidates_) {
    if (above >= mass && (above > 0 || ties_kept > 0)) break;
    if (candidate.value != threshold || ties_kept == 0) {
      threshold = candidate.value;
      ties_kept = 0;
    }
    ties_kept += 1;
    above += static_cast<double>(candidate.value);
  }
  return threshold;
}

void Sampler::score(std::span<const float> logits, float max_logit, const SamplingParams& params, Sample& sample) {
  const double log_sum = std::log(exponentials(logits, max_logit, 1.0F, weights_)) + static_cast<double>(max_logit);
  const auto logprob = [&](float logit) { return static_cast<float>(static_cast<double>(logit) - log_sum); };
  sample.logprob = logprob(logits[static_cast<std::size_t>(sample.token)]);
  top_.clear();
  const auto count = static_cast<std::size_t>(std::min(params.logprob_count, kMaxTopLogprobs));
  if (count > 0) {
    select_top(logits, std::min(count, real_ids_));
    for (const Candidate& candidate : candidates_) {
      top_.push_back({.token = candidate.token, .logprob = logprob(candidate.value)});
    }
  }
  sample.top = top_;
}

}  // namespace dormouse::engine
