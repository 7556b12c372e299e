// The names requests use, and which deployment each means. What runs is the fleet's; this is the phone book.
// Threads: the loop's.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/catalog.h"
#include "fleet/supervisor.h"
#include "ledger/records.h"

namespace dormouse::gateway {

struct Deployment {
  std::string name;
  std::string image;       // canonical reference, "qwen3-demo:q8_0" or "file:NAME.gguf"
  std::string model_path;
  std::vector<std::string> aliases;
  std::int64_t created = 0;  // seconds; /v1/models shows it
  std::chrono::milliseconds idle_timeout{600'000};
  ledger::Source source = ledger::Source::kApi;
  std::vector<std::string> worker_arguments;
};

class Deployments {
 public:
  void put(Deployment deployment);
  void remove(const std::string& name) { by_name_.erase(name); }
  [[nodiscard]] const Deployment* find(const std::string& name) const;
  // What a request's `model` means: a name, an alias, or an image in any form; empty: the only one there is. Null where
  // it means none, or an image that two deployments run.
  [[nodiscard]] const Deployment* resolve(std::string_view model) const;
  [[nodiscard]] const std::map<std::string, Deployment>& all() const { return by_name_; }

 private:
  std::map<std::string, Deployment> by_name_;
};

[[nodiscard]] fleet::DeploymentSpec fleet_spec(const Deployment& deployment);
[[nodiscard]] ledger::Deployment ledger_record(const Deployment& deployment);
// A name for a deployment of this image: "qwen3-demo:q8_0" -> "qwen3-demo"; "file:Some Model.gguf" -> "Some-Model".
[[nodiscard]] std::string default_name(std::string_view image_reference);

}  // namespace dormouse::gateway
