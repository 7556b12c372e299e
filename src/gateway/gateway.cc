#include "gateway/gateway.h"

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <utility>

#include "base/check.h"
#include "gateway/active_call.h"
#include "gateway/admit.h"
#include "gateway/dialect/generate.h"
#include "gateway/dialect/openai.h"
#include "gateway/idempotency.h"
#include "gateway/keys/key_access.h"
#include "gateway/middleware/middleware.h"

namespace dormouse::gateway {

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t total = 0;
  std::int64_t resident = 0;
  if (!(statm >> total >> resident)) return 0;
  return resident * ::sysconf(_SC_PAGESIZE);
}

namespace {

constexpr std::int64_t kLargeReport = 64 * 1024;

LimitOptions with_prices(LimitOptions options, const Deployments& deployments) {
  options.limiter.most_it_can_cost = [&deployments](const std::string& name, const TokenWish& wish) {
    return most_it_can_cost(deployments, name, wish.longest);
  };
  return options;
}

}  // namespace

Gateway::Gateway(Services services, Deployer& deployer, KeyRing& keys, GatewayOptions options)
    : services_(services),
      deployments_(services.deployments),
      deployer_(deployer),
      keys_(keys),
      options_(std::move(options)),
      started_(services.clock.now()),
      limits_(services.io, services.clock, with_prices(options_.limits, services.deployments)),
      key_admin_(services, keys, limits_.limiter(),
                 [this](const std::vector<std::string>& kids) { stop_requests_of(kids); }),
      sessions_(services.clock, keys),
      session_api_(services.clock, keys, sessions_, [this] { return make_console_link(); }),
      console_page_(options_.console),
      ollama_(services, deployer.catalog(), limits_.limiter(),
              [this](Call& call, GenerationPlan plan) { return run(call, std::move(plan)); }),
      openapi_(router_, *options_.exposure),
      access_file_(options_.log_directory.empty() ? nullptr : std::make_unique<AccessFile>(options_.log_directory)),
      figures_(services, options_.time_zone,
               [this](const Deployment& d) { return watch_ == nullptr ? std::nullopt : watch_->advice_for(d).price; }),
      feed_(services.clock,
            [this] {
              rates_.observe(services_.fleet.status(), services_.clock.now());
              figures_.ask();
              return status_view();
            }),
      idle_(services.io) {
  CHECK(options_.exposure != nullptr);
  add_routes();
  std::vector<std::unique_ptr<Middleware>> order;
  order.push_back(make_request_id(services_.clock));
  order.push_back(make_access_log(services_.clock, services_.metrics, access_file_.get()));
  order.push_back(make_refusal_count(services_.clock, limits_.refusals()));
  order.push_back(make_error_boundary());
  order.push_back(make_host_check(*options_.exposure));
  order.push_back(make_cors(*options_.exposure, router_));  // preflights carry no key, and a page may read its 401
  order.push_back(make_authenticate(services_.clock, keys, sessions_, services_.ledger));
  order.push_back(make_limits(options_.max_in_flight));
  order.push_back(make_rate_limits(limits_.limiter()));
  order.push_back(make_deadline(services_.io, services_.clock, options_.request_timeout));
  pipeline_ = std::make_unique<Pipeline>(std::move(order));
  std::vector<std::unique_ptr<Middleware>> inner;
  inner.push_back(make_request_id(services_.clock));
  inner.push_back(make_access_log(services_.clock, services_.metrics, access_file_.get()));
  inner.push_back(make_refusal_count(services_.clock, limits_.refusals()));
  inner.push_back(make_error_boundary());
  inner.push_back(make_rate_limits(limits_.limiter()));
  inner.push_back(make_deadline(services_.io, services_.clock, options_.request_timeout));
  batch_pipeline_ = std::make_unique<Pipeline>(std::move(inner));
}

Gateway::~Gateway() = default;

void Gateway::add_routes() {
  router_.add({"GET", "/livez", Access::kOpen, [](Call& c) { return reply_json(c, 200, R"({"status":"ok"})"); }});
  router_.add({"GET", "/readyz", Access::kOpen, [this](Call& c) { return readiness(c); }});
  router_.add({"GET", "/health", Access::kOpen, [this](Call& c) { return health(c); }});
  router_.add({"GET", "/v1/health", Access::kOpen, [this](Call& c) { return health(c); }});
  openapi_.add_to(router_);
  add_inference_routes();
  ollama_.add_routes(router_);
  add_admin_routes();
  key_admin_.add_routes(router_);
  session_api_.add_routes(router_);
  console_page_.add_routes(router_);
}

void Gateway::add_inference_routes() {
  using Kind = api::GenerationRequest::Kind;
  router_.add({"POST", "/generate", Access::kInference, [this](Call& c) { return generate(c); }});
  router_.add({"POST", "/v1/chat/completions", Access::kInference, [this](Call& c) { return openai(c, Kind::kChat); }});
  router_.add(
      {"POST", "/v1/completions", Access::kInference, [this](Call& c) { return openai(c, Kind::kCompletion); }});
  router_.add({"POST", "/v1/responses", Access::kInference, [this](Call& c) { return responses(c); }});
  router_.add({"POST", "/v1/embeddings", Access::kInference, [this](Call& c) { return embeddings(c); }});
  router_.add({"GET", "/v1/models", Access::kInference, [this](Call& c) { return models(c); }});
  router_.add({"GET", "/v1/models/{model}", Access::kInference, [this](Call& c) { return model(c); }});
}

Task<void> Gateway::handle(http::Exchange& exchange) {
  bool is_large_report = false;
  {
    Call call(exchange);
    router_.match(call);
    const ActiveCall active(*this, call);
    co_await pipeline_->run(call);
    is_large_report = call.route != nullptr && call.route->access == Access::kRead && call.answer_bytes > kLargeReport;
  }
  // The front door has 15 MB, and a report's rows leave the heap as large as they were: 0.6 MB for 200 requests.
  if (is_large_report) ::malloc_trim(0);
}

Task<void> Gateway::health(Call& call) const {
  const std::vector<fleet::DeploymentStatus> fleet = services_.fleet.status();
  const bool awake = std::any_of(fleet.begin(), fleet.end(), [](const auto& d) { return !d.instances.empty(); });
  co_await reply_json(call, 200, awake ? R"({"status":"ok","sleeping":false})" : R"({"status":"ok","sleeping":true})");
}

Task<void> Gateway::readiness(Call& call) const {
  // Asleep is ready: it can take traffic.
  co_await reply_json(call, ready_ ? 200 : 503, ready_ ? R"({"ready":true})" : R"({"ready":false})");
}

Task<void> Gateway::models(Call& call) const {
  std::vector<api::ModelCard> cards;
  for (const auto& [name, deployment] : deployments_.all()) {
    if (!may_use(call.caller, name) || !is_visible(deployment, call.reach)) continue;
    cards.push_back({.id = name, .created = deployment.created, .max_model_len = 0});
  }
  const std::string body = api::models_response(cards);
  co_await reply_json(call, 200, body);
}

Task<void> Gateway::model(Call& call) const {
  const api::ApiResult<const Deployment*> found = find_deployment(deployments_, call, call.parameters[0]);
  if (!found.has_value()) {
    const api::ApiError error = found.error();
    co_await reply_error(call, error);
    co_return;
  }
  const Deployment* const deployment = *found;
  const api::ModelCard card{.id = deployment->name, .created = deployment->created, .max_model_len = 0};
  const std::string body = api::model_response(card);
  co_await reply_json(call, 200, body);
}

Task<void> Gateway::generate(Call& call) {
  api::ApiResult<api::GenerationRequest> request = parse_generate_request(call.request().body);
  const api::ApiResult<const Deployment*> taken = take_in(services_, limits_.limiter(), call, request);
  if (!taken.has_value()) {
    const api::ApiError error = taken.error();
    co_await reply_error(call, error);
    co_return;
  }
  const Deployment* const deployment = *taken;
  GenerationPlan plan;
  plan.answer = make_generate_answer(request->stream, deployment->name, call.request_id);
  plan.request = *std::move(request);
  plan.deployment = deployment;
  plan.dialect = "generate";
  co_await run(call, std::move(plan));
}

Task<void> Gateway::run(Call& call, GenerationPlan plan) {
  api::ApiResult<std::optional<ledger::IdempotencyClaim>> claim = idempotency_of(call);
  if (!claim.has_value()) {
    const api::ApiError error = claim.error();
    co_await reply_error(call, error);
    co_return;
  }
  plan.idempotency = *std::move(claim);
  plan.kept_answers = &kept_answers_;
  Generation generation(services_, call, std::move(plan));
  co_await generation.run();
}

Task<void> Gateway::openai(Call& call, api::GenerationRequest::Kind kind) {
  const bool chat = kind == api::GenerationRequest::Kind::kChat;
  const std::string& body = call.request().body;
  api::ApiResult<api::GenerationRequest> request =
      chat ? api::parse_chat_request(body) : api::parse_completion_request(body);
  const api::ApiResult<const Deployment*> taken = take_in(services_, limits_.limiter(), call, request);
  if (!taken.has_value()) {
    const api::ApiError error = taken.error();
    co_await reply_error(call, error);
    co_return;
  }
  const Deployment* const deployment = *taken;
  api::ResponseHead head;
  head.id = fmt::format("{}-{}", chat ? "chatcmpl" : "cmpl", call.request_id);
  head.created = call.accepted_wall.us / 1'000'000;
  head.model = request->model.empty() ? deployment->name : request->model;
  GenerationPlan plan;
  plan.answer = make_openai_answer(*request, std::move(head));
  plan.request = *std::move(request);
  plan.deployment = deployment;
  plan.dialect = "openai";
  co_await run(call, std::move(plan));
}

Task<void> Gateway::metrics(Call& call) const {
  MetricsSnapshot now;
  std::set<std::string> names;
  for (fleet::DeploymentStatus& status : services_.fleet.status()) {
    const Deployment* const known = deployments_.find(status.name);
    MetricsSnapshot::Deployment& d = now.deployments.emplace_back();
    if (known != nullptr) {
      d.idle_timeout_s = static_cast<double>(idle_after(known->rules).count()) / 1e3;
      if (watch_ != nullptr) d.price = watch_->advice_for(*known).price;
    }
    if (watch_ != nullptr) d.speed = watch_->speed_of(status.name);
    names.insert(status.name);
    d.status = std::move(status);
  }
  services_.metrics.keep_only(names);
  if (watch_ != nullptr) now.vitals = watch_->vitals();
  const ledger::Health ledger = services_.ledger.health();
  now.ledger_queued = ledger.queued;
  now.ledger_unsettled = ledger.unsettled_retries;
  now.ledger_writable = ledger.writable;
  now.connections = connection_count_ ? static_cast<std::int64_t>(connection_count_()) : 0;
  now.resident_bytes = resident_bytes();
  now.uptime_s = static_cast<double>((services_.clock.now() - started_).count()) / 1e9;
  http::Response response;
  response.headers.set("content-type", "text/plain; version=0.0.4; charset=utf-8");
  response.body = services_.metrics.write(now);
  co_await reply(call, std::move(response));
}

std::optional<std::string> Gateway::make_console_link() {
  for (const Door& door : options_.exposure->doors()) {
    const bool is_here = door.serves_admin && door.address.kind == http::Address::Kind::kTcp;
    if (is_here) return fmt::format("{}/console/#login={}", options_.exposure->url(door), sessions_.make_login());
  }
  return std::nullopt;
}

void Gateway::begin_serving() {
  ready_ = true;
  limits_.begin();
}

void Gateway::begin_draining() {
  draining_ = true;
  const std::set<Call*> watchers = watchers_;
  for (Call* call : watchers) call->stop.fire(StopReason::kShutdown);
}

Task<bool> Gateway::wait_idle(std::chrono::milliseconds wait) {
  if (active_.empty()) co_return true;
  idle_.expires_after(wait);
  [[maybe_unused]] const auto [ec] = co_await idle_.async_wait(kTuple);
  co_return active_.empty();
}

void Gateway::stop_requests_of(const std::vector<std::string>& kids) {
  const std::set<Call*> calls = active_;
  for (Call* call : calls) {
    const bool theirs =
        call->caller != nullptr && std::find(kids.begin(), kids.end(), call->caller->key_id) != kids.end();
    if (theirs) call->stop.fire(StopReason::kKeyRevoked);
  }
}

void Gateway::stop_requests() {
  const std::set<Call*> calls = active_;
  for (Call* call : calls) call->stop.fire(StopReason::kShutdown);
}

}  // namespace dormouse::gateway
