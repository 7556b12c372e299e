#include "worker/tools/prediction.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace dormouse::worker {
namespace {

// What makes log probabilities of a row's logits. Two terms: one sum of them would lose the smaller.
struct Normaliser {
  double largest = 0;
  double log_sum = 0;    // of exp(x - largest)
  std::int32_t top = 0;  // where the largest stands

  [[nodiscard]] double log_probability(float logit) const { return logit - largest - log_sum; }
};

Normaliser normaliser_of(std::span<const float> logits) {
  const auto top = std::max_element(logits.begin(), logits.end());
  const double largest = *top;
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - largest);
  return {.largest = largest, .log_sum = std::log(sum), .top = static_cast<std::int32_t>(top - logits.begin())};
}

Prediction predict_with(const Normaliser& normaliser, std::span<const float> logits, std::int32_t next) {
  CHECK(next >= 0 && next < std::ssize(logits));
  return {.log_probability = normaliser.log_probability(logits[static_cast<std::size_t>(next)]), .top = normaliser.top};
}

double root_mean_square(std::span<const double> samples) {
  double sum = 0;
  for (const double x : samples) sum += x * x;
  return samples.empty() ? 0 : std::sqrt(sum / static_cast<double>(samples.size()));
}

}  // namespace

Prediction predict(std::span<const float> logits, std::int32_t next) {
  return predict_with(normaliser_of(logits), logits, next);
}

Comparison compare(std::span<const float> got, std::span<const float> reference, std::int32_t next) {
  CHECK(got.size() == reference.size());
  const Normaliser q = normaliser_of(got);
  const Normaliser p = normaliser_of(reference);
  double divergence = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double log_p = p.log_probability(reference[i]);
    const double log_q = q.log_probability(got[i]);
    divergence += std::exp(log_p) * (log_p - log_q);
  }
  // Never negative but for rounding.
  return {.got = predict_with(q, got, next),
          .reference = predict_with(p, reference, next),
          .divergence = std::max(divergence, 0.0)};
}

Estimate mean_of(std::span<const double> samples) {
  if (samples.empty()) return {};
  const auto count = static_cast<double>(samples.size());
  double mean = 0;
  for (const double x : samples) mean += x;
  mean /= count;
  double squares = 0;
  for (const double x : samples) squares += (x - mean) * (x - mean);
  return {.value = mean, .error = count > 1 ? std::sqrt(squares / (count - 1) / count) : 0};
}

double quantile_of(std::span<const double> sorted, double share) {
  CHECK(!sorted.empty());
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = place - static_cast<double>(below);
  return (1 - part) * sorted[below] + part * sorted[above];
}

Estimate perplexity_of(std::span<const Prediction> predictions) {
  std::vector<double> losses;
  losses.reserve(predictions.size());
  for (const Prediction& prediction : predictions) losses.push_back(-prediction.log_probability);
  const Estimate loss = mean_of(losses);
  const double perplexity = std::exp(loss.value);
  return {.value = perplexity, .error = perplexity * loss.error};
}

Distance distance_of(std::span<const Comparison> comparisons) {
  std::vector<double> divergences;
  std::vector<double> same_top;
  std::vector<double> differences;
  for (const Comparison& row : comparisons) {
    divergences.push_back(row.divergence);
    same_top.push_back(row.got.top == row.reference.top ? 1 : 0);
    differences.push_back(std::exp(row.got.log_probability) - std::exp(row.reference.log_probability));
  }
  if (comparisons.empty()) return {};
  Distance out;
  out.divergence = mean_of(divergences);
  out.same_top = mean_of(same_top);
  out.probability_difference = mean_of(differences);
  out.probability_difference_rms = root_mean_square(differences);
  std::sort(divergences.begin(), divergences.end());
  out.divergence_p99 = quantile_of(divergences, 0.99);
  out.divergence_max = divergences.back();
  return out;
}

}  // namespace dormouse::worker
