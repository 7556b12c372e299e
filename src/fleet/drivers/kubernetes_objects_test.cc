// Goal: what a cluster shows is understood, nothing odd is ever taken for gone, and a configuration that cannot work is
// refused by its key. Method: Pods as the API shows them, then damaged ones.
#include "fleet/drivers/kubernetes_objects.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <functional>

#include "fleet/drivers/kubernetes_provider.h"

namespace dormouse::fleet {
namespace {

namespace json = boost::json;

constexpr const char* kInstance = "01928c5e-0000-7000-8000-000000000001";

std::string pod_text(const std::string& status, const std::string& metadata = "") {
  return std::string(R"({"kind":"Pod","metadata":{"name":"dormouse-)") + kInstance + R"(","uid":"u1")" + metadata +
         R"(,"labels":{"app.kubernetes.io/managed-by":"dormouse","dormouse.dev/owner":"gw1",)" +
         R"("dormouse.dev/instance":")" + kInstance + R"("}},"status":)" + status + "}";
}

Sighting seen(const std::string& status, const std::string& metadata = "") {
  const Result<Sighting> out = read_pod(json::parse(pod_text(status, metadata)));
  EXPECT_TRUE(out.has_value()) << out.error().message;
  return out.value_or(Sighting());
}

std::string container(const std::string& phase, const std::string& state) {
  return R"({"phase":")" + phase + R"(","containerStatuses":[{"name":"sidecar","state":{"running":{}}},)" +
         R"({"name":"worker","state":)" + state + "}]}";
}

TEST(KubernetesPod, ItsPhaseAndReasonsAreOurStates) {
  EXPECT_TRUE(seen(R"({"phase":"Pending"})").state == MachineState::kStarting);
  EXPECT_TRUE(seen("{}").state == MachineState::kStarting);
  EXPECT_TRUE(seen(R"({"phase":"Unknown"})").state == MachineState::kStarting);
  EXPECT_TRUE(seen(R"({"phase":"SomethingNew"})").state == MachineState::kStarting);
  const Sighting running = seen(R"({"phase":"Running","podIP":"10.0.0.9"})");
  EXPECT_TRUE(running.state == MachineState::kRunning);
  EXPECT_EQ(running.address, "10.0.0.9");
  EXPECT_EQ(running.instance, kInstance);
  EXPECT_EQ(running.id, "u1");
  const Sighting making = seen(container("Pending", R"({"waiting":{"reason":"ContainerCreating"}})"));
  EXPECT_TRUE(making.state == MachineState::kStarting);
  EXPECT_EQ(making.detail, "Pending: ContainerCreating");
  for (const char* stuck : {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"}) {
    const Sighting failed =
        seen(container("Pending", std::string(R"({"waiting":{"reason":")") + stuck + R"(","message":"why"}})"));
    EXPECT_TRUE(failed.state == MachineState::kFailed) << stuck;
    EXPECT_EQ(failed.detail, std::string("Pending: ") + stuck + ": why");
  }
  const Sighting early = seen(
      container("Pending", std::string(R"({"waiting":{"reason":"CreateContainerConfigError","message":"secret \")") +
                               "dormouse-" + kInstance + R"(\" not found"}})"));
  EXPECT_TRUE(early.state == MachineState::kStarting) << "its Secret comes after it";
}

TEST(KubernetesPod, AnEndHasItsReason) {
  const Sighting killed = seen(container("Failed", R"({"terminated":{"exitCode":137,"reason":"OOMKilled"}})"));
  EXPECT_TRUE(killed.state == MachineState::kFailed) << "ended, but the object is still to be removed";
  EXPECT_EQ(killed.detail, "Failed: OOMKilled, exit code 137");
  ASSERT_TRUE(killed.exit.has_value());
  EXPECT_EQ(killed.exit->signal, 9);
  EXPECT_EQ(killed.exit->exit_code, -1);
  const Sighting done = seen(container("Succeeded", R"({"terminated":{"exitCode":0,"reason":"Completed"}})"));
  EXPECT_EQ(done.exit.value_or(InstanceExit{}).exit_code, 0);
  const Sighting evicted = seen(R"({"phase":"Failed","reason":"Evicted","message":"low on memory"})");
  EXPECT_EQ(evicted.detail, "Failed: Evicted: low on memory");
  EXPECT_FALSE(evicted.exit.has_value());
  const Sighting going = seen(R"({"phase":"Running"})", R"(,"deletionTimestamp":"2026-11-01T00:00:00Z")");
  EXPECT_TRUE(going.state == MachineState::kFailed);
  EXPECT_EQ(going.detail, "Terminating");
}

TEST(KubernetesPod, ListsAreWholeOrAnError) {
  const auto read = [](const std::string& items, const std::string& kind = "PodList") {
    return read_pod_list(json::parse(R"({"kind":")" + kind + R"(","metadata":{"continue":"c"},"items":)" + items + "}"),
                         "gw1");
  };
  const std::string ours = pod_text(R"({"phase":"Running"})");
  const auto page = read("[" + ours + R"(,{"metadata":{"name":"nginx","uid":"u2"}},7,{}])");
  ASSERT_TRUE(page.has_value()) << page.error().message;
  EXPECT_EQ(page->pods.size(), 1U);
  EXPECT_EQ(page->next, "c");
  EXPECT_TRUE(read("[]").value().pods.empty());
  EXPECT_FALSE(read("[]", "Status").has_value());
  EXPECT_FALSE(read("null").has_value()) << "no list is not an empty one";
  EXPECT_FALSE(read_pod_list(json::parse("[]"), "gw1").has_value());
  std::string nameless = ours;
  nameless.replace(nameless.find(R"("uid":"u1",)"), 11, "");
  EXPECT_FALSE(read("[" + nameless + "]").has_value()) << "one of ours that cannot be read is not one fewer";
  for (const char* odd : {"null", "[]", "{}", R"({"metadata":{}})", R"({"metadata":{"name":7}})",
                          R"({"metadata":{"name":"dormouse-x","uid":"u"}})"}) {
    EXPECT_FALSE(read_pod(json::parse(odd)).has_value()) << odd;
  }
}

TEST(KubernetesPod, ArgumentsAreNotExpandedByTheCluster) {
  StartSpec spec;
  spec.instance_id = kInstance;
  spec.deployment = "-no label-";
  spec.model_path = "/models/$(DORMOUSE_LEASE).gguf";
  spec.lease_token = "topsecret";
  const WorkerPlace place;
  KubernetesPods pods;
  pods.image = "i";
  pods.run_as_user = 1000;
  const std::string text = pod_json({spec, place, pods, pods.resources, "gw1", nullptr});
  const json::value pod = json::parse(text);
  EXPECT_NE(text.find("/models/$$(DORMOUSE_LEASE).gguf"), std::string::npos);
  EXPECT_EQ(text.find("topsecret"), std::string::npos);
  EXPECT_FALSE(pod.at("metadata").at("labels").as_object().contains("dormouse.dev/deployment"));
  EXPECT_FALSE(pod.at("metadata").as_object().contains("ownerReferences"));
  EXPECT_EQ(pod.at("spec").at("restartPolicy"), "Never");
  EXPECT_EQ(pod.at("spec").at("automountServiceAccountToken"), false);
  EXPECT_EQ(pod.at("spec").at("securityContext").at("runAsNonRoot"), true);
  EXPECT_FALSE(pod.at("spec").as_object().contains("volumes"));
}

TEST(KubernetesProvider, WhatAPodFindsAroundItIsTheDefault) {
  KubernetesProviderOptions options;
  const std::array<const char*, 3> environment = {"KUBERNETES_SERVICE_HOST=fd00::1", "KUBERNETES_SERVICE_PORT=6443",
                                                  nullptr};
  fill_in_cluster(options, environment.data(), "/no/such");
  EXPECT_EQ(options.access.server, "https://[fd00::1]:6443");
  EXPECT_EQ(options.access.ca_file, "/no/such/ca.crt");
  EXPECT_EQ(options.access.token_file, "/no/such/token");
  EXPECT_EQ(options.name_space, "");
}

TEST(KubernetesProvider, AConfigurationThatCannotWorkIsRefusedByKey) {
  asio::io_context io{1};
  const auto refused = [&io](const std::string& key, const std::function<void(KubernetesProviderOptions&)>& change) {
    KubernetesProviderOptions options;
    options.name = "k";
    options.owner = "gw1";
    options.access.server = "https://10.0.0.1:443";
    options.access.ca_file = "/ca.crt";
    options.name_space = "n";
    options.pods.image = "i";
    EXPECT_TRUE(make_kubernetes_provider(io, options).has_value());
    change(options);
    const auto made = make_kubernetes_provider(io, std::move(options));
    ASSERT_FALSE(made.has_value()) << key;
    EXPECT_NE(made.error().message.find("driver.k." + key), std::string::npos) << made.error().message;
  };
  refused("owner", [](auto& o) { o.owner = "a b"; });
  refused("server", [](auto& o) { o.access.server.clear(); });
  refused("server", [](auto& o) { o.access.server = "10.0.0.1"; });
  refused("server", [](auto& o) { o.access.server = "http://10.0.0.1:80"; });
  refused("server", [](auto& o) { o.access.server = "https://:x"; });
  refused("ca_file", [](auto& o) { o.access.ca_file.clear(); });
  refused("namespace", [](auto& o) { o.name_space = "../x"; });
  refused("owned_by", [](auto& o) { o.owned_by = "gateway"; });
  refused("owned_by", [](auto& o) { o.owned_by = "pod/gateway"; });
  refused("image", [](auto& o) { o.pods.image.clear(); });
  refused("image_pull_policy", [](auto& o) { o.pods.image_pull_policy = "Sometimes"; });
  refused("model_claim", [](auto& o) { o.pods.model_claim = "a/b"; });
  refused("model_mount", [](auto& o) { o.pods.model_mount = "models"; });
  refused("cpu", [](auto& o) { o.pods.resources.cpu = "four"; });
  refused("memory", [](auto& o) { o.pods.resources.memory = "8GB"; });
  refused("node_selector", [](auto& o) { o.pods.resources.node_selector = {"gpu"}; });
  refused("tolerations", [](auto& o) { o.pods.resources.tolerations = {"gpu:Never"}; });
  refused("types.big.cpu", [](auto& o) { o.pods.types["big"].cpu = "-1"; });
  refused("types", [](auto& o) { o.type = "a100"; });
  refused("worker_listen", [](auto& o) { o.place.control = "unix:/run/admin.sock"; });
}

}  // namespace
}  // namespace dormouse::fleet
