// Goal: whatever an API server, its cluster or a person does, there is one Pod an instance, its lease goes with it, and
// nothing is taken for gone that the server has not called gone. Method: the real provider under the real RemoteDriver,
// over TLS to fake_kubernetes.h.
#include <gtest/gtest.h>

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/ids.h"
#include "fleet/drivers/driver_recorder.h"
#include "fleet/drivers/fake_kubernetes.h"
#include "fleet/drivers/make_driver.h"
#include "fleet/fleet_fixture.h"
#include "http/tls.h"

namespace dormouse::fleet {
namespace {

using Fault = FakeKubernetes::Fault;
using Node = FakeKubernetes::Node;

// Remembers exits too, which the recorder of the other drivers' tests does not need.
class ExitRecorder final : public DriverEvents {
 public:
  void on_started(const std::string& id) override { seen.on_started(id); }
  void on_start_failed(const std::string& id, const Error& error) override { seen.on_start_failed(id, error); }
  void on_exited(const std::string& id, InstanceExit exit) override {
    last_exit = exit;
    seen.on_exited(id, exit);
  }
  void on_start_progress(const std::string& id, const std::string& what) override { seen.on_start_progress(id, what); }
  void on_stop_unconfirmed(const std::string& id, const Error& error) override { seen.on_stop_unconfirmed(id, error); }
  Recorder seen;
  InstanceExit last_exit;
};

class KubernetesDriverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    set_log_level(LogLevel::kError);
    std::string name = "/tmp/kubernetes_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    cluster_ = std::make_unique<FakeKubernetes>(io_, directory_);
    life_.io = &io_;
    life_.clock = &clock_;
    life_.poll_interval = life_.backoff_first = std::chrono::milliseconds(10);
    life_.backoff_most = std::chrono::milliseconds(40);
    life_.visible_after = std::chrono::milliseconds(100);
    life_.reconcile_interval = std::chrono::milliseconds(50);
  }
  void TearDown() override {
    driver_.reset();
    bool drained = false;
    asio::co_spawn(io_, cluster_->drain(), [&drained](std::exception_ptr) { drained = true; });
    run_until(io_, [&drained] { return drained; });
    cluster_.reset();
    std::filesystem::remove_all(directory_);
  }

  [[nodiscard]] KubernetesProviderOptions options() const {
    KubernetesProviderOptions out;
    out.name = "cluster";
    out.owner = "gw1";
    const std::string server = cluster_->server();
    const std::string host = "KUBERNETES_SERVICE_HOST=127.0.0.1";
    const std::string port = "KUBERNETES_SERVICE_PORT=" + server.substr(server.rfind(':') + 1);
    const std::array<const char*, 3> environment = {host.c_str(), port.c_str(), nullptr};
    fill_in_cluster(out, environment.data(), directory_);
    out.access.timeout = std::chrono::seconds(20);
    out.access.first_wait = std::chrono::milliseconds(10);
    out.owned_by = "statefulset/gateway";
    out.pods.image = "registry.example/dormouse-worker:1";
    out.pods.model_claim = "models";
    out.pods.resources.cpu = "4";
    out.pods.resources.memory = "8Gi";
    out.place.worker_path = "/usr/bin/dormouse-worker";
    out.place.listen = "0.0.0.0:8000";
    out.place.control = "gateway.inference.svc:9000";
    return out;
  }
  void make(KubernetesProviderOptions provider) {
    RemoteDriverOptions remote;
    remote.life = life_;
    remote.provider = std::move(provider);
    driver_ = make_attached(std::move(remote), events_);
    ASSERT_NE(driver_, nullptr);
  }
  [[nodiscard]] StartSpec spec() const {
    StartSpec out;
    out.instance_id = make_uuid_v7(clock_.wall());
    out.deployment = "m";
    out.model_path = "/models/m.gguf";
    out.lease_token = "topsecret";
    return out;
  }
  std::string start() {
    const StartSpec wanted = spec();
    driver_->start(wanted);
    return wanted.instance_id;
  }
  bool reaches(const std::string& what, const std::string& id) {
    return run_until(
        io_, [&] { return events_.seen.count(what, id) == 1; }, std::chrono::seconds(60));
  }
  void stop_and_expect_nothing_left(const std::string& id) {
    driver_->stop(id, StopMode::kGraceful);
    EXPECT_TRUE(reaches("exited", id));
    expect_nothing_left();
  }
  void expect_nothing_left() {
    EXPECT_TRUE(cluster_->pods.empty());
    EXPECT_TRUE(cluster_->secrets.empty());
    EXPECT_TRUE(driver_->list().empty());
  }
  [[nodiscard]] bool has_progress(const std::string& part) const {
    const auto& all = events_.seen.progress;
    return std::any_of(all.begin(), all.end(),
                       [&part](const std::string& each) { return each.find(part) != std::string::npos; });
  }

  SystemClock clock_;
  asio::io_context io_{1};
  std::string directory_;
  std::unique_ptr<FakeKubernetes> cluster_;
  RemoteOptions life_;
  ExitRecorder events_;
  std::unique_ptr<Driver> driver_;
};

TEST_F(KubernetesDriverTest, AnInstanceIsOnePodWithItsLeaseInASecretThatGoesWithIt) {
  cluster_->slow_looks = 2;
  make(options());
  const std::string id = start();
  EXPECT_TRUE(events_.seen.events.empty()) << "never from inside start";
  ASSERT_TRUE(reaches("started", id));
  ASSERT_EQ(cluster_->pods.size(), 1U);
  const boost::json::object& pod = cluster_->pods.at("dormouse-" + id);
  const boost::json::object& metadata = pod.at("metadata").as_object();
  EXPECT_EQ(metadata.at("labels").at("dormouse.dev/owner"), "gw1");
  EXPECT_EQ(metadata.at("labels").at("dormouse.dev/instance").as_string(), id.c_str());
  EXPECT_EQ(metadata.at("labels").at("dormouse.dev/deployment"), "m");
  EXPECT_EQ(metadata.at("labels").at("app.kubernetes.io/managed-by"), "dormouse");
  EXPECT_EQ(metadata.at("ownerReferences").at(0).at("uid"), "owner-uid");
  EXPECT_EQ(boost::json::serialize(pod).find("topsecret"), std::string::npos);
  const boost::json::object& secret = cluster_->secrets.at("dormouse-" + id);
  EXPECT_EQ(secret.at("data").at("lease"), "dG9wc2VjcmV0");
  EXPECT_EQ(secret.at("metadata").at("ownerReferences").at(0).at("uid"), metadata.at("uid"));
  EXPECT_TRUE(has_progress("Pending"));
  stop_and_expect_nothing_left(id);
  EXPECT_EQ(events_.seen.unconfirmed, 0);
  EXPECT_EQ(cluster_->count("patch pods"), 1);
}

TEST_F(KubernetesDriverTest, LostRepliesMakeNoSecondPod) {
  make(options());
  cluster_->faults = {{.call = "patch pods", .kind = Fault::Kind::kLoseReply},
                      {.call = "patch pods", .status = 500, .reason = "InternalError"},
                      {.call = "patch secrets", .kind = Fault::Kind::kLoseReply}};
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  EXPECT_EQ(cluster_->count("patch pods"), 3);
  EXPECT_EQ(cluster_->count("patch secrets"), 2);
  EXPECT_EQ(cluster_->pods.size(), 1U);
  stop_and_expect_nothing_left(id);
}

// The reply is lost for good, the Pod is there and will never get its Secret: it costs no more than the time to run.
TEST_F(KubernetesDriverTest, APodWhoseMakingWasNeverAnsweredIsTakenDownInTime) {
  KubernetesProviderOptions provider = options();
  provider.access.tries = 1;
  life_.start_timeout = std::chrono::milliseconds(200);
  make(std::move(provider));
  // Twice: a kept connection that breaks before the answer is replaced by a fresh one, once.
  cluster_->faults = {{.call = "patch pods", .kind = Fault::Kind::kLoseReply},
                      {.call = "patch pods", .kind = Fault::Kind::kLoseReply}};
  const std::string id = start();
  ASSERT_TRUE(reaches("start_failed", id));
  EXPECT_NE(events_.seen.last_error.message.find("CreateContainerConfigError"), std::string::npos)
      << events_.seen.last_error.message;
  expect_nothing_left();
}

TEST_F(KubernetesDriverTest, APodThatCannotHaveItsSecretIsTakenDownAtOnce) {
  make(options());
  cluster_->faults.assign(10, {.call = "patch secrets", .status = 403, .reason = "Forbidden"});
  const std::string id = start();
  ASSERT_TRUE(reaches("start_failed", id));
  EXPECT_EQ(events_.seen.last_error.code, Code::kPermissionDenied) << events_.seen.last_error.message;
  EXPECT_EQ(cluster_->count("patch pods"), life_.create_attempts);
  EXPECT_GE(cluster_->count("delete pods"), life_.create_attempts);
  expect_nothing_left();
}

TEST_F(KubernetesDriverTest, AStopIsOverAt404AndNotBefore) {
  make(options());
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  cluster_->node = Node::kLost;  // takes the delete, and the Pod stays
  driver_->stop(id, StopMode::kGraceful);
  life_.stop_patience = std::chrono::milliseconds(0);
  ASSERT_TRUE(run_until(io_, [&] { return cluster_->count("delete pods") >= 3; }));
  EXPECT_EQ(events_.seen.count("exited", id), 0);
  // A 404 that is not the API server's own about this Pod is no 404; nor are failures.
  cluster_->faults = {{.call = "get pods", .status = 503, .reason = "ServiceUnavailable"},
                      {.call = "get pods", .kind = Fault::Kind::kNonsense},
                      {.call = "get pods", .kind = Fault::Kind::kLoseReply}};
  ASSERT_TRUE(run_until(io_, [&] { return cluster_->faults.empty(); }));
  EXPECT_EQ(events_.seen.count("exited", id), 0);
  cluster_->node = Node::kRuns;
  ASSERT_TRUE(reaches("exited", id));
  expect_nothing_left();
}

TEST_F(KubernetesDriverTest, WhatCannotBeScheduledSaysWhyAndTheNextTypeIsTried) {
  KubernetesProviderOptions provider = options();
  provider.pods.types["a100"] = provider.pods.types["t4"] = provider.pods.resources;
  provider.pods.types["a100"].gpus = 8;
  provider.pods.types["t4"].gpus = 1;
  provider.pods.types["t4"].node_selector = {"gpu=t4"};
  provider.pods.types["t4"].tolerations = {"nvidia.com/gpu:NoSchedule"};
  provider.type = "a100";
  provider.fallback_types = {"t4"};
  life_.start_timeout = std::chrono::milliseconds(150);
  cluster_->node = Node::kNone;
  make(provider);
  const std::string id = start();
  ASSERT_TRUE(run_until(io_, [this] { return cluster_->count("patch pods") == 2; }));
  EXPECT_TRUE(has_progress("Unschedulable: 0/3 nodes are available"));
  cluster_->node = Node::kRuns;
  ASSERT_TRUE(reaches("started", id));
  const boost::json::object& made = cluster_->pods.at("dormouse-" + id).at("spec").as_object();
  EXPECT_EQ(made.at("containers").at(0).at("resources").at("limits").at("nvidia.com/gpu"), "1");
  EXPECT_EQ(made.at("nodeSelector").at("gpu"), "t4");
  EXPECT_EQ(made.at("tolerations").at(0).at("operator"), "Exists");
  stop_and_expect_nothing_left(id);
}

TEST_F(KubernetesDriverTest, AnImageThatCannotBePulledFailsTheStartWithItsReasonAndLeavesNothing) {
  cluster_->node = Node::kCannotPull;
  make(options());
  const std::string id = start();
  ASSERT_TRUE(reaches("start_failed", id));
  EXPECT_EQ(events_.seen.last_error.code, Code::kUnavailable);
  EXPECT_NE(events_.seen.last_error.message.find("ImagePullBackOff: Back-off pulling image"), std::string::npos)
      << events_.seen.last_error.message;
  expect_nothing_left();
}

TEST_F(KubernetesDriverTest, AQuotaOrAPolicyThatRefusesIsToldAtOnce) {
  make(options());
  cluster_->faults = {{.call = "patch pods", .status = 403, .reason = "Forbidden"}};
  const std::string id = start();
  ASSERT_TRUE(reaches("start_failed", id));
  EXPECT_EQ(events_.seen.last_error.code, Code::kPermissionDenied);
  EXPECT_EQ(cluster_->count("patch pods"), 1);
  expect_nothing_left();
}

TEST_F(KubernetesDriverTest, AnEndByItselfIsToldWithItsExitAndThePodGoes) {
  make(options());
  const std::string killed = start();
  ASSERT_TRUE(reaches("started", killed));
  cluster_->end_pod("dormouse-" + killed, "Failed", 137, "OOMKilled");
  ASSERT_TRUE(reaches("exited", killed));
  EXPECT_EQ(events_.last_exit.signal, SIGKILL);
  const std::string ended = start();
  ASSERT_TRUE(reaches("started", ended));
  cluster_->end_pod("dormouse-" + ended, "Succeeded", 3, "Error");
  ASSERT_TRUE(reaches("exited", ended));
  EXPECT_EQ(events_.last_exit.exit_code, 3);
  EXPECT_EQ(events_.last_exit.signal, 0);
  expect_nothing_left();
}

TEST_F(KubernetesDriverTest, APodDeletedBehindOurBackIsAnExitAndAFailingListIsNot) {
  make(options());
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  for (int i = 0; i < 3; ++i) {
    cluster_->faults.push_back({.call = "list pods", .status = 500, .reason = "InternalError"});
    cluster_->faults.push_back({.call = "list pods", .kind = Fault::Kind::kNonsense});
    cluster_->faults.push_back({.call = "list pods", .status = 410, .reason = "Expired"});
  }
  ASSERT_TRUE(run_until(io_, [this] { return cluster_->faults.empty(); }));
  EXPECT_EQ(events_.seen.count("exited", id), 0);
  cluster_->remove_pod("dormouse-" + id);
  ASSERT_TRUE(reaches("exited", id));
  expect_nothing_left();
}

// The interval is longer than the test waits: only the watch can have told.
TEST_F(KubernetesDriverTest, AWatchTellsAtOnceOfAPodThatWentOrEnded) {
  cluster_->offers_watch = true;
  life_.reconcile_interval = std::chrono::minutes(10);
  make(options());
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  ASSERT_TRUE(run_until(io_, [this] { return cluster_->count("watch pods") == 1; }));
  run_until(
      io_, [] { return false; }, life_.visible_after);
  cluster_->remove_pod("dormouse-" + id);
  ASSERT_TRUE(run_until(io_, [&] { return events_.seen.count("exited", id) == 1; }));
  const std::string killed = start();
  ASSERT_TRUE(reaches("started", killed));
  run_until(
      io_, [] { return false; }, life_.visible_after);
  cluster_->end_pod("dormouse-" + killed, "Failed", 137, "OOMKilled");
  ASSERT_TRUE(run_until(io_, [&] { return events_.seen.count("exited", killed) == 1; }));
  EXPECT_EQ(events_.last_exit.signal, SIGKILL);
  expect_nothing_left();
}

TEST_F(KubernetesDriverTest, AWatchThatBreaksIsTakenUpAndOneThatHasExpiredListsAnew) {
  cluster_->offers_watch = true;
  cluster_->break_watch_after = 1;
  life_.reconcile_interval = std::chrono::minutes(10);
  make(options());
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  ASSERT_TRUE(run_until(io_, [this] { return cluster_->count("watch pods") >= 2; })) << "made, then run: two events";
  EXPECT_EQ(cluster_->count("list pods"), 1);
  cluster_->break_watch_after = 0;
  cluster_->faults = {{.call = "watch pods", .status = 410, .reason = "Expired"}};
  run_until(
      io_, [] { return false; }, life_.visible_after);
  cluster_->remove_pod("dormouse-" + id);
  ASSERT_TRUE(run_until(io_, [&] { return events_.seen.count("exited", id) == 1; }));
  expect_nothing_left();
  driver_.reset();

  const auto made = make_kubernetes_provider(io_, options());
  ASSERT_TRUE(made.has_value()) << made.error().message;
  cluster_->faults.clear();
  EXPECT_TRUE(run_task(io_, (*made)->wait_for_news(std::chrono::seconds(1))) == News::kNotTold) << "no list yet";
  ASSERT_TRUE(run_task(io_, (*made)->list())->has_value());
  EXPECT_TRUE(run_task(io_, (*made)->wait_for_news(std::chrono::seconds(1))) == News::kNone);
  cluster_->put_pod("nginx", {{"app", "web"}});
  cluster_->remove_pod("nginx");
  EXPECT_TRUE(run_task(io_, (*made)->wait_for_news(std::chrono::seconds(1))) == News::kNone) << "nobody of ours";
  cluster_->forget_versions();
  EXPECT_TRUE(run_task(io_, (*made)->wait_for_news(std::chrono::seconds(1))) == News::kChanged) << "410 in the stream";
  cluster_->offers_watch = false;
  EXPECT_TRUE(run_task(io_, (*made)->wait_for_news(std::chrono::seconds(1))) == News::kNotTold) << "refused";
}

TEST_F(KubernetesDriverTest, StrangersOfOursGoAndNobodyElsesPodIsTouched) {
  const std::string stray = make_uuid_v7(clock_.wall());
  const std::string other = make_uuid_v7(clock_.wall());
  const auto labels = [](const std::string& owner, const std::string& instance) {
    return boost::json::object{{"app.kubernetes.io/managed-by", "dormouse"},
                               {"dormouse.dev/owner", owner},
                               {"dormouse.dev/instance", instance}};
  };
  cluster_->put_pod("dormouse-" + stray, labels("gw1", stray));
  cluster_->put_pod("dormouse-" + other, labels("gw2", other));
  cluster_->put_pod("nginx", {{"app", "web"}});
  make(options());
  ASSERT_TRUE(run_until(io_, [this] { return cluster_->pods.size() == 2; }));
  const int lists = cluster_->count("list pods");
  ASSERT_TRUE(run_until(io_, [&] { return cluster_->count("list pods") >= lists + 3; }));
  EXPECT_TRUE(cluster_->pods.contains("nginx"));
  EXPECT_TRUE(cluster_->pods.contains("dormouse-" + other));
}

TEST_F(KubernetesDriverTest, PagesThatExpireAreReadAnewAndNeverTakenForFewer) {
  KubernetesProviderOptions provider = options();
  provider.page_size = 2;
  const auto made = make_kubernetes_provider(io_, std::move(provider));
  ASSERT_TRUE(made.has_value()) << made.error().message;
  for (int i = 0; i < 5; ++i) {
    const StartSpec wanted = spec();
    ASSERT_TRUE((*made)->kinds(wanted) == 1);
    EXPECT_TRUE(run_task(io_, (*made)->create(wanted, 0))->verdict == CreateVerdict::kCreated);
  }
  const auto whole = run_task(io_, (*made)->list()).value();
  ASSERT_TRUE(whole.has_value()) << whole.error().message;
  EXPECT_EQ(whole->size(), 5U);
  EXPECT_EQ(cluster_->count("list pods"), 3);
  cluster_->expire_pages = true;
  const auto never = run_task(io_, (*made)->list()).value();
  ASSERT_FALSE(never.has_value()) << "a list that never gets past its first page";
  cluster_->expire_pages = false;
  cluster_->faults = {{.call = "list pods"}, {.call = "list pods", .status = 410, .reason = "Expired"}};
  const auto again = run_task(io_, (*made)->list()).value();
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(again->size(), 5U) << "nothing twice after a list begun anew";
}

TEST_F(KubernetesDriverTest, ASecondApplyIsTheSamePodWhateverAPersonHasChanged) {
  const auto made = make_kubernetes_provider(io_, options());
  ASSERT_TRUE(made.has_value()) << made.error().message;
  const StartSpec wanted = spec();
  const std::string name = "dormouse-" + wanted.instance_id;
  const auto first = run_task(io_, (*made)->create(wanted, 0)).value();
  ASSERT_TRUE(first.verdict == CreateVerdict::kCreated) << first.error.message;
  const auto second = run_task(io_, (*made)->create(wanted, 0)).value();
  EXPECT_EQ(second.id, first.id);
  cluster_->set_label(name, "dormouse.dev/deployment", "theirs");  // now a conflict
  const auto third = run_task(io_, (*made)->create(wanted, 0)).value();
  EXPECT_TRUE(third.verdict == CreateVerdict::kCreated) << third.error.message;
  EXPECT_EQ(third.id, first.id);
  EXPECT_EQ(cluster_->pods.size(), 1U);
  EXPECT_EQ(cluster_->pods.at(name).at("metadata").at("labels").at("dormouse.dev/deployment"), "theirs");
  // A conflict about a Pod that is not there (a quota changed under the call): nothing was made.
  cluster_->faults = {{.call = "patch pods", .status = 409, .reason = "Conflict"}};
  const auto none = run_task(io_, (*made)->create(spec(), 0)).value();
  EXPECT_TRUE(none.verdict == CreateVerdict::kTryAgain) << none.error.message;
  // On its way out it is not what was asked for.
  ASSERT_TRUE(run_task(io_, (*made)->destroy(wanted.instance_id, first.id))->has_value());
  const auto late = run_task(io_, (*made)->create(wanted, 0)).value();
  EXPECT_TRUE(late.verdict == CreateVerdict::kUnknown);
  EXPECT_NE(late.error.message.find("Terminating"), std::string::npos) << late.error.message;
}

TEST_F(KubernetesDriverTest, APodMadeAnewUnderTheNameIsNotTheOneThatWasMeant) {
  const auto made = make_kubernetes_provider(io_, options());
  ASSERT_TRUE(made.has_value()) << made.error().message;
  const StartSpec wanted = spec();
  const std::string name = "dormouse-" + wanted.instance_id;
  const auto first = run_task(io_, (*made)->create(wanted, 0)).value();
  cluster_->remove_pod(name);
  const auto second = run_task(io_, (*made)->create(wanted, 0)).value();
  ASSERT_NE(first.id, second.id);
  EXPECT_TRUE(run_task(io_, (*made)->status(wanted.instance_id, first.id)).value()->empty());
  EXPECT_TRUE(run_task(io_, (*made)->destroy(wanted.instance_id, first.id))->has_value());
  EXPECT_FALSE(cluster_->pods.at(name).at("metadata").as_object().contains("deletionTimestamp"));
}

TEST_F(KubernetesDriverTest, ThrottledCallsWaitAsLongAsTheyAreTold) {
  const auto made = make_kubernetes_provider(io_, options());
  ASSERT_TRUE(made.has_value()) << made.error().message;
  cluster_->faults = {{.call = "list pods", .status = 429, .reason = "TooManyRequests", .retry_after = "1"},
                      {.call = "list pods", .status = 503, .reason = "ServiceUnavailable", .retry_after = "0"}};
  const MonoTime begin = clock_.now();
  const auto listed = run_task(io_, (*made)->list()).value();
  EXPECT_TRUE(listed.has_value()) << listed.error().message;
  EXPECT_GE(clock_.now() - begin, std::chrono::seconds(1));
  EXPECT_EQ(cluster_->count("list pods"), 3);
  for (int i = 0; i < 4; ++i) {
    cluster_->faults.push_back({.call = "patch pods", .status = 429, .reason = "TooManyRequests", .retry_after = "0"});
  }
  const auto refused = run_task(io_, (*made)->create(spec(), 0)).value();
  EXPECT_TRUE(refused.verdict == CreateVerdict::kTryAgain);
  EXPECT_EQ(refused.error.code, Code::kRateLimited);
}

TEST_F(KubernetesDriverTest, CloseEndsACallThatWaitsForTheServer) {
  const auto made = make_kubernetes_provider(io_, options());
  ASSERT_TRUE(made.has_value()) << made.error().message;
  cluster_->faults = {{.call = "list pods", .status = 429, .reason = "TooManyRequests", .retry_after = "3600"}};
  std::optional<Result<std::vector<Sighting>>> listed;
  asio::co_spawn(io_, keep((*made)->list(), &listed), asio::detached);
  ASSERT_TRUE(run_until(io_, [this] { return cluster_->faults.empty(); }));
  (*made)->close();
  ASSERT_TRUE(run_until(io_, [&listed] { return listed.has_value(); }));
  ASSERT_FALSE(listed->has_value());
  EXPECT_EQ(listed->error().code, Code::kCancelled);
}

TEST_F(KubernetesDriverTest, ATokenThatIsOverIsReadAgain) {
  const auto made = make_kubernetes_provider(io_, options());
  ASSERT_TRUE(made.has_value()) << made.error().message;
  cluster_->set_token("token-2", false);  // the server knows; the file has the old one, until the first 401
  int unauthorized = 0;
  cluster_->on_unauthorized = [&] {
    ++unauthorized;
    cluster_->set_token("token-2", true);
  };
  const auto listed = run_task(io_, (*made)->list()).value();
  EXPECT_TRUE(listed.has_value()) << listed.error().message;
  EXPECT_EQ(unauthorized, 1);
  cluster_->on_unauthorized = [&unauthorized] { ++unauthorized; };
  cluster_->set_token("token-3", false);
  const auto refused = run_task(io_, (*made)->list()).value();
  ASSERT_FALSE(refused.has_value()) << "the same token is not worth another try";
  EXPECT_EQ(refused.error().code, Code::kUnauthenticated);
  EXPECT_EQ(refused.error().message.find("token-"), std::string::npos);
  EXPECT_EQ(unauthorized, 2);
  const auto create = run_task(io_, (*made)->create(spec(), 0)).value();
  EXPECT_TRUE(create.verdict == CreateVerdict::kTryAgain);
}

TEST_F(KubernetesDriverTest, AnotherClustersCertificateIsNotSpokenTo) {
  KubernetesProviderOptions provider = options();
  const http::TlsIdentity other = http::make_tls_identity({"127.0.0.1"}).value();
  std::ofstream(directory_ + "/other.crt") << other.certificate_pem;
  provider.access.ca_file = directory_ + "/other.crt";
  const auto made = make_kubernetes_provider(io_, std::move(provider));
  ASSERT_TRUE(made.has_value()) << made.error().message;
  const auto listed = run_task(io_, (*made)->list()).value();
  ASSERT_FALSE(listed.has_value());
  EXPECT_NE(listed.error().message.find("certificate verify failed"), std::string::npos) << listed.error().message;
  EXPECT_TRUE(cluster_->calls.empty());
}

TEST_F(KubernetesDriverTest, AnOwnerThatIsNotThereRefusesTheStart) {
  cluster_->owners.clear();
  make(options());
  const std::string id = start();
  ASSERT_TRUE(reaches("start_failed", id));
  EXPECT_EQ(events_.seen.last_error.code, Code::kNotFound);
  EXPECT_NE(events_.seen.last_error.message.find("owned_by statefulset/gateway"), std::string::npos);
  EXPECT_EQ(cluster_->count("patch"), 0);
}

}  // namespace
}  // namespace dormouse::fleet
