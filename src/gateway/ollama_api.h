// The Ollama API at the front door (docs/api_ollama.md): its routes and their handlers. Generations go the one way of
// every dialect; what is only Ollama's is here: keep_alive, loading and unloading, and what is told of models.
// Owner: the gateway. Threads: the loop's.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "gateway/dialect/ollama.h"
#include "gateway/dialect/ollama_embed.h"
#include "gateway/dialect/ollama_request.h"
#include "gateway/generation.h"
#include "gateway/limits/limiter.h"
#include "gateway/ollama_models.h"
#include "gateway/router.h"

namespace dormouse::gateway {

class OllamaApi {
 public:
  using Run = std::function<Task<void>(Call&, GenerationPlan)>;

  // All are borrowed, as are the services. `run` carries a plan out.
  OllamaApi(Services services, const catalog::Catalog& catalog, Limiter& limiter, Run run);

  // GET / and /api/{version,tags,ps}, POST /api/{chat,generate,show,pull,embed,embeddings}.
  void add_routes(Router& router);

 private:
  Task<void> answer(Call& call, OllamaShape shape);
  Task<void> embed(Call& call, OllamaVectors shape);
  // Nothing was said: wakes it, or lets it sleep. False: it could not, and that was answered.
  Task<bool> load(Call& call, const Deployment& deployment, std::optional<Nanoseconds> keep_alive);
  Task<void> tags(Call& call) const;
  Task<void> running(Call& call) const;
  Task<void> show(Call& call) const;
  Task<void> pull(Call& call) const;

  // The deployment that is asked about. Errors: the parser's, find_deployment's, in Ollama's words.
  [[nodiscard]] api::ApiResult<const Deployment*> find(const Call& call,
                                                       const api::ApiResult<OllamaModelRequest>& asked) const;
  // As far as it is known: an instance that is up knows its context length.
  [[nodiscard]] OllamaModel describe(const Deployment& deployment) const;

  Services services_;
  const catalog::Catalog& catalog_;
  Limiter& limiter_;
  const Run run_;
};

}  // namespace dormouse::gateway
