#include "cli/report_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/money.h"
#include "cli/table.h"

namespace dormouse::cli {
namespace {

using Align = Table::Align;

bool is_chinese(Language language) {
  return language == Language::kChinese;
}

// A column's heading in both languages.
struct Heading {
  const char* english;
  const char* chinese;
};

Table make_table(std::initializer_list<Heading> headings, std::size_t left, Language language) {
  std::vector<std::string> header;
  std::vector<Align> align;
  for (const Heading& heading : headings) {
    align.push_back(header.size() < left ? Align::kLeft : Align::kRight);
    header.emplace_back(is_chinese(language) ? heading.chinese : heading.english);
  }
  return {std::move(header), std::move(align)};
}

TimeZone zone_of(const std::string& name) {
  return TimeZone::load(name).value_or(TimeZone());
}

// 0.4 s, 12 s, 3.5 min, 11.1 h: three figures are enough to compare by.
std::string time_text(std::int64_t us, Language language) {
  const bool zh = is_chinese(language);
  const double s = static_cast<double>(us) / 1e6;
  if (us == 0) return "0";
  if (s < 10 && s > -10) return fmt::format("{:.2f} {}", s, zh ? "秒" : "s");
  if (s < 120 && s > -120) return fmt::format("{:.0f} {}", s, zh ? "秒" : "s");
  if (s < 7200 && s > -7200) return fmt::format("{:.1f} {}", s / 60, zh ? "分钟" : "min");
  return fmt::format("{:.1f} {}", s / 3600, zh ? "小时" : "h");
}

std::string money_text(const std::vector<ledger::MoneySum>& sums) {
  std::string out;
  for (const ledger::MoneySum& sum : sums) {
    if (!out.empty()) out += " + ";
    out += to_display({sum.micros, sum.currency});
  }
  return out.empty() ? "—" : out;
}

std::string label_of(const ledger::UsageRow& row, const std::string& by, const TimeZone& zone, Language language) {
  if (by == "deployment") return row.deployment.empty() ? "—" : row.deployment;
  if (by == "key") return !row.key_id.empty() ? row.key_id : is_chinese(language) ? "（无密钥）" : "(no key)";
  const CivilTime t = zone.local({row.bucket_us});
  if (by == "hour") return fmt::format("{}-{:02}-{:02} {:02}:00", t.year, t.month, t.day, t.hour);
  return fmt::format("{}-{:02}-{:02}", t.year, t.month, t.day);
}

// Instances serve all keys: by key there is what its requests computed, and neither wakes nor waiting.
std::vector<std::string> usage_cells(const ledger::UsageRow& r, std::string label, const std::string& by,
                                     Language language) {
  const bool by_key = by == "key";
  const auto quantile = [language](const std::optional<ledger::LatencySummary>& l, std::int64_t us) {
    return l.has_value() && l->requests > 0 ? time_text(us, language) : std::string("—");
  };
  return {std::move(label),
          grouped(r.requests),
          grouped(r.failed),
          grouped(r.client_gone),
          grouped(r.refused),
          grouped(r.cold_requests),
          grouped(r.input_tokens),
          grouped(r.output_tokens),
          quantile(r.ttft, r.ttft.has_value() ? r.ttft->p50_us : 0),
          quantile(r.duration, r.duration.has_value() ? r.duration->p50_us : 0),
          quantile(r.duration, r.duration.has_value() ? r.duration->p95_us : 0),
          by_key ? "—" : grouped(r.wakes),
          time_text(by_key ? r.request_busy_us : r.busy_us, language),
          by_key ? "—" : time_text(r.waking_us, language),
          by_key ? "—" : time_text(r.idle_us, language),
          money_text(r.money)};
}

// "busy ███ waking ▒ idle ░░░" of `width` cells, the largest part taking what rounding leaves.
std::string split_bar(std::int64_t busy, std::int64_t waking, std::int64_t idle) {
  constexpr std::int64_t kWidth = 40;
  const std::int64_t total =
      std::max<std::int64_t>(0, busy) + std::max<std::int64_t>(0, waking) + std::max<std::int64_t>(0, idle);
  if (total <= 0) return {};
  const auto cells = [total](std::int64_t part) {
    return part <= 0 ? std::int64_t{0} : std::max<std::int64_t>(1, (part * kWidth + total / 2) / total);
  };
  std::array<std::int64_t, 3> counts = {cells(busy), cells(waking), cells(idle)};
  *std::max_element(counts.begin(), counts.end()) += kWidth - counts[0] - counts[1] - counts[2];
  constexpr std::array<const char*, 3> kMarks = {"█", "▒", "░"};
  std::string out;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    for (std::int64_t n = 0; n < counts.at(i); ++n) out += kMarks.at(i);
  }
  return out;
}

std::string percent(std::int64_t part, std::int64_t whole) {
  if (whole <= 0) return "—";
  return fmt::format("{:.0f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string types_of(const ledger::BillLine& line) {
  std::string out;
  for (const ledger::BillPrice& price : line.prices) {
    if (out.find(price.price.instance_type) != std::string::npos) continue;
    out += (out.empty() ? "" : ", ") + price.price.instance_type;
  }
  return out.empty() ? "—" : out;
}

std::vector<std::string> bill_cells(const ledger::BillLine& line, std::string name, std::string types,
                                    Language language) {
  const auto money = [&line](std::int64_t micros) { return to_display({micros, line.currency}); };
  return {std::move(name),
          std::move(types),
          time_text(line.busy_us + line.waking_us + line.idle_us, language),
          time_text(line.busy_us, language),
          time_text(line.waking_us, language),
          time_text(line.idle_us, language),
          money(line.total_micros),
          money(line.busy_micros),
          money(line.waking_micros),
          money(line.idle_micros),
          line.fee_micros > 0 ? money(line.fee_micros) : std::string("—"),
          grouped(line.requests)};
}

std::string bill_heading(const gateway::BillView& view, Language language) {
  const ledger::Bill& bill = view.bill;
  if (is_chinese(language))
    return fmt::format("{} 账单{} · {}\n\n", bill.month, view.so_far ? "（截至目前）" : "", bill.time_zone);
  return fmt::format("Bill of {}{} · {}\n\n", bill.month, view.so_far ? ", so far" : "", bill.time_zone);
}

std::map<std::string, ledger::BillLine> totals_of(const ledger::Bill& bill) {
  std::map<std::string, ledger::BillLine> out;
  for (const ledger::BillLine& line : bill.lines) {
    ledger::BillLine& sum = out[line.currency];
    sum.currency = line.currency;
    for (const auto member :
         {&ledger::BillLine::total_micros, &ledger::BillLine::fee_micros, &ledger::BillLine::busy_micros,
          &ledger::BillLine::waking_micros, &ledger::BillLine::idle_micros, &ledger::BillLine::not_billed_micros,
          &ledger::BillLine::busy_us, &ledger::BillLine::waking_us, &ledger::BillLine::idle_us,
          &ledger::BillLine::requests}) {
      sum.*member += line.*member;
    }
  }
  return out;
}

std::string keys_text(const ledger::Bill& bill, Language language) {
  Table table = make_table(
      {{"KEY", "密钥"}, {"DEPLOYMENT", "部署"}, {"REQUESTS", "请求"}, {"BILLED", "计费"}, {"OF BUSY", "占计算"}}, 2,
      language);
  bool any = false;
  for (const ledger::BillLine& line : bill.lines) {
    for (const ledger::BillKey& key : line.keys) {
      any = true;
      table.add({!key.key_id.empty()    ? key.key_id
                 : is_chinese(language) ? "（无密钥）"
                                        : "(no key)",
                 line.deployment, grouped(key.requests), to_display({key.micros, line.currency}),
                 percent(key.micros, line.busy_micros)});
    }
  }
  return any ? fmt::format("\n{}", table.text()) : std::string();
}

// What the figures mean, one sentence each.
std::string bill_sentences(const gateway::BillView& view, Language language) {
  const bool zh = is_chinese(language);
  std::string out;
  for (const auto& [currency, sum] : totals_of(view.bill)) {
    const auto money = [&c = currency](std::int64_t micros) { return to_display({micros, c}); };
    const std::string bar = split_bar(sum.busy_micros, sum.waking_micros, sum.idle_micros);
    if (bar.empty()) continue;
    out += fmt::format(fmt::runtime(zh ? "{}  {}\n          █ 计算 {}   ▒ 唤醒 {}   ░ 空等 {}\n"
                                       : "{}  {}\n          █ busy {}   ▒ waking {}   ░ idle {}\n"),
                       currency, fmt::format("     {}", bar), percent(sum.busy_micros, sum.total_micros),
                       percent(sum.waking_micros, sum.total_micros), percent(sum.idle_micros, sum.total_micros));
    if (sum.idle_micros * 2 > sum.total_micros) {
      out += fmt::format(fmt::runtime(zh ? "{} 中有 {} 花在空等上。\n" : "Of {}, {} paid for waiting.\n"),
                         money(sum.total_micros), money(sum.idle_micros));
    }
    if (sum.not_billed_micros != 0) {
      out += fmt::format(
          fmt::runtime(zh ? "其中 {} 未计给任何密钥：失败、退还或未送达的请求。\n"
                          : "{} of it was billed to no key: requests that failed, were refunded or not delivered.\n"),
          money(sum.not_billed_micros));
    }
  }
  for (const ledger::UnpricedTime& time : view.bill.unpriced) {
    const char* const en = time.requests == 1
                               ? "! {}: {} awake and {} request without a known price are not in this bill.\n"
                               : "! {}: {} awake and {} requests without a known price are not in this bill.\n";
    out += fmt::format(fmt::runtime(zh ? "! {}：运行 {}、{} 个请求没有已知价格，不在账单内。\n" : en), time.deployment,
                       time_text(time.awake_us, language), grouped(time.requests));
  }
  return out.empty() ? out : fmt::format("\n{}", out);
}

}  // namespace

std::string usage_text(const gateway::UsageView& view, Language language) {
  const std::string& by = view.header.by;
  const Heading first = by == "deployment" ? Heading{"DEPLOYMENT", "部署"}
                        : by == "key"      ? Heading{"KEY", "密钥"}
                                           : Heading{"TIME", "时间"};
  Table table = make_table({first,
                            {"REQUESTS", "请求"},
                            {"FAILED", "失败"},
                            {"LEFT", "客户端断开"},
                            {"REFUSED", "拒绝"},
                            {"COLD", "冷请求"},
                            {"TOKENS IN", "输入词元"},
                            {"TOKENS OUT", "输出词元"},
                            {"TTFT P50", "首字 P50"},
                            {"P50", "耗时 P50"},
                            {"P95", "耗时 P95"},
                            {"WAKES", "唤醒次数"},
                            {"BUSY", "计算"},
                            {"WAKING", "唤醒"},
                            {"IDLE", "空等"},
                            {"BILLED", "计费"}},
                           1, language);
  const TimeZone zone = zone_of(view.header.time_zone);
  for (const ledger::UsageRow& row : view.report.rows) {
    table.add(usage_cells(row, label_of(row, by, zone, language), by, language));
  }
  if (view.report.rows.size() > 1) {
    table.add(usage_cells(view.report.total, is_chinese(language) ? "合计" : "TOTAL", by, language));
  }
  return table.text();
}

std::string heat_map(const gateway::UsageView& view, Language language) {
  constexpr std::array<Heading, 7> kDays = {{{"Mon", "周一"},
                                             {"Tue", "周二"},
                                             {"Wed", "周三"},
                                             {"Thu", "周四"},
                                             {"Fri", "周五"},
                                             {"Sat", "周六"},
                                             {"Sun", "周日"}}};
  constexpr std::array<const char*, 9> kMarks = {"·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const bool zh = is_chinese(language);
  std::array<std::array<std::int64_t, 24>, 7> requests{};
  std::int64_t most = 0;
  for (const ledger::UsageRow& row : view.report.rows) {
    if (row.weekday < 0 || row.weekday > 6 || row.hour < 0 || row.hour > 23) continue;
    std::int64_t& cell = requests.at(static_cast<std::size_t>(row.weekday)).at(static_cast<std::size_t>(row.hour));
    cell += row.requests;
    most = std::max(most, cell);
  }
  std::string out = "      ";
  for (int hour = 0; hour < 24; hour += 3) out += fmt::format("{:<6}", hour);
  out.erase(out.find_last_not_of(' ') + 1);
  out += '\n';
  for (std::size_t day = 0; day < 7; ++day) {
    out += fmt::format("{}  ", zh ? kDays.at(day).chinese : kDays.at(day).english);
    out += zh ? "" : " ";
    for (const std::int64_t count : requests.at(day)) {
      // Anything but nothing is seen: rounded up.
      const auto level = most == 0 ? 0 : static_cast<std::size_t>((count * 8 + most - 1) / most);
      out += fmt::format("{}{}", kMarks.at(level), kMarks.at(level));
    }
    out += '\n';
  }
  return out + fmt::format(fmt::runtime(zh ? "\n█ = {} 个请求（每周该小时合计） · {}\n"
                                           : "\n█ = {} requests in that hour of the week · {}\n"),
                           grouped(most), view.header.time_zone);
}

std::string errors_text(const gateway::ErrorsView& view, Language language) {
  const bool zh = is_chinese(language);
  const TimeZone zone = zone_of(view.header.time_zone);
  Table table = make_table(
      {{"WHAT", "类别"}, {"KIND", "原因"}, {"DEPLOYMENT", "部署"}, {"LAST", "最近一次"}, {"REQUESTS", "请求"}}, 4,
      language);
  const auto add = [&](const char* what, const std::vector<ledger::ErrorRow>& rows) {
    for (const ledger::ErrorRow& row : rows) {
      const CivilTime t = zone.local({row.last_us});
      table.add({what, row.kind, row.deployment.empty() ? "—" : row.deployment,
                 fmt::format("{}-{:02}-{:02} {:02}:{:02}", t.year, t.month, t.day, t.hour, t.minute),
                 grouped(row.requests)});
    }
  };
  add(zh ? "错误" : "error", view.errors);
  add(zh ? "拒绝" : "refusal", view.refusals);
  return table.text();
}

std::string bill_text(const gateway::BillView& view, Language language) {
  Table table = make_table({{"DEPLOYMENT", "部署"},
                            {"ON", "位置"},
                            {"AWAKE", "运行"},
                            {"= BUSY", "= 计算"},
                            {"+ WAKING", "+ 唤醒"},
                            {"+ IDLE", "+ 空等"},
                            {"BILL", "账单"},
                            {"= BUSY", "= 计算"},
                            {"+ WAKING", "+ 唤醒"},
                            {"+ IDLE", "+ 空等"},
                            {"FEE", "其中包月"},
                            {"REQUESTS", "请求"}},
                           2, language);
  for (const ledger::BillLine& line : view.bill.lines) {
    table.add(bill_cells(line, line.deployment, types_of(line), language));
  }
  for (const auto& [currency, sum] : totals_of(view.bill)) {
    if (view.bill.lines.size() > 1)
      table.add(bill_cells(sum, is_chinese(language) ? "合计" : "TOTAL", currency, language));
  }
  std::string out = bill_heading(view, language);
  if (!view.bill.lines.empty()) {
    out += table.text();
    out += keys_text(view.bill, language);
  } else if (!view.bill.unpriced.empty()) {
    out.pop_back();  // the sentences begin with the line between
  } else {
    out += is_chinese(language) ? "这个月没有费用。\n" : "Nothing was paid in this month.\n";
  }
  return out + bill_sentences(view, language);
}

}  // namespace dormouse::cli
