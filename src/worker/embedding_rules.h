// How a model's states become vectors of text where a request does not say: what its file says, else what its name
// suggests. PURE.
#pragma once

#include <optional>
#include <string_view>

#include "api/embeddings.h"
#include "gguf/file.h"
#include "text/token_id.h"

namespace dormouse::worker {

struct EmbeddingRules {
  api::Pooling pooling = api::Pooling::kMean;
  // Put behind every text: models trained for embeddings look for the meaning there.
  std::optional<text::TokenId> end;
};

// In this order: `asked` (--pooling), the file's pooling_type as llama.cpp's converter writes it, last for names with
// "embedding" in them (Qwen3-Embedding's rule), else mean. The end is the file's, where it says that there is one.
[[nodiscard]] EmbeddingRules embedding_rules(const gguf::File& file, std::string_view name,
                                             std::optional<api::Pooling> asked);

}  // namespace dormouse::worker
