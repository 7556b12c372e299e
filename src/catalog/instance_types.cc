#include "catalog/instance_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/money.h"
#include "catalog/config_file.h"
#include "catalog/instances_text.h"

namespace dormouse::catalog {
namespace {

constexpr std::int64_t kHourNs = 3'600'000'000'000;

Error wrong(std::string_view what, std::string_view name, std::string_view problem) {
  return make_error(Code::kInvalidArgument, fmt::format("{}: instance '{}': {}", what, name, problem));
}

Status check_keys(const TomlTable& entry, std::string_view what, const std::string& name) {
  static const std::set<std::string, std::less<>> kTexts{"name", "title_en", "title_zh",  "currency",
                                                         "hour", "month",    "increment", "source"};
  static const std::set<std::string, std::less<>> kNumbers{"vram_gb", "tokens_per_second"};
  for (const auto& [key, value] : entry.strings) {
    if (!kTexts.contains(key)) return wrong(what, name, fmt::format("'{}' is unknown or has the wrong type", key));
  }
  for (const auto& [key, value] : entry.integers) {
    if (!kNumbers.contains(key)) {
      return wrong(what, name, fmt::format("'{}' is unknown or no text; prices are written \"1.80\"", key));
    }
  }
  const bool others = !entry.booleans.empty() || !entry.lists.empty() || !entry.tables.empty() ||
                      !entry.table_lists.empty() || !entry.decimals.empty();
  if (others) return wrong(what, name, "has a key of a type that nothing here has; prices are written \"1.80\"");
  return {};
}

Result<std::optional<std::int64_t>> price(const TomlTable& entry, const char* key, std::string_view what,
                                          const std::string& name) {
  const std::string text = entry.string(key);
  if (text.empty()) return std::optional<std::int64_t>();
  const std::optional<std::int64_t> micros = parse_micros(text);
  if (!micros.has_value()) {
    return wrong(what, name, fmt::format("{}: '{}' is no amount, want \"1.80\" with at most six decimals", key, text));
  }
  return micros;
}

Result<InstanceType> read_type(const TomlTable& entry, std::string_view what) {
  InstanceType out;
  out.name = entry.string("name");
  TRY_STATUS(check_keys(entry, what, out.name));
  if (!is_deployment_name(out.name)) return wrong(what, out.name, "name: letters, digits and . _ - only, at most 63");
  out.title_en = entry.string("title_en");
  out.title_zh = entry.string("title_zh");
  out.currency = entry.string("currency");
  out.source = entry.string("source");
  TRY(out.hour_micros, price(entry, "hour", what, out.name));
  TRY(out.month_micros, price(entry, "month", what, out.name));
  const bool has_price = out.hour_micros.has_value() || out.month_micros.has_value();
  if (has_price && !is_currency(out.currency)) {
    return wrong(what, out.name, fmt::format("currency: '{}' is none, want three letters such as CNY", out.currency));
  }
  const std::string increment = entry.string("increment");
  if (!increment.empty()) {
    const Result<std::chrono::milliseconds> parsed = parse_duration(increment);
    if (!parsed.has_value() || parsed->count() <= 0) {
      return wrong(what, out.name, fmt::format("increment: '{}' is no duration, want \"1s\"", increment));
    }
    out.increment = *parsed;
  }
  out.vram_gb = entry.integer("vram_gb", 0);
  out.tokens_per_second = static_cast<double>(entry.integer("tokens_per_second", 0));
  if (out.vram_gb < 0 || out.tokens_per_second < 0) return wrong(what, out.name, "a number is below zero");
  return out;
}

}  // namespace

std::optional<TimePrice> InstanceType::hourly() const {
  if (!hour_micros.has_value()) return std::nullopt;
  return TimePrice{*hour_micros, kHourNs, currency};
}

std::optional<TimePrice> InstanceType::monthly() const {
  if (!month_micros.has_value()) return std::nullopt;
  return TimePrice{*month_micros, kHoursPerMonth * kHourNs, currency};
}

Result<InstanceTypes> InstanceTypes::parse(std::string_view toml, std::string_view what) {
  TRY(TomlTable root, parse_toml(toml, what));
  return from_entries(root.table_lists["instance"], what);
}

Result<InstanceTypes> InstanceTypes::from_entries(const std::vector<TomlTable>& entries, std::string_view what) {
  InstanceTypes out;
  for (const TomlTable& entry : entries) {
    TRY(InstanceType type, read_type(entry, what));
    if (out.find(type.name) != nullptr) return wrong(what, type.name, "is there twice");
    out.put(std::move(type));
  }
  return out;
}

Result<InstanceTypes> InstanceTypes::built_in() {
  return parse(instances_text(), "instances.toml");
}

void InstanceTypes::put(InstanceType type) {
  const auto same = [&type](const InstanceType& known) { return known.name == type.name; };
  const auto found = std::find_if(types_.begin(), types_.end(), same);
  if (found != types_.end()) {
    *found = std::move(type);
  } else {
    types_.push_back(std::move(type));
  }
}

const InstanceType* InstanceTypes::find(std::string_view name) const {
  const auto found =
      std::find_if(types_.begin(), types_.end(), [name](const InstanceType& type) { return type.name == name; });
  return found == types_.end() ? nullptr : &*found;
}

const InstanceType* InstanceTypes::next_larger(std::string_view name) const {
  const InstanceType* const from = find(name);
  if (from == nullptr || !from->hour_micros.has_value()) return nullptr;
  const InstanceType* best = nullptr;
  for (const InstanceType& type : types_) {
    const bool larger = type.hour_micros.has_value() && type.currency == from->currency &&
                        *type.hour_micros > *from->hour_micros && type.vram_gb >= from->vram_gb;
    if (larger && (best == nullptr || *type.hour_micros < *best->hour_micros)) best = &type;
  }
  return best;
}

}  // namespace dormouse::catalog
