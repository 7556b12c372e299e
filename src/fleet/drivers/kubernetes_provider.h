// A Kubernetes cluster through its API server: one Pod an instance, named after it, with the gateway's mark as a label.
//   1. The Pod is made by server-side apply under a name of its own: sent twice, it is one Pod.
//   2. The lease is in a Secret that the Pod owns; the Pod waits for it. There is no Secret without its Pod. (A Pod
//      without its Secret there is if the server goes away between the two calls for longer than they are repeated: it
//      runs nothing and is taken down when it does not run in time.)
//   3. A Pod is gone when the server says 404 about that very Pod, not when it took the delete. Never by force: what is
//      forced out of the API may still run on its node.
//   4. A list is whole or an error: one whose pages have expired (410) is begun anew. A watch only says that a list is
//      worth its while; nothing is decided on an event.
// Threads: the loop's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "fleet/drivers/kubernetes_api.h"
#include "fleet/drivers/kubernetes_objects.h"
#include "fleet/drivers/provider.h"

namespace dormouse::fleet {

// The owner is a label's value.
struct KubernetesProviderOptions : ProviderOptions {
  KubernetesAccess access;
  std::string name_space;
  // "statefulset/NAME" or "deployment/NAME" of the gateway: removed with it, Pods too. Empty: they outlive it until the
  // next gateway or the end of their lease.
  std::string owned_by;
  KubernetesPods pods;
  int page_size = 500;  // Pods of one answer
};

// What a Pod of the cluster finds: server, CA, token and namespace. Whatever is set already stays.
// `environment`: the process's. Blocking: reads the namespace's file in `directory`.
void fill_in_cluster(KubernetesProviderOptions& options, const char* const* environment,
                     const std::string& directory = "/var/run/secrets/kubernetes.io/serviceaccount");

// Errors: kInvalidArgument, naming the key.
[[nodiscard]] Result<std::unique_ptr<Provider>> make_kubernetes_provider(asio::io_context& io,
                                                                         KubernetesProviderOptions options);

}  // namespace dormouse::fleet
