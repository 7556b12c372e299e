#include "gateway/token_bounds.h"

#include <algorithm>
#include <cstddef>

namespace dormouse::gateway {
namespace {

// Of a byte-level vocabulary no text has more tokens than bytes; the template adds a few a message and one preamble for
// tools.
constexpr std::int64_t kTemplateTokensPerMessage = 32;
constexpr std::int64_t kTemplateTokens = 512;

}  // namespace

std::int64_t prompt_bound(const api::GenerationRequest& request) {
  std::size_t bytes = request.prompt.size() + request.prompt_tokens.size();
  for (const api::Message& message : request.messages) {
    bytes += message.content.size() + message.reasoning_content.value_or("").size();
    for (const api::ToolCall& call : message.tool_calls) bytes += call.name.size() + call.arguments.size();
  }
  for (const std::string& tool : request.tools) bytes += tool.size();
  return static_cast<std::int64_t>(bytes) + kTemplateTokens +
         kTemplateTokensPerMessage * static_cast<std::int64_t>(request.messages.size());
}

std::int64_t prompt_bound(const api::EmbeddingsRequest& request) {
  std::int64_t out = 0;
  for (const api::EmbeddingInput& input : request.inputs) out += api::most_tokens(input) + 1;  // its end
  return out;
}

std::int64_t answer_bound(const api::GenerationRequest& request) {
  return std::min(request.sampling.max_tokens.value_or(kDefaultOutputTokens), kDefaultOutputTokens);
}

std::int64_t output_bound(const api::GenerationRequest& request) {
  return answer_bound(request) * std::max(request.n, 1);
}

}  // namespace dormouse::gateway
