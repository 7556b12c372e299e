#include "gateway/dialect/answer.h"

#include "http/sse.h"

namespace dormouse::gateway {

namespace {

// Pieces of one call share their index; id and name come with the first.
void add_tool_call(api::Delta& choice, const api::ToolCallDelta& piece) {
  for (api::ToolCallDelta& call : choice.tool_calls) {
    if (call.index != piece.index) continue;
    call.arguments += piece.arguments;
    return;
  }
  choice.tool_calls.push_back(piece);
}

}  // namespace

void ChoiceCollector::add(const api::Delta& delta) {
  // The index is the worker's word and the request asked for kMaxChoices at most.
  if (delta.index < 0 || delta.index >= api::kMaxChoices) return;
  const auto index = static_cast<std::size_t>(delta.index);
  while (choices_.size() <= index) {
    choices_.emplace_back();
    choices_.back().index = static_cast<int>(choices_.size()) - 1;
  }
  api::Delta& choice = choices_[index];
  choice.content += delta.content;
  choice.reasoning_content += delta.reasoning_content;
  if (choice.logprobs.empty()) choice.text_offset = delta.text_offset;
  choice.logprobs.insert(choice.logprobs.end(), delta.logprobs.begin(), delta.logprobs.end());
  for (const api::ToolCallDelta& piece : delta.tool_calls) add_tool_call(choice, piece);
  if (delta.finish_reason.has_value()) choice.finish_reason = delta.finish_reason;
}

bool has_content(const api::Delta& delta) {
  return !delta.content.empty() || !delta.reasoning_content.empty() || !delta.logprobs.empty() ||
         !delta.tool_calls.empty() || delta.finish_reason.has_value();
}

std::string AnswerWriter::broken_off(const api::ApiError& error) const {
  return http::sse_data(api::error_body(error));
}

}  // namespace dormouse::gateway
