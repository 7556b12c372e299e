// dormouse.toml: what `dormouse serve` reads at its start and again whenever the file changes. Flags given on the
// command line win over it.
//
//   listen = ["127.0.0.1:8080"]
//   ollama_listen = ["127.0.0.1:11434"]   # where Ollama's clients look; the same as listen otherwise
//   admin_listen = ["127.0.0.1:8081"]
//   hosts = ["chat.example.org"]   # and the keys below it: docs/exposure.md
//   cors = ["https://app.example.org"]
//   behind_proxy = ["10.0.0.0/8"]
//   tls_cert = "/etc/dormouse/fullchain.pem"
//   tls_key = "/etc/dormouse/privkey.pem"
//   worker_listen = ["0.0.0.0:8082"]
//   idle_timeout = "10m"           # of deployments that do not say
//   time_zone = "Asia/Shanghai"    # where reports' days begin; default: the system's
//   [[deployment]]
//   name = "chat"
//   image = "qwen3-demo:q8_0"      # or a path to a .gguf
//   idle_timeout = "5m"            # or "auto"
//   aliases = ["gpt-4o-mini"]
//   max = 2                        # and the other keys of catalog/deployment_rules.h
//   [[instance]]                   # what `--on` can name, and its price; keys as in catalog/instances.toml
//   name = "t4"
//   hour = "1.80"
//   currency = "CNY"
//   [[image]]                      # of the gallery: docs/images.md
//   name = "house"
//   tag = "q4_k_m"
//   file = "/models/house-q4_k_m.gguf"
//   [prices]                       # of forecasts: docs/cost_model.md
//   currency = "CNY"               # what they are told in
//   rates = ["USD=7.10"]           # one USD is 7.10 of that currency
//   around = ["gateway-host=30 CNY/month", "disk=0.05/hour"]   # what is paid beside the instances
//   [ledger]
//   retention = "180d"             # of single requests and of quarters of an hour; 0: for ever
//   [batches]                      # docs/api_openai.md
//   keep = "30d"                   # files from their making, batches from their end; 0: for ever
//   most_bytes = "1GiB"            # of all files together, or a number of bytes
//   [driver.hpc]                   # docs/drivers.md
//   [[alert]]                      # docs/metrics.md, "Alerts"
//   kind = "dingtalk"
//   url = "https://..."
//
// Unknown keys are errors: a typo in a limit must not pass in silence.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time_zone.h"
#include "catalog/currency_rates.h"
#include "catalog/deployment_rules.h"
#include "catalog/image.h"
#include "catalog/instance_types.h"
#include "catalog/surroundings.h"

namespace dormouse::catalog {

struct DeploymentEntry {
  std::string name;
  std::string image;
  DeploymentRules rules;
};

// A webhook that alerts go to. Not looked into here but for its keys: gateway/alerts does.
struct AlertEntry {
  std::string kind;  // dingtalk | wecom | feishu | slack
  std::string url;   // a credential, as the secret is
  std::string secret;
  std::string language;  // zh | en; empty: as its users read
  std::string ca_file;   // of a server that no public authority vouches for
  std::vector<std::string> events;
  friend bool operator==(const AlertEntry&, const AlertEntry&) = default;
};

// Whether the rates reach every currency is asked where something is converted: the command line may add some.
struct PriceRules {
  std::string currency = "CNY";
  CurrencyRates rates;  // of that currency
  std::vector<Surrounding> around;
};

// How long single requests are kept, unless the file says; a shorter one than the least would cut into a bill.
inline constexpr std::chrono::hours kRetention{180 * 24};
inline constexpr std::chrono::hours kLeastRetention{32 * 24};

// What /v1/files and /v1/batches leave on the disk.
struct BatchKeeping {
  std::chrono::milliseconds keep = std::chrono::hours(30 * 24);  // zero: for ever
  std::int64_t most_bytes = std::int64_t{1} << 30;               // uploads beyond are refused
  friend bool operator==(const BatchKeeping&, const BatchKeeping&) = default;
};
// A shorter one would take a result away before whoever asked for it has looked.
inline constexpr std::chrono::hours kLeastBatchKeep{1};

struct ConfigFile {
  std::vector<std::string> listen;
  std::vector<std::string> ollama_listen;
  std::vector<std::string> admin_listen;
  std::vector<std::string> hosts;
  std::vector<std::string> cors;
  std::vector<std::string> behind_proxy;
  std::string tls_cert;
  std::string tls_key;
  std::vector<std::string> worker_listen;  // for workers on other machines
  std::string models_dir;
  std::optional<std::chrono::milliseconds> idle_timeout;
  std::string time_zone;                             // of the IANA names; empty: the system's
  std::chrono::milliseconds retention = kRetention;  // zero: for ever
  BatchKeeping batches;
  std::vector<DeploymentEntry> deployments;
  std::vector<InstanceType> instances;  // beside the compiled-in ones, or in their place
  std::vector<Image> images;            // likewise, of the gallery; read at the start
  PriceRules prices;
  std::vector<AlertEntry> alerts;
  std::string driver_text;  // all of the file where it has [driver.NAME] tables, which gateway/driver_file reads
};

// Errors: kInvalidArgument, naming the file and the key.
[[nodiscard]] Result<ConfigFile> parse_config(std::string_view text, std::string_view what);
// Errors: kNotFound (no such file), kPermissionDenied (there, and not ours to read, or no file), kTooLarge (over 1
// MiB), and those of parse_config.
[[nodiscard]] Result<ConfigFile> read_config(const std::string& path);

// Where days and months begin: the file's zone, else the system's.
[[nodiscard]] TimeZone report_zone(const ConfigFile& config);

// "250ms", "90s", "10m", "1h", "2d" or whole seconds "90". Errors: kInvalidArgument.
[[nodiscard]] Result<std::chrono::milliseconds> parse_duration(std::string_view text);
// As parse_duration reads it, in the largest unit that leaves a whole number: "90s", "10m".
[[nodiscard]] std::string duration_text(std::chrono::milliseconds duration);

// A deployment's name: 1..63 of a-z A-Z 0-9 . _ -, first a letter or digit.
[[nodiscard]] bool is_deployment_name(std::string_view name);

}  // namespace dormouse::catalog
