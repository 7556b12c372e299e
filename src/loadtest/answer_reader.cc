#include "loadtest/answer_reader.h"

#include <algorithm>
#include <boost/json/value.hpp>

#include "api/fields.h"
#include "api/strict_json.h"

namespace dormouse::loadtest {
namespace {

bool has_words(const api::Delta& delta) {
  return !delta.content.empty() || !delta.reasoning_content.empty() || !delta.tool_calls.empty();
}

std::string text_of(const boost::json::object& object, std::string_view key) {
  const boost::json::value* const value = api::find_member(object, key);
  const boost::json::string* const text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

}  // namespace

std::string error_words(std::string_view body) {
  const api::ApiResult<boost::json::value> parsed = api::parse_strict_json(body);
  const boost::json::object* const root = parsed.has_value() ? parsed->if_object() : nullptr;
  if (root == nullptr) return {};
  const boost::json::value* const error = api::find_member(*root, "error");
  const boost::json::object* const inner = error == nullptr ? nullptr : error->if_object();
  std::string words = inner == nullptr ? text_of(*root, "error") : text_of(*inner, "message");
  if (words.empty()) words = text_of(*root, "message");
  if (words.empty()) words = text_of(*root, "detail");
  return words;
}

void AnswerReader::push(std::string_view bytes, double now_s) {
  parser_.push(bytes);
  while (const std::optional<http::SseEvent> event = parser_.next()) take(event->data, now_s);
  if (parser_.overflowed() && !failure_.has_value()) failure_ = "an event of more than 4 MiB";
}

void AnswerReader::take(std::string_view json, double now_s) {
  if (json == "[DONE]") {
    done_ = true;
    return;
  }
  const Result<api::ParsedChunk> chunk = api::parse_chunk(json);
  if (!chunk.has_value()) {
    if (!failure_.has_value()) failure_ = "an event that is no JSON object";
    return;
  }
  if (chunk->error.has_value() && !failure_.has_value()) {
    failure_ = error_words(json);
    if (failure_->empty()) failure_ = api::row(chunk->error->code).text;
  }
  if (chunk->usage.has_value()) usage_ = chunk->usage;
  const std::vector<api::Delta>& choices = chunk->choices;
  const auto is_last = [](const api::Delta& delta) { return delta.finish_reason.has_value(); };
  finished_ = finished_ || std::any_of(choices.begin(), choices.end(), is_last);
  if (finished_ && pieces_ == 0) first_s_ = last_s_ = now_s;
  if (std::none_of(choices.begin(), choices.end(), has_words)) return;
  if (pieces_ == 0) {
    first_s_ = now_s;
  } else {
    gaps_s_.push_back(now_s - last_s_);
  }
  last_s_ = now_s;
  ++pieces_;
}

}  // namespace dormouse::loadtest
