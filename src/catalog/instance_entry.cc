#include "catalog/instance_entry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "base/money.h"
#include "catalog/config_file.h"

namespace dormouse::catalog {
namespace {

enum class Kind { kText, kMoney, kDuration, kWhole, kDecimal, kTruth };

struct Key {
  std::string_view name;
  Kind kind;
  // The largest value that is no slip of the keyboard: money in units of its currency, the rest in the key's own unit.
  double most = 0;
};

// An hour of eight H200s is some 45 USD, 1,200,000 VND: a slip of the keyboard is what the limits are to find. Of a
// large currency the planner doubts an hour over 100,000 (planner/sensitivity.h).
constexpr double kMostPerHour = 10'000'000;
constexpr double kMostAtOnce = 10'000'000;
constexpr std::chrono::hours kMostWhole{31 * 24};  // an increment or a minimum longer than a month is none

constexpr std::array kKeys{
    Key{"name", Kind::kText},
    Key{"title_en", Kind::kText},
    Key{"title_zh", Kind::kText},
    Key{"provider", Kind::kText},
    Key{"size", Kind::kText},
    Key{"suits_en", Kind::kText},
    Key{"suits_zh", Kind::kText},
    Key{"vram_gb", Kind::kWhole, 4'096},
    Key{"ram_gb", Kind::kWhole, 65'536},
    Key{"bandwidth_gbs", Kind::kDecimal, 1'000'000},
    Key{"fp16_tflops", Kind::kDecimal, 1'000'000},
    Key{"tokens_per_second", Kind::kDecimal, 1'000'000},
    Key{"speed", Kind::kText},
    Key{"currency", Kind::kText},
    Key{"hour", Kind::kMoney, kMostPerHour},
    Key{"month", Kind::kMoney, kMostAtOnce},
    Key{"spot_hour", Kind::kMoney, kMostPerHour},
    Key{"stopped_hour", Kind::kMoney, kMostPerHour},
    Key{"increment", Kind::kDuration},
    Key{"prepaid", Kind::kTruth},
    Key{"minimum", Kind::kDuration},
    Key{"boot_billed", Kind::kTruth},
    Key{"idle_billed", Kind::kTruth},
    Key{"interruptions_per_hour", Kind::kDecimal, 60},
    Key{"resume_failure", Kind::kDecimal, 1},
    Key{"buy", Kind::kMoney, kMostAtOnce},
    Key{"life_months", Kind::kWhole, 240},
    Key{"watts", Kind::kWhole, 20'000},
    Key{"kwh", Kind::kMoney, kMostPerHour},
    Key{"source", Kind::kText},
    Key{"date", Kind::kText},
};

const Key* find_key(std::string_view name) {
  const auto found = std::find_if(kKeys.begin(), kKeys.end(), [name](const Key& key) { return key.name == name; });
  return found == kKeys.end() ? nullptr : &*found;
}

std::string_view wanted(Kind kind) {
  switch (kind) {
    case Kind::kText: return "a text";
    case Kind::kMoney: return "a text; prices are written \"1.80\"";
    case Kind::kDuration: return "a text such as \"1s\", \"1m\", \"1h\"";
    case Kind::kWhole: return "a whole number";
    case Kind::kDecimal: return "a number";
    case Kind::kTruth: return "true or false";
  }
  return "";
}

// "2026", "2026-05", "2026-05-24".
bool is_date(std::string_view text) {
  constexpr std::array<std::size_t, 3> kEnds{4, 7, 10};
  std::array<int, 3> parts{1, 1, 1};
  std::size_t begin = 0;
  for (std::size_t i = 0; i < parts.size() && begin < text.size(); ++i) {
    if (text.size() < kEnds[i] || (i > 0 && text[begin - 1] != '-')) return false;
    const auto [end, ec] = std::from_chars(text.data() + begin, text.data() + kEnds[i], parts[i]);
    if (ec != std::errc() || end != text.data() + kEnds[i] || text[begin] == '-') return false;
    begin = kEnds[i] + 1;
  }
  const std::chrono::year_month_day day{std::chrono::year(parts[0]),
                                        std::chrono::month(static_cast<unsigned>(parts[1])),
                                        std::chrono::day(static_cast<unsigned>(parts[2]))};
  return !text.empty() && begin == text.size() + 1 && day.ok();
}

class Entry {
 public:
  Entry(const TomlTable& table, std::string_view what) : table_(table), what_(what), name_(table.string("name")) {}

  [[nodiscard]] Error wrong(std::string_view key, std::string_view problem) const {
    return make_error(Code::kInvalidArgument, fmt::format("{}: instance '{}': {}: {}", what_, name_, key, problem));
  }
  // Every key is known and of its type.
  [[nodiscard]] Status check_keys() const;
  [[nodiscard]] std::string text(const std::string& key) const { return table_.string(key); }
  [[nodiscard]] bool has(const std::string& key) const {
    return table_.strings.contains(key) || table_.integers.contains(key) || table_.decimals.contains(key);
  }
  [[nodiscard]] bool truth(const std::string& key, bool fallback) const { return table_.boolean(key, fallback); }
  // nullopt: not said.
  [[nodiscard]] Result<std::optional<std::int64_t>> money(const std::string& key) const;
  [[nodiscard]] Result<std::optional<double>> decimal(const std::string& key) const;
  [[nodiscard]] Result<std::optional<std::chrono::milliseconds>> duration(const std::string& key) const;
  [[nodiscard]] Result<std::int64_t> whole(const std::string& key) const;  // 0: not said

 private:
  [[nodiscard]] Status check_number(const std::string& key, double value) const;
  [[nodiscard]] Status check_key(const std::string& name, std::initializer_list<Kind> kinds) const;

  const TomlTable& table_;
  std::string_view what_;
  std::string name_;
};

Status Entry::check_key(const std::string& name, std::initializer_list<Kind> kinds) const {
  const Key* const key = find_key(name);
  if (key == nullptr) return wrong(name, "no instance has such a key; catalog/instances.toml lists them");
  if (std::find(kinds.begin(), kinds.end(), key->kind) != kinds.end()) return {};
  return wrong(name, fmt::format("want {}", wanted(key->kind)));
}

Status Entry::check_keys() const {
  for (const auto& [key, value] : table_.strings) {
    TRY_STATUS(check_key(key, {Kind::kText, Kind::kMoney, Kind::kDuration}));
  }
  for (const auto& [key, value] : table_.integers) TRY_STATUS(check_key(key, {Kind::kWhole, Kind::kDecimal}));
  for (const auto& [key, value] : table_.decimals) TRY_STATUS(check_key(key, {Kind::kDecimal}));
  for (const auto& [key, value] : table_.booleans) TRY_STATUS(check_key(key, {Kind::kTruth}));
  for (const auto& [key, value] : table_.lists) TRY_STATUS(check_key(key, {}));
  for (const auto& [key, value] : table_.tables) TRY_STATUS(check_key(key, {}));
  for (const auto& [key, value] : table_.table_lists) TRY_STATUS(check_key(key, {}));
  return {};
}

Status Entry::check_number(const std::string& key, double value) const {
  const double most = find_key(key)->most;
  if (std::isfinite(value) && value >= 0 && value <= most) return {};
  return wrong(key, fmt::format("{:g} cannot be, want 0 to {:.0f}", value, most));
}

Result<std::optional<std::int64_t>> Entry::money(const std::string& key) const {
  const auto found = table_.strings.find(key);
  if (found == table_.strings.end()) return std::optional<std::int64_t>();
  const std::optional<std::int64_t> micros = parse_micros(found->second);
  if (!micros.has_value()) {
    return wrong(key, fmt::format("'{}' is no amount, want \"1.80\" with at most six decimals", found->second));
  }
  constexpr double kMicros = 1e6;
  TRY_STATUS(check_number(key, static_cast<double>(*micros) / kMicros));
  return micros;
}

Result<std::optional<double>> Entry::decimal(const std::string& key) const {
  const auto whole = table_.integers.find(key);
  const auto broken = table_.decimals.find(key);
  if (whole == table_.integers.end() && broken == table_.decimals.end()) return std::optional<double>();
  const double value = whole != table_.integers.end() ? static_cast<double>(whole->second) : broken->second;
  TRY_STATUS(check_number(key, value));
  return std::optional<double>(value);
}

Result<std::int64_t> Entry::whole(const std::string& key) const {
  const std::int64_t value = table_.integer(key, 0);
  TRY_STATUS(check_number(key, static_cast<double>(value)));
  return value;
}

Result<std::optional<std::chrono::milliseconds>> Entry::duration(const std::string& key) const {
  const auto found = table_.strings.find(key);
  if (found == table_.strings.end()) return std::optional<std::chrono::milliseconds>();
  const Result<std::chrono::milliseconds> parsed = parse_duration(found->second);
  if (!parsed.has_value() || parsed->count() <= 0 || *parsed > kMostWhole) {
    return wrong(key,
                 fmt::format("'{}' is no duration for this, want \"1s\", \"1m\", \"1h\"; at most 31d", found->second));
  }
  return std::optional<std::chrono::milliseconds>(*parsed);
}

Status read_texts(const Entry& entry, InstanceType& out) {
  out.name = entry.text("name");
  if (!is_deployment_name(out.name)) return entry.wrong("name", "letters, digits and . _ - only, at most 63");
  out.title_en = entry.text("title_en");
  out.title_zh = entry.text("title_zh");
  out.provider = entry.text("provider");
  out.suits_en = entry.text("suits_en");
  out.suits_zh = entry.text("suits_zh");
  out.size = entry.text("size");
  if (!out.size.empty() && out.size_zh().empty()) {
    return entry.wrong("size", fmt::format("'{}' is none, want small, medium or large", out.size));
  }
  out.source = entry.text("source");
  out.date = entry.text("date");
  if (!out.date.empty() && out.date != "undated" && !is_date(out.date)) {
    return entry.wrong("date", fmt::format("'{}' is none, want \"2026-05-24\", or \"undated\"", out.date));
  }
  return {};
}

Status read_machine(const Entry& entry, InstanceType& out) {
  TRY(out.vram_gb, entry.whole("vram_gb"));
  TRY(out.ram_gb, entry.whole("ram_gb"));
  TRY(const std::optional<double> bandwidth, entry.decimal("bandwidth_gbs"));
  out.bandwidth_gbs = bandwidth.value_or(0);
  TRY(const std::optional<double> operations, entry.decimal("fp16_tflops"));
  out.fp16_tflops = operations.value_or(0);
  TRY(const std::optional<double> speed, entry.decimal("tokens_per_second"));
  out.tokens_per_second = speed.value_or(0);
  const std::string how = entry.text("speed");
  if (how == "measured") out.speed_source = SpeedSource::kMeasured;
  if (!how.empty() && how != "measured" && how != "assumed") {
    return entry.wrong("speed", fmt::format("'{}' is none, want measured or assumed", how));
  }
  if (!how.empty() && out.tokens_per_second == 0) {
    return entry.wrong("speed", "says where tokens_per_second is from, which is missing");
  }
  return {};
}

Status read_billing(const Entry& entry, InstanceType& out) {
  TRY(const auto increment, entry.duration("increment"));
  out.increment = increment.value_or(out.increment);
  if (entry.truth("prepaid", false)) out.increment_kind = Increment::kPrepaid;
  if (out.increment_kind == Increment::kPrepaid && !increment.has_value()) {
    return entry.wrong("prepaid", "needs an increment, such as \"1h\"");
  }
  TRY(const auto minimum, entry.duration("minimum"));
  out.minimum = minimum.value_or(out.minimum);
  if (!entry.truth("boot_billed", true)) out.boot = Paid::kNo;
  if (!entry.truth("idle_billed", true)) out.idle = Paid::kNo;
  TRY(out.interruptions_per_hour, entry.decimal("interruptions_per_hour"));
  TRY(out.resume_failure, entry.decimal("resume_failure"));
  return {};
}

// Of a card that was bought: its electricity by the hour, and its price by the months it is to last.
Status read_owned(const Entry& entry, InstanceType& out) {
  for (const auto& [one, other] :
       {std::pair{"buy", "life_months"}, {"life_months", "buy"}, {"watts", "kwh"}, {"kwh", "watts"}}) {
    if (entry.has(one) && !entry.has(other)) return entry.wrong(one, fmt::format("needs {} beside it", other));
  }
  if (!entry.has("buy") && !entry.has("kwh")) return {};
  for (const char* const rented : {"hour", "month", "spot_hour"}) {
    if (entry.has(rented)) return entry.wrong(rented, "is of a rented machine; buy, watts and kwh are of an owned one");
  }
  TRY(const std::int64_t months, entry.whole("life_months"));
  TRY(const std::int64_t watts, entry.whole("watts"));
  TRY(const std::optional<std::int64_t> buy, entry.money("buy"));
  TRY(const std::optional<std::int64_t> kwh, entry.money("kwh"));
  if (buy.has_value() && months == 0) return entry.wrong("life_months", "want at least 1");
  if (buy.has_value()) out.fixed_month_micros = *buy / months;
  constexpr std::int64_t kWattsPerKilowatt = 1'000;
  if (kwh.has_value()) out.hour_micros = proportion(*kwh, watts, kWattsPerKilowatt);
  return {};
}

Status read_prices(const Entry& entry, InstanceType& out) {
  TRY(out.hour_micros, entry.money("hour"));
  TRY(out.month_micros, entry.money("month"));
  TRY(out.spot_hour_micros, entry.money("spot_hour"));
  TRY(out.stopped_hour_micros, entry.money("stopped_hour"));
  TRY_STATUS(read_owned(entry, out));
  if (out.spot_hour_micros.has_value() && out.spot_hour_micros > out.hour_micros) {
    return entry.wrong("spot_hour", "want an hour that is not cheaper; without one there is nothing to fall back on");
  }
  out.currency = entry.text("currency");
  const bool has_price = out.hour_micros.has_value() || out.month_micros.has_value() ||
                         out.stopped_hour_micros.has_value() || out.fixed_month_micros.has_value();
  if ((has_price || !out.currency.empty()) && !is_currency(out.currency)) {
    return entry.wrong("currency", fmt::format("'{}' is none, want three letters such as CNY", out.currency));
  }
  return {};
}

}  // namespace

Result<InstanceType> read_instance_type(const TomlTable& table, std::string_view what) {
  const Entry entry(table, what);
  InstanceType out;
  TRY_STATUS(entry.check_keys());
  TRY_STATUS(read_texts(entry, out));
  TRY_STATUS(read_machine(entry, out));
  TRY_STATUS(read_billing(entry, out));
  TRY_STATUS(read_prices(entry, out));
  return out;
}

}  // namespace dormouse::catalog
