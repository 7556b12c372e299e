// POST /api/embed and the older /api/embeddings: brought to the one EmbeddingsRequest, and a worker's answer brought
// back. No I/O, no clock.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/embeddings.h"
#include "base/clock.h"

namespace dormouse::gateway {

enum class OllamaVectors {
  kMany,  // /api/embed: "input" is a text or a list, "embeddings" a list of vectors
  kOne,   // /api/embeddings: "prompt" is a text, "embedding" a vector
};

struct OllamaEmbedRequest {
  api::EmbeddingsRequest request;         // no inputs: nothing is computed; the model is loaded or unloaded
  std::optional<Nanoseconds> keep_alive;  // negative: for ever
};

// Rewritten as the OpenAI request it means and judged by api::parse_embeddings_request. Errors name fields as Ollama
// has them. truncate is true unless said; dimensions 0 means none; options change nothing here.
[[nodiscard]] api::ApiResult<OllamaEmbedRequest> parse_ollama_embed(std::string_view body, OllamaVectors shape);

// Of kMany; the older form has no numbers.
struct OllamaEmbedTimes {
  Nanoseconds total{0};
  Nanoseconds load{0};  // held while an instance woke
};
// `answer`: a worker's, as floats. Errors: kDataLoss (no such answer).
[[nodiscard]] Result<api::EmbeddingsAnswer> ollama_vectors(OllamaVectors shape, std::string_view model,
                                                           std::string_view answer, OllamaEmbedTimes times);
// The whole answer to a request that says nothing.
[[nodiscard]] std::string ollama_no_vectors(OllamaVectors shape, std::string_view model);

}  // namespace dormouse::gateway
