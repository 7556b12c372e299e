#include "loadtest/summary.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/nearest_rank.h"

namespace dormouse::loadtest {
namespace {

bool keeps(const Sample& sample, const Slo& slo) {
  if (sample.failure.has_value()) return false;
  if (slo.ttft_s.has_value() && sample.ttft_s() > *slo.ttft_s) return false;
  if (slo.itl_s.has_value() && sample.seconds_per_token() > *slo.itl_s) return false;
  return !slo.e2e_s.has_value() || sample.e2e_s() <= *slo.e2e_s;
}

void count_failure(const Sample& sample, StepResult& out) {
  ++out.failed;
  FailureCount& entry = out.errors[*sample.failure];
  ++entry.count;
  if (entry.said.empty()) entry.said = sample.said;
}

std::vector<double> curve_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  std::vector<double> out;
  for (int percent = 0; percent <= 100; ++percent)
    out.push_back(nearest_rank(values, static_cast<std::uint64_t>(percent) * 10));
  return out;
}

}  // namespace

std::string_view to_string(Failure failure) {
  switch (failure) {
    case Failure::kConnect: return "connect";
    case Failure::kTimeout: return "timeout";
    case Failure::kHttp429: return "http_429";
    case Failure::kHttp4xx: return "http_4xx";
    case Failure::kHttp5xx: return "http_5xx";
    case Failure::kBrokenStream: return "broken_stream";
    case Failure::kBadAnswer: return "bad_answer";
  }
  return "bad_answer";
}

std::optional<Money> cost_per_million(const Money& hour_price, double tokens_per_s) {
  if (!(tokens_per_s > 0)) return std::nullopt;
  const double micros = static_cast<double>(hour_price.micros) / (tokens_per_s * 3'600) * 1e6;
  constexpr double kMostMicros = 9e18;  // below 2^63
  if (!(micros < kMostMicros)) return std::nullopt;
  return Money{std::llround(micros), hour_price.currency};
}

StepResult summarize(const Measured& measured, const Slo& slo, const std::optional<Money>& hour_price) {
  StepResult out;
  out.step = measured.step;
  out.requests = static_cast<std::int64_t>(measured.samples.size());
  out.duration_s = measured.duration_s;
  out.is_usage = true;
  std::vector<double> ttft;
  std::vector<double> e2e;
  double input = 0;
  double output = 0;
  std::int64_t good = 0;
  for (const Sample& sample : measured.samples) {
    good += keeps(sample, slo) ? 1 : 0;
    if (sample.failure.has_value()) {
      count_failure(sample, out);
      continue;
    }
    ttft.push_back(sample.ttft_s());
    e2e.push_back(sample.e2e_s());
    input += static_cast<double>(sample.input_tokens);
    output += static_cast<double>(sample.output_tokens);
    out.is_usage = out.is_usage && sample.is_usage;
  }
  out.is_usage = out.is_usage && !ttft.empty();
  const auto per_s = [&out](double count) { return out.duration_s > 0 ? count / out.duration_s : 0; };
  out.requests_per_s = per_s(static_cast<double>(ttft.size()));
  out.input_tokens_per_s = per_s(input);
  out.output_tokens_per_s = per_s(output);
  out.itl_s = measured.gaps.percentiles();
  out.e2e_curve_s = curve_of(e2e);
  out.ttft_s = percentiles_of(std::move(ttft));
  out.e2e_s = percentiles_of(std::move(e2e));
  if (slo.is_set() && out.requests > 0) {
    out.goodput = static_cast<double>(good) / static_cast<double>(out.requests);
    out.goodput_per_s = per_s(static_cast<double>(good));
  }
  if (hour_price.has_value()) out.cost_per_million_tokens = cost_per_million(*hour_price, out.output_tokens_per_s);
  return out;
}

}  // namespace dormouse::loadtest
