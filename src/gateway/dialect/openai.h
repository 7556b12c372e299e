// The OpenAI dialect's answers: chat.completion(.chunk) and text_completion, from the worker's chunks. No I/O.
#pragma once

#include <memory>

#include "gateway/dialect/answer.h"

namespace dormouse::gateway {

// `request` as the caller sent it (its stream options decide what usage is shown); `head` is ours, not the worker's.
[[nodiscard]] std::unique_ptr<AnswerWriter> make_openai_answer(const api::GenerationRequest& request,
                                                               api::ResponseHead head);

}  // namespace dormouse::gateway
