#include "cli/plan_details.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "catalog/config_file.h"

namespace dormouse::cli {
namespace {

using Align = Table::Align;
using planner::SpeedBasis;

constexpr double kGigabyte = 1e9;
constexpr const char* kNone = "–";

class Tables {
 public:
  Tables(const PlanView& view, Language language, PlanFormat format)
      : view_(view), zh_(language == Language::kChinese), language_(language), format_(format) {}

  [[nodiscard]] std::string search(const planner::TimeoutSearch& search) const;
  [[nodiscard]] std::string sizing(const planner::Sizing& sizing) const;
  [[nodiscard]] std::string quants(const std::vector<planner::QuantRow>& rows) const;
  [[nodiscard]] std::string sensitivity(const planner::Sensitivity& sensitivity) const;
  [[nodiscard]] std::string reservation(const planner::Details& details) const;
  [[nodiscard]] std::string deferred(const planner::DeferredEffect& effect) const;
  [[nodiscard]] std::string interval(const planner::Interval& interval) const;

 private:
  [[nodiscard]] std::string money(std::int64_t micros) const { return money_text(view_, micros); }
  [[nodiscard]] std::string maybe(const std::optional<std::int64_t>& micros) const {
    return micros.has_value() ? money(*micros) : kNone;
  }
  template <typename... Args>
  [[nodiscard]] std::string say(const char* english, const char* chinese, const Args&... args) const {
    return fmt::format(fmt::runtime(zh_ ? chinese : english), args...);
  }
  // All columns but the first to the right.
  [[nodiscard]] Table table(std::vector<std::string> english, std::vector<std::string> chinese) const {
    std::vector<Align> align(english.size(), Align::kRight);
    align[0] = Align::kLeft;
    return {zh_ ? std::move(chinese) : std::move(english), std::move(align)};
  }
  [[nodiscard]] std::string section(const std::string& title, const Table& table) const {
    return format_ == PlanFormat::kMarkdown ? fmt::format("\n### {}\n\n{}", title, table.markdown())
                                            : fmt::format("\n{}\n{}", title, table.text());
  }
  [[nodiscard]] std::string line(const std::string& text) const {
    return "\n" + (format_ == PlanFormat::kMarkdown ? text : wrapped(text, kTextColumns, 0)) + "\n";
  }

  const PlanView& view_;
  const bool zh_;
  const Language language_;
  const PlanFormat format_;
};

std::string seconds_text(double s) {
  return s < 10 ? fmt::format("{:.1f} s", s) : fmt::format("{:.0f} s", s);
}

std::string gigabytes(std::int64_t bytes) {
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) / kGigabyte);
}

// Of all that was tried, what a choice is between: nobody wants one that is dearer and slower than another.
std::string Tables::search(const planner::TimeoutSearch& search) const {
  Table out = table({"SLEEP AFTER", "A MONTH", "COLD", "P50", "P95", "P99", ""},
                    {"空闲休眠时间", "每月", "冷请求", "p50", "p95", "p99", ""});
  const double asked_s = view_.plan.question.timer.idle_timeout_s;
  for (std::size_t i = 0; i < search.rows.size(); ++i) {
    const planner::TimeoutRow& row = search.rows[i];
    const bool is_best = search.best == i;
    const bool is_asked = row.timeout_s == asked_s;
    if (!row.is_on_front && !is_best && !is_asked) continue;
    const planner::Forecast& f = row.forecast;
    std::string mark = is_best ? say("← cheapest", "← 最省") : is_asked ? say("← as asked", "← 当前") : std::string();
    out.add({fmt::format("{:.3g} s", row.timeout_s), money(row.micros), fmt::format("{:.1f} %", f.cold_share * 100),
             seconds_text(f.p50_s), seconds_text(f.p95_s), seconds_text(f.p99_s), mark});
  }
  std::string text = section(say("Timeouts that no other beats in both bill and p99, of {} replayed",
                                 "账单与 p99 都不被其他取值超过的休眠时间（共回放 {} 个）", search.rows.size()),
                             out);
  if (search.best.has_value()) return text;
  const planner::TimeoutRow& nearest = search.rows[search.nearest];
  return text + line(say("No timeout meets the goal; nearest is {:.3g} s ({:.1f} % cold, p99 {:.1f} s).",
                         "没有休眠时间能达到目标；最接近的是 {:.3g} 秒（冷请求 {:.1f} %，p99 {:.1f} 秒）。",
                         nearest.timeout_s, nearest.forecast.cold_share * 100, nearest.forecast.p99_s));
}

std::string Tables::sizing(const planner::Sizing& sizing) const {
  Table out = table({"UP TO", "MOST UP", "P50", "P95", "P99", "REFUSED", "HOURS", "THAT DAY", ""},
                    {"最多实例", "实际最多", "p50", "p95", "p99", "拒绝", "小时", "当天费用", ""});
  bool is_found = false;
  for (const planner::FleetRow& row : sizing.rows) {
    const bool is_answer = sizing.has_goal && row.keeps && !is_found;
    is_found = is_found || is_answer;
    out.add({std::to_string(row.instances), std::to_string(row.run.most_instances), seconds_text(row.run.latency.p50_s),
             seconds_text(row.run.latency.p95_s), seconds_text(row.run.latency.p99_s), grouped(row.run.refused),
             fmt::format("{:.1f}", static_cast<double>(row.run.up_us) / planner::kHourUs), money(row.micros),
             is_answer ? say("← enough", "← 足够") : std::string()});
  }
  const char* const names[] = {"Knative", "HPA", "SkyServe"};
  for (const planner::OtherScaler& other : sizing.others) {
    const planner::FleetRun& run = other.run;
    out.add({names[static_cast<std::size_t>(other.scaler)], std::to_string(run.most_instances),
             seconds_text(run.latency.p50_s), seconds_text(run.latency.p95_s), seconds_text(run.latency.p99_s), "0",
             fmt::format("{:.1f}", static_cast<double>(run.up_us) / planner::kHourUs), money(run.paid_micros),
             say("their rules", "其他调度规则")});
  }
  std::string title = say("Instances on a day of {} requests in {:g} h", "一天 {} 次请求、集中在 {:g} 小时内时的实例数",
                          grouped(sizing.requests), sizing.hours);
  if (sizing.load > 0)
    title += say(", {:.0f} % of one instance's work", "，相当于单个实例工作量的 {:.0f} %", sizing.load * 100);
  title += say(" (simulated with the fleet's own rules)", "（按实际调度规则模拟）");
  std::string text = section(title, out);
  if (sizing.guess.has_value()) {
    text += line(say("Queueing alone would say {} for the goal; it knows neither sleep nor wake.",
                     "只按排队论，达到目标需要 {} 个实例；它不考虑休眠和唤醒。", *sizing.guess));
  }
  return text;
}

std::string Tables::quants(const std::vector<planner::QuantRow>& rows) const {
  const char* const english[] = {"measured", "roofline", "listed"};
  const char* const chinese[] = {"实测", "屋顶线估算", "标称"};
  Table out = table({"QUANTISATION", "WEIGHTS", "KV CACHE", "LEFT", "AT ONCE", "TOK/S ALONE", "BY", "1M AT CAPACITY",
                     "1M BUSY", "1M REAL"},
                    {"量化", "权重", "KV 缓存", "剩余", "最多并发", "单请求词元/秒", "依据", "百万词元（满载）",
                     "（计算）", "（实际）"});
  for (const planner::QuantRow& row : rows) {
    const bool fits = row.fit.left_bytes >= 0;
    const bool has_speed = row.speeds.has_value();
    out.add({std::string(to_string(row.fit.quant)), gigabytes(row.fit.weight_bytes), gigabytes(row.fit.kv_bytes),
             fits ? gigabytes(row.fit.left_bytes) : say("lacks {}", "缺 {}", gigabytes(-row.fit.left_bytes)),
             fits ? grouped(row.fit.most_sequences) : kNone,
             has_speed ? fmt::format("{:.0f}", row.speeds->line.tokens_per_s(1)) : kNone,
             has_speed ? (zh_ ? chinese : english)[static_cast<std::size_t>(row.speeds->basis)] : kNone,
             maybe(row.prices.capacity), maybe(row.prices.busy), maybe(row.prices.real)});
  }
  return section(say("What fits, and a million output tokens at capacity, by busy time, and by the real bill",
                     "能放下的量化，以及百万输出词元的三种价格：满载、只算计算时间、按实际账单"),
                 out);
}

std::string Tables::sensitivity(const planner::Sensitivity& sensitivity) const {
  Table out = table({"IF", "A MONTH", "CHEAPER"}, {"假如", "每月", "更省"});
  const auto add = [&](const std::vector<planner::Case>& cases, const char* en, const char* zh) {
    for (const planner::Case& one : cases) {
      std::string cheaper = kNone;
      if (one.cheaper.has_value()) {
        cheaper =
            *one.cheaper == planner::Cheaper::kByTheHour ? say("by the hour", "按小时") : say("by the month", "包月");
      }
      out.add({say(en, zh, one.value), maybe(one.micros), cheaper});
    }
  };
  add(sensitivity.wake_s, "waking takes {:g} s", "唤醒 {:g} 秒");
  add(sensitivity.hour_price, "an hour costs x {:g}", "每小时价格 × {:g}");
  add(sensitivity.volume, "requests x {:g}", "请求量 × {:g}");
  return section(say("What it hangs on", "取决于什么"), out);
}

std::string Tables::reservation(const planner::Details& details) const {
  Table out = table({"INSTANCE", "HOURS A MONTH", "RENT"}, {"实例", "每月小时", "租法"});
  const planner::Reservation& best = *details.reservation;
  constexpr std::size_t kMostRows = 8;
  for (std::size_t i = 0; i < details.level_hours.size(); ++i) {
    if (details.level_hours[i] <= 0) break;
    if (i >= std::max(kMostRows, best.reserved + 1)) {
      out.add({"…", "", ""});
      break;
    }
    const std::string rest = best.is_spot && i > 0 ? say("on spot", "竞价") : say("by the hour", "按小时");
    out.add({std::to_string(i + 1), fmt::format("{:.1f}", details.level_hours[i]),
             i < best.reserved ? say("by the month", "包月") : rest});
  }
  std::string text = section(say("Mixed: which instances are worth a month", "混合租用：哪些实例值得包月"), out);
  text += line(say("{} by the month and the rest as needed: {} a month; all by the hour {}; all by the month {}.",
                   "{} 台包月，其余按需：每月 {}；全部按小时 {}；全部包月 {}。", best.reserved, money(best.micros),
                   money(best.on_demand_micros), maybe(best.monthly_micros)));
  return text;
}

std::string Tables::deferred(const planner::DeferredEffect& effect) const {
  const std::int64_t saved = effect.at_once_micros - effect.gathered_micros;
  std::string out = say(
      "Deferred: {} of {} requests may wait: {} a month instead of {} (saves {}); they take {} on average, {} at most.",
      "延后处理：{1} 次请求中有 {0} 次可以等待：每月 {2}，而不是 {3}（省 {4}）；这些请求平均 {5} 完成，最长 {6}。",
      grouped(effect.gathered.deferred), grouped(effect.gathered.outcome.requests), money(effect.gathered_micros),
      money(effect.at_once_micros), money(saved), duration_words(effect.gathered.mean_s, language_),
      duration_words(effect.gathered.longest_s, language_));
  if (effect.gathered.late > 0) out += say(" {} are late.", "其中 {} 次超时。", grouped(effect.gathered.late));
  return line(out);
}

std::string Tables::interval(const planner::Interval& interval) const {
  return line(say("With 90 % confidence a month like these {} days costs {} to {}.",
                  "按这 {} 天推算，每月费用有 90 % 的把握在 {} 到 {} 之间。", interval.days, money(interval.low_micros),
                  money(interval.high_micros)));
}

}  // namespace

Result<planner::Wishes> wishes_of(const PlanFlags& flags, const PlanView& view) {
  planner::Wishes out;
  if (flags.most_cold_percent >= 0) out.goal.cold_share_max = flags.most_cold_percent / 100;
  if (flags.most_p99_s >= 0) out.goal.p99_s_max = flags.most_p99_s;
  out.most_instances = flags.instances;
  if (flags.spike > 0) {
    const std::optional<planner::Traffic>& traffic = view.plan.question.traffic;
    const double hours = traffic.has_value() ? traffic->active_hours : 24;
    out.spike = planner::Spike{flags.spike, flags.spike_hours > 0 ? flags.spike_hours : hours};
  }
  if (flags.deferred_percent > 0) {
    TRY(const std::chrono::milliseconds deadline, catalog::parse_duration(flags.deadline));
    out.deferred = planner::DeferredRules{flags.deferred_percent / 100, std::chrono::microseconds(deadline).count()};
  }
  if (view.type.vram_gb == 0) return out;
  TRY(out.model, model_wish(flags, view.type));
  out.model->speeds = view.speeds;
  return out;
}

std::string details_text(const PlanView& view, const planner::Details& details, Language language, PlanFormat format) {
  const Tables tables(view, language, format);
  std::string out;
  if (details.interval.has_value()) out += tables.interval(*details.interval);
  out += tables.search(details.search);
  out += tables.sizing(details.sizing);
  if (details.reservation.has_value()) out += tables.reservation(details);
  if (!details.quants.empty()) out += tables.quants(details.quants);
  if (details.sensitivity.has_value()) out += tables.sensitivity(*details.sensitivity);
  if (details.deferred.has_value()) out += tables.deferred(*details.deferred);
  return out;
}

}  // namespace dormouse::cli
