// POST /generate: {"prompt", "max_tokens", "stream", "system", "thinking", "thinking_budget", "raw", "stop",
// temperature...} answered by {"text", "generation_time", "tokens_per_second", ...}. The prompt is a user turn unless
// "raw" is true. No I/O.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "gateway/dialect/answer.h"

namespace dormouse::gateway {

// Sampling, limits and types are judged by api::parse_completion_request: a /generate body is one, with four more
// fields. Thinking is off unless asked for, by "thinking" or a budget above 0: with a limit of 100 tokens a thinking
// model would answer with nothing.
[[nodiscard]] api::ApiResult<api::GenerationRequest> parse_generate_request(std::string_view body);

[[nodiscard]] std::unique_ptr<AnswerWriter> make_generate_answer(bool stream, std::string model,
                                                                 std::string request_id);

}  // namespace dormouse::gateway
