// dormouse.toml: what `dormouse serve --config` reads. Flags given on the command line win over it.
//
//   listen = ["127.0.0.1:8080"]
//   idle_timeout = "10m"
//   [[deployment]]
//   name = "chat"
//   image = "qwen3-demo:q8_0"      # or a path to a .gguf
//   idle_timeout = "5m"
//   aliases = ["gpt-4o-mini"]
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

namespace dormouse::catalog {

struct DeploymentEntry {
  std::string name;
  std::string image;
  std::vector<std::string> aliases;
  std::optional<std::chrono::milliseconds> idle_timeout;
  std::int64_t context_length = 0;  // 0: the worker decides
  std::int64_t max_sequences = 0;   // 0: the worker decides
  std::int64_t threads = 0;         // 0: the worker decides
};

struct ConfigFile {
  std::vector<std::string> listen;
  std::string models_dir;
  std::optional<std::chrono::milliseconds> idle_timeout;
  std::vector<DeploymentEntry> deployments;
};

// Errors: kInvalidArgument, naming the file and the key.
[[nodiscard]] Result<ConfigFile> parse_config(std::string_view text, std::string_view what);

// "250ms", "90s", "10m", "1h", "2d" or whole seconds "90". Errors: kInvalidArgument.
[[nodiscard]] Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// A deployment's name: 1..63 of a-z A-Z 0-9 . _ -, first a letter or digit.
[[nodiscard]] bool is_deployment_name(std::string_view name);

}  // namespace dormouse::catalog
