#include "planner/speeds.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace dormouse::planner {
namespace {

constexpr double kMillion = 1e6;

std::optional<std::int64_t> whole(double micros) {
  constexpr double kMost = 9e18;
  if (!(micros >= 0) || micros > kMost) return std::nullopt;
  return std::llround(micros);
}

std::optional<std::int64_t> per_million(double micros, std::int64_t tokens) {
  if (tokens <= 0) return std::nullopt;
  return whole(micros / static_cast<double>(tokens) * kMillion);
}

Status check_point(const BatchPoint& point) {
  const bool is_sane =
      point.concurrency >= 1 && point.concurrency <= 1e6 && point.tokens_per_s > 0 && point.tokens_per_s <= 1e9;
  if (is_sane) return {};
  return make_error(Code::kInvalidArgument, fmt::format("{} at once, {} tokens a second: want 1 or more, above 0",
                                                        point.concurrency, point.tokens_per_s));
}

double step_s(const BatchPoint& point) {
  return point.concurrency / point.tokens_per_s;
}

Status check_points(std::span<const BatchPoint> points) {
  for (const BatchPoint& point : points) TRY_STATUS(check_point(point));
  const auto fewer = [](const BatchPoint& a, const BatchPoint& b) { return a.concurrency < b.concurrency; };
  if (points.empty() || std::min_element(points.begin(), points.end(), fewer)->concurrency ==
                            std::max_element(points.begin(), points.end(), fewer)->concurrency) {
    return make_error(Code::kInvalidArgument, "a step line wants points of two concurrencies or more");
  }
  constexpr double kNoise = 0.9;
  for (const BatchPoint& larger : points) {
    for (const BatchPoint& smaller : points) {
      if (smaller.concurrency >= larger.concurrency || step_s(larger) >= kNoise * step_s(smaller)) continue;
      return make_error(Code::kInvalidArgument,
                        fmt::format("{} at once, {} tokens a second: a step takes less time than with {} at once: "
                                    "measure both again, warm",
                                    larger.concurrency, larger.tokens_per_s, smaller.concurrency));
    }
  }
  return {};
}

StepLine least_squares(std::span<const BatchPoint> points) {
  double mean_b = 0;
  double mean_y = 0;
  for (const BatchPoint& point : points) {
    mean_b += point.concurrency / static_cast<double>(points.size());
    mean_y += step_s(point) / static_cast<double>(points.size());
  }
  double bb = 0;
  double by = 0;
  double squares = 0;
  double products = 0;
  for (const BatchPoint& point : points) {
    bb += (point.concurrency - mean_b) * (point.concurrency - mean_b);
    by += (point.concurrency - mean_b) * (step_s(point) - mean_y);
    squares += point.concurrency * point.concurrency;
    products += point.concurrency * step_s(point);
  }
  const double k = by / bb;
  const double a = mean_y - k * mean_b;
  if (k < 0) return {.a_s = mean_y, .k_s = 0};
  if (a < 0) return {.a_s = 0, .k_s = products / squares};
  return {.a_s = a, .k_s = k};
}

}  // namespace

Result<Speeds> roofline(const ModelShape& shape, Quant quant, const Card& card, const Wanted& wanted) {
  TRY_STATUS(fits(shape, quant, card.vram_bytes, wanted));
  if (!(card.bandwidth > 0) || !(card.flops > 0) || !std::isfinite(card.bandwidth) || !std::isfinite(card.flops)) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("card: {} bytes and {} operations a second; a roofline wants both above 0",
                                  card.bandwidth, card.flops));
  }
  const std::int64_t output = shape.vocabulary * shape.hidden;
  const std::int64_t layers = parameters(shape) - output * (shape.output == ModelShape::Output::kTied ? 1 : 2);
  const double flops = kFlopsShare * card.flops;
  const double bandwidth = kBandwidthShare * card.bandwidth;
  const double weights_s = static_cast<double>(read_bytes(shape, quant)) / bandwidth;
  const double token_s = 2 * static_cast<double>(layers + output) / flops;
  const double kv_s = static_cast<double>(kv_bytes_per_token(shape, wanted.kv) * wanted.context) / bandwidth;
  const auto step_at = [&](double b) { return std::max(weights_s, b * token_s) + b * kv_s; };
  const auto most = static_cast<double>(wanted.sequences);
  Speeds out{.line = {.a_s = weights_s, .k_s = kv_s}, .basis = SpeedBasis::kRoofline, .is_of_batch = true};
  if (most > 1) out.line.k_s = (step_at(most) - step_at(1)) / (most - 1);
  out.line.a_s = std::max(0.0, step_at(1) - out.line.k_s);
  out.prefill_tokens_per_s = flops / (2 * static_cast<double>(layers));
  return out;
}

Result<Speeds> listed(double tokens_per_s) {
  if (tokens_per_s > 0 && std::isfinite(tokens_per_s)) return Speeds{.line = {.a_s = 1 / tokens_per_s, .k_s = 0}};
  return make_error(Code::kInvalidArgument, fmt::format("tokens_per_second: {}; want above 0", tokens_per_s));
}

Result<LineFit> fit_step_line(std::span<const BatchPoint> points) {
  TRY_STATUS(check_points(points));
  LineFit out{.line = least_squares(points)};
  for (const BatchPoint& point : points) {
    const double error = std::abs(out.line.tokens_per_s(point.concurrency) / point.tokens_per_s - 1);
    out.worst_error = std::max(out.worst_error, error);
  }
  return out;
}

TokenPrices token_prices(const TokenUse& use) {
  TokenPrices out;
  const auto hour = static_cast<double>(use.hour_micros);
  if (use.tokens_per_s_full > 0) out.capacity = whole(hour / (use.tokens_per_s_full * 3'600) * kMillion);
  out.busy = per_million(hour * use.busy_h, use.tokens);
  out.real = per_million(static_cast<double>(use.bill_micros), use.tokens);
  return out;
}

}  // namespace dormouse::planner
