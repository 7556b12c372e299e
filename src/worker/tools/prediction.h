// How well rows of logits predict a text, and how far one model's rows lie from another's. Pure: numbers in, numbers
// out. Everything is natural logarithms, so divergences are in nats. Threads: const from any.
// Source of the definitions: llama.cpp's perplexity tool (tools/perplexity/perplexity.cpp), so that its figures and
// ours can stand in one table.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dormouse::worker {

// A mean with its standard error: the deviation of the samples over the root of their number.
struct Estimate {
  double value = 0;
  double error = 0;  // 0 of a single sample, which says nothing about it
};

// What one row of logits said about the token that came next.
struct Prediction {
  double log_probability = 0;  // of that token; not finite when a logit is not
  std::int32_t top = 0;        // the likeliest token, the first of equals
};

// One row of the model in question beside the reference's row for the same position.
struct Comparison {
  Prediction got;
  Prediction reference;
  double divergence = 0;  // KL(reference || got) in nats
};

// logits: [vocab]. REQUIRES: 0 <= next < vocab; both rows equally long.
[[nodiscard]] Prediction predict(std::span<const float> logits, std::int32_t next);
[[nodiscard]] Comparison compare(std::span<const float> got, std::span<const float> reference, std::int32_t next);

[[nodiscard]] Estimate mean_of(std::span<const double> samples);
// Between the two samples that enclose it, in proportion. share in [0, 1]; `sorted` is not empty.
[[nodiscard]] double quantile_of(std::span<const double> sorted, double share);

// exp(-mean log probability). Error: to first order, the perplexity times the error of that mean.
[[nodiscard]] Estimate perplexity_of(std::span<const Prediction> predictions);

struct Distance {
  Estimate divergence;  // mean, nats
  double divergence_p99 = 0;
  double divergence_max = 0;
  Estimate same_top;  // share of positions whose likeliest token is the reference's
  // Probability of the token that came next, the model's minus the reference's.
  Estimate probability_difference;
  double probability_difference_rms = 0;
};
[[nodiscard]] Distance distance_of(std::span<const Comparison> comparisons);

}  // namespace dormouse::worker
