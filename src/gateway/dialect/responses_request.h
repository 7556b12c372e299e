// What POST /v1/responses asks for, as a chat request and what the answer repeats of it. Stateless: every request
// carries its whole conversation. Pure; threads: any.
#pragma once

#include <string>
#include <string_view>

#include "api/generation.h"

namespace dormouse::gateway {

struct ResponsesRequest {
  api::GenerationRequest chat;
  std::string echo;  // members of the answer that repeat the request: `"instructions":...,"tools":[...],...`
};

// input: text, or items: message, function_call, function_call_output; reasoning items of earlier answers are skipped,
// as their thinking is no part of the next prompt. instructions come first. Tools are functions in the flat form.
// text.format, tool_choice and reasoning.effort mean what they mean in chat; max_output_tokens is its max_tokens.
// store is taken and nothing is stored, like fields that are unknown. What would need a store is refused:
// previous_response_id, conversation, prompt, background. Errors: those of a chat request, in this one's names.
[[nodiscard]] api::ApiResult<ResponsesRequest> parse_responses_request(std::string_view body);

}  // namespace dormouse::gateway
