#include "catalog/instance_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "catalog/instance_entry.h"
#include "catalog/instances_text.h"

namespace dormouse::catalog {
namespace {

constexpr std::int64_t kHourNs = 3'600'000'000'000;

}  // namespace

std::optional<TimePrice> InstanceType::hourly() const {
  if (!hour_micros.has_value()) return std::nullopt;
  return TimePrice{*hour_micros, kHourNs, currency};
}

std::optional<TimePrice> InstanceType::monthly() const {
  if (!month_micros.has_value()) return std::nullopt;
  return TimePrice{*month_micros, kHoursPerMonth * kHourNs, currency};
}

std::string_view InstanceType::size_zh() const {
  if (size == "small") return "小型";
  if (size == "medium") return "中型";
  return size == "large" ? "大型" : "";
}

std::string InstanceType::provenance() const {
  return source.empty() || date.empty() ? source + date : fmt::format("{}, {}", source, date);
}

Result<InstanceTypes> InstanceTypes::parse(std::string_view toml, std::string_view what) {
  TRY(TomlTable root, parse_toml(toml, what));
  return from_entries(root.table_lists["instance"], what);
}

Result<InstanceTypes> InstanceTypes::from_entries(const std::vector<TomlTable>& entries, std::string_view what) {
  InstanceTypes out;
  for (const TomlTable& entry : entries) {
    TRY(InstanceType type, read_instance_type(entry, what));
    if (out.find(type.name) != nullptr) {
      return make_error(Code::kInvalidArgument, fmt::format("{}: instance '{}' is there twice", what, type.name));
    }
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

std::string InstanceTypes::names() const {
  std::string out;
  for (const InstanceType& type : types_) out += (out.empty() ? "" : ", ") + type.name;
  return out;
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
    const bool is_comparable = type.hour_micros.has_value() && !type.fixed_month_micros.has_value() &&
                               type.provider == from->provider && type.currency == from->currency;
    if (!is_comparable || *type.hour_micros <= *from->hour_micros || type.vram_gb < from->vram_gb) continue;
    if (best == nullptr || *type.hour_micros < *best->hour_micros) best = &type;
  }
  return best;
}

}  // namespace dormouse::catalog
