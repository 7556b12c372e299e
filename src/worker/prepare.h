// A parsed request becomes a job: words to ids, defaults filled in, limits checked. Everything that can be wrong with a
// request is found here, before a byte is answered and before the engine hears of it.
// Threads: any (reads the tokenizer only).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "api/generation.h"
#include "worker/generator.h"
#include "worker/model.h"

namespace dormouse::worker {

// What a handler needs to know of the model; tokenizer and formats are borrowed from the LoadedModel.
struct ModelView {
  const text::Tokenizer* tokenizer = nullptr;
  FormatCache* formats = nullptr;
  text::TemplateFamily family = text::TemplateFamily::kInstruct2507;
  std::int32_t context_length = 0;
  std::int64_t kv_tokens = 0;
  std::int32_t hidden = 0;    // numbers of an embedding
  bool gives_hidden = false;  // whether its engine can make them
  EmbeddingRules embedding;
};
[[nodiscard]] ModelView view_of(const LoadedModel& model);

struct RequestLimits {
  std::optional<std::int64_t> max_prompt_tokens;  // x-dormouse-max-prompt-tokens
};

// A prompt or a text that does not fit is counted up to so many times what would: how far off it is helps whoever
// shortens it, and a text of 16 MiB is refused in the time of one that nearly fits.
inline constexpr std::int64_t kCountedTimes = 2;
// An answer of this length is what Qwen recommends room for; a request without max_tokens gets no more.
inline constexpr std::int64_t kDefaultMaxTokens = 32'768;

// Errors: invalid_value (empty prompt, a token id outside the vocabulary, roles, a format we cannot hold an answer to),
// grammar_too_complex, context_length_exceeded.
[[nodiscard]] api::ApiResult<Job> prepare(const ModelView& model, const api::GenerationRequest& request,
                                          const RequestLimits& limits);
// The prompt's ids alone: /tokenize.
[[nodiscard]] api::ApiResult<std::vector<text::TokenId>> encode_prompt(const ModelView& model,
                                                                       const api::GenerationRequest& request);
// Nothing if there are more than `max_tokens`, found without reading much more than those: the rest costs no time.
[[nodiscard]] api::ApiResult<std::optional<std::vector<text::TokenId>>> encode_prompt_at_most(
    const ModelView& model, const api::GenerationRequest& request, std::size_t max_tokens);
// prepare() will take a millisecond or two at most: not a long text, not a format that has to be compiled.
[[nodiscard]] bool is_quick(const ModelView& model, const api::GenerationRequest& request);
// Up to so many bytes of text a tokenizer is done within a millisecond or two.
inline constexpr std::size_t kQuickBytes = 16 * 1024;
// How many bytes of text encode_prompt() will read.
[[nodiscard]] std::size_t prompt_bytes(const api::GenerationRequest& request);

}  // namespace dormouse::worker
