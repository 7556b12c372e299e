#include "cli/bench_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include "catalog/config_file.h"

namespace dormouse::cli {
namespace {

constexpr std::size_t kMostSteps = 64;
constexpr std::int64_t kColdRequests = 3;  // each is a sleep and a wake
constexpr double kDurationS = 30;
constexpr double kMostRate = 100'000;

Error wrong(std::string_view flag, std::string_view wants) {
  return make_error(Code::kInvalidArgument, fmt::format("{}: want {}", flag, wants));
}

// "1,2,4" as numbers above 0 and at most `most`.
Result<std::vector<double>> read_list(std::string_view flag, std::string_view text, double most) {
  const Error error = wrong(flag, fmt::format("numbers above 0 and at most {:g}, by commas, as 1,2,4", most));
  std::vector<double> out;
  while (true) {
    const std::string_view field = text.substr(0, text.find(','));
    double value = 0;
    const auto [end, ec] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (ec != std::errc() || end != field.data() + field.size() || !(value > 0) || !(value <= most)) return error;
    out.push_back(value);
    if (out.size() > kMostSteps) return wrong(flag, fmt::format("at most {} steps", kMostSteps));
    if (field.size() == text.size()) return out;
    text.remove_prefix(field.size() + 1);
  }
}

Result<std::chrono::milliseconds> read_time(std::string_view flag, const std::string& text) {
  const Result<std::chrono::milliseconds> time = catalog::parse_duration(text);
  if (!time.has_value()) return make_error(time.error().code, fmt::format("{}: {}", flag, time.error().message));
  if (time->count() == 0) return wrong(flag, "more than 0");
  return *time;
}

Result<std::optional<double>> read_seconds(std::string_view flag, const std::string& text) {
  if (text.empty()) return std::optional<double>();
  TRY(const std::chrono::milliseconds time, read_time(flag, text));
  return std::optional(std::chrono::duration<double>(time).count());
}

Status check_count(std::string_view flag, std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value >= least && value <= most) return {};
  return wrong(flag, fmt::format("{} to {}", least, most));
}

Status check_counts(const BenchFlags& flags) {
  TRY_STATUS(check_count("--requests", flags.requests, 0, loadtest::kMostRequests));
  TRY_STATUS(check_count("--input-tokens", flags.input_tokens, 1, loadtest::kMostTokens));
  TRY_STATUS(check_count("--output-tokens", flags.output_tokens, 1, loadtest::kMostTokens));
  TRY_STATUS(check_count("--warm-up", flags.warm_up, 0, 1'000));
  TRY_STATUS(check_count("--max-outstanding", flags.max_outstanding, 1, loadtest::kMostConcurrency));
  if (!(flags.speed > 0) || !(flags.speed <= 1e6)) return wrong("--speed", "above 0 and at most 1000000");
  const int loads = (flags.concurrency.empty() ? 0 : 1) + (flags.rate.empty() ? 0 : 1) + (flags.trace.empty() ? 0 : 1);
  if (loads > 1) return wrong("--concurrency, --rate, --trace", "one of the three");
  return {};
}

Status check_key(const std::string& key) {
  const auto is_odd = [](char c) { return c <= ' ' || c > '~'; };  // it becomes a header line
  if (std::none_of(key.begin(), key.end(), is_odd)) return {};
  return wrong("--key", "a key without spaces or control characters");
}

Status add_steps(const BenchFlags& flags, BenchQuestion& out) {
  TRY(const std::optional<double> duration_s, read_seconds("--duration", flags.duration));
  loadtest::Extent extent{.requests = flags.requests, .duration_s = duration_s.value_or(0)};
  if (!flags.cold.empty()) {
    const std::int64_t times = flags.requests > 0 ? flags.requests : kColdRequests;
    out.steps.push_back({{.kind = loadtest::Step::Kind::kCold}, {.requests = times}});
  }
  if (!flags.trace.empty()) {
    out.steps.push_back({{.kind = loadtest::Step::Kind::kTrace, .speed = flags.speed}, extent});
    return {};
  }
  if (extent.requests == 0 && extent.duration_s <= 0) extent.duration_s = kDurationS;
  if (!flags.rate.empty()) {
    const bool is_poisson = flags.arrivals == "poisson";
    TRY(const std::vector<double> rates, read_list("--rate", flags.rate, kMostRate));
    for (const double rate : rates) {
      TRY_STATUS(loadtest::check_extent(rate, extent));
      const auto kind = is_poisson ? loadtest::Step::Kind::kPoisson : loadtest::Step::Kind::kConstant;
      out.steps.push_back({{.kind = kind, .rate = rate}, extent});
    }
    return {};
  }
  const std::string callers = flags.concurrency.empty() ? "1" : flags.concurrency;
  TRY(const std::vector<double> levels, read_list("--concurrency", callers, loadtest::kMostConcurrency));
  for (const double level : levels) {
    if (std::trunc(level) != level) return wrong("--concurrency", "whole numbers of callers");
    out.steps.push_back({{.concurrency = static_cast<std::int64_t>(level)}, extent});
  }
  return {};
}

}  // namespace

Result<BenchQuestion> read_bench_flags(const BenchFlags& flags) {
  TRY_STATUS(check_counts(flags));
  TRY_STATUS(check_key(flags.key));
  BenchQuestion out;
  TRY_STATUS(add_steps(flags, out));
  TRY(out.slo.ttft_s, read_seconds("--slo-ttft", flags.slo_ttft));
  TRY(out.slo.itl_s, read_seconds("--slo-itl", flags.slo_itl));
  TRY(out.slo.e2e_s, read_seconds("--slo-e2e", flags.slo_e2e));
  TRY(out.options.timeout, read_time("--timeout", flags.timeout));
  using Dialect = api::GenerationRequest::Kind;
  out.options.dialect = flags.completions ? Dialect::kCompletion : Dialect::kChat;
  out.options.key = flags.key;
  out.options.model = !flags.model.empty() ? flags.model : flags.cold;
  out.options.input_tokens = flags.input_tokens;
  out.options.output_tokens = flags.output_tokens;
  out.options.ignore_eos = flags.ignore_eos;
  out.options.max_outstanding = flags.max_outstanding;
  out.warm_up = flags.warm_up;
  return out;
}

}  // namespace dormouse::cli
