// What follows from a plan, in words. Each sentence stands in both languages side by side.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "cli/plan_text.h"
#include "planner/closed_form.h"
#include "planner/sensitivity.h"

namespace dormouse::cli {
namespace {

using planner::Row;

constexpr double kHoursOfMonth = planner::kHoursOfMonth;
constexpr int kMonthsOfYear = 12;
constexpr double kPatienceS = 600;  // the clients' own default

// Picks a language, then fills in.
class Sentence {
 public:
  explicit Sentence(Language language) : zh_(language == Language::kChinese) {}
  template <typename... Args>
  [[nodiscard]] std::string operator()(const char* english, const char* chinese, const Args&... args) const {
    return fmt::format(fmt::runtime(zh_ ? chinese : english), args...);
  }

 private:
  bool zh_;
};

double percent(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string verdict(const PlanView& view, Language language) {
  const Sentence say(language);
  const Row& asked = view.plan.rows[view.plan.asked];
  const std::string timer = row_name(view, asked, language);
  const auto money = [&view](std::int64_t micros) { return money_text(view, micros); };
  const Row* const monthly = planner::find_row(view.plan, Row::Kind::kMonthly);
  if (monthly == nullptr) {
    return say("“{}” costs {} a month, {} a year. This type has no monthly price.",
               "“{}”每月 {}，一年 {}。此类型没有包月价格。", timer, money(asked.micros),
               money(asked.micros * kMonthsOfYear));
  }
  const std::int64_t saved = std::abs(asked.micros - monthly->micros);
  if (saved == 0) return say("“{}” and the month cost the same.", "“{}”与包月费用相同。", timer);
  const bool month_wins = monthly->micros < asked.micros;
  const std::int64_t better = std::min(asked.micros, monthly->micros);
  const std::int64_t worse = std::max(asked.micros, monthly->micros);
  const double margin = percent(saved, worse);
  return month_wins ? say("By the month: {} a month less than “{}” ({:.0f} %); {} a year instead of {}.",
                          "包月更省：每月比“{1}”少 {0}（{2:.0f} %）；一年 {3}，而不是 {4}。", money(saved), timer,
                          margin, money(better * kMonthsOfYear), money(worse * kMonthsOfYear))
                    : say("By the hour: “{1}” is {0} a month less than the month's price ({2:.0f} %); {3} a year "
                          "instead of {4}.",
                          "按小时更省：“{1}”每月比包月少 {0}（{2:.0f} %）；一年 {3}，而不是 {4}。", money(saved), timer,
                          margin, money(better * kMonthsOfYear), money(worse * kMonthsOfYear));
}

std::string gap_words(double seconds, Language language) {
  constexpr double kWhole = 10;
  if (seconds >= kWhole) return duration_words(seconds, language);
  return fmt::format("{:.2g} {}", seconds, language == Language::kChinese ? "秒" : "s");
}

std::string naive_words(const PlanView& view, const Sentence& say) {
  const Row& naive = view.plan.rows.front();
  std::string out = say("The naive estimate counts {:.1f} hours of computing, {}", "粗算只计 {:.1f} 小时的计算，即 {}",
                        hours(naive.forecast.busy_s), money_text(view, naive.micros));
  if (const Row* const monthly = planner::find_row(view.plan, Row::Kind::kMonthly);
      monthly != nullptr && naive.micros > 0 && naive.micros < monthly->micros) {
    out += say(", and would call the hour {:.0f} times cheaper than the month. ", "，看起来比包月便宜 {:.0f} 倍。",
               static_cast<double>(monthly->micros) / static_cast<double>(naive.micros));
  } else {
    out += say(". ", "。");
  }
  return out;
}

std::string why(const PlanView& view, Language language) {
  const Sentence say(language);
  const planner::Plan& plan = view.plan;
  const planner::Forecast& f = plan.rows[plan.asked].forecast;
  const double awake_s = std::max(f.awake_s, 1e-9);
  std::string out = naive_words(view, say);
  out +=
      say("But it is awake for {:.1f} hours: between two requests lie {} on average and the timer waits {}, so {:.0f} "
          "% of the "
          "time paid is waiting and {:.0f} % waking. Utilisation is {:.1f} % ({:.1f} of {:.0f} h)",
          "但实例实际运行 {:.1f} 小时：两次请求平均相隔 {}，休眠要等 {}，付费时间的 {:.0f} % 是空等，{:.0f} % 是唤醒。"
          "利用率 {:.1f} %（{:.1f} / {:.0f} 小时）",
          hours(f.awake_s), gap_words(view.gap_s, language),
          duration_words(plan.question.timer.idle_timeout_s, language), f.idle_s / awake_s * 100,
          f.waking_s / awake_s * 100, hours(f.busy_s) / kHoursOfMonth * 100, hours(f.busy_s), kHoursOfMonth);
  if (!plan.break_even_hours.has_value()) return out + say(".", "。");
  out += say("; break-even lies at {:.1f} hours awake ({:.1f} %)", "；盈亏平衡点是运行 {:.1f} 小时（{:.1f} %）",
             *plan.break_even_hours, *plan.break_even_hours / kHoursOfMonth * 100);
  if (plan.naive_break_even_requests.has_value() && plan.hourly_wins_below_requests.has_value()) {
    out += say(". Counting busy time alone that would be {:.0f} requests a day; with this timer it is {:.0f}",
               "。若只算计算时间，相当于每天 {:.0f} 次请求；按现在的休眠时间，其实是 {:.0f} 次",
               *plan.naive_break_even_requests, std::floor(*plan.hourly_wins_below_requests));
  }
  return out + say(".", "。");
}

// What a schedule saves, and whether that is enough.
std::string window_words(const PlanView& view, const Sentence& say) {
  const Row* const window = planner::find_row(view.plan, Row::Kind::kWindow);
  if (window == nullptr) return {};
  const planner::Traffic& traffic = *view.plan.question.traffic;
  const double asleep_h = traffic.active_days * (24 - traffic.active_hours);
  const auto saved =
      static_cast<std::int64_t>(std::llround(asleep_h * static_cast<double>(view.plan.question.tariff.hour_micros)));
  std::string out =
      say("A schedule that sleeps {:g} h on each active day saves {:.0f} h = {} against staying awake ({} a year); the "
          "{:.0f} h left cost {}",
          "按日程每个活跃日休眠 {:g} 小时，比一直运行省 {:.0f} 小时 = {}（一年 {}）；剩下的 {:.0f} 小时要 {}",
          24 - traffic.active_hours, asleep_h, money_text(view, saved), money_text(view, saved * kMonthsOfYear),
          hours(window->forecast.awake_s), money_text(view, window->micros));
  if (const Row* const monthly = planner::find_row(view.plan, Row::Kind::kMonthly); monthly != nullptr) {
    const bool is_more = window->micros > monthly->micros;
    out += is_more ? say(", still more than the month's {}", "，仍高于包月的 {}", money_text(view, monthly->micros))
                   : say(", less than the month's {}", "，低于包月的 {}", money_text(view, monthly->micros));
  }
  return out + say(".", "。");
}

// Why the timers between the ends are never best here, and what to take while nothing is known.
std::string poisson_words(const planner::Plan& plan, const Sentence& say) {
  const planner::Question& q = plan.question;
  if (!q.traffic.has_value() || q.timer.slots != 1) return {};
  const bool is_at_once =
      planner::best_under_poisson(*q.traffic, q.timer.wake_s, q.tariff, {}) == planner::BestUnderPoisson::kSleepAtOnce;
  return say(
      "For arrivals at random the bill alone is best at an end, here {}; a timer between pays for bursts and latency, "
      "and "
      "about {:.0f} s are safe while nothing is measured. ",
      "对随机到达，只看账单时最优总在两端，这里是{}；中间的休眠时间只在请求成簇或要求延迟时值得，没有实测数据时取约 "
      "{:.0f} 秒比较稳妥。",
      is_at_once ? say("sleeping at once", "立即休眠") : say("never sleeping", "从不休眠"),
      planner::timeout_without_data(q.timer.wake_s, 0, q.tariff));
}

std::string change(const PlanView& view, Language language) {
  const Sentence say(language);
  const planner::Plan& plan = view.plan;
  std::vector<std::string> ways;
  if (plan.hourly_wins_below_s.has_value()) {
    ways.push_back(
        say("the timer under {:.0f} s at this volume", "此请求量下休眠时间短于 {:.0f} 秒", *plan.hourly_wins_below_s));
  }
  if (plan.hourly_wins_below_requests.has_value()) {
    ways.push_back(say("fewer than {:.0f} requests a day with this timer", "保持现在的休眠时间而每天少于 {:.0f} 次请求",
                       std::floor(*plan.hourly_wins_below_requests)));
  }
  if (plan.hourly_wins_below_hour_micros.has_value()) {
    ways.push_back(
        say("an hour for less than {}", "每小时价格低于 {}", money_text(view, *plan.hourly_wins_below_hour_micros)));
  }
  std::string out;
  for (const std::string& way : ways)
    out += (out.empty() ? say("The hour wins with ", "以下任一情况按小时更省：") : say(", or ", "；")) + way;
  if (!out.empty()) out += say(". ", "。");
  if (plan.break_even_hours.has_value() && !plan.hourly_wins_below_s.has_value() && plan.question.traffic.has_value() &&
      plan.question.timer.slots == 1) {
    out += say("At this volume the month wins whatever the timer. ", "此请求量下，任何休眠时间都是包月更省。");
  }
  const auto fast = std::find_if(plan.rows.begin(), plan.rows.end(), [&plan](const Row& row) {
    return row.kind == Row::Kind::kTimer && row.timer.wake_s != plan.question.timer.wake_s;
  });
  if (fast != plan.rows.end()) {
    out += say("An instance that wakes in {:g} s can sleep at once: {} a month, p99 {:.1f} s. ",
               "若唤醒只要 {:g} 秒，就可以立即休眠：每月 {}，p99 {:.1f} 秒。", fast->timer.wake_s,
               money_text(view, fast->micros), fast->forecast.p99_s);
  }
  return out + poisson_words(plan, say) + window_words(view, say);
}

std::string doubt_words(planner::PriceDoubt doubt, const planner::Plan& plan, const Sentence& say) {
  const double share = plan.break_even_hours.value_or(0) / kHoursOfMonth * 100;
  switch (doubt) {
    case planner::PriceDoubt::kHourAbsurd:
      return say("An hour at this price: check it.", "每小时的价格不合常理，请核对。");
    case planner::PriceDoubt::kMonthTooLow:
      return say("The month costs {:.0f} % of its hours: check this price.",
                 "包月价只有按小时连续使用的 {:.0f} %，请核对价格。", share);
    case planner::PriceDoubt::kMonthTooHigh:
      return say("The month costs more than its hours: check this price.",
                 "包月价高于按小时连续使用的费用，请核对价格。");
    case planner::PriceDoubt::kSpotTooHigh:
      return say("Spot costs more than the hour: check this price.", "竞价高于按小时的价格，请核对价格。");
  }
  return {};
}

std::vector<std::string> warnings(const PlanView& view, Language language) {
  const Sentence say(language);
  std::vector<std::string> out;
  const planner::Plan& plan = view.plan;
  for (const planner::PriceDoubt doubt : planner::price_doubts(plan.question.tariff)) {
    out.push_back(doubt_words(doubt, plan, say));
  }
  const Row* const always = planner::find_row(plan, Row::Kind::kAlways);
  if (always->forecast.p99_s > kPatienceS) {
    out.push_back(say(
        "One instance does not keep up: one request in a hundred takes over {:.0f} s, longer than its caller waits. "
        "More at once (--slots) or more instances (--details).",
        "单个实例跟不上：百分之一的请求要 {:.0f} "
        "秒以上，超过调用方的等待时间。请增加并发（--slots）或实例（--details）。",
        always->forecast.p99_s));
  }
  if (view.type.vram_gb > 0 && view.type.vram_gb < kLeastGigabytes) {
    out.push_back(say("{} GB of VRAM are less than 16.", "显存 {} GB 少于 16 GB。", view.type.vram_gb));
  }
  if (view.type.ram_gb > 0 && view.type.ram_gb < kLeastGigabytes) {
    out.push_back(say("{} GB of RAM are less than 16.", "内存 {} GB 少于 16 GB。", view.type.ram_gb));
  }
  return out;
}

}  // namespace

PlanWords plan_words(const PlanView& view, Language language) {
  return {verdict(view, language), why(view, language), change(view, language), warnings(view, language)};
}

}  // namespace dormouse::cli
