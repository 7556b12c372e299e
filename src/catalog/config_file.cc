#include "catalog/config_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <utility>

#include "base/money.h"
#include "catalog/image_entry.h"
#include "catalog/toml.h"

namespace dormouse::catalog {
namespace {

// Longer than any idle timeout with a meaning, short of what overflows nanoseconds.
constexpr std::int64_t kMaxDurationMs = std::int64_t{366} * 24 * 3600 * 1000;
constexpr std::uintmax_t kMaxConfigBytes = 1 << 20;

template <typename Map>
Status check_keys(const Map& map, const std::set<std::string>& known, std::string_view where) {
  for (const auto& [key, value] : map) {
    if (known.contains(key)) continue;
    return make_error(Code::kInvalidArgument,
                      fmt::format("{}: '{}' is unknown here or has the wrong type", where, key));
  }
  return {};
}

Status check_no_others(const TomlTable& table, std::string_view where) {
  TRY_STATUS(check_keys(table.decimals, {}, where));
  TRY_STATUS(check_keys(table.booleans, {}, where));
  return check_keys(table.tables, {}, where);
}

Result<std::optional<std::chrono::milliseconds>> read_duration(const TomlTable& table, const std::string& key,
                                                               std::string_view where) {
  const auto found = table.strings.find(key);
  if (found == table.strings.end()) return std::optional<std::chrono::milliseconds>();
  Result<std::chrono::milliseconds> value = parse_duration(found->second);
  if (!value.has_value()) {
    return make_error(Code::kInvalidArgument, fmt::format("{}: {}: {}", where, key, value.error().message));
  }
  return std::optional<std::chrono::milliseconds>(*value);
}

Status read_time_zone(const TomlTable& root, ConfigFile& out, std::string_view what) {
  out.time_zone = root.string("time_zone");
  if (out.time_zone.empty()) return {};
  const Result<TimeZone> zone = TimeZone::load(out.time_zone);
  if (zone.has_value()) return {};
  return make_error(Code::kInvalidArgument, fmt::format("{}: time_zone: {}", what, zone.error().message));
}

Status read_ledger(const TomlTable& root, ConfigFile& out, std::string_view what) {
  const auto found = root.tables.find("ledger");
  if (found == root.tables.end()) return {};
  const TomlTable& table = found->second;
  const std::string where = fmt::format("{}: [ledger]", what);
  TRY_STATUS(check_keys(table.strings, {"retention"}, where));
  TRY_STATUS(check_keys(table.integers, {"retention"}, where));
  TRY_STATUS(check_keys(table.lists, {}, where));
  TRY_STATUS(check_keys(table.table_lists, {}, where));
  TRY_STATUS(check_no_others(table, where));
  TRY(const auto retention, read_duration(table, "retention", where));
  if (retention.has_value()) out.retention = *retention;
  const auto number = table.integers.find("retention");  // only 0 needs no unit
  if (number != table.integers.end()) out.retention = std::chrono::milliseconds(0);
  const bool is_zero = number == table.integers.end() || number->second == 0;
  if (is_zero && (out.retention.count() == 0 || out.retention >= kLeastRetention)) return {};
  return make_error(Code::kInvalidArgument,
                    fmt::format("{}: retention: \"180d\", at least \"32d\", or 0 to keep all", where));
}

// "1GiB", "500MiB", "64KiB"; nullopt: none of them, or none above 0.
std::optional<std::int64_t> parse_bytes(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, int>, 4> kUnits = {
      {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}}};
  std::int64_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc{} || number <= 0) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& [name, shift] : kUnits) {
    if (unit == name && number <= (INT64_MAX >> shift)) return number << shift;
  }
  return std::nullopt;
}

Status read_batches(const TomlTable& root, ConfigFile& out, std::string_view what) {
  const auto found = root.tables.find("batches");
  if (found == root.tables.end()) return {};
  const TomlTable& table = found->second;
  const std::string where = fmt::format("{}: [batches]", what);
  TRY_STATUS(check_keys(table.strings, {"keep", "most_bytes"}, where));
  TRY_STATUS(check_keys(table.integers, {"keep", "most_bytes"}, where));
  TRY_STATUS(check_keys(table.lists, {}, where));
  TRY_STATUS(check_keys(table.table_lists, {}, where));
  TRY_STATUS(check_no_others(table, where));
  TRY(const auto keep, read_duration(table, "keep", where));
  if (keep.has_value()) out.batches.keep = *keep;
  const auto bare = table.integers.find("keep");  // only 0 needs no unit
  if (bare != table.integers.end()) out.batches.keep = std::chrono::milliseconds(0);
  const bool is_bare_zero = bare == table.integers.end() || bare->second == 0;
  if (!is_bare_zero || (out.batches.keep.count() != 0 && out.batches.keep < kLeastBatchKeep)) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("{}: keep: \"30d\", at least \"1h\", or 0 to keep all", where));
  }
  out.batches.most_bytes = table.integer("most_bytes", out.batches.most_bytes);
  const auto text = table.strings.find("most_bytes");
  if (text != table.strings.end()) out.batches.most_bytes = parse_bytes(text->second).value_or(0);
  if (out.batches.most_bytes > 0) return {};
  return make_error(Code::kInvalidArgument,
                    fmt::format("{}: most_bytes: \"1GiB\", \"500MiB\" or a number of bytes above 0", where));
}

Status read_prices(const TomlTable& root, ConfigFile& out, std::string_view what) {
  const auto found = root.tables.find("prices");
  if (found == root.tables.end()) return {};
  const TomlTable& table = found->second;
  const std::string where = fmt::format("{}: [prices]", what);
  TRY_STATUS(check_keys(table.strings, {"currency"}, where));
  TRY_STATUS(check_keys(table.integers, {}, where));
  TRY_STATUS(check_keys(table.lists, {"rates", "around"}, where));
  TRY_STATUS(check_keys(table.table_lists, {}, where));
  TRY_STATUS(check_no_others(table, where));
  const auto in_key = [&where](std::string_view key, const Error& error) {
    return make_error(error.code, fmt::format("{}: {}: {}", where, key, error.message));
  };
  PriceRules& prices = out.prices;
  if (table.strings.contains("currency")) prices.currency = table.string("currency");
  if (!is_currency(prices.currency)) {
    const std::string problem = fmt::format("'{}' is none, want three letters such as CNY", prices.currency);
    return in_key("currency", make_error(Code::kInvalidArgument, problem));
  }
  Result<CurrencyRates> rates = CurrencyRates::parse(table.list("rates"), prices.currency);
  if (!rates.has_value()) return in_key("rates", rates.error());
  prices.rates = *std::move(rates);
  std::set<std::string> names;
  for (const std::string& text : table.list("around")) {
    Result<Surrounding> item = parse_surrounding(text, prices.currency);
    if (!item.has_value()) return in_key("around", item.error());
    if (!names.insert(item->name).second) {
      return in_key("around", make_error(Code::kInvalidArgument, fmt::format("'{}' is there twice", item->name)));
    }
    prices.around.push_back(*std::move(item));
  }
  return {};
}

Error in_deployment(std::string_view where, const DeploymentEntry& entry, const Error& error) {
  return make_error(error.code, fmt::format("{}: {}: {}", where, entry.name, error.message));
}

template <typename Map>
Status set_rules(const Map& map, DeploymentEntry& entry, std::string_view where) {
  for (const auto& [key, value] : map) {
    if (key == "name" || key == "image") continue;
    const Status set = set_rule(entry.rules, key, FieldValue(value));
    if (!set.has_value()) return in_deployment(where, entry, set.error());
  }
  return {};
}

Result<DeploymentEntry> read_deployment(const TomlTable& table, std::string_view where) {
  TRY_STATUS(check_keys(table.table_lists, {}, where));
  TRY_STATUS(check_no_others(table, where));
  DeploymentEntry out;
  out.name = table.string("name");
  out.image = table.string("image");
  if (!is_deployment_name(out.name) || out.image.empty()) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("{}: needs a name (letters, digits, . _ -) and an image", where));
  }
  TRY_STATUS(set_rules(table.strings, out, where));
  TRY_STATUS(set_rules(table.integers, out, where));
  TRY_STATUS(set_rules(table.lists, out, where));
  const Status checked = check_rules(out.rules);
  if (!checked.has_value()) return in_deployment(where, out, checked.error());
  return out;
}

Result<AlertEntry> read_alert(const TomlTable& table, std::string_view where) {
  TRY_STATUS(check_keys(table.strings, {"kind", "url", "secret", "language", "ca_file"}, where));
  TRY_STATUS(check_keys(table.integers, {}, where));
  TRY_STATUS(check_keys(table.lists, {"events"}, where));
  TRY_STATUS(check_keys(table.table_lists, {}, where));
  TRY_STATUS(check_no_others(table, where));
  AlertEntry out;
  out.kind = table.string("kind");
  out.url = table.string("url");
  out.secret = table.string("secret");
  out.language = table.string("language");
  out.ca_file = table.string("ca_file");
  out.events = table.list("events");
  if (out.kind.empty() || out.url.empty()) {
    return make_error(Code::kInvalidArgument, fmt::format("{}: needs a kind and a url", where));
  }
  if (!out.language.empty() && out.language != "zh" && out.language != "en") {
    return make_error(Code::kInvalidArgument, fmt::format("{}: language: want zh or en", where));
  }
  return out;
}

}  // namespace

TimeZone report_zone(const ConfigFile& config) {
  if (config.time_zone.empty()) return TimeZone::of_system();
  return TimeZone::load(config.time_zone).value_or(TimeZone::of_system());  // it was there when the file was read
}

bool is_deployment_name(std::string_view name) {
  if (name.empty() || name.size() > 63) return false;
  const auto is_alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return is_alnum(name.front()) && std::all_of(name.begin(), name.end(), [&is_alnum](char c) {
           return is_alnum(c) || c == '.' || c == '_' || c == '-';
         });
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view suffix;
    std::int64_t ms;
  };
  constexpr std::array<Unit, 6> kUnits{
      {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}, {"", 1000}}};
  std::int64_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (ec == std::errc() && number >= 0) {
    for (const Unit& unit : kUnits) {
      if (unit.suffix != rest || number > kMaxDurationMs / unit.ms) continue;
      return std::chrono::milliseconds(number * unit.ms);
    }
  }
  return make_error(Code::kInvalidArgument, fmt::format("'{}' is no duration; write 250ms, 90s, 10m or 1h", text));
}

std::string duration_text(std::chrono::milliseconds duration) {
  struct Unit {
    std::string_view suffix;
    std::int64_t ms;
  };
  constexpr std::array<Unit, 4> kUnits{{{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}}};
  const std::int64_t ms = duration.count();
  for (const Unit& unit : kUnits) {
    if (ms != 0 && ms % unit.ms == 0) return fmt::format("{}{}", ms / unit.ms, unit.suffix);
  }
  return ms == 0 ? std::string("0s") : fmt::format("{}ms", ms);
}

Result<ConfigFile> parse_config(std::string_view text, std::string_view what) {
  TRY(TomlTable root, parse_toml(text, what));
  TRY_STATUS(check_keys(root.strings, {"models_dir", "idle_timeout", "time_zone", "tls_cert", "tls_key"}, what));
  TRY_STATUS(check_keys(root.integers, {}, what));
  TRY_STATUS(check_keys(
      root.lists, {"listen", "ollama_listen", "admin_listen", "hosts", "cors", "behind_proxy", "worker_listen"}, what));
  TRY_STATUS(check_keys(root.table_lists, {"deployment", "instance", "alert", "image"}, what));
  TRY_STATUS(check_keys(root.decimals, {}, what));
  TRY_STATUS(check_keys(root.booleans, {}, what));
  // "driver" is read by gateway/driver_file.
  TRY_STATUS(check_keys(root.tables, {"batches", "driver", "ledger", "prices"}, what));
  ConfigFile out;
  out.listen = root.list("listen");
  out.ollama_listen = root.list("ollama_listen");
  out.admin_listen = root.list("admin_listen");
  out.hosts = root.list("hosts");
  out.cors = root.list("cors");
  out.behind_proxy = root.list("behind_proxy");
  out.tls_cert = root.string("tls_cert");
  out.tls_key = root.string("tls_key");
  out.worker_listen = root.list("worker_listen");
  if (root.tables.contains("driver")) out.driver_text = text;
  out.models_dir = root.string("models_dir");
  TRY(out.idle_timeout, read_duration(root, "idle_timeout", what));
  for (const TomlTable& table : root.table_lists["alert"]) {
    TRY(AlertEntry entry, read_alert(table, fmt::format("{}: [[alert]]", what)));
    out.alerts.push_back(std::move(entry));
  }
  TRY_STATUS(read_time_zone(root, out, what));
  TRY_STATUS(read_ledger(root, out, what));
  TRY_STATUS(read_batches(root, out, what));
  TRY_STATUS(read_prices(root, out, what));
  std::set<std::string> names;
  TRY(InstanceTypes instances, InstanceTypes::from_entries(root.table_lists["instance"], what));
  out.instances = instances.all();
  TRY(out.images, read_image_entries(root.table_lists["image"], what));
  for (const TomlTable& table : root.table_lists["deployment"]) {
    TRY(DeploymentEntry entry, read_deployment(table, fmt::format("{}: [[deployment]]", what)));
    if (!names.insert(entry.name).second) {
      return make_error(Code::kInvalidArgument, fmt::format("{}: two deployments are called '{}'", what, entry.name));
    }
    out.deployments.push_back(std::move(entry));
  }
  return out;
}

Result<ConfigFile> read_config(const std::string& path) {
  std::error_code ec;
  const std::uintmax_t bytes = std::filesystem::file_size(path, ec);  // an error for what is no file
  if (ec) {
    const bool missing = ec == std::errc::no_such_file_or_directory;
    return make_error(missing ? Code::kNotFound : Code::kPermissionDenied, fmt::format("{}: {}", path, ec.message()));
  }
  if (bytes > kMaxConfigBytes) {
    return make_error(Code::kTooLarge, fmt::format("{}: {} bytes, at most {}", path, bytes, kMaxConfigBytes));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return make_error(Code::kPermissionDenied, fmt::format("{}: cannot be read", path));
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return parse_config(text, path);
}

}  // namespace dormouse::catalog
