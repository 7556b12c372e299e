#include "fleet/drivers/kubernetes_objects.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "fleet/drivers/command_provider.h"
#include "fleet/drivers/kubernetes_api.h"

namespace dormouse::fleet {
namespace {

namespace json = boost::json;

constexpr std::string_view kNamePrefix = "dormouse-";
constexpr std::string_view kManagedBy = "app.kubernetes.io/managed-by";
constexpr std::string_view kOurName = "dormouse";
constexpr std::string_view kComponent = "app.kubernetes.io/component";
constexpr std::string_view kOwnerLabel = "dormouse.dev/owner";
constexpr std::string_view kInstanceLabel = "dormouse.dev/instance";
constexpr std::string_view kDeploymentLabel = "dormouse.dev/deployment";
constexpr std::string_view kContainer = "worker";
constexpr std::string_view kLeaseKey = "lease";
constexpr std::string_view kModelVolume = "models";

// A container that waits for one of these needs a person, or another image; it will not run by itself.
constexpr std::array<std::string_view, 8> kStuck = {
    "ImagePullBackOff",  "ErrImagePull",         "ErrImageNeverPull",          "InvalidImageName",
    "RunContainerError", "CreateContainerError", "CreateContainerConfigError", "CrashLoopBackOff"};

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// DNS subdomain, slash, name: nvidia.com/gpu. Only what would break the object is refused; the server knows the rest.
bool is_key(std::string_view text) {
  return !text.empty() && text.size() <= 317 && is_alnum(text.front()) && is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '/'; });
}

bool is_quantity(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  constexpr std::array<std::string_view, 11> kUnits = {"", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "Pi"};
  return digits > 0 && std::find(kUnits.begin(), kUnits.end(), text.substr(digits)) != kUnits.end();
}

struct Toleration {
  std::string_view key, value, effect;
};

Toleration split_toleration(std::string_view text) {
  Toleration out;
  const std::size_t colon = std::min(text.rfind(':'), text.size());
  if (colon < text.size()) out.effect = text.substr(colon + 1);
  text = text.substr(0, colon);
  const std::size_t equals = std::min(text.find('='), text.size());
  if (equals < text.size()) out.value = text.substr(equals + 1);
  out.key = text.substr(0, equals);
  return out;
}

Status check_resources(const KubernetesResources& resources, const std::string& where) {
  const auto wrong = [&where](const char* key, const std::string& why) {
    return make_error(Code::kInvalidArgument, where + key + ": " + why);
  };
  if (!resources.cpu.empty() && !is_quantity(resources.cpu)) return wrong("cpu", "a quantity such as 4 or 500m");
  if (!resources.memory.empty() && !is_quantity(resources.memory)) return wrong("memory", "a quantity such as 8Gi");
  if (resources.gpus < 0) return wrong("gpus", "0 or more");
  if (!is_key(resources.gpu_resource)) return wrong("gpu_resource", "a name such as nvidia.com/gpu");
  for (const std::string& entry : resources.node_selector) {
    const std::size_t equals = std::min(entry.find('='), entry.size());
    const std::string_view value = std::string_view(entry).substr(std::min(equals + 1, entry.size()));
    if (equals == entry.size() || !is_key(entry.substr(0, equals)) || (!value.empty() && !is_label_value(value))) {
      return wrong("node_selector", fmt::format("KEY=VALUE is wanted, got '{}'", one_line(entry)));
    }
  }
  constexpr std::array<std::string_view, 4> kEffects = {"", "NoSchedule", "PreferNoSchedule", "NoExecute"};
  for (const std::string& entry : resources.tolerations) {
    const Toleration parts = split_toleration(entry);
    const bool effect = std::find(kEffects.begin(), kEffects.end(), parts.effect) != kEffects.end();
    if (!effect || !is_key(parts.key) || (!parts.value.empty() && !is_label_value(parts.value))) {
      return wrong("tolerations", fmt::format("KEY[=VALUE][:EFFECT] is wanted, got '{}'", one_line(entry)));
    }
  }
  return {};
}

const json::object* object_at(const json::object& object, std::string_view key) {
  const json::value* const found = object.if_contains(key);
  return found == nullptr ? nullptr : found->if_object();
}

const json::array* array_at(const json::object& object, std::string_view key) {
  const json::value* const found = object.if_contains(key);
  return found == nullptr ? nullptr : found->if_array();
}

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* const found = object.if_contains(key);
  const json::string* const text = found == nullptr ? nullptr : found->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

std::optional<int> number_at(const json::object& object, std::string_view key) {
  const json::value* const found = object.if_contains(key);
  if (found == nullptr || !found->is_int64()) return std::nullopt;
  const std::int64_t number = found->get_int64();
  if (number < -1'000'000 || number > 1'000'000) return std::nullopt;
  return static_cast<int>(number);
}

// "REASON: message" of an object that has both, either or none.
std::string reason_of(const json::object& object) {
  const std::string reason = one_line(text_at(object, "reason"));
  const std::string message = one_line(text_at(object, "message"));
  if (reason.empty() || message.empty()) return reason + message;
  return reason + ": " + message;
}

std::string base64(std::string_view text) {
  std::vector<unsigned char> out(4 * ((text.size() + 2) / 3) + 1);
  const auto* const bytes = reinterpret_cast<const unsigned char*>(text.data());
  const int size = EVP_EncodeBlock(out.data(), bytes, static_cast<int>(text.size()));
  return {out.begin(), out.begin() + size};
}

json::object labels_of(const StartSpec& spec, std::string_view owner_mark) {
  json::object out;
  out[kManagedBy] = kOurName;
  out[kComponent] = kContainer;
  out[kOwnerLabel] = owner_mark;
  out[kInstanceLabel] = spec.instance_id;
  if (is_label_value(spec.deployment)) out[kDeploymentLabel] = spec.deployment;
  return out;
}

json::array owner_list(const KubernetesOwner& owner) {
  return {
      json::object{{"apiVersion", owner.api_version}, {"kind", owner.kind}, {"name", owner.name}, {"uid", owner.uid}}};
}

// The kubelet replaces $(NAME) in arguments by a variable's value, and $$ by $: a path with a dollar stays what it is.
json::array arguments_of(const std::vector<std::string>& argv) {
  json::array out;
  for (const std::string& word : argv) {
    std::string escaped;
    for (const char c : word) escaped += c == '$' ? std::string("$$") : std::string(1, c);
    out.emplace_back(escaped);
  }
  return out;
}

json::object container_json(const PodPlan& plan) {
  json::object out;
  out["name"] = kContainer;
  out["image"] = plan.pods.image;
  if (!plan.pods.image_pull_policy.empty()) out["imagePullPolicy"] = plan.pods.image_pull_policy;
  out["command"] = arguments_of(worker_command(plan.spec, plan.place).argv);
  json::object key{{"name", kubernetes_name(plan.spec.instance_id)}, {"key", kLeaseKey}};
  json::object lease{{"name", kLeaseVariable}, {"valueFrom", json::object{{"secretKeyRef", std::move(key)}}}};
  out["env"] = json::array{std::move(lease)};
  json::object limits;
  if (!plan.resources.cpu.empty()) limits["cpu"] = plan.resources.cpu;
  if (!plan.resources.memory.empty()) limits["memory"] = plan.resources.memory;
  if (plan.resources.gpus > 0) limits[plan.resources.gpu_resource] = std::to_string(plan.resources.gpus);
  if (!limits.empty()) out["resources"] = json::object{{"requests", limits}, {"limits", limits}};
  if (!plan.pods.model_claim.empty()) {
    out["volumeMounts"] =
        json::array{json::object{{"name", kModelVolume}, {"mountPath", plan.pods.model_mount}, {"readOnly", true}}};
  }
  out["securityContext"] =
      json::object{{"allowPrivilegeEscalation", false}, {"capabilities", json::object{{"drop", json::array{"ALL"}}}}};
  return out;
}

json::object toleration_json(std::string_view text) {
  const Toleration parts = split_toleration(text);
  json::object out{{"key", parts.key}, {"operator", parts.value.empty() ? "Exists" : "Equal"}};
  if (!parts.value.empty()) out["value"] = parts.value;
  if (!parts.effect.empty()) out["effect"] = parts.effect;
  return out;
}

// restartPolicy Never: an instance runs once; its lease is over when it ends. The worker needs no API: no token, no
// variables of the namespace's services.
json::object pod_spec_json(const PodPlan& plan) {
  json::object out;
  out["restartPolicy"] = "Never";
  out["automountServiceAccountToken"] = false;
  out["enableServiceLinks"] = false;
  out["terminationGracePeriodSeconds"] = plan.pods.grace_seconds;
  if (!plan.pods.service_account.empty()) out["serviceAccountName"] = plan.pods.service_account;
  if (!plan.pods.priority_class.empty()) out["priorityClassName"] = plan.pods.priority_class;
  if (!plan.pods.runtime_class.empty()) out["runtimeClassName"] = plan.pods.runtime_class;
  if (!plan.pods.image_pull_secret.empty()) {
    out["imagePullSecrets"] = json::array{json::object{{"name", plan.pods.image_pull_secret}}};
  }
  json::object selector;
  for (const std::string& entry : plan.resources.node_selector) {
    const std::size_t equals = entry.find('=');
    selector[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  if (!selector.empty()) out["nodeSelector"] = std::move(selector);
  json::array tolerations;
  for (const std::string& entry : plan.resources.tolerations) tolerations.push_back(toleration_json(entry));
  if (!tolerations.empty()) out["tolerations"] = std::move(tolerations);
  json::object security{{"seccompProfile", json::object{{"type", "RuntimeDefault"}}}};
  if (plan.pods.run_as_user > 0) {
    security["runAsNonRoot"] = true;
    security["runAsUser"] = plan.pods.run_as_user;
  }
  out["securityContext"] = std::move(security);
  if (!plan.pods.model_claim.empty()) {
    json::object claim{{"claimName", plan.pods.model_claim}, {"readOnly", true}};
    out["volumes"] = json::array{json::object{{"name", kModelVolume}, {"persistentVolumeClaim", std::move(claim)}}};
  }
  json::array containers;
  containers.push_back(container_json(plan));
  out["containers"] = std::move(containers);
  return out;
}

// The state of our one container: {"waiting"|"running"|"terminated": {...}}. Null: not told yet.
const json::object* container_state(const json::object& status) {
  const json::array* const containers = array_at(status, "containerStatuses");
  if (containers == nullptr) return nullptr;
  for (const json::value& entry : *containers) {
    const json::object* const container = entry.if_object();
    if (container != nullptr && text_at(*container, "name") == kContainer) return object_at(*container, "state");
  }
  return nullptr;
}

// Above 128 an exit code says that a signal ended it.
InstanceExit exit_of(const json::object& terminated) {
  InstanceExit out;
  out.exit_code = number_at(terminated, "exitCode").value_or(-1);
  out.signal = number_at(terminated, "signal").value_or(0);
  if (out.signal == 0 && out.exit_code > 128 && out.exit_code <= 192) out.signal = out.exit_code - 128;
  if (out.signal != 0) out.exit_code = -1;
  return out;
}

// Why it has ended: the container's word (OOMKilled) and exit code, else the Pod's (Evicted).
void read_end(const json::object& status, const json::object* state, Sighting& out) {
  const json::object* const terminated = state == nullptr ? nullptr : object_at(*state, "terminated");
  std::string why = reason_of(status);
  if (terminated != nullptr) {
    out.exit = exit_of(*terminated);
    const std::string code = fmt::format("exit code {}", number_at(*terminated, "exitCode").value_or(-1));
    const std::string reason = reason_of(*terminated);
    why += fmt::format("{}{}{}{}", why.empty() ? "" : ", ", reason, reason.empty() ? "" : ", ", code);
  }
  out.state = MachineState::kFailed;
  if (!why.empty()) out.detail += ": " + why;
}

// The kubelet may have looked for the Secret before we had made it: it looks again, and so do we.
bool waits_for_secret(const json::object& waiting, const std::string& instance) {
  const std::string message = text_at(waiting, "message");
  return message.find('"' + kubernetes_name(instance) + '"') != std::string::npos &&
         message.find("not found") != std::string::npos;
}

std::string unschedulable(const json::object& status) {
  const json::array* const conditions = array_at(status, "conditions");
  if (conditions == nullptr) return {};
  for (const json::value& entry : *conditions) {
    const json::object* const condition = entry.if_object();
    if (condition == nullptr || text_at(*condition, "type") != "PodScheduled") continue;
    return text_at(*condition, "status") == "False" ? reason_of(*condition) : std::string();
  }
  return {};
}

// 1. Being removed: its end is a matter of time, and no worker will join from it.
// 2. Over.
// 3. Stuck: it would wait for ever.
// 4. Running, as far as the container runs.
// 5. On its way, for a reason. Unknown (its node is lost) is here: never taken for gone.
void read_state(const json::object& metadata, const json::object& status, Sighting& out) {
  const std::string phase = text_at(status, "phase");
  out.detail = phase.empty() ? "Pending" : one_line(phase);
  const json::object* const state = container_state(status);
  if (metadata.contains("deletionTimestamp")) {  // 1
    out.detail = "Terminating";
    return read_end(status, state, out);
  }
  const bool ended = state != nullptr && state->contains("terminated");
  if (ended || phase == "Succeeded" || phase == "Failed") return read_end(status, state, out);  // 2
  const json::object* const waiting = state == nullptr ? nullptr : object_at(*state, "waiting");
  if (waiting != nullptr && !text_at(*waiting, "reason").empty()) {
    const std::string reason = text_at(*waiting, "reason");
    out.detail += ": " + reason_of(*waiting);
    const bool stuck = std::find(kStuck.begin(), kStuck.end(), reason) != kStuck.end();
    if (stuck && !waits_for_secret(*waiting, out.instance)) out.state = MachineState::kFailed;  // 3
    return;
  }
  if (phase == "Running" && (state == nullptr || state->contains("running"))) {  // 4
    out.state = MachineState::kRunning;
    return;
  }
  const std::string reason = unschedulable(status);  // 5
  if (!reason.empty()) out.detail += ": " + reason;
}

Error no_pod(std::string_view why) {
  return make_error(Code::kDataLoss, fmt::format("kubernetes: a Pod that cannot be read: {}", why));
}

bool has_our_labels(const json::value& pod, std::string_view owner_mark) {
  const json::object* const object = pod.if_object();
  const json::object* const metadata = object == nullptr ? nullptr : object_at(*object, "metadata");
  const json::object* const labels = metadata == nullptr ? nullptr : object_at(*metadata, "labels");
  return labels != nullptr && text_at(*labels, kManagedBy) == kOurName && text_at(*labels, kOwnerLabel) == owner_mark &&
         is_instance_id(text_at(*labels, kInstanceLabel));
}

}  // namespace

bool is_label_value(std::string_view text) {
  return !text.empty() && text.size() <= 63 && is_alnum(text.front()) && is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_object_name(std::string_view text) {
  const auto is_small = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= 63 && is_small(text.front()) && is_small(text.back()) &&
         std::all_of(text.begin(), text.end(), [&is_small](char c) { return is_small(c) || c == '-' || c == '.'; });
}

Status check_pods(const KubernetesPods& pods, const std::string& where) {
  const auto wrong = [&where](const char* key, const char* why) {
    return make_error(Code::kInvalidArgument, where + key + ": " + why);
  };
  if (pods.image.empty()) return wrong("image", "is needed: the worker's container image");
  constexpr std::array<std::string_view, 4> kPolicies = {"", "Always", "IfNotPresent", "Never"};
  if (std::find(kPolicies.begin(), kPolicies.end(), pods.image_pull_policy) == kPolicies.end()) {
    return wrong("image_pull_policy", "Always, IfNotPresent or Never");
  }
  const std::array<std::pair<const char*, const std::string*>, 5> names = {
      {{"image_pull_secret", &pods.image_pull_secret},
       {"service_account", &pods.service_account},
       {"priority_class", &pods.priority_class},
       {"runtime_class", &pods.runtime_class},
       {"model_claim", &pods.model_claim}}};
  for (const auto& [key, name] : names) {
    if (!name->empty() && !is_object_name(*name)) return wrong(key, "the name of an object is wanted");
  }
  if (!pods.model_mount.starts_with('/') || pods.model_mount.find(':') != std::string::npos) {
    return wrong("model_mount", "an absolute path without ':'");
  }
  if (pods.run_as_user < 0) return wrong("run_as_user", "a user's number");
  if (pods.grace_seconds < 1) return wrong("grace", "at least 1 s");
  TRY_STATUS(check_resources(pods.resources, where));
  for (const auto& [type, resources] : pods.types) {
    TRY_STATUS(check_resources(resources, fmt::format("{}types.{}.", where, type)));
  }
  return {};
}

std::string kubernetes_name(std::string_view instance) {
  return std::string(kNamePrefix) + std::string(instance);
}

std::string kubernetes_selector(std::string_view owner_mark) {
  return fmt::format("{}={},{}={}", kManagedBy, kOurName, kOwnerLabel, owner_mark);
}

std::string pod_json(const PodPlan& plan) {
  json::object metadata{{"name", kubernetes_name(plan.spec.instance_id)}};
  metadata["labels"] = labels_of(plan.spec, plan.owner_mark);
  if (plan.owner != nullptr) metadata["ownerReferences"] = owner_list(*plan.owner);
  json::object pod{{"apiVersion", "v1"}, {"kind", "Pod"}};
  pod["metadata"] = std::move(metadata);
  pod["spec"] = pod_spec_json(plan);
  return json::serialize(pod);
}

std::string secret_json(const StartSpec& spec, std::string_view owner_mark, const std::string& pod_uid) {
  const std::string name = kubernetes_name(spec.instance_id);
  json::object metadata{{"name", name}};
  metadata["labels"] = labels_of(spec, owner_mark);
  metadata["ownerReferences"] = owner_list({.api_version = "v1", .kind = "Pod", .name = name, .uid = pod_uid});
  json::object secret{{"apiVersion", "v1"}, {"kind", "Secret"}, {"type", "Opaque"}};
  secret["metadata"] = std::move(metadata);
  secret["data"] = json::object{{kLeaseKey, base64(spec.lease_token)}};
  return json::serialize(secret);
}

Result<Sighting> read_pod(const json::value& pod) {
  const json::object* const object = pod.if_object();
  const json::object* const metadata = object == nullptr ? nullptr : object_at(*object, "metadata");
  if (metadata == nullptr) return no_pod("no metadata");
  const std::string name = text_at(*metadata, "name");
  Sighting out;
  out.id = text_at(*metadata, "uid");
  if (!name.starts_with(kNamePrefix) || !is_instance_id(std::string_view(name).substr(kNamePrefix.size()))) {
    return no_pod("its name is '" + one_line(name) + "'");
  }
  if (out.id.empty()) return no_pod(name + " has no uid");
  out.instance = name.substr(kNamePrefix.size());
  const json::object* const status = object_at(*object, "status");
  const json::object none;
  read_state(*metadata, status == nullptr ? none : *status, out);
  if (status != nullptr) out.address = text_at(*status, "podIP");
  return out;
}

Result<PodPage> read_pod_list(const json::value& list, std::string_view owner_mark) {
  const json::object* const object = list.if_object();
  const json::array* const items = object == nullptr ? nullptr : array_at(*object, "items");
  if (items == nullptr || text_at(*object, "kind") != "PodList") {
    return make_error(Code::kDataLoss, "kubernetes: the answer is no list of Pods");
  }
  PodPage out;
  if (const json::object* const metadata = object_at(*object, "metadata")) {
    out.next = text_at(*metadata, "continue");
    out.version = text_at(*metadata, "resourceVersion");
  }
  for (const json::value& item : *items) {
    if (!has_our_labels(item, owner_mark)) continue;
    TRY(Sighting sighting, read_pod(item));
    out.pods.push_back(std::move(sighting));
  }
  return out;
}

WatchEvent read_watch_event(std::string_view line, std::string* version) {
  json::error_code failure;
  const json::value parsed = json::parse(json::string_view(line.data(), line.size()), failure);
  const json::object* const event = failure ? nullptr : parsed.if_object();
  const json::object* const object = event == nullptr ? nullptr : object_at(*event, "object");
  if (object == nullptr) return WatchEvent::kNothing;
  const std::string type = text_at(*event, "type");
  if (type == "ERROR") return WatchEvent::kExpired;  // whatever it is, a list tells
  const json::object* const metadata = object_at(*object, "metadata");
  const std::string now = metadata == nullptr ? std::string() : text_at(*metadata, "resourceVersion");
  if (!now.empty()) *version = now;
  if (type == "DELETED") return WatchEvent::kEnded;
  if (type != "MODIFIED") return WatchEvent::kNothing;
  const Result<Sighting> pod = read_pod(event->at("object"));
  return pod.has_value() && pod->state == MachineState::kFailed ? WatchEvent::kEnded : WatchEvent::kNothing;
}

}  // namespace dormouse::fleet
