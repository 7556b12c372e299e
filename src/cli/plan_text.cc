#include "cli/plan_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/money.h"

namespace dormouse::cli {
namespace {

using planner::Row;
using Align = Table::Align;

constexpr double kHoursOfMonth = planner::kHoursOfMonth;
constexpr const char* kNone = "–";

std::string seconds_text(double s) {
  return s < 10 ? fmt::format("{:.1f} s", s) : fmt::format("{:.0f} s", s);
}

std::vector<Align> first_left(std::size_t columns) {
  std::vector<Align> out(columns, Align::kRight);
  out[0] = Align::kLeft;
  return out;
}

std::vector<std::string> cells(const PlanView& view, const Row& row, Language language) {
  const planner::Forecast& f = row.forecast;
  const auto h = [](double s) { return fmt::format("{:.1f}", hours(s)); };
  const bool is_naive = row.kind == Row::Kind::kNaive;
  std::vector<std::string> out{row_name(view, row, language), h(f.awake_s), h(f.busy_s)};
  out.push_back(is_naive ? kNone : h(f.waking_s));
  out.push_back(is_naive ? kNone : h(f.idle_s));
  out.push_back(money_text(view, row.micros));
  out.push_back(is_naive ? kNone : fmt::format("{:.1f} %", f.cold_share * 100));
  for (const double latency : {f.p50_s, f.p95_s, f.p99_s}) out.push_back(is_naive ? kNone : seconds_text(latency));
  return out;
}

Table rows_table(const PlanView& view, Language language) {
  const bool zh = language == Language::kChinese;
  std::vector<std::string> header = zh ? std::vector<std::string>{"",        "运行 h", "= 计算", "+ 唤醒", "+ 空等",
                                                                  "账单/月", "冷请求", "p50",    "p95",    "p99"}
                                       : std::vector<std::string>{"",        "AWAKE H", "= BUSY", "+ WAKING", "+ IDLE",
                                                                  "A MONTH", "COLD",    "P50",    "P95",      "P99"};
  const std::size_t columns = header.size();
  Table table(std::move(header), first_left(columns));
  for (const Row& row : view.plan.rows) table.add(cells(view, row, language));
  return table;
}

Table rules_table(const PlanView& view, Language language) {
  const bool zh = language == Language::kChinese;
  std::vector<std::string> header =
      zh ? std::vector<std::string>{"计费取整方式", "按时间", "整秒", "整分钟", "整小时", "预付整小时"}
         : std::vector<std::string>{"BILLED IN", "TIME ITSELF", "WHOLE SECONDS", "MINUTES", "HOURS", "PREPAID HOURS"};
  const std::size_t columns = header.size();
  Table table(std::move(header), first_left(columns));
  for (const Row& row : view.plan.rows) {
    if (row.kind != Row::Kind::kTimer) continue;
    std::vector<std::string> line{row_name(view, row, language)};
    for (const std::int64_t micros : row.by_rule) line.push_back(money_text(view, micros));
    table.add(std::move(line));
  }
  return table;
}

// Bars as long as the bill, split as the time is, with a mark where the month's price lies.
constexpr int kBarColumns = 44;

std::string bar(const PlanView& view, const Row& row, std::int64_t most) {
  const planner::Tariff& tariff = view.plan.question.tariff;
  const auto columns_of = [most](double micros) { return micros / static_cast<double>(most) * kBarColumns; };
  const bool is_price = row.kind == Row::Kind::kMonthly;
  const double fixed = row.kind == Row::Kind::kNaive ? 0 : columns_of(static_cast<double>(tariff.fixed_month_micros));
  const double end = columns_of(static_cast<double>(row.micros));
  const double awake_s = std::max(row.forecast.awake_s, 1e-9);
  const auto until = [&](double s) { return std::lround(fixed + (end - fixed) * (is_price ? 0 : s / awake_s)); };
  const long busy = until(row.forecast.busy_s);
  const long waking = until(row.forecast.busy_s + row.forecast.waking_s);
  const long mark =
      tariff.month_micros.has_value() ? std::lround(columns_of(static_cast<double>(*tariff.month_micros))) : -1;
  std::string out;
  for (long i = 0; i <= kBarColumns; ++i) {
    const char* const fill = i < std::lround(fixed) ? "▒"
                             : i < busy             ? "█"
                             : i < waking           ? "▓"
                             : i < std::lround(end) ? "░"
                                                    : " ";
    out += i == mark ? "│" : fill;
  }
  return out.erase(out.find_last_not_of(' ') + 1);
}

std::string chart(const PlanView& view, Language language) {
  const auto is_drawn = [](const Row& row) {
    return row.kind == Row::Kind::kNaive || row.kind == Row::Kind::kTimer || row.kind == Row::Kind::kMonthly;
  };
  std::int64_t most = 1;
  std::size_t width = 0;
  for (const Row& row : view.plan.rows) {
    if (!is_drawn(row)) continue;
    most = std::max(most, row.micros);
    width = std::max(width, display_width(row_name(view, row, language)));
  }
  std::string out;
  for (const Row& row : view.plan.rows) {
    if (!is_drawn(row)) continue;
    const std::string name = row_name(view, row, language);
    out += name + std::string(width - display_width(name) + 2, ' ') + bar(view, row, most) + "\n";
  }
  const bool zh = language == Language::kChinese;
  out += std::string(width + 2, ' ') + (zh ? "█ 计算  ▓ 唤醒  ░ 空等" : "█ busy  ▓ waking  ░ idle");
  if (view.plan.question.tariff.fixed_month_micros > 0) out += zh ? "  ▒ 固定" : "  ▒ fixed";
  if (view.plan.question.tariff.month_micros.has_value()) out += zh ? "  │ 包月价" : "  │ the month's price";
  return out + "\n";
}

std::string heading(const PlanView& view, Language language) {
  const catalog::InstanceType& type = view.type;
  const planner::Question& question = view.plan.question;
  const bool zh = language == Language::kChinese;
  const std::string title = zh ? type.title_zh : type.title_en;
  std::string out = view.asked_for;
  out += fmt::format(fmt::runtime(zh ? "\n{} · {}/小时" : "\n{} · {}/h"), title.empty() ? type.name : title,
                     money_text(view, question.tariff.hour_micros));
  if (question.tariff.month_micros.has_value()) {
    out += fmt::format(fmt::runtime(zh ? " · {}/月" : " · {}/month"), money_text(view, *question.tariff.month_micros));
  }
  if (question.tariff.fixed_month_micros > 0) {
    out += fmt::format(fmt::runtime(zh ? " · 固定 {}/月" : " · {} fixed a month"),
                       money_text(view, question.tariff.fixed_month_micros));
  }
  out += fmt::format(fmt::runtime(zh ? " · 唤醒 {:.3g} 秒" : " · wake {:.3g} s"), question.timer.wake_s);
  if (question.timer.slots != 1) {
    out += question.timer.slots == 0
               ? std::string(zh ? " · 并发不限" : " · any number at once")
               : fmt::format(fmt::runtime(zh ? " · 同时 {} 个请求" : " · {} at once"), question.timer.slots);
  }
  if (const std::string from = type.provenance(); !from.empty()) {
    out += fmt::format(fmt::runtime(zh ? " · 价格来源：{}" : " · price: {}"), from);
  }
  for (const std::string& note : view.notes) out += "\n" + note;
  return out + "\n";
}

constexpr std::size_t kTitleColumns = 9;  // of a paragraph

std::string paragraph(const std::string& title, const std::string& text, PlanFormat format) {
  if (text.empty()) return {};
  if (format == PlanFormat::kMarkdown) return fmt::format("**{}** {}\n\n", title, text);
  const std::string padded = title + std::string(kTitleColumns - display_width(title), ' ');
  return wrapped(padded + text, kTextColumns, kTitleColumns) + "\n";
}

}  // namespace

std::string money_text(const PlanView& view, std::int64_t micros) {
  return to_display(Money{micros, view.currency});
}

std::string row_name(const PlanView& view, const Row& row, Language language) {
  const bool zh = language == Language::kChinese;
  const planner::Timer& asked = view.plan.question.timer;
  switch (row.kind) {
    case Row::Kind::kNaive: return zh ? "粗算（只算计算时间）" : "naive estimate";
    case Row::Kind::kMonthly: return zh ? "包月" : "by the month";
    case Row::Kind::kAlways: return zh ? "按小时，一直运行" : "by the hour, always on";
    case Row::Kind::kWindow:
      return fmt::format(fmt::runtime(zh ? "只在每天 {:g} 小时内运行" : "awake {:g} h a day, by schedule"),
                         view.plan.question.traffic->active_hours);
    case Row::Kind::kTimer: break;
  }
  std::string out = zh ? "立即休眠" : "sleep at once";
  if (row.timer.idle_timeout_s > 0) {
    const std::string after = duration_words(row.timer.idle_timeout_s, language);
    out = zh ? fmt::format("空闲 {}后休眠", after) : "sleep after " + after;
  }
  if (row.timer.wake_s == asked.wake_s) return out;
  return out + fmt::format(fmt::runtime(zh ? "，唤醒 {:.3g} 秒" : ", wake in {:.3g} s"), row.timer.wake_s);
}

std::string plan_text(const PlanView& view, Language language, PlanFormat format) {
  const bool zh = language == Language::kChinese;
  const bool is_markdown = format == PlanFormat::kMarkdown;
  const PlanWords words = plan_words(view, language);
  const auto block = [is_markdown](const Table& table) { return is_markdown ? table.markdown() : table.text(); };
  std::string out = heading(view, language) + "\n" + block(rows_table(view, language)) + "\n";
  const std::string bars = chart(view, language);
  out += is_markdown ? "```\n" + bars + "```\n\n" : bars + "\n";
  out += block(rules_table(view, language)) + "\n";
  out += paragraph(zh ? "结论" : "Verdict", words.verdict, format);
  out += paragraph(zh ? "原因" : "Why", words.why, format);
  out += paragraph(zh ? "变化" : "Change", words.change, format);
  for (const std::string& warning : words.warnings)
    out += is_markdown ? "> " + warning + "\n" : wrapped("! " + warning, kTextColumns, 2) + "\n";
  return out;
}

std::string plan_csv(const PlanView& view) {
  std::vector<std::string> header{"kind",
                                  "idle_timeout_s",
                                  "wake_s",
                                  "awake_h",
                                  "busy_h",
                                  "waking_h",
                                  "idle_h",
                                  "bill",
                                  "currency",
                                  "cold_share",
                                  "wakes",
                                  "mean_s",
                                  "p50_s",
                                  "p95_s",
                                  "p99_s",
                                  "bill_by_time",
                                  "bill_whole_seconds",
                                  "bill_whole_minutes",
                                  "bill_whole_hours",
                                  "bill_prepaid_hours"};
  const std::size_t columns = header.size();
  Table table(std::move(header), first_left(columns));
  const auto number = [](double value) { return fmt::format("{:.6g}", value); };
  const auto money = [](std::int64_t micros) {
    return fmt::format("{}.{:06}", micros / 1'000'000, micros % 1'000'000);
  };
  for (const Row& row : view.plan.rows) {
    const planner::Forecast& f = row.forecast;
    const bool is_timer = row.kind == Row::Kind::kTimer;
    const bool is_naive = row.kind == Row::Kind::kNaive;
    std::vector<std::string> line{std::string(to_string(row.kind))};
    line.push_back(is_timer ? number(row.timer.idle_timeout_s) : "");
    line.push_back(is_timer ? number(row.timer.wake_s) : "");
    for (const double s : {f.awake_s, f.busy_s, f.waking_s, f.idle_s}) line.push_back(number(hours(s)));
    line.push_back(money(row.micros));
    line.push_back(view.currency);
    for (const double value : {f.cold_share, f.wakes, f.mean_s, f.p50_s, f.p95_s, f.p99_s}) {
      line.push_back(is_naive ? "" : number(value));
    }
    for (const std::int64_t micros : row.by_rule) line.push_back(is_timer ? money(micros) : "");
    table.add(std::move(line));
  }
  return table.csv();
}

}  // namespace dormouse::cli
