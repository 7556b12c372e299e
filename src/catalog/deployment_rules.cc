#include "catalog/deployment_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <utility>

#include "catalog/config_file.h"

namespace dormouse::catalog {
namespace {

constexpr std::size_t kMaxListLength = 64;
constexpr std::size_t kMaxNameBytes = 128;
constexpr std::size_t kMaxArgumentBytes = 4'096;
constexpr std::int64_t kMaxLimit = 1 << 24;  // of tokens, sequences and threads alike

// What the gateway itself tells a worker: a second value would cut it off or point it elsewhere.
constexpr std::array<std::string_view, 10> kOurSwitches{
    "--model",     "--listen", "--control",           "--control-fingerprint", "--lease",
    "--lease-ttl", "--epoch",  "--served-model-name", "--packed-dir",          "--golden-dir"};

Error wrong(std::string_view key, std::string_view what) {
  return make_error(Code::kInvalidArgument, fmt::format("{}: {}", key, what));
}

bool is_printable(std::string_view text, std::size_t max_bytes) {
  return !text.empty() && text.size() <= max_bytes && std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

Status check_choice(std::string_view key, const std::string& value, std::initializer_list<std::string_view> choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
  return wrong(key, fmt::format("'{}' is none of {}", value, fmt::join(choices, ", ")));
}

Status check_range(std::string_view key, std::int64_t value, std::int64_t most) {
  if (value >= 0 && value <= most) return {};
  return wrong(key, fmt::format("{} is out of range, want 0 to {}", value, most));
}

Status set_idle(DeploymentRules& rules, const std::string& text) {
  if (text == "auto") {
    rules.idle_auto = true;
    rules.idle_timeout.reset();
    return {};
  }
  const Result<std::chrono::milliseconds> value = parse_duration(text);
  if (!value.has_value()) return wrong("idle_timeout", value.error().message + ", or auto");
  if (*value < kMinIdleTimeout) return wrong("idle_timeout", fmt::format("'{}' is shorter than a second", text));
  rules.idle_auto = false;
  rules.idle_timeout = *value;
  return {};
}

// A duration of whole steps within bounds.
Result<std::chrono::milliseconds> bounded_duration(std::string_view key, const std::string& text,
                                                   std::chrono::milliseconds least, std::chrono::milliseconds most) {
  const Result<std::chrono::milliseconds> value = parse_duration(text);
  if (!value.has_value()) return wrong(key, value.error().message);
  if (*value < least || *value > most) {
    return wrong(key,
                 fmt::format("'{}' is out of range, want {} to {}", text, duration_text(least), duration_text(most)));
  }
  if (value->count() % 1'000 != 0) return wrong(key, fmt::format("'{}' has a fraction of a second", text));
  return *value;
}

Status set_keep_alive_max(DeploymentRules& rules, const std::string& text) {
  if (text == "idle") {
    rules.keep_alive_max.reset();
    return {};
  }
  TRY(rules.keep_alive_max, bounded_duration("keep_alive_max", text, std::chrono::milliseconds(0), kMaxKeepAlive));
  return {};
}

Status set_max_wait(DeploymentRules& rules, const std::string& text) {
  if (text == "default") {
    rules.max_wait.reset();
    return {};
  }
  TRY(rules.max_wait, bounded_duration("max_wait", text, kMinWait, kMaxWait));
  return {};
}

Status set_lease(DeploymentRules& rules, const std::string& text) {
  TRY(const std::chrono::milliseconds value, bounded_duration("lease_ttl", text, kMinLease, kMaxLease));
  rules.lease_time_to_live = std::chrono::duration_cast<std::chrono::seconds>(value);
  return {};
}

Status set_scale_window(DeploymentRules& rules, const std::string& text) {
  TRY(rules.scale_window, bounded_duration("scale_window", text, kMinScaleWindow, kMaxScaleWindow));
  return {};
}

Status set_budget(DeploymentRules& rules, const std::string& text) {
  const Result<BudgetRule> value = parse_budget(text);
  if (!value.has_value()) return wrong("budget", value.error().message);
  rules.budget = *value;
  return {};
}

Status check_names(std::string_view key, const std::vector<std::string>& names, std::size_t max_bytes) {
  if (names.size() > kMaxListLength) return wrong(key, fmt::format("more than {} of them", kMaxListLength));
  for (const std::string& name : names) {
    if (!is_printable(name, max_bytes)) return wrong(key, fmt::format("an entry is empty or over {} bytes", max_bytes));
  }
  return {};
}

Status check_arguments(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    const std::string_view name = std::string_view(argument).substr(0, argument.find('='));
    if (std::find(kOurSwitches.begin(), kOurSwitches.end(), name) == kOurSwitches.end()) continue;
    return wrong("worker_arguments", fmt::format("{} is set by dormouse itself", name));
  }
  return check_names("worker_arguments", arguments, kMaxArgumentBytes);
}

Status check_name(std::string_view key, const std::string& name) {
  if (is_deployment_name(name)) return {};
  return wrong(key, fmt::format("'{}' is no name: letters, digits and . _ - only, at most 63", name));
}

struct Row {
  Field field;
  // Called with a value of the field's kind.
  Status (*set)(DeploymentRules&, const FieldValue&);
  FieldValue (*get)(const DeploymentRules&);
};

const std::string& text_of(const FieldValue& value) {
  return std::get<std::string>(value);
}
std::int64_t integer_of(const FieldValue& value) {
  return std::get<std::int64_t>(value);
}
const std::vector<std::string>& list_of(const FieldValue& value) {
  return std::get<std::vector<std::string>>(value);
}

template <typename T>
Status assign(T& to, const T& value, Status checked) {
  if (checked.has_value()) to = value;
  return checked;
}

using Rules = DeploymentRules;
using Value = FieldValue;

constexpr std::array kRows{
    Row{{"aliases", FieldKind::kList, "names, by commas"},
        [](Rules& r, const Value& v) {
          return assign(r.aliases, list_of(v), check_names("aliases", list_of(v), kMaxNameBytes));
        },
        [](const Rules& r) { return Value(r.aliases); }},
    Row{{"runtime", FieldKind::kText, "builtin, llama-server, vllm or ollama"},
        [](Rules& r, const Value& v) {
          return assign(r.runtime, text_of(v),
                        check_choice("runtime", text_of(v), {"builtin", "llama-server", "vllm", "ollama"}));
        },
        [](const Rules& r) { return Value(r.runtime); }},
    Row{{"driver", FieldKind::kText, "process, or a [driver.NAME] of dormouse.toml"},
        [](Rules& r, const Value& v) { return assign(r.driver, text_of(v), check_name("driver", text_of(v))); },
        [](const Rules& r) { return Value(r.driver); }},
    Row{{"instance_type", FieldKind::kText, "a name, local by default"},
        [](Rules& r, const Value& v) {
          return assign(r.instance_type, text_of(v), check_name("instance_type", text_of(v)));
        },
        [](const Rules& r) { return Value(r.instance_type); }},
    Row{{"billing", FieldKind::kText, "hourly, monthly or mixed"},
        [](Rules& r, const Value& v) {
          return assign(r.billing, text_of(v), check_choice("billing", text_of(v), {"hourly", "monthly", "mixed"}));
        },
        [](const Rules& r) { return Value(r.billing); }},
    Row{{"exposure", FieldKind::kText, "private or public"},
        [](Rules& r, const Value& v) {
          return assign(r.exposure, text_of(v), check_choice("exposure", text_of(v), {"private", "public"}));
        },
        [](const Rules& r) { return Value(r.exposure); }},
    Row{{"min", FieldKind::kInteger, "0 to 64"},
        [](Rules& r, const Value& v) {
          return assign(r.min_instances, integer_of(v), check_range("min", integer_of(v), kMaxInstances));
        },
        [](const Rules& r) { return Value(r.min_instances); }},
    Row{{"max", FieldKind::kInteger, "0 to 64"},
        [](Rules& r, const Value& v) {
          return assign(r.max_instances, integer_of(v), check_range("max", integer_of(v), kMaxInstances));
        },
        [](const Rules& r) { return Value(r.max_instances); }},
    Row{{"idle_timeout", FieldKind::kText, "10m or auto"},
        [](Rules& r, const Value& v) { return set_idle(r, text_of(v)); },
        [](const Rules& r) { return Value(idle_text(r)); }},
    Row{{"keep_alive_max", FieldKind::kText, "0s to 7d, or idle: as long as the idle timeout (default)"},
        [](Rules& r, const Value& v) { return set_keep_alive_max(r, text_of(v)); },
        [](const Rules& r) {
          return Value(r.keep_alive_max.has_value() ? duration_text(*r.keep_alive_max) : std::string("idle"));
        }},
    Row{{"awake", FieldKind::kList, "windows such as \"Mon-Fri 08:55-18:05\" or \"09:00-18:00 +08:00\", by semicolons",
         ';'},
        [](Rules& r, const Value& v) {
          return assign(r.awake, list_of(v), check_names("awake", list_of(v), kMaxNameBytes));
        },
        [](const Rules& r) { return Value(r.awake); }},
    Row{{"max_wait", FieldKind::kText, "1s to 10m, or default: 30s, and 4m where an instance has to be rented"},
        [](Rules& r, const Value& v) { return set_max_wait(r, text_of(v)); },
        [](const Rules& r) {
          return Value(r.max_wait.has_value() ? duration_text(*r.max_wait) : std::string("default"));
        }},
    Row{{"lease_ttl", FieldKind::kText, "2s to 1d, 2m by default: how long a worker elsewhere may be out of reach"},
        [](Rules& r, const Value& v) { return set_lease(r, text_of(v)); },
        [](const Rules& r) { return Value(duration_text(r.lease_time_to_live)); }},
    Row{{"scale_window", FieldKind::kText, "1s to 5m, 5m by default: how seldom load may change the number"},
        [](Rules& r, const Value& v) { return set_scale_window(r, text_of(v)); },
        [](const Rules& r) { return Value(duration_text(r.scale_window)); }},
    Row{{"context_length", FieldKind::kInteger, "tokens, 0: the model's own"},
        [](Rules& r, const Value& v) {
          return assign(r.context_length, integer_of(v), check_range("context_length", integer_of(v), kMaxLimit));
        },
        [](const Rules& r) { return Value(r.context_length); }},
    Row{{"max_sequences", FieldKind::kInteger, "answers at once, 0: the worker's own"},
        [](Rules& r, const Value& v) {
          return assign(r.max_sequences, integer_of(v), check_range("max_sequences", integer_of(v), kMaxLimit));
        },
        [](const Rules& r) { return Value(r.max_sequences); }},
    Row{{"threads", FieldKind::kInteger, "0: one a core"},
        [](Rules& r, const Value& v) {
          return assign(r.threads, integer_of(v), check_range("threads", integer_of(v), kMaxLimit));
        },
        [](const Rules& r) { return Value(r.threads); }},
    Row{{"expected_tokens_per_second", FieldKind::kInteger, "tokens a second of one stream, 0: learned"},
        [](Rules& r, const Value& v) {
          return assign(r.expected_tokens_per_second, integer_of(v),
                        check_range("expected_tokens_per_second", integer_of(v), kMaxLimit));
        },
        [](const Rules& r) { return Value(r.expected_tokens_per_second); }},
    Row{{"worker_arguments", FieldKind::kList, "further switches of the worker, by spaces", ' '},
        [](Rules& r, const Value& v) { return assign(r.worker_arguments, list_of(v), check_arguments(list_of(v))); },
        [](const Rules& r) { return Value(r.worker_arguments); }},
    Row{{"requests_per_minute", FieldKind::kInteger, "of all callers together, 0: no limit"},
        [](Rules& r, const Value& v) {
          return assign(r.requests_per_minute, integer_of(v),
                        check_range("requests_per_minute", integer_of(v), kMaxPerMinute));
        },
        [](const Rules& r) { return Value(r.requests_per_minute); }},
    Row{{"tokens_per_minute", FieldKind::kInteger, "of prompts and answers, 0: no limit"},
        [](Rules& r, const Value& v) {
          return assign(r.tokens_per_minute, integer_of(v),
                        check_range("tokens_per_minute", integer_of(v), kMaxPerMinute));
        },
        [](const Rules& r) { return Value(r.tokens_per_minute); }},
    Row{{"concurrency", FieldKind::kInteger, "requests at once, 0: no limit"},
        [](Rules& r, const Value& v) {
          return assign(r.concurrency, integer_of(v), check_range("concurrency", integer_of(v), kMaxLimit));
        },
        [](const Rules& r) { return Value(r.concurrency); }},
    Row{{"budget", FieldKind::kText, "50CNY/month, 2.50USD/day or none"},
        [](Rules& r, const Value& v) { return set_budget(r, text_of(v)); },
        [](const Rules& r) { return Value(budget_text(r.budget)); }},
};

constexpr auto kFields = [] {
  std::array<Field, kRows.size()> out{};
  for (std::size_t i = 0; i < kRows.size(); ++i) out[i] = kRows[i].field;
  return out;
}();

const Row* find_row(std::string_view key) {
  const auto same = [key](const Row& row) {
    return std::equal(key.begin(), key.end(), row.field.key.begin(), row.field.key.end(),
                      [](char typed, char known) { return typed == known || (typed == '-' && known == '_'); });
  };
  const auto* const found = std::find_if(kRows.begin(), kRows.end(), same);
  return found == kRows.end() ? nullptr : found;
}

Error unknown(std::string_view key) {
  return make_error(Code::kInvalidArgument,
                    fmt::format("'{}' is no key of a deployment; there are: {}", key, known_keys()));
}

}  // namespace

std::span<const Field> rule_fields() {
  return kFields;
}

const Field* find_field(std::string_view key) {
  const Row* const row = find_row(key);
  return row == nullptr ? nullptr : &row->field;
}

std::string known_keys() {
  std::vector<std::string_view> keys;
  for (const Field& field : kFields) keys.push_back(field.key);
  return fmt::format("{}", fmt::join(keys, ", "));
}

Status set_rule(DeploymentRules& rules, std::string_view key, const FieldValue& value) {
  const Row* const row = find_row(key);
  if (row == nullptr) return unknown(key);
  if (row->field.kind == FieldKind::kList && std::holds_alternative<std::string>(value)) {
    return row->set(rules, std::vector<std::string>{std::get<std::string>(value)});
  }
  if (value.index() != static_cast<std::size_t>(row->field.kind)) {
    return wrong(row->field.key, fmt::format("has the wrong type, want {}", row->field.wants));
  }
  return row->set(rules, value);
}
static_assert(std::variant_size_v<FieldValue> == static_cast<std::size_t>(FieldKind::kList) + 1);

Result<FieldValue> read_rule_text(std::string_view key, std::string_view text) {
  const Row* const row = find_row(key);
  if (row == nullptr) return unknown(key);
  if (row->field.kind == FieldKind::kText) return FieldValue(std::string(text));
  if (row->field.kind == FieldKind::kInteger) {
    std::int64_t number = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (ec == std::errc() && end == text.data() + text.size()) return FieldValue(number);
    return wrong(row->field.key, fmt::format("'{}' is no whole number, want {}", text, row->field.wants));
  }
  std::vector<std::string> list;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(row->field.separator), text.size());
    std::string_view part = text.substr(0, end);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) list.emplace_back(part);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return FieldValue(std::move(list));
}

Status check_rules(const DeploymentRules& rules) {
  if (rules.min_instances <= rules.max_instances) return {};
  return wrong("min", fmt::format("{} is more than max, {}", rules.min_instances, rules.max_instances));
}

FieldValue rule_value(const DeploymentRules& rules, const Field& field) {
  return find_row(field.key)->get(rules);
}

std::string rule_text(const FieldValue& value, const Field& field) {
  if (const auto* const text = std::get_if<std::string>(&value)) return *text;
  if (const auto* const number = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *number);
  const std::string separator = field.separator == ' ' ? " " : fmt::format("{} ", field.separator);
  return fmt::format("{}", fmt::join(std::get<std::vector<std::string>>(value), separator));
}

std::chrono::milliseconds default_max_wait(std::string_view driver) {
  return driver == "process" ? std::chrono::seconds(30) : std::chrono::minutes(4);
}

std::string idle_text(const DeploymentRules& rules) {
  if (rules.idle_auto) return "auto";
  return rules.idle_timeout.has_value() ? duration_text(*rules.idle_timeout) : std::string();
}

}  // namespace dormouse::catalog
