#include "cli/bench_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "cli/bench_text.h"
#include "cli/chart.h"
#include "cli/table.h"

namespace dormouse::cli {
namespace {

using loadtest::Percentiles;
using loadtest::StepResult;
using MaybePercentiles = std::optional<Percentiles> StepResult::*;

// Paper and ink, one accent; contrasts are at least 4.5 to 1 in both themes (WCAG AA).
constexpr std::string_view kStyle = R"(
:root{--paper:#faf9f6;--ink:#22252b;--muted:#62666e;--line:#e2e0d9;--accent:#3f51a3;--bad:#a33b2e}
@media (prefers-color-scheme:dark){:root{--paper:#16181d;--ink:#e6e4de;--muted:#9a9ea7;--line:#2c3038;--accent:#9aa8ee;
--bad:#e58a7c}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.6 Inter,"PingFang SC","Noto Sans CJK SC",
"Noto Sans SC",system-ui,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1080px;margin:0 auto;padding:48px 24px 64px}
h1{font-size:26px;font-weight:600;line-height:1.3;margin:0 0 8px}
h2{font-size:16px;font-weight:600;margin:0 0 4px}
p{margin:0 0 8px;color:var(--muted)}
section{margin-top:40px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:40px 32px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(168px,1fr));gap:16px 24px;margin:24px 0 0;
padding:16px 0;border:solid var(--line);border-width:1px 0}
.figures div{color:var(--muted);font-size:13px}
.figures b{display:block;color:var(--ink);font-size:22px;font-weight:600;line-height:1.4}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13px}
th,td{padding:8px 12px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th{color:var(--muted);font-weight:500}
th:first-child,td:first-child,.words{text-align:left;padding-left:0}
.words{white-space:normal;overflow-wrap:anywhere;padding-left:12px;min-width:240px}
.bad{color:var(--bad)}
svg{display:block;width:100%;height:auto}
.axis{fill:var(--muted);font-size:12px}
.grid{stroke:var(--line);stroke-width:1}
polyline{fill:none;stroke-width:1.5;stroke-linejoin:round}
.line0{stroke:var(--accent);stroke-width:2.5}
.line1{stroke:var(--ink)}
.line2{stroke:var(--muted);stroke-dasharray:4 4}
.dot0,.bar{fill:var(--accent)}
.dot1{fill:var(--ink)}
.dot2{fill:var(--muted)}
)";

class Page {
 public:
  Page(const loadtest::BenchRecord& record, Language language)
      : record_(record), language_(language), zh_(language == Language::kChinese) {}

  [[nodiscard]] std::string text() const {
    const std::string title = fmt::format("{} · {}", zh_ ? "压测报告" : "Load test", record_.model);
    std::string out = fmt::format(
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>{}</style>\n</head>\n"
        "<body>\n<main>\n<h1>{}</h1>\n",
        zh_ ? "zh-CN" : "en", escape_html(title), kStyle, escape_html(title));
    out += fmt::format("<p>{}{} · {}</p>\n", escape_html(record_.url_host),
                       record_.instance_type.empty() ? "" : " · " + escape_html(record_.instance_type),
                       escape_html(record_.at));
    return out + figures() + charts() + numbers() + errors() + definitions() + "</main>\n</body>\n</html>\n";
  }

 private:
  [[nodiscard]] std::string_view say(std::string_view en, std::string_view zh) const { return zh_ ? zh : en; }
  [[nodiscard]] AxisText seconds() const {
    return [this](double value) { return value == 0 ? std::string("0") : latency_words(value, language_); };
  }

  [[nodiscard]] std::string figure(std::string_view value, std::string_view what) const {
    return fmt::format("<div><b>{}</b>{}</div>\n", escape_html(value), escape_html(what));
  }

  // The best step by what it gave, and the run's failures.
  [[nodiscard]] std::string figures() const {
    std::int64_t requests = 0;
    std::int64_t failed = 0;
    const StepResult* best = nullptr;
    for (const StepResult& step : record_.steps) {
      requests += step.requests;
      failed += step.failed;
      if (best == nullptr || step.output_tokens_per_s > best->output_tokens_per_s) best = &step;
    }
    std::string out = "<div class=\"figures\">\n";
    out += figure(grouped(requests), say("requests", "次请求"));
    out += figure(grouped(failed), say("failed", "次失败"));
    if (best != nullptr && best->ttft_s.has_value()) {
      const std::string at = load_words(best->step, language_);
      out += figure(fmt::format("{:.1f}", best->output_tokens_per_s),
                    fmt::format("{} · {}", say("output tokens/s at best", "最高输出词元/秒"), at));
      out += figure(latency_words(best->ttft_s->p95, language_),
                    fmt::format("{} · {}", say("time to first token, p95", "首字延迟 p95"), at));
      if (best->cost_per_million_tokens.has_value()) {
        out += figure(to_display(*best->cost_per_million_tokens),
                      fmt::format("{} · {}", say("per million output tokens", "每百万输出词元"), at));
      }
    }
    return out + "</div>\n";
  }

  // A cold step is no point of a load: it has its row and its curve.
  [[nodiscard]] std::vector<const StepResult*> loads() const {
    std::vector<const StepResult*> out;
    for (const StepResult& step : record_.steps) {
      if (step.step.kind != loadtest::Step::Kind::kCold) out.push_back(&step);
    }
    return out;
  }

  [[nodiscard]] std::string titled(std::string_view title, std::string_view below, const std::string& chart) const {
    return fmt::format("<div><h2>{}</h2>\n<p>{}</p>\n{}</div>\n", escape_html(title), escape_html(below), chart);
  }

  // What is the same in all labels stands once, below the title.
  [[nodiscard]] std::string label_of(const loadtest::Step& step) const {
    const bool is_closed = step.kind == loadtest::Step::Kind::kClosed;
    if (is_closed) return fmt::format("{}", step.concurrency);
    if (step.kind == loadtest::Step::Kind::kTrace) return fmt::format("×{:g}", step.speed);
    return fmt::format(fmt::runtime(zh_ ? "{:g}/秒" : "{:g}/s"), step.rate);
  }

  [[nodiscard]] std::string latency_chart(MaybePercentiles which) const {
    std::vector<std::string> labels;
    std::vector<Series> series{{"p50", {}}, {"p95", {}}, {"p99", {}}};
    for (const StepResult* step : loads()) {
      labels.push_back(label_of(step->step));
      const std::optional<Percentiles>& values = step->*which;
      series[0].values.push_back(values.has_value() ? std::optional(values->p50) : std::nullopt);
      series[1].values.push_back(values.has_value() ? std::optional(values->p95) : std::nullopt);
      series[2].values.push_back(values.has_value() ? std::optional(values->p99) : std::nullopt);
    }
    return line_chart(labels, series, seconds());
  }

  [[nodiscard]] std::string throughput_chart() const {
    std::vector<std::string> labels;
    Series series{std::string(say("output tokens/s", "输出词元/秒")), {}};
    for (const StepResult* step : loads()) {
      labels.push_back(label_of(step->step));
      series.values.emplace_back(step->output_tokens_per_s);
    }
    const AxisText number = [](double value) { return fmt::format("{:.{}f}", value, value > 0 && value < 10 ? 1 : 0); };
    return bar_chart(labels, series, number);
  }

  [[nodiscard]] std::string curve_chart() const {
    std::vector<Series> series;
    for (const StepResult& step : record_.steps) {
      if (step.e2e_curve_s.empty()) continue;
      series.push_back({load_words(step.step, language_), {step.e2e_curve_s.begin(), step.e2e_curve_s.end()}});
    }
    if (series.empty()) return {};
    std::string names;
    for (const Series& one : series) names += (names.empty() ? "" : " → ") + one.name;
    const std::string below = fmt::format("{}{}",
                                          say("Share of requests answered within a time. Light to strong: ",
                                              "在某段时间内得到完整回答的请求占比。由浅到深："),
                                          names);
    return titled(say("Whole answers within", "全程延迟分布"), below, share_chart(series, seconds()));
  }

  [[nodiscard]] std::string charts() const {
    std::string out = "<section class=\"pair\">\n";
    const std::vector<const StepResult*> steps = loads();
    // One load is no line.
    if (steps.size() > 1) {
      const bool is_closed = steps.front()->step.kind == loadtest::Step::Kind::kClosed;
      const std::string_view by = is_closed ? say("by concurrency", "按并发数") : say("by request rate", "按请求速率");
      out += titled(say("Time to first token", "首字延迟"), by, latency_chart(&StepResult::ttft_s));
      out += titled(say("Whole answer", "全程延迟"), by, latency_chart(&StepResult::e2e_s));
      out += titled(say("Output tokens per second", "输出词元/秒"), by, throughput_chart());
    }
    return out + curve_chart() + "</section>\n";
  }

  [[nodiscard]] std::string row(const StepResult& step, bool with_cost) const {
    // No server reads nothing: zero is one that does not say.
    const bool has_input = step.input_tokens_per_s > 0;
    std::string out =
        fmt::format("<tr><td>{}</td><td>{:.2f}</td><td>{}</td><td>{:.1f}</td>",
                    escape_html(load_words(step.step, language_)), step.requests_per_s,
                    has_input ? fmt::format("{:.1f}", step.input_tokens_per_s) : "–", step.output_tokens_per_s);
    for (const MaybePercentiles which : {&StepResult::ttft_s, &StepResult::itl_s, &StepResult::e2e_s}) {
      out += fmt::format("<td>{}</td>", percentile_words(step.*which));
    }
    out += fmt::format("<td{}>{}</td>", step.failed > 0 ? " class=\"bad\"" : "", grouped(step.failed));
    if (record_.slo.is_set()) {
      out +=
          step.goodput.has_value() ? fmt::format("<td>{:.0f} %</td>", std::floor(*step.goodput * 100)) : "<td>–</td>";
    }
    if (with_cost) {
      out += fmt::format("<td>{}</td>", step.cost_per_million_tokens.has_value()
                                            ? escape_html(to_display(*step.cost_per_million_tokens))
                                            : "–");
    }
    return out + "</tr>\n";
  }

  [[nodiscard]] std::string numbers() const {
    const bool with_cost = std::any_of(record_.steps.begin(), record_.steps.end(),
                                       [](const StepResult& step) { return step.cost_per_million_tokens.has_value(); });
    std::string out = fmt::format(
        "<section><h2>{}</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>{}</th><th>{}</th><th>{}</th><th>{}</th>",
        say("All numbers", "全部数据"), say("load", "负载"), say("requests/s", "请求/秒"),
        say("in tokens/s", "输入词元/秒"), say("out tokens/s", "输出词元/秒"));
    for (const std::string_view what : {say("TTFT", "首字"), say("ITL", "每字"), say("E2E", "全程")}) {
      out += fmt::format("<th>{} p50 / p95 / p99</th>", what);
    }
    out += fmt::format("<th>{}</th>", say("failed", "失败"));
    if (record_.slo.is_set()) out += fmt::format("<th>{}</th>", say("goodput", "达标"));
    if (with_cost) out += fmt::format("<th>{}</th>", say("cost/1M", "每百万词元"));
    out += "</tr></thead>\n<tbody>\n";
    for (const StepResult& step : record_.steps) out += row(step, with_cost);
    return out + "</tbody></table></div></section>\n";
  }

  [[nodiscard]] std::string errors() const {
    std::string rows;
    for (const StepResult& step : record_.steps) {
      for (const auto& [kind, entry] : step.errors) {
        rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"words\">{}</td></tr>\n",
                            escape_html(load_words(step.step, language_)), failure_words(kind, language_),
                            grouped(entry.count), escape_html(entry.said));
      }
    }
    if (rows.empty()) return {};
    return fmt::format(
        "<section><h2>{}</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>{}</th><th>{}</th><th>{}</th>"
        "<th class=\"words\">{}</th></tr></thead>\n<tbody>\n{}</tbody></table></div></section>\n",
        say("Errors", "错误"), say("load", "负载"), say("kind", "类型"), say("requests", "请求数"),
        say("first message", "首条信息"), rows);
  }

  [[nodiscard]] std::string slo_words() const {
    std::string out;
    const auto add = [this, &out](const std::optional<double>& limit, std::string_view what) {
      if (!limit.has_value()) return;
      out += fmt::format("{}{} ≤ {}", out.empty() ? "" : say(", ", "，"), what, latency_words(*limit, language_));
    };
    add(record_.slo.ttft_s, say("TTFT", "首字"));
    add(record_.slo.itl_s, say("mean time per token", "平均每字"));
    add(record_.slo.e2e_s, say("E2E", "全程"));
    return out;
  }

  [[nodiscard]] std::string definitions() const {
    std::string out =
        fmt::format("<section><h2>{}</h2>\n<p>{}</p>\n", say("What the numbers mean", "数据说明"),
                    say("TTFT: to the first text. ITL: between two pieces of text. E2E: to the end of the "
                        "answer. In an open loop each counts from when the request was due. Percentiles "
                        "are nearest-rank values; failed requests are in none.",
                        "首字：到第一段文本。每字：相邻两段文本之间。全程：到回答结束。开环测试中，三者都从请求"
                        "应当发出的时刻算起。百分位取最近秩；失败的请求不计入任何延迟。"));
    if (record_.slo.is_set()) {
      out += fmt::format("<p>{}{}</p>\n",
                         say("Goodput: the share of all requests that kept ", "达标：占全部请求的比例，要求"),
                         slo_words());
    }
    return out + "</section>\n";
  }

  const loadtest::BenchRecord& record_;
  const Language language_;
  const bool zh_;
};

}  // namespace

std::string bench_html(const loadtest::BenchRecord& record, Language language) {
  return Page(record, language).text();
}

}  // namespace dormouse::cli
