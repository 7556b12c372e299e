// The names requests use, and which deployment each means. What runs is the fleet's; this is the phone book.
// Threads: the loop's.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "catalog/catalog.h"
#include "catalog/deployment_rules.h"
#include "fleet/supervisor.h"
#include "gateway/pricing.h"
#include "ledger/records.h"

namespace dormouse::gateway {

struct Deployment {
  std::string name;
  std::string image;  // canonical reference, "qwen3-demo:q8_0" or "file:NAME.gguf"
  std::string model_path;
  catalog::DeploymentRules rules;  // idle_timeout is filled in, or auto
  Pricing pricing;                 // of the rules' instance type, when it was last changed
  std::int64_t created = 0;        // seconds; /v1/models shows it
  ledger::Source source = ledger::Source::kApi;
  std::string defined_by;  // what defines it at every start: "dormouse.toml", "--model", "--demo"; empty: the ledger
};

inline constexpr std::size_t kMaxDeployments = 256;

class Deployments {
 public:
  void put(Deployment deployment);
  void remove(const std::string& name) { by_name_.erase(name); }
  [[nodiscard]] const Deployment* find(const std::string& name) const;
  // What a request's `model` means: a name, an alias, or an image in any form; empty: the only one there is. Null where
  // it means none, or an image that two deployments run.
  [[nodiscard]] const Deployment* resolve(std::string_view model) const;
  [[nodiscard]] const std::map<std::string, Deployment>& all() const { return by_name_; }
  // Could this one stand beside (or instead of its namesake among) the others? Errors: kAlreadyExists, "aliases: ...":
  // a word that already means another one.
  [[nodiscard]] Status check_words(const Deployment& deployment) const;

 private:
  std::map<std::string, Deployment> by_name_;
};

// What `dormouse-worker adopt` is told for a deployment whose runtime is somebody else's engine; empty for our own.
// Errors: kInvalidArgument, "runtime: what is wrong".
[[nodiscard]] Result<std::vector<std::string>> adopt_arguments_of(const Deployment& deployment);
// How long it stays awake after its last request, as far as it is known before it runs.
[[nodiscard]] std::chrono::milliseconds idle_after(const catalog::DeploymentRules& rules);

// The worker's switches for these rules.
[[nodiscard]] std::vector<std::string> worker_arguments(const catalog::DeploymentRules& rules);
[[nodiscard]] fleet::DeploymentSpec fleet_spec(const Deployment& deployment);
[[nodiscard]] ledger::Deployment ledger_record(const Deployment& deployment);
// As an earlier start wrote it. Errors: kDataLoss (rules that cannot be read).
[[nodiscard]] Result<Deployment> from_record(const ledger::Deployment& record);
// A name for a deployment of this image: "qwen3-demo:q8_0" -> "qwen3-demo"; "file:Some Model.gguf" -> "Some-Model".
[[nodiscard]] std::string default_name(std::string_view image_reference);

}  // namespace dormouse::gateway
