#include "cli/bench_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "cli/table.h"

namespace dormouse::cli {
namespace {

using loadtest::Percentiles;
using loadtest::StepResult;

constexpr std::int64_t kEnoughForP99 = 100;

// Of several latencies in one cell: the unit that suits the largest.
std::string latencies(const std::vector<double>& seconds) {
  const double largest = *std::max_element(seconds.begin(), seconds.end());
  const bool is_ms = largest < 1;
  std::string out;
  for (const double one : seconds) {
    if (!out.empty()) out += " / ";
    out += is_ms ? fmt::format("{:.{}f}", one * 1e3, one < 0.01 ? 1 : 0) : fmt::format("{:.2f}", one);
  }
  return out + (is_ms ? " ms" : " s");
}

bool has_cost(const loadtest::BenchRecord& record) {
  return std::any_of(record.steps.begin(), record.steps.end(),
                     [](const StepResult& step) { return step.cost_per_million_tokens.has_value(); });
}

std::string failed_of(const StepResult& step) {
  if (step.failed == 0) return "0";
  return fmt::format("{} ({:.1f} %)", grouped(step.failed),
                     100.0 * static_cast<double>(step.failed) / static_cast<double>(step.requests));
}

std::string errors_text(const loadtest::BenchRecord& record, Language language) {
  std::string out;
  for (const StepResult& step : record.steps) {
    for (const auto& [kind, entry] : step.errors) {
      out += fmt::format("! {}: {} × {}{}{}\n", load_words(step.step, language), grouped(entry.count),
                         failure_words(kind, language), entry.said.empty() ? "" : " – ", entry.said);
    }
  }
  return out;
}

std::string notes(const loadtest::BenchRecord& record, Language language) {
  const bool zh = language == Language::kChinese;
  const auto any = [&record](auto predicate) {
    return std::any_of(record.steps.begin(), record.steps.end(), predicate);
  };
  std::string out;
  if (any([](const StepResult& step) {
        return step.step.rate > 0 || step.step.kind == loadtest::Step::Kind::kTrace;
      })) {
    out += zh ? "延迟从请求应当发出的时刻算起，排队等待也计入。\n"
              : "Latencies count from when a request was due: waiting to be sent is part of them.\n";
  }
  if (any([](const StepResult& step) { return step.ttft_s.has_value() && !step.is_usage; })) {
    out += zh ? "服务未报告用量：输出词元按收到的文本片段计数。\n"
              : "The server reports no usage: output tokens are pieces of text as they came.\n";
  }
  if (any([](const StepResult& step) {
        return step.ttft_s.has_value() && step.requests - step.failed < kEnoughForP99;
      })) {
    out += zh ? "少于 100 次成功请求的步骤，其 p99 就是最大值。\n"
              : "Where fewer than 100 requests succeeded, p99 is the largest value.\n";
  }
  return out;
}

std::string time_left(double seconds, Language language) {
  return fmt::format(fmt::runtime(language == Language::kChinese ? "剩余 {}" : "{} left"),
                     duration_words(std::max(seconds, 0.0), language));
}

}  // namespace

std::string load_words(const loadtest::Step& step, Language language) {
  const bool zh = language == Language::kChinese;
  switch (step.kind) {
    case loadtest::Step::Kind::kClosed: return fmt::format("{} {}", zh ? "并发" : "concurrency", step.concurrency);
    case loadtest::Step::Kind::kPoisson:
      return fmt::format(fmt::runtime(zh ? "泊松 {:g}/秒" : "Poisson {:g}/s"), step.rate);
    case loadtest::Step::Kind::kConstant:
      return fmt::format(fmt::runtime(zh ? "匀速 {:g}/秒" : "constant {:g}/s"), step.rate);
    case loadtest::Step::Kind::kTrace: return fmt::format("{} ×{:g}", zh ? "回放" : "trace", step.speed);
    case loadtest::Step::Kind::kCold: return zh ? "冷请求" : "cold";
  }
  return {};
}

std::string_view failure_words(loadtest::Failure failure, Language language) {
  const bool zh = language == Language::kChinese;
  switch (failure) {
    case loadtest::Failure::kConnect: return zh ? "无法连接" : "no connection";
    case loadtest::Failure::kTimeout: return zh ? "超时" : "timeout";
    case loadtest::Failure::kHttp429: return zh ? "被限流" : "refused as too many";
    case loadtest::Failure::kHttp4xx: return zh ? "被拒绝" : "refused";
    case loadtest::Failure::kHttp5xx: return zh ? "服务端错误" : "server error";
    case loadtest::Failure::kBrokenStream: return zh ? "回答中断" : "broken answer";
    case loadtest::Failure::kBadAnswer: return zh ? "回答无效" : "no valid answer";
  }
  return {};
}

std::string latency_words(double seconds, Language language) {
  const bool zh = language == Language::kChinese;
  if (seconds < 0.01) return fmt::format("{:.1f} {}", seconds * 1e3, zh ? "毫秒" : "ms");
  if (seconds < 1) return fmt::format("{:.0f} {}", seconds * 1e3, zh ? "毫秒" : "ms");
  return fmt::format("{:.{}f} {}", seconds, seconds < 10 ? 2 : 1, zh ? "秒" : "s");
}

std::string percentile_words(const std::optional<Percentiles>& values) {
  return values.has_value() ? latencies({values->p50, values->p95, values->p99}) : "–";
}

std::string progress_text(const BenchStep& step, std::int64_t requests, const loadtest::Progress& progress,
                          Language language) {
  const bool zh = language == Language::kChinese;
  const auto ended = static_cast<double>(progress.ended);
  const double rate = progress.elapsed_s > 0 ? ended / progress.elapsed_s : 0;
  std::string out = load_words(step.step, language);
  out += requests > 0 ? fmt::format(" · {}/{}", grouped(progress.ended), grouped(requests))
                      : fmt::format(" · {}", grouped(progress.ended));
  out += fmt::format(fmt::runtime(zh ? " 次请求 · {:.1f}/秒" : " requests · {:.1f}/s"), rate);
  if (progress.failed > 0) {
    out += fmt::format(fmt::runtime(zh ? " · 失败 {}" : " · {} failed"), grouped(progress.failed));
  }
  std::optional<double> left_s;
  if (requests > 0 && rate > 0) left_s = (static_cast<double>(requests) - ended) / rate;
  if (step.extent.duration_s > 0) {
    const double by_time_s = step.extent.duration_s - progress.elapsed_s;
    left_s = std::min(left_s.value_or(by_time_s), by_time_s);
  }
  if (left_s.has_value()) out += " · " + time_left(*left_s, language);
  return out;
}

std::string bench_table(const loadtest::BenchRecord& record, Language language) {
  using Align = Table::Align;
  const bool zh = language == Language::kChinese;
  std::vector<std::string> header =
      zh ? std::vector<std::string>{"负载",
                                    "请求/秒",
                                    "输出词元/秒",
                                    "首字 p50 / p95 / p99",
                                    "每字 p50 / p99",
                                    "全程 p50 / p95 / p99",
                                    "失败"}
         : std::vector<std::string>{
               "LOAD", "REQ/S", "OUT TOK/S", "TTFT P50 / P95 / P99", "ITL P50 / P99", "E2E P50 / P95 / P99", "ERRORS"};
  const bool with_slo = record.slo.is_set();
  const bool with_cost = has_cost(record);
  if (with_slo) header.emplace_back(zh ? "达标" : "GOODPUT");
  if (with_cost) header.emplace_back(zh ? "每百万词元" : "COST/1M");
  std::vector<Align> align(header.size(), Align::kRight);
  align[0] = Align::kLeft;
  Table table(std::move(header), std::move(align));
  for (const StepResult& step : record.steps) {
    std::vector<std::string> row{load_words(step.step, language),
                                 fmt::format("{:.2f}", step.requests_per_s),
                                 fmt::format("{:.1f}", step.output_tokens_per_s),
                                 percentile_words(step.ttft_s),
                                 step.itl_s.has_value() ? latencies({step.itl_s->p50, step.itl_s->p99}) : "–",
                                 percentile_words(step.e2e_s),
                                 failed_of(step)};
    if (with_slo) {
      row.push_back(step.goodput.has_value()
                        ? fmt::format(fmt::runtime(zh ? "{:.0f} %，{:.2f}/秒" : "{:.0f} %, {:.2f}/s"),
                                      std::floor(*step.goodput * 100), step.goodput_per_s)
                        : "–");
    }
    if (with_cost) {
      row.push_back(step.cost_per_million_tokens.has_value() ? to_display(*step.cost_per_million_tokens) : "–");
    }
    table.add(std::move(row));
  }
  return fmt::format("{} · {}\n\n{}{}{}", record.url_host, record.model, table.text(), errors_text(record, language),
                     notes(record, language));
}

}  // namespace dormouse::cli
