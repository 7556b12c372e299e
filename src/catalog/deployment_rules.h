// What a deployment may be told, by whatever door it comes: dormouse.toml, the admin API, `dormouse deploy` and `set`.
// One table of keys, so that a key has one name, one range and one error everywhere. No I/O. Threads: any.
// Keys are written with '_'; '-' is read as the same. A list may be given as one text.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "catalog/budget.h"

namespace dormouse::catalog {

struct DeploymentRules {
  std::vector<std::string> aliases;     // further names that requests may use
  std::string runtime = "builtin";      // builtin | llama-server | vllm | ollama
  std::string driver = "process";       // process, or a [driver.NAME] of dormouse.toml
  std::string instance_type = "local";  // what it runs on, in the provider's words
  std::string billing = "hourly";       // hourly | monthly | mixed
  std::string exposure = "private";     // private | public
  std::int64_t min_instances = 0;
  std::int64_t max_instances = 1;  // 0: it stays asleep
  // nullopt: what the house does by default; filled in before a deployment exists.
  std::optional<std::chrono::milliseconds> idle_timeout;
  bool idle_auto = false;  // chosen from what was measured; idle_timeout is then of no meaning
  // The longest a request's own keep_alive may hold it awake; nullopt: as long as the idle timeout.
  std::optional<std::chrono::milliseconds> keep_alive_max;
  std::vector<std::string> awake;  // "Mon-Fri 08:55-18:05"
  // How long a request waits for a place before it is refused; nullopt: default_max_wait of its driver.
  std::optional<std::chrono::milliseconds> max_wait;
  // How long a worker on another machine may be out of reach before it ends itself and is replaced.
  std::chrono::seconds lease_time_to_live{120};
  // What load must have asked for before it changes the number of instances again: an instance that was not needed for
  // so long goes, and a further one is started for load as seldom.
  std::chrono::milliseconds scale_window{300'000};
  std::int64_t context_length = 0;  // these three: 0, the worker decides
  std::int64_t max_sequences = 0;
  std::int64_t threads = 0;
  // Of one stream; well under it is said aloud. 0: learned from the first hour with answers.
  std::int64_t expected_tokens_per_second = 0;
  std::vector<std::string> worker_arguments;  // further switches of the worker, as they are
  // What all its callers may have together, whatever their own keys allow; 0: no limit.
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;  // of prompts and answers
  std::int64_t concurrency = 0;        // requests at once
  BudgetRule budget;
  friend bool operator==(const DeploymentRules&, const DeploymentRules&) = default;
};

inline constexpr std::int64_t kMaxInstances = 64;
inline constexpr std::int64_t kMaxPerMinute = 10'000'000'000;  // what a bucket counts exactly (gateway/limits)
inline constexpr std::chrono::milliseconds kMinIdleTimeout{1'000};
inline constexpr std::chrono::hours kMaxKeepAlive{24 * 7};
inline constexpr std::chrono::milliseconds kMinWait{1'000};
inline constexpr std::chrono::milliseconds kMaxWait{600'000};  // so long a load may take, and then it has failed
inline constexpr std::chrono::seconds kMinLease{2};            // both ends ping a silent channel four times in it
inline constexpr std::chrono::seconds kMaxLease{86'400};
inline constexpr std::chrono::milliseconds kMinScaleWindow{1'000};
inline constexpr std::chrono::milliseconds kMaxScaleWindow{300'000};  // so far back goes what the policy knows of load

using FieldValue = std::variant<std::string, std::int64_t, std::vector<std::string>>;
enum class FieldKind { kText, kInteger, kList };

struct Field {
  std::string_view key;
  FieldKind kind = FieldKind::kText;
  std::string_view wants;  // for messages and --help: "10m or auto"
  char separator = ',';    // of a list on one line
};
[[nodiscard]] std::span<const Field> rule_fields();
// Null: no such key. `key` in either spelling.
[[nodiscard]] const Field* find_field(std::string_view key);
// "aliases, runtime, driver, ..."
[[nodiscard]] std::string known_keys();

// Errors of the three: kInvalidArgument, "KEY: what is wrong with it".
[[nodiscard]] Status set_rule(DeploymentRules& rules, std::string_view key, const FieldValue& value);
// What a person typed after `key=`: an integer, a text, or a list with its separator.
[[nodiscard]] Result<FieldValue> read_rule_text(std::string_view key, std::string_view text);
// What concerns more than one key: min <= max.
[[nodiscard]] Status check_rules(const DeploymentRules& rules);

// As set_rule takes it.
[[nodiscard]] FieldValue rule_value(const DeploymentRules& rules, const Field& field);
[[nodiscard]] std::string rule_text(const FieldValue& value, const Field& field);
// A child process wakes in seconds: 30 s. What is rented has to boot first: 4 min, within the 300 s after which Node's
// fetch gives up on an answer without headers.
[[nodiscard]] std::chrono::milliseconds default_max_wait(std::string_view driver);
// "auto", "10m"; empty where nothing was said.
[[nodiscard]] std::string idle_text(const DeploymentRules& rules);

}  // namespace dormouse::catalog
