#include "cli/ps_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/money.h"
#include "base/time_zone.h"
#include "cli/table.h"

namespace dormouse::cli {
namespace {

enum Column : std::size_t { kName, kImage, kType, kState, kInstances, kRequests, kTokens, kToday, kMonth, kColumns };

struct Heading {
  std::string_view english;
  std::string_view chinese;
  Table::Align align;
};
// Both rates are of the last minute.
constexpr std::array<Heading, kColumns> kHeadings{{{"DEPLOYMENT", "部署", Table::Align::kLeft},
                                                   {"IMAGE", "镜像", Table::Align::kLeft},
                                                   {"ON", "位置", Table::Align::kLeft},
                                                   {"STATE", "状态", Table::Align::kLeft},
                                                   {"INSTANCES", "实例", Table::Align::kLeft},
                                                   {"REQ/MIN", "请求/分", Table::Align::kRight},
                                                   {"TOK/S", "词元/秒", Table::Align::kRight},
                                                   {"TODAY", "今日", Table::Align::kRight},
                                                   {"MONTH → FORECAST", "本月 → 预计", Table::Align::kLeft}}};
// What a narrow terminal goes without, first to last. A name and its state stay.
constexpr std::array<Column, 7> kDropped{kImage, kTokens, kInstances, kRequests, kType, kToday, kMonth};

constexpr std::string_view kNothing = "—";

class Rows {
 public:
  Rows(const gateway::StatusView& status, Language language)
      : now_{status.now_ms * 1'000},
        zone_(TimeZone::load(status.time_zone).value_or(TimeZone())),
        zh_(language == Language::kChinese),
        language_(language) {}

  [[nodiscard]] std::array<std::string, kColumns> cells(const gateway::DeploymentView& d) const {
    const gateway::DeploymentFigures figures = d.figures.value_or(gateway::DeploymentFigures{});
    const bool is_priced = !figures.currency.empty();
    std::array<std::string, kColumns> out;
    out.fill(std::string(kNothing));
    out[kName] = d.name;
    out[kImage] = d.image;
    out[kType] = d.rules.instance_type;
    out[kState] = state_text(d);
    out[kInstances] = fmt::format(fmt::runtime(zh_ ? "{} / {}–{}" : "{} of {}–{}"), d.instances.size(),
                                  d.rules.min_instances, d.rules.max_instances);
    if (d.last_minute.requests > 0 || d.state != "asleep") out[kRequests] = grouped(d.last_minute.requests);
    if (d.last_minute.tokens_per_s.has_value()) out[kTokens] = fmt::format("{:.1f}", *d.last_minute.tokens_per_s);
    if (is_priced) out[kToday] = to_display({figures.today_micros, figures.currency});
    if (is_priced) out[kMonth] = month_text(figures);
    return out;
  }

 private:
  // "awake, 3 requests", "asleep since 09:41", "waking 40 %", "failed: ... — dormouse logs draft".
  [[nodiscard]] std::string state_text(const gateway::DeploymentView& d) const {
    std::string out(state_word(d.state, language_));
    if (d.state == "asleep") return fmt::format(fmt::runtime(zh_ ? "{}，自 {}" : "{} since {}"), out, since_text(d));
    if (d.state == "loading") return fmt::format("{} {:.0f} %", out, d.load_fraction * 100);
    if (gateway::is_failed(d)) return out + failure_text(d);
    if (d.state == "ready") out += awake_text(d);
    if (d.waiting > 0) out += fmt::format(fmt::runtime(zh_ ? "，{} 个等待" : ", {} waiting"), d.waiting);
    return out;
  }

  // What keeps it awake: requests, or else a rule or a person.
  [[nodiscard]] std::string awake_text(const gateway::DeploymentView& d) const {
    if (d.running > 0) {
      return fmt::format(fmt::runtime(zh_              ? "，{} 个请求"
                                      : d.running == 1 ? ", {} request"
                                                       : ", {} requests"),
                         d.running);
    }
    std::string out;
    if (d.idle_left_s.has_value()) {
      out = fmt::format(fmt::runtime(zh_ ? "，{}后休眠" : ", sleeps in {}"), duration_words(*d.idle_left_s, language_));
    }
    if (d.awake_because.empty() || d.awake_because == "request" || d.awake_because == "leases") return out;
    return out + fmt::format(fmt::runtime(zh_ ? "（{}）" : " ({})"), reason_word(d.awake_because, language_));
  }

  [[nodiscard]] std::string failure_text(const gateway::DeploymentView& d) const {
    std::string out = fmt::format("{}{}", zh_ ? "：" : ": ", d.failure);
    if (d.backoff_left_s.has_value()) {
      out += fmt::format(fmt::runtime(zh_ ? "（{}后重试）" : " (tries again in {})"),
                         duration_words(*d.backoff_left_s, language_));
    }
    return out + fmt::format(" — dormouse logs {}", d.name);
  }

  // "09:41"; with its date where that is another day.
  [[nodiscard]] std::string since_text(const gateway::DeploymentView& d) const {
    const WallTime since{d.since_ms * 1'000};
    const CivilTime at = zone_.local(since);
    const std::string time = fmt::format("{:02}:{:02}", at.hour, at.minute);
    if (since.us >= zone_.day_begin(now_).us) return time;
    return fmt::format("{:02}-{:02} {}", at.month, at.day, time);
  }

  // A forecast is no better known than to the unit, and small ones are said whole.
  [[nodiscard]] static std::string rough(std::int64_t micros, const std::string& currency, bool is_whole) {
    constexpr std::int64_t kUnit = 1'000'000;
    if (!is_whole) return to_display({micros, currency});
    std::string out = to_display({(micros + kUnit / 2) / kUnit * kUnit, currency});
    const std::size_t cents = out.find(".00");
    return cents == std::string::npos ? out : out.erase(cents, 3);
  }

  // "¥61.20 → ¥88 ±9"
  [[nodiscard]] static std::string month_text(const gateway::DeploymentFigures& figures) {
    constexpr std::int64_t kSmallMicros = 10'000'000;
    std::string out = to_display({figures.month_micros, figures.currency});
    if (!figures.forecast_micros.has_value()) return out;
    const std::int64_t forecast = *figures.forecast_micros;
    const bool is_whole = forecast == 0 || forecast >= kSmallMicros;
    out += " → " + rough(forecast, figures.currency, is_whole);
    if (figures.margin_micros.value_or(0) <= 0) return out;
    const double margin = static_cast<double>(*figures.margin_micros) / 1e6;
    return out + fmt::format(" ±{:.{}f}", margin, is_whole && margin >= 1 ? 0 : 2);
  }

  const WallTime now_;
  const TimeZone zone_;
  const bool zh_;
  const Language language_;
};

Table table_of(const gateway::StatusView& status, const std::set<std::size_t>& dropped, Language language) {
  std::vector<std::string> header;
  std::vector<Table::Align> align;
  for (std::size_t i = 0; i < kColumns; ++i) {
    if (dropped.contains(i)) continue;
    header.emplace_back(language == Language::kChinese ? kHeadings[i].chinese : kHeadings[i].english);
    align.push_back(kHeadings[i].align);
  }
  Table table(std::move(header), std::move(align));
  const Rows rows(status, language);
  for (const gateway::DeploymentView& d : status.deployments) {
    std::array<std::string, kColumns> cells = rows.cells(d);
    std::vector<std::string> row;
    // What went wrong and what to do is worth more than the figures to its right.
    const std::size_t end = gateway::is_failed(d) ? kState + 1 : kColumns;
    for (std::size_t i = 0; i < end; ++i) {
      if (!dropped.contains(i)) row.push_back(std::move(cells[i]));
    }
    table.add(std::move(row));
  }
  return table;
}

}  // namespace

std::string ps_text(const gateway::StatusView& status, std::size_t columns, Language language) {
  std::set<std::size_t> dropped;
  Table table = table_of(status, dropped, language);
  for (const Column column : kDropped) {
    if (columns == 0 || table.width() <= columns) break;
    dropped.insert(column);
    table = table_of(status, dropped, language);
  }
  return table.fitted(columns);
}

}  // namespace dormouse::cli
