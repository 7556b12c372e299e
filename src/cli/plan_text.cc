#include "cli/plan_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <utility>

#include "cli/table.h"
#include "planner/closed_form.h"

namespace dormouse::cli {
namespace {

namespace json = boost::json;

constexpr int kMonths = 16;  // of the replay: a bill scatters by less than 0.1 % then
constexpr std::uint64_t kSeed = 1;
constexpr double kHoursOfMonth = static_cast<double>(catalog::kHoursPerMonth);
// A month for less than this part of its hours is rare enough to be a mistake.
constexpr double kSuspiciousShare = 0.35;

double hours(double seconds) {
  return seconds / 3'600;
}

std::string money(std::int64_t micros, const Plan& plan) {
  return to_display(Money{micros, plan.question.type.currency});
}

// What is replayed, and of how many months it is.
struct Arrivals {
  std::vector<planner::Arrival> all;
  double months = 1;
};

Arrivals arrivals_of(const PlanQuestion& question) {
  if (question.trace.empty()) return {planner::random_months(question.traffic, kMonths, kSeed), kMonths};
  return {question.trace, planner::trace_days(question.trace) / (kHoursOfMonth / 24)};
}

PlanRow timer_row(const Plan& plan, const Arrivals& arrivals, planner::Timer timer) {
  PlanRow row;
  row.timer = timer;
  row.forecast = planner::replay(arrivals.all, timer, plan.prices, arrivals.months);
  planner::Forecast& f = row.forecast;
  row.micros = plan.prices.increment_s > 1 ? f.rounded_bill_micros : f.bill_micros;
  const bool has_formula = plan.question.trace.empty() && timer.slots <= 1;
  if (!has_formula) return row;
  // The formula has no scatter. What is left of the replay's split goes to idling.
  f.awake_s = planner::awake_seconds(plan.question.traffic, timer);
  f.idle_s = std::max(0.0, f.awake_s - f.busy_s - f.waking_s);
  f.bill_micros = std::llround(hours(f.awake_s) * static_cast<double>(plan.prices.hour_micros));
  row.micros = plan.prices.increment_s > 1 ? f.rounded_bill_micros : f.bill_micros;
  return row;
}

PlanRow naive_row(const Plan& plan, const Arrivals& arrivals) {
  PlanRow row;
  row.kind = PlanRow::Kind::kNaive;
  row.forecast.busy_s = plan.question.traffic.requests() * plan.question.traffic.service_s;
  if (!plan.question.trace.empty()) {
    row.forecast.busy_s = 0;
    for (const planner::Arrival& arrival : arrivals.all) row.forecast.busy_s += arrival.service_s / arrivals.months;
  }
  row.forecast.awake_s = row.forecast.busy_s;
  row.micros = std::llround(hours(row.forecast.busy_s) * static_cast<double>(plan.prices.hour_micros));
  return row;
}

PlanRow monthly_row(const Plan& plan, const Arrivals& arrivals) {
  PlanRow row;
  row.kind = PlanRow::Kind::kMonthly;
  row.forecast = planner::replay(arrivals.all, {1e7, 0, plan.question.timer.slots}, plan.prices, arrivals.months);
  row.micros = *plan.prices.month_micros;
  return row;
}

std::string seconds_text(double s) {
  return s < 10 ? fmt::format("{:.1f} s", s) : fmt::format("{:.0f} s", s);
}

std::string timer_words(double timeout_s, Language language) {
  const bool zh = language == Language::kChinese;
  if (timeout_s <= 0) return zh ? "立即休眠" : "sleep at once";
  const std::string after = duration_words(timeout_s, language);
  return zh ? fmt::format("空闲 {}后休眠", after) : "sleep after " + after;
}

std::string row_name(const PlanRow& row, Language language) {
  const bool zh = language == Language::kChinese;
  switch (row.kind) {
    case PlanRow::Kind::kNaive: return zh ? "粗算（只算计算时间）" : "naive estimate";
    case PlanRow::Kind::kMonthly: return zh ? "包月" : "by the month";
    case PlanRow::Kind::kTimer: break;
  }
  return timer_words(row.timer.idle_timeout_s, language);
}

std::vector<std::string> cells(const Plan& plan, const PlanRow& row, Language language) {
  const planner::Forecast& f = row.forecast;
  const auto h = [](double s) { return fmt::format("{:.1f}", hours(s)); };
  const std::string none = "–";
  std::vector<std::string> out{row_name(row, language)};
  const bool is_monthly = row.kind == PlanRow::Kind::kMonthly;
  const bool is_timer = row.kind == PlanRow::Kind::kTimer;
  out.push_back(is_monthly ? none : h(f.awake_s));
  out.push_back(is_monthly ? none : h(f.busy_s));
  out.push_back(is_timer ? h(f.waking_s) : none);
  out.push_back(is_timer ? h(f.idle_s) : none);
  out.push_back(money(row.micros, plan));
  const bool is_naive = row.kind == PlanRow::Kind::kNaive;
  out.push_back(is_naive ? none : fmt::format("{:.1f} %", is_monthly ? 0 : f.cold_share * 100));
  for (const double latency : {f.p50_s, f.p95_s, f.p99_s}) out.push_back(is_naive ? none : seconds_text(latency));
  return out;
}

std::string random_words(const planner::Traffic& t, bool zh) {
  return fmt::format(fmt::runtime(zh ? "每天 {:.0f} 次请求 × {:g} 秒，每天 {:g} 小时 × {:g} 天，随机到达"
                                     : "{:.0f} requests/day × {:g} s, {:g} h × {:g} days, random arrivals"),
                     t.requests_per_day, t.service_s, t.active_hours, t.active_days);
}

std::string trace_words(const Plan& plan, bool zh) {
  const std::vector<planner::Arrival>& trace = plan.question.trace;
  const double days = planner::trace_days(trace);
  const std::string note = plan.question.trace_note.empty() ? std::string() : "\n" + plan.question.trace_note;
  std::string out = fmt::format(fmt::runtime(zh ? "实测 {} 次请求，{:.0f} 天，按每月 {:.1f} 天折算"
                                                : "{} measured requests in {:.0f} day(s), for a month of {:.1f}"),
                                grouped(static_cast<long long>(trace.size())), days, kHoursOfMonth / 24);
  constexpr double kMostOfADay = 0.5 * 86'400;
  if (trace.back().at_s - trace.front().at_s < kMostOfADay) {
    return out + (zh ? "（不足一天：按一天的全部请求计）" : " (less than a day: taken as all of one)") + note;
  }
  constexpr double kFewDays = 5;
  if (days < kFewDays) out += zh ? "（少于五天：只是粗略参考）" : " (fewer than five days say little of a month)";
  return out + note;
}

std::string heading(const Plan& plan, Language language) {
  const catalog::InstanceType& type = plan.question.type;
  const bool zh = language == Language::kChinese;
  const std::string title = zh ? type.title_zh : type.title_en;
  std::string out = plan.question.trace.empty() ? random_words(plan.question.traffic, zh) : trace_words(plan, zh);
  out += fmt::format(fmt::runtime(zh ? "\n{} · {}/小时" : "\n{} · {}/h"), title.empty() ? type.name : title,
                     money(plan.prices.hour_micros, plan));
  if (plan.prices.increment_s > 1) {
    out += fmt::format(fmt::runtime(zh ? "，按 {:g} 秒取整" : " in whole {:g} s"), plan.prices.increment_s);
  }
  if (plan.prices.month_micros.has_value()) {
    out += fmt::format(fmt::runtime(zh ? " · {}/月" : " · {}/month"), money(*plan.prices.month_micros, plan));
  }
  out += fmt::format(fmt::runtime(zh ? " · 唤醒 {:g} 秒" : " · wake {:g} s"), plan.question.timer.wake_s);
  if (!type.source.empty()) out += fmt::format(fmt::runtime(zh ? " · 价格来源：{}" : " · price: {}"), type.source);
  return out + "\n";
}

std::string verdict(const Plan& plan, Language language) {
  const bool zh = language == Language::kChinese;
  const std::int64_t asked = plan.rows[plan.asked].micros;
  const std::string timer = timer_words(plan.question.timer.idle_timeout_s, language);
  if (!plan.prices.month_micros.has_value()) {
    return fmt::format(fmt::runtime(zh ? "{}：每月 {}，一年 {}。此类型没有包月价格。"
                                       : "{}: {} a month, {} a year. This type has no monthly price."),
                       timer, money(asked, plan), money(asked * 12, plan));
  }
  const std::int64_t month = *plan.prices.month_micros;
  const std::string saved = money(std::abs(asked - month), plan);
  const std::string year = money(std::min(month, asked) * 12, plan);
  std::string out;
  if (month < asked) {
    out = fmt::format(fmt::runtime(zh ? "包月更省：比“{}”每月便宜 {}，全年 {}。"
                                      : "By the month: cheaper than “{}” by {}, {} a year."),
                      timer, saved, year);
  } else {
    out = fmt::format(fmt::runtime(zh ? "按小时更省：“{}”比包月每月便宜 {}，全年 {}。"
                                      : "By the hour: “{}” is cheaper than the month by {}, {} a year."),
                      timer, saved, year);
  }
  if (!plan.question.trace.empty() || plan.question.timer.slots > 1) return out;
  if (plan.hourly_wins_below_s.has_value()) {
    out += fmt::format(fmt::runtime(zh ? " 此请求量下，休眠时间短于 {:.0f} 秒时按小时更便宜"
                                       : " At this volume the hour wins below a timer of {:.0f} s"),
                       *plan.hourly_wins_below_s);
  } else {
    out += zh ? " 此请求量下，任何休眠时间都是包月更便宜" : " At this volume the month wins whatever the timer";
  }
  if (plan.hourly_wins_below_requests.has_value()) {
    out += fmt::format(fmt::runtime(zh ? "；保持现在的休眠时间，则在每天少于 {:.0f} 次请求时。"
                                       : ", with this timer under {:.0f} requests a day."),
                       *plan.hourly_wins_below_requests);
  } else {
    out += zh ? "。" : ".";
  }
  return out;
}

std::string explanation(const Plan& plan, Language language) {
  const bool zh = language == Language::kChinese;
  const planner::Forecast& f = plan.rows[plan.asked].forecast;
  const std::vector<planner::Arrival>& trace = plan.question.trace;
  const double gap_s = trace.size() > 1
                           ? (trace.back().at_s - trace.front().at_s) / static_cast<double>(trace.size() - 1)
                       : trace.empty() ? 1 / plan.question.traffic.rate()
                                       : 0;
  const double idle_share = f.awake_s > 0 ? f.idle_s / f.awake_s : 0;
  const double waking_share = f.awake_s > 0 ? f.waking_s / f.awake_s : 0;
  std::string out = fmt::format(
      fmt::runtime(
          zh ? "显卡只计算 {:.1f} 小时，却运行了 {:.1f} 小时：两次请求平均相隔 {}，"
               "休眠要等 {:g} 秒。账单的 {:.0f} % "
               "是空等，{:.0f} % 是唤醒。"
             : "It computes for {:.1f} hours and is awake for {:.1f}: between two requests lie "
               "{} on average, and the timer waits {:g} s. Of the bill {:.0f} % is waiting and {:.0f} % waking."),
      hours(f.busy_s), hours(f.awake_s), seconds_text(gap_s), plan.question.timer.idle_timeout_s, idle_share * 100,
      waking_share * 100);
  const double used = hours(f.busy_s) / kHoursOfMonth;
  out += fmt::format(
      fmt::runtime(zh ? " 利用率 {:.1f} %（{:.1f} / {:.0f} 小时）" : " Utilisation {:.1f} % ({:.1f} of {:.0f} h)"),
      used * 100, hours(f.busy_s), kHoursOfMonth);
  if (plan.break_even_hours.has_value()) {
    out += fmt::format(fmt::runtime(zh ? "；盈亏平衡点是运行 {:.1f} 小时（{:.1f} %）。"
                                       : "; break-even at {:.1f} hours awake ({:.1f} %)."),
                       *plan.break_even_hours, *plan.break_even_hours / kHoursOfMonth * 100);
  } else {
    out += zh ? "。" : ".";
  }
  return out;
}

std::string warnings(const Plan& plan, Language language) {
  const bool zh = language == Language::kChinese;
  std::string out;
  if (plan.break_even_hours.has_value() && *plan.break_even_hours < kSuspiciousShare * kHoursOfMonth) {
    out += fmt::format(fmt::runtime(zh ? "! 包月价只有按小时连续使用的 {:.0f} %，请核对价格。\n"
                                       : "! The month costs {:.0f} % of its hours: check this price.\n"),
                       *plan.break_even_hours / kHoursOfMonth * 100);
  }
  const catalog::InstanceType& type = plan.question.type;
  if (type.vram_gb > 0 && type.vram_gb < 16) {
    out += fmt::format(fmt::runtime(zh ? "! 显存 {} GB 少于 16 GB。\n" : "! {} GB of VRAM are less than 16.\n"),
                       type.vram_gb);
  }
  return out;
}

Status check_traffic(const planner::Traffic& t) {
  if (!(t.requests_per_day > 0) || !(t.service_s > 0) || !(t.active_days > 0) || !(t.active_hours > 0) ||
      t.active_days > 31 || t.active_hours > 24 || t.requests() > 1e7) {
    return make_error(Code::kInvalidArgument,
                      "want requests and seconds above 0, 1 to 31 days of up to 24 hours, at most 10,000,000 requests");
  }
  if (t.load() < 1) return {};
  return make_error(Code::kInvalidArgument,
                    fmt::format("{:.0f} requests of {:g} s do not fit into {:g} hours one after the other",
                                t.requests_per_day, t.service_s, t.active_hours));
}

json::object object_of(const PlanRow& row) {
  const planner::Forecast& f = row.forecast;
  const char* const kinds[] = {"naive", "timer", "monthly"};
  json::object out{{"kind", kinds[static_cast<std::size_t>(row.kind)]}, {"micros", row.micros}};
  if (row.kind == PlanRow::Kind::kTimer) out["idle_timeout_s"] = row.timer.idle_timeout_s;
  if (row.kind != PlanRow::Kind::kMonthly) out["awake_s"] = f.awake_s;
  out["busy_s"] = f.busy_s;
  if (row.kind == PlanRow::Kind::kNaive) return out;
  if (row.kind == PlanRow::Kind::kTimer) {
    out["waking_s"] = f.waking_s;
    out["idle_s"] = f.idle_s;
    out["wakes"] = f.wakes;
    out["cold_share"] = f.cold_share;
  }
  out["mean_s"] = f.mean_s;
  out["p50_s"] = f.p50_s;
  out["p95_s"] = f.p95_s;
  out["p99_s"] = f.p99_s;
  return out;
}

json::value maybe(const std::optional<double>& number) {
  return number.has_value() ? json::value(*number) : json::value(nullptr);
}

}  // namespace

Result<Plan> make_plan(PlanQuestion question) {
  if (question.trace.empty()) TRY_STATUS(check_traffic(question.traffic));
  if (!question.type.hour_micros.has_value()) {
    return make_error(Code::kInvalidArgument, fmt::format("{} has no hourly price; give it one with [[instance]] in "
                                                          "dormouse.toml",
                                                          question.type.name));
  }
  Plan plan;
  plan.question = std::move(question);
  plan.prices.hour_micros = *plan.question.type.hour_micros;
  plan.prices.month_micros = plan.question.type.month_micros;
  plan.prices.increment_s = std::chrono::duration<double>(plan.question.type.increment).count();
  const Arrivals arrivals = arrivals_of(plan.question);
  plan.rows.push_back(naive_row(plan, arrivals));
  const planner::Timer asked = plan.question.timer;
  plan.rows.push_back(timer_row(plan, arrivals, asked));
  for (const double other : {600.0, 60.0, 0.0}) {
    if (std::abs(other - asked.idle_timeout_s) <= 0.5) continue;
    plan.rows.push_back(timer_row(plan, arrivals, {other, asked.wake_s, asked.slots}));
  }
  if (!plan.prices.month_micros.has_value()) return plan;
  plan.rows.push_back(monthly_row(plan, arrivals));
  plan.break_even_hours = static_cast<double>(*plan.prices.month_micros) / static_cast<double>(plan.prices.hour_micros);
  if (!plan.question.trace.empty() || asked.slots > 1)
    return plan;  // the formulas are of random arrivals, one at a time
  const planner::Traffic& traffic = plan.question.traffic;
  const double even_s = *plan.break_even_hours * 3'600;
  plan.hourly_wins_below_s = planner::longest_timeout(traffic, asked.wake_s, even_s);
  plan.hourly_wins_below_requests = planner::requests_for(traffic, asked, even_s);
  return plan;
}

std::string plan_table(const Plan& plan, Language language) {
  using Align = Table::Align;
  const bool zh = language == Language::kChinese;
  std::vector<std::string> header =
      zh ? std::vector<std::string>{"", "运行 h", "= 计算", "+ 唤醒", "+ 空等", "账单", "冷请求", "p50", "p95", "p99"}
         : std::vector<std::string>{"", "AWAKE H", "= BUSY", "+ WAKING", "+ IDLE", "BILL", "COLD", "P50", "P95", "P99"};
  std::vector<Align> align(header.size(), Align::kRight);
  align[0] = Align::kLeft;
  Table table(std::move(header), std::move(align));
  for (const PlanRow& row : plan.rows) table.add(cells(plan, row, language));
  return fmt::format("{}\n{}\n{}{}\n{}{}\n{}", heading(plan, language), table.text(), zh ? "结论  " : "Verdict  ",
                     verdict(plan, language), zh ? "原因  " : "Why      ", explanation(plan, language),
                     warnings(plan, language));
}

std::string plan_json(const Plan& plan) {
  json::array rows;
  for (const PlanRow& row : plan.rows) rows.push_back(object_of(row));
  const planner::Traffic& t = plan.question.traffic;
  return json::serialize(json::object{{"requests_per_day", t.requests_per_day},
                                      {"seconds_per_request", t.service_s},
                                      {"active_days", t.active_days},
                                      {"active_hours", t.active_hours},
                                      {"idle_timeout_s", plan.question.timer.idle_timeout_s},
                                      {"wake_s", plan.question.timer.wake_s},
                                      {"instance_type", plan.question.type.name},
                                      {"currency", plan.question.type.currency},
                                      {"rows", std::move(rows)},
                                      {"break_even_hours", maybe(plan.break_even_hours)},
                                      {"hourly_wins_below_timeout_s", maybe(plan.hourly_wins_below_s)},
                                      {"hourly_wins_below_requests_per_day", maybe(plan.hourly_wins_below_requests)}});
}

}  // namespace dormouse::cli
