// What a Kubernetes cluster is given and shows: the Pod and the Secret of an instance as JSON, and Pods as sightings.
// Pure; what is read is untrusted and may be anything.
#pragma once

#include <boost/json/value.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fleet/drivers/provider.h"
#include "fleet/worker_command.h"

namespace dormouse::fleet {

// What an instance may use; requests and limits are the same, so that a neighbour cannot take it away.
struct KubernetesResources {
  std::string cpu;     // "4", "500m"; empty: not said
  std::string memory;  // "8Gi"
  int gpus = 0;
  std::string gpu_resource = "nvidia.com/gpu";
  std::vector<std::string> node_selector;  // KEY=VALUE
  std::vector<std::string> tolerations;    // KEY[=VALUE][:EFFECT], as kubectl taint writes taints
};

struct KubernetesPods {
  std::string image;
  std::string image_pull_policy;  // empty: the cluster's default
  std::string image_pull_secret;  // names of objects of the namespace; empty: none
  std::string service_account;
  std::string priority_class;
  std::string runtime_class;
  std::string model_claim;  // PersistentVolumeClaim with the models, mounted read-only; empty: they are in the image
  std::string model_mount = "/models";
  int run_as_user = 0;     // over 0: this user, and never root
  int grace_seconds = 30;  // from told to end to killed
  KubernetesResources resources;
  std::map<std::string, KubernetesResources> types;  // by instance type. Empty: types are not used
};

// Whose end is the instance's end: the cluster removes what a removed object owned.
struct KubernetesOwner {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string uid;
};

// The value of a label: at most 63 of letters, digits, - _ . with a letter or digit at both ends; not empty.
[[nodiscard]] bool is_label_value(std::string_view text);
// A name of an object or a namespace: small letters, digits and -, as for DNS.
[[nodiscard]] bool is_object_name(std::string_view text);

// Errors: kInvalidArgument, naming the key after `where`.
[[nodiscard]] Status check_pods(const KubernetesPods& pods, const std::string& where);

// "dormouse-INSTANCE": of the Pod and of its Secret.
[[nodiscard]] std::string kubernetes_name(std::string_view instance);
// Selects the Pods of one gateway.
[[nodiscard]] std::string kubernetes_selector(std::string_view owner_mark);

struct PodPlan {
  const StartSpec& spec;
  const WorkerPlace& place;
  const KubernetesPods& pods;
  const KubernetesResources& resources;
  std::string_view owner_mark;
  const KubernetesOwner* owner = nullptr;  // null: nobody's
};
// For server-side apply. No secret in it: the lease comes from the Secret of the same name.
[[nodiscard]] std::string pod_json(const PodPlan& plan);
// The lease, owned by the Pod: it goes when the Pod goes, whoever ended that. Secret.
[[nodiscard]] std::string secret_json(const StartSpec& spec, std::string_view owner_mark, const std::string& pod_uid);

// A Pod by the name we gave it; its labels are not looked at. Errors: kDataLoss (no Pod of an instance).
[[nodiscard]] Result<Sighting> read_pod(const boost::json::value& pod);

struct PodPage {
  std::vector<Sighting> pods;
  std::string next;     // token of the next page; empty: this was the last
  std::string version;  // of the list: a watch goes on from there
};
// Of a PodList those with our labels and names. Errors: kDataLoss (no list, or a Pod of ours that cannot be read: never
// taken for fewer Pods).
[[nodiscard]] Result<PodPage> read_pod_list(const boost::json::value& list, std::string_view owner_mark);

enum class WatchEvent {
  kNothing,  // one of ours comes or changes on its way up, a bookmark, or not readable
  kEnded,    // one of ours is gone, going, or has failed
  kExpired,  // the version is forgotten (410): a list is wanted
};
// One line of a watch over the Pods of `kubernetes_selector`. `version` moves on to the event's.
[[nodiscard]] WatchEvent read_watch_event(std::string_view line, std::string* version);

}  // namespace dormouse::fleet
