// The front door: routes, pipeline, handlers. Knows no sockets and no processes; house.h puts it between them.
// Threads: the loop's. Outlives every request: whoever destroys it has drained the servers first.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/time_zone.h"
#include "gateway/access_file.h"
#include "gateway/admin_wire.h"
#include "gateway/alerts/alert_sender.h"
#include "gateway/batches/batches_api.h"
#include "gateway/console/console_page.h"
#include "gateway/deployer.h"
#include "gateway/generation.h"
#include "gateway/keys/key_admin.h"
#include "gateway/keys/key_ring.h"
#include "gateway/limits/keeper.h"
#include "gateway/ollama_api.h"
#include "gateway/openapi_route.h"
#include "gateway/overview/figures.h"
#include "gateway/overview/status_feed.h"
#include "gateway/overview/token_rates.h"
#include "gateway/pipeline.h"
#include "gateway/plan_service.h"
#include "gateway/pulls/pull_service.h"
#include "gateway/router.h"
#include "gateway/sessions/session_api.h"
#include "gateway/sessions/session_book.h"
#include "gateway/watch.h"

namespace dormouse::gateway {

struct GatewayOptions {
  const Exposure* exposure = nullptr;  // borrowed; never null in a running gateway
  std::size_t max_in_flight = 1'024;
  std::chrono::milliseconds request_timeout{600'000};  // the SDKs' own default
  std::string log_directory;
  LimitOptions limits;
  TimeZone time_zone;                    // of reports that do not name one
  const catalog::InstanceTypes* instances = nullptr;  // borrowed; null: none are listed
  std::span<const ConsoleFile> console;  // lives longer
};

class Gateway {
 public:
  // `deployer` and `keys` are borrowed; the first changes what services.deployments knows.
  Gateway(Services services, Deployer& deployer, KeyRing& keys, GatewayOptions options);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // The handler of every listener.
  Task<void> handle(http::Exchange& exchange);

  void set_listening(std::vector<std::string> addresses, std::vector<std::string> urls) {
    listening_ = std::move(addresses);
    urls_ = std::move(urls);
  }
  // What `ps` and `doctor` say beside the deployments.
  void set_notices(std::function<std::vector<std::string>()> notices) { notices_ = std::move(notices); }
  // Borrowed; without it nothing is said of speed and of the machine.
  void set_watch(const Watch* watch) { watch_ = watch; }
  void set_alerts(AlertSender* alerts) { alerts_ = alerts; }  // borrowed
  void set_plans(PlanService* plans) { plans_ = plans; }      // borrowed; without it there are none
  void set_pulls(PullService* pulls) { pulls_ = pulls; }      // borrowed; without it nothing is downloaded
  // Before the first request.
  void add_batches(BatchesApi& api) { api.add_routes(router_); }
  // A batch's request, through the same handlers, limits and books as everybody's. Errors: kUnauthenticated (its key
  // is no more).
  Task<Status> handle_batched(const Batch& batch, http::Exchange& exchange);
  // What a batch's model means to its maker; empty: nothing.
  [[nodiscard]] std::string deployment_of(const Batch& batch) const;
  void set_connection_count(std::function<std::size_t()> count) { connection_count_ = std::move(count); }

  // The console's address on this machine with a new one-time login; nullopt: no listener serves it.
  [[nodiscard]] std::optional<std::string> make_console_link();

  // Readiness is true between these two; requests are served before and after.
  void begin_serving();
  void begin_draining();
  // True when no inference request is left within `wait`.
  Task<bool> wait_idle(std::chrono::milliseconds wait);
  [[nodiscard]] LimitKeeper& limits() { return limits_; }
  // Every running inference request ends with `draining`.
  void stop_requests();
  // Every route there is, for whoever checks them all.
  [[nodiscard]] const std::vector<Route>& routes() const { return router_.routes(); }

 private:
  struct ActiveCall;

  void add_routes();
  void add_inference_routes();
  void add_admin_routes();

  Task<void> health(Call& call) const;
  Task<void> readiness(Call& call) const;
  Task<void> models(Call& call) const;
  Task<void> model(Call& call) const;
  Task<void> generate(Call& call);
  Task<void> openai(Call& call, api::GenerationRequest::Kind kind);
  Task<void> embeddings(Call& call);
  Task<void> responses(Call& call);
  Task<void> run(Call& call, GenerationPlan plan);
  Task<void> metrics(Call& call) const;

  Task<void> admin_status(Call& call);
  Task<void> admin_events(Call& call);
  Task<void> admin_strip(Call& call) const;
  Task<void> admin_instance_types(Call& call) const;
  Task<void> admin_images(Call& call) const;
  Task<void> admin_pull(Call& call);
  Task<void> admin_cancel_pull(Call& call);
  Task<void> reply_no_image(Call& call) const;
  Task<void> reply_pull(Call& call, const catalog::Image& image, int status) const;
  Task<void> admin_deployment(Call& call) const;
  Task<void> admin_deploy(Call& call);
  Task<void> admin_change(Call& call);
  Task<void> admin_remove(Call& call);
  Task<void> admin_wake(Call& call);
  Task<void> admin_sleep(Call& call);
  Task<void> admin_usage(Call& call);
  Task<void> admin_requests(Call& call);
  Task<void> admin_bill(Call& call);
  Task<void> report_errors(Call& call);
  Task<void> admin_plan(Call& call);
  Task<void> admin_assumed_plan(Call& call);
  Task<void> admin_advice(Call& call);
  Task<void> admin_logs(Call& call) const;
  Task<void> admin_alert_test(Call& call);
  Task<void> admin_access_log(Call& call) const;
  Task<void> reply_deployment(Call& call, const Deployment& deployment) const;
  Task<void> reply_changed(Call& call, const Result<Deployment>& deployment) const;
  // An admin verb's answer: the deployment as it is now, or why the verb failed.
  Task<void> reply_outcome(Call& call, const Deployment& deployment, const Status& done);
  [[nodiscard]] const Deployment* deployment_of(const Call& call) const;
  [[nodiscard]] const catalog::Image* image_of(const Call& call) const;
  // The running requests of these keys end now.
  void stop_requests_of(const std::vector<std::string>& kids);
  [[nodiscard]] StatusView status_view() const;
  // Would it still be let in, as it was when it began?
  [[nodiscard]] bool is_still_welcome(const Call& call);

  Services services_;
  const Deployments& deployments_;
  Deployer& deployer_;
  KeyRing& keys_;
  const GatewayOptions options_;
  const MonoTime started_;
  LimitKeeper limits_;
  KeyAdmin key_admin_;
  SessionBook sessions_;
  SessionApi session_api_;
  ConsolePage console_page_;
  OllamaApi ollama_;
  AnswerCache kept_answers_;
  Router router_;
  OpenApiRoute openapi_;
  const std::unique_ptr<AccessFile> access_file_;  // null: no directory for it
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<Pipeline> batch_pipeline_;  // what there is of it without a socket
  std::vector<std::string> listening_;
  std::vector<std::string> urls_;
  std::function<std::size_t()> connection_count_;
  std::function<std::vector<std::string>()> notices_;
  const Watch* watch_ = nullptr;
  AlertSender* alerts_ = nullptr;
  PlanService* plans_ = nullptr;
  PullService* pulls_ = nullptr;
  TokenRates rates_;
  Figures figures_;
  StatusFeed feed_;
  std::set<Call*> active_;  // inference only
  std::set<Call*> watchers_;  // of events
  asio::steady_timer idle_;
  bool ready_ = false;
  bool draining_ = false;
};

// VmRSS of this process in bytes, 0 where unknown.
[[nodiscard]] std::int64_t resident_bytes();
// What this build calls itself.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace dormouse::gateway
