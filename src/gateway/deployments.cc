#include "gateway/deployments.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "catalog/config_file.h"
#include "catalog/image_name.h"

namespace dormouse::gateway {

void Deployments::put(Deployment deployment) {
  std::string name = deployment.name;
  by_name_.insert_or_assign(std::move(name), std::move(deployment));
}

const Deployment* Deployments::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &found->second;
}

const Deployment* Deployments::resolve(std::string_view model) const {
  if (model.empty()) return by_name_.size() == 1 ? &by_name_.begin()->second : nullptr;
  if (const Deployment* named = find(std::string(model))) return named;
  const Deployment* by_image = nullptr;
  bool ambiguous = false;
  const std::string key = catalog::canonical_image_key(model);
  for (const auto& [name, deployment] : by_name_) {
    if (std::find(deployment.aliases.begin(), deployment.aliases.end(), model) != deployment.aliases.end()) {
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

namespace {

// What one instance takes of this machine: its weights, and a tenth of them for keys, values and scratch, which grow
// with use. 64 MiB is what a worker of a tiny model takes. A file that is gone fails at its start, not here.
std::int64_t memory_of(const std::string& model_path) {
  constexpr std::int64_t kLeast = 64 << 20;
  std::error_code ec;
  const std::uintmax_t bytes = std::filesystem::file_size(model_path, ec);
  return ec ? kLeast : kLeast + static_cast<std::int64_t>(bytes + bytes / 10);
}

}  // namespace

fleet::DeploymentSpec fleet_spec(const Deployment& deployment) {
  fleet::DeploymentSpec spec;
  spec.name = deployment.name;
  spec.model_path = deployment.model_path;
  spec.idle_timeout = deployment.idle_timeout;
  spec.worker_arguments = deployment.worker_arguments;
  spec.memory_bytes = memory_of(deployment.model_path);
  return spec;
}

ledger::Deployment ledger_record(const Deployment& deployment) {
  ledger::Deployment record;
  record.name = deployment.name;
  record.image = deployment.image;
  record.model_path = deployment.model_path;
  record.idle_timeout_ms = deployment.idle_timeout.count();
  record.source = deployment.source;
  return record;
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
