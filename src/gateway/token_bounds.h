// The most tokens a request can come to, known before anything counted them: what is reserved, and what a worker is
// told to stop at. Threads: any.
#pragma once

#include <cstdint>

#include "api/embeddings.h"
#include "api/generation.h"

namespace dormouse::gateway {

// Qwen3's own context: what an answer without max_tokens may come to.
inline constexpr std::int64_t kDefaultOutputTokens = 40'960;

// Generous, because a bound too small would refuse a good request.
[[nodiscard]] std::int64_t prompt_bound(const api::GenerationRequest& request);
[[nodiscard]] std::int64_t prompt_bound(const api::EmbeddingsRequest& request);
// Of one choice.
[[nodiscard]] std::int64_t answer_bound(const api::GenerationRequest& request);
// Of all choices together.
[[nodiscard]] std::int64_t output_bound(const api::GenerationRequest& request);

}  // namespace dormouse::gateway
