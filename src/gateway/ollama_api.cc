#include "gateway/ollama_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "gateway/admit.h"
#include "gateway/error_response.h"
#include "gateway/forwarding.h"
#include "gateway/keys/key_access.h"

namespace dormouse::gateway {
namespace {

// What "for ever" is told as: clients show anything beyond twenty years so.
constexpr std::int64_t kForeverUs = std::int64_t{100} * 365 * 86'400 * 1'000'000;

Task<void> greet(Call& call) {
  http::Response response;
  response.headers.set("content-type", "text/plain; charset=utf-8");
  response.body = "Ollama is running";
  return reply(call, std::move(response));
}

Task<void> version(Call& call) {
  const std::string body = fmt::format(R"({{"version":"{}"}})", kOllamaVersion);
  return reply_json(call, 200, body);
}

// In Ollama's words, which clients look for.
api::ApiError in_their_words(api::ApiError error, std::string_view model) {
  if (error.param == "max_tokens") error.param = "options.num_predict";
  if (error.code != api::ErrorCode::kModelNotFound) return error;
  if (model.empty()) return {api::ErrorCode::kInvalidValue, "model is required", "model"};
  return {error.code, fmt::format("model '{}' not found", model), {}};
}

WallTime after(WallTime now, Nanoseconds wait) {
  return {now.us + wait.count() / 1'000};
}

}  // namespace

OllamaApi::OllamaApi(Services services, const catalog::Catalog& catalog, Limiter& limiter, Run run)
    : services_(services), catalog_(catalog), limiter_(limiter), run_(std::move(run)) {}

void OllamaApi::add_routes(Router& router) {
  router.add({"GET", "/", Access::kOpen, greet});
  router.add({"GET", "/api/version", Access::kOpen, version});
  router.add({"GET", "/api/tags", Access::kInference, [this](Call& c) { return tags(c); }});
  router.add({"GET", "/api/ps", Access::kInference, [this](Call& c) { return running(c); }});
  router.add({"POST", "/api/show", Access::kInference, [this](Call& c) { return show(c); }});
  router.add({"POST", "/api/pull", Access::kInference, [this](Call& c) { return pull(c); }});
  router.add({"POST", "/api/chat", Access::kInference, [this](Call& c) { return answer(c, OllamaShape::kChat); }});
  router.add(
      {"POST", "/api/generate", Access::kInference, [this](Call& c) { return answer(c, OllamaShape::kGenerate); }});
  router.add({"POST", "/api/embed", Access::kInference, [this](Call& c) { return embed(c, OllamaVectors::kMany); }});
  router.add(
      {"POST", "/api/embeddings", Access::kInference, [this](Call& c) { return embed(c, OllamaVectors::kOne); }});
}

Task<void> OllamaApi::answer(Call& call, OllamaShape shape) {
  const std::string& body = call.request().body;
  api::ApiResult<OllamaRequest> parsed =
      shape == OllamaShape::kChat ? parse_ollama_chat(body) : parse_ollama_generate(body);
  if (!parsed.has_value()) {
    const api::ApiError error = parsed.error();
    co_await reply_error(call, error);
    co_return;
  }
  api::GenerationRequest& request = parsed->request;
  if (parsed->says_nothing) request.sampling.max_tokens = 1;  // what a load holds of the limits while it lasts
  const api::ApiResult<const Deployment*> taken = take_in(services_, limiter_, call, request);
  if (!taken.has_value()) {
    const api::ApiError error = in_their_words(taken.error(), request.model);
    co_await reply_error(call, error);
    co_return;
  }
  const Deployment& deployment = **taken;
  OllamaHead head;
  head.shape = shape;
  head.model = request.model.empty() ? deployment.name : request.model;
  head.created = call.accepted_wall;
  head.is_stream = request.stream;
  if (parsed->says_nothing) {
    const bool is_unload = parsed->keep_alive == Nanoseconds{0};
    const bool done = co_await load(call, deployment, parsed->keep_alive);
    const std::string notice = ollama_notice(head, is_unload ? "unload" : "load");
    if (done) co_await reply_json(call, 200, notice);
    co_return;
  }
  GenerationPlan plan;
  plan.keep_alive = parsed->keep_alive;
  plan.answer = make_ollama_answer(std::move(head));
  plan.request = std::move(request);
  plan.deployment = &deployment;
  plan.dialect = "ollama";
  co_await run_(call, std::move(plan));
}

Task<void> OllamaApi::embed(Call& call, OllamaVectors shape) {
  const api::ApiResult<OllamaEmbedRequest> parsed = parse_ollama_embed(call.request().body, shape);
  if (!parsed.has_value()) {
    const api::ApiError error = parsed.error();
    co_await reply_error(call, error);
    co_return;
  }
  const api::EmbeddingsRequest& request = parsed->request;
  const api::ApiResult<const Deployment*> taken = take_in(services_, limiter_, call, request);
  if (!taken.has_value()) {
    const api::ApiError error = in_their_words(taken.error(), request.model);
    co_await reply_error(call, error);
    co_return;
  }
  const Deployment& deployment = **taken;
  const std::string model = request.model.empty() ? deployment.name : request.model;
  if (request.inputs.empty()) {
    const bool done = co_await load(call, deployment, parsed->keep_alive);
    const std::string body = ollama_no_vectors(shape, model);
    if (done) co_await reply_json(call, 200, body);
    co_return;
  }
  ForwardPlan plan = embeddings_plan(request, deployment);
  plan.dialect = "ollama";
  plan.keep_alive = parsed->keep_alive;
  plan.read = [this, &call, shape, model](std::string_view body) -> Result<ForwardedAnswer> {
    const OllamaEmbedTimes times{.total = services_.clock.now() - call.accepted, .load = call.wake_wait};
    TRY(api::EmbeddingsAnswer answer, ollama_vectors(shape, model, body, times));
    return ForwardedAnswer{answer.prompt_tokens, std::move(answer.body)};
  };
  Forwarding forwarding(services_, call, std::move(plan));
  co_await forwarding.run();
}

Task<bool> OllamaApi::load(Call& call, const Deployment& deployment, std::optional<Nanoseconds> keep_alive) {
  call.deployment = deployment.name;
  call.dialect = "ollama";
  if (keep_alive == Nanoseconds{0}) {
    const Status unloaded = services_.fleet.unload(deployment.name);
    if (!unloaded.has_value()) log_info("event=unload_of_nothing deployment={}", call.deployment);
  } else {
    fleet::Cancellation cancellation;
    call.stop.on_fire([&cancellation] { cancellation.cancel(); });
    fleet::AcquireRequest wish;
    wish.deployment = deployment.name;
    wish.keep_alive = keep_alive;
    wish.cancellation = &cancellation;
    fleet::AcquireResult lease = co_await services_.fleet.acquire(std::move(wish));
    call.stop.on_fire({});
    if (!lease.has_value()) {
      const StopReason stopped = call.stop.reason();
      const api::ApiError error = stopped == StopReason::kNone ? from_refusal(lease.error()) : from_stop(stopped);
      co_await reply_error(call, error);
      co_return false;
    }
    if (lease->woke()) call.wake_wait = lease->waited();
    lease->release(fleet::LeaseOutcome::kClientGone);  // it has shown nothing: failures before it still count
  }
  co_return true;
}

OllamaModel OllamaApi::describe(const Deployment& deployment) const {
  OllamaModel out = describe_for_ollama(deployment, catalog_);
  for (const fleet::DeploymentStatus& status : services_.fleet.status()) {
    if (status.name != deployment.name) continue;
    for (const fleet::InstanceStatus& instance : status.instances) {
      if (instance.context_length > 0) out.context_length = instance.context_length;
    }
  }
  return out;
}

// A deployment, and the image it runs where that word means it: clients look for the model they were told to use.
Task<void> OllamaApi::tags(Call& call) const {
  std::vector<OllamaModel> models;
  for (const auto& [name, deployment] : services_.deployments.all()) {
    if (!may_use(call.caller, name) || !is_visible(deployment, call.reach)) continue;
    OllamaModel& model = models.emplace_back(describe_for_ollama(deployment, catalog_));
    if (services_.deployments.resolve(deployment.image, call.reach) != &deployment) continue;
    if (deployment.image.starts_with("file:")) continue;
    OllamaModel by_image = model;
    by_image.name = deployment.image;
    models.push_back(std::move(by_image));
  }
  const std::string body = ollama_tags(models);
  co_await reply_json(call, 200, body);
}

Task<void> OllamaApi::running(Call& call) const {
  std::vector<OllamaRunning> out;
  const WallTime now = services_.clock.wall();
  for (const fleet::DeploymentStatus& status : services_.fleet.status()) {
    const Deployment* const deployment = services_.deployments.find(status.name);
    if (deployment == nullptr || !may_use(call.caller, status.name) || !is_visible(*deployment, call.reach)) continue;
    const auto is_ready = [](const fleet::InstanceStatus& i) { return i.state == "ready"; };
    const auto ready = std::find_if(status.instances.begin(), status.instances.end(), is_ready);
    if (ready == status.instances.end()) continue;
    OllamaRunning one;
    one.model = describe(*deployment);
    one.is_on_gpu = ready->isa.starts_with("cuda");
    // In use it is some time off yet; what is kept awake stays.
    const Nanoseconds idle = idle_after(deployment->rules);
    one.expires = status.idle_left.has_value() ? after(now, *status.idle_left)
                  : status.running > 0         ? after(now, idle)
                                               : WallTime{now.us + kForeverUs};
    out.push_back(std::move(one));
  }
  const std::string body = ollama_ps(out);
  co_await reply_json(call, 200, body);
}

api::ApiResult<const Deployment*> OllamaApi::find(const Call& call,
                                                  const api::ApiResult<OllamaModelRequest>& asked) const {
  if (!asked.has_value()) return tl::unexpected(asked.error());
  const api::ApiResult<const Deployment*> found = find_deployment(services_.deployments, call, asked->model);
  if (!found.has_value()) return tl::unexpected(in_their_words(found.error(), asked->model));
  return found;
}

Task<void> OllamaApi::show(Call& call) const {
  const api::ApiResult<OllamaModelRequest> asked = parse_ollama_model(call.request().body);
  const api::ApiResult<const Deployment*> found = find(call, asked);
  if (!found.has_value()) {
    const api::ApiError error = found.error();
    co_await reply_error(call, error);
    co_return;
  }
  const std::string body = ollama_show(describe(**found));
  co_await reply_json(call, 200, body);
}

Task<void> OllamaApi::pull(Call& call) const {
  const api::ApiResult<OllamaModelRequest> asked = parse_ollama_model(call.request().body);
  const api::ApiResult<const Deployment*> found = find(call, asked);
  if (!found.has_value()) {
    api::ApiError error = found.error();
    if (error.code == api::ErrorCode::kModelNotFound && asked.has_value() && !asked->model.empty()) {
      error.message += " here: whoever runs this server can add it with `dormouse deploy IMAGE --on local`";
    }
    co_await reply_error(call, error);
    co_return;
  }
  http::Response response;
  response.headers.set("content-type", asked->is_stream ? kNdjson : "application/json");
  response.body = asked->is_stream ? ollama_pulled(describe(**found)) : std::string(R"({"status":"success"})");
  co_await reply(call, std::move(response));
}

}  // namespace dormouse::gateway
