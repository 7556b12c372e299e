// The answers of /v1/responses: one response object, or its events with sequence numbers and no [DONE]. No I/O.
#pragma once

#include <memory>
#include <string>

#include "gateway/dialect/answer.h"

namespace dormouse::gateway {

// head.id is the request's; `echo` as ResponsesRequest has it.
[[nodiscard]] std::unique_ptr<AnswerWriter> make_responses_answer(bool stream, api::ResponseHead head,
                                                                  std::string echo);

}  // namespace dormouse::gateway
