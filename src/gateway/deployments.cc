#include "gateway/deployments.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "catalog/config_file.h"
#include "catalog/image_name.h"
#include "catalog/runtimes.h"
#include "gateway/rules_json.h"
#include "policy/schedule.h"

namespace dormouse::gateway {
namespace {

// Where `auto` was asked for and no load has been measured yet.
constexpr std::chrono::milliseconds kAutoIdle{30'000};
constexpr std::string_view kThisMachine = "local";

// What one instance takes of this machine: its weights, and a tenth of them for keys, values and scratch, which grow
// with use. 64 MiB is what a worker of a tiny model takes. A file that is gone fails at its start, not here.
std::int64_t memory_of(const std::string& model_path) {
  constexpr std::int64_t kLeast = 64 << 20;
  std::error_code ec;
  const std::uintmax_t bytes = std::filesystem::file_size(model_path, ec);
  return ec ? kLeast : kLeast + static_cast<std::int64_t>(bytes + bytes / 10);
}

}  // namespace

void Deployments::put(Deployment deployment) {
  std::string name = deployment.name;
  by_name_.insert_or_assign(std::move(name), std::move(deployment));
}

const Deployment* Deployments::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &found->second;
}

const Deployment* Deployments::only_one(Reach reach) const {
  const Deployment* only = nullptr;
  for (const auto& [name, deployment] : by_name_) {
    if (!is_visible(deployment, reach)) continue;
    if (only != nullptr) return nullptr;
    only = &deployment;
  }
  return only;
}

const Deployment* Deployments::resolve(std::string_view model, Reach reach) const {
  if (model.empty()) return only_one(reach);
  // As Ollama's clients complete a name without a tag.
  constexpr std::string_view kLatest = ":latest";
  const std::string_view said = model;
  if (model.ends_with(kLatest)) model.remove_suffix(kLatest.size());
  if (const Deployment* named = find(std::string(model))) return is_visible(*named, reach) ? named : nullptr;
  const Deployment* by_image = nullptr;
  bool ambiguous = false;
  const std::string key = catalog::canonical_image_key(model);
  for (const auto& [name, deployment] : by_name_) {
    if (!is_visible(deployment, reach)) continue;
    const std::vector<std::string>& aliases = deployment.rules.aliases;
    if (std::any_of(aliases.begin(), aliases.end(), [&](const auto& a) { return a == model || a == said; })) {
      return &deployment;
    }
    const bool same_file = deployment.image.starts_with("file:") &&
                           catalog::canonical_image_key(std::string_view(deployment.image).substr(5)) == key;
    const std::string image_key = catalog::canonical_image_key(deployment.image);
    const std::string repository_key =
        catalog::canonical_image_key(std::string_view(deployment.image).substr(0, deployment.image.find(':')));
    if (!key.empty() && (same_file || image_key == key || repository_key == key)) {
      ambiguous = by_image != nullptr;
      by_image = &deployment;
    }
  }
  return ambiguous ? nullptr : by_image;
}

Status Deployments::check_words(const Deployment& deployment) const {
  if (by_name_.size() >= kMaxDeployments && find(deployment.name) == nullptr) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("name: there are {} deployments, no more fit", by_name_.size()));
  }
  const std::vector<std::string>& aliases = deployment.rules.aliases;
  for (const auto& [name, other] : by_name_) {
    if (name == deployment.name) continue;
    std::vector<std::string> words = other.rules.aliases;
    words.push_back(name);
    for (const std::string& word : words) {
      const bool name_taken = word == deployment.name;
      if (!name_taken && std::find(aliases.begin(), aliases.end(), word) == aliases.end()) continue;
      return make_error(Code::kAlreadyExists, fmt::format("{}: '{}' already means deployment {}",
                                                          name_taken ? "name" : "aliases", word, name));
    }
  }
  return {};
}

// Without a word from the deployment: what a chat needs of llama.cpp and Ollama, which set memory aside for all of it
// at the start, and what vLLM is run with, which does not.
Result<std::vector<std::string>> adopt_arguments_of(const Deployment& deployment) {
  const catalog::DeploymentRules& rules = deployment.rules;
  if (rules.runtime == "builtin") return std::vector<std::string>{};
  TRY(const catalog::Runtimes runtimes, catalog::Runtimes::built_in());
  const Result<catalog::Runtime> runtime = runtimes.find(rules.runtime);
  if (!runtime.has_value()) return make_error(Code::kInvalidArgument, "runtime: " + runtime.error().message);
  const bool is_paged = runtime->name == "vllm";
  catalog::RuntimeParameters parameters;
  parameters.model = deployment.model_path;
  parameters.context_length = rules.context_length > 0 ? rules.context_length : is_paged ? 32'768 : 8'192;
  parameters.max_sequences = rules.max_sequences > 0 ? rules.max_sequences : is_paged ? 256 : 4;
  parameters.arguments = rules.worker_arguments;
  Result<std::vector<std::string>> arguments = catalog::adopt_arguments(*runtime, parameters);
  if (!arguments.has_value()) return make_error(Code::kInvalidArgument, "runtime: " + arguments.error().message);
  return arguments;
}

std::chrono::milliseconds idle_after(const catalog::DeploymentRules& rules) {
  return rules.idle_timeout.value_or(kAutoIdle);
}

std::vector<std::string> worker_arguments(const catalog::DeploymentRules& rules) {
  std::vector<std::string> out;
  const auto add = [&out](const char* name, std::int64_t value) {
    if (value > 0) out.insert(out.end(), {name, fmt::format("{}", value)});
  };
  add("--max-model-len", rules.context_length);
  add("--max-num-seqs", rules.max_sequences);
  add("--threads", rules.threads);
  out.insert(out.end(), rules.worker_arguments.begin(), rules.worker_arguments.end());
  return out;
}

fleet::DeploymentSpec fleet_spec(const Deployment& deployment) {
  const catalog::DeploymentRules& rules = deployment.rules;
  fleet::DeploymentSpec spec;
  spec.name = deployment.name;
  spec.model_path = deployment.model_path;
  spec.driver = rules.driver;
  if (rules.instance_type != kThisMachine) spec.instance_type = rules.instance_type;
  spec.idle_timeout = idle_after(rules);
  spec.idle_auto = rules.idle_auto;
  spec.keep_alive_max = rules.keep_alive_max;
  for (const std::string& text : rules.awake) {
    const Result<policy::Window> window = policy::parse_window(text);
    if (window.has_value()) spec.awake_windows.push_back(*window);  // checked before it became a rule
  }
  spec.price = deployment.pricing.price;
  spec.base_price = deployment.pricing.base_price;
  spec.base_instances = deployment.pricing.base_instances;
  spec.billing_increment = deployment.pricing.increment;
  spec.max_wait = rules.max_wait.value_or(catalog::default_max_wait(rules.driver));
  spec.lease_time_to_live = rules.lease_time_to_live;
  spec.scale_window = rules.scale_window;
  spec.min_instances = static_cast<int>(rules.min_instances);
  spec.max_instances = static_cast<int>(rules.max_instances);
  spec.worker_arguments = worker_arguments(rules);
  spec.adopt_arguments = adopt_arguments_of(deployment).value_or(std::vector<std::string>{});  // checked before, too
  spec.memory_bytes = memory_of(deployment.model_path);
  return spec;
}

ledger::Deployment ledger_record(const Deployment& deployment) {
  const catalog::DeploymentRules& rules = deployment.rules;
  ledger::Deployment record;
  record.name = deployment.name;
  record.image = deployment.image;
  record.model_path = deployment.model_path;
  record.driver = rules.driver;
  record.runtime = rules.runtime;
  record.exposure = rules.exposure;
  record.idle_timeout_ms = idle_after(rules).count();
  record.min_instances = rules.min_instances;
  record.max_instances = rules.max_instances;
  record.source = deployment.source;
  record.rules = rules_text(rules);
  return record;
}

Result<Deployment> from_record(const ledger::Deployment& record) {
  Deployment out;
  out.name = record.name;
  out.image = record.image;
  out.model_path = record.model_path;
  out.source = record.source;
  // The columns are the truth of every version; the rest adds to them.
  catalog::DeploymentRules& rules = out.rules;
  rules.driver = record.driver;
  rules.runtime = record.runtime;
  rules.exposure = record.exposure;
  rules.idle_timeout = std::chrono::milliseconds(record.idle_timeout_ms);
  rules.min_instances = record.min_instances;
  rules.max_instances = record.max_instances;
  const Status read = read_rules_text(record.rules, rules);
  if (!read.has_value()) {
    return make_error(Code::kDataLoss, fmt::format("deployment {}: {}", record.name, read.error().message));
  }
  return out;
}

std::string default_name(std::string_view image_reference) {
  const bool is_path = image_reference.starts_with("file:");
  if (is_path) image_reference.remove_prefix(5);
  if (is_path && image_reference.ends_with(".gguf")) image_reference.remove_suffix(5);
  if (!is_path) image_reference = image_reference.substr(0, image_reference.find(':'));
  std::string out;
  for (const char c : image_reference) {
    const std::string next = out + c;
    if (out.size() < 63) out = catalog::is_deployment_name(next) ? next : out.empty() ? out : out + '-';
  }
  return out.empty() ? "model" : out;
}

}  // namespace dormouse::gateway
