#include "worker/adopt/stream_meter.h"

#include <array>
#include <boost/json/object.hpp>
#include <utility>

#include "api/fields.h"
#include "api/strict_json.h"
#include "http/sse.h"
#include "worker/adopt/usage_json.h"

namespace dormouse::worker::adopt {
namespace {

namespace json = boost::json;

// A peer that names ever new choices must not fill our memory; nobody asks for as many.
constexpr std::size_t kMaxOpenChoices = 1024;

bool has_text(const json::object& from, std::string_view key) {
  const json::value* value = api::find_member(from, key);
  return value != nullptr && value->is_string() && !value->get_string().empty();
}

// Whether a choice brings a token: text, reasoning (two names are in use) or a piece of a tool call.
bool has_token(const json::object& choice) {
  if (has_text(choice, "text")) return true;
  const json::value* value = api::find_member(choice, "delta");
  const json::object* delta = value == nullptr ? nullptr : value->if_object();
  if (delta == nullptr) return false;
  constexpr std::array<std::string_view, 4> kTexts = {"content", "reasoning_content", "reasoning", "refusal"};
  for (const std::string_view key : kTexts) {
    if (has_text(*delta, key)) return true;
  }
  const json::value* calls = api::find_member(*delta, "tool_calls");
  return calls != nullptr && calls->is_array() && !calls->get_array().empty();
}

const json::array* choices_of(const json::object& chunk) {
  const json::value* choices = api::find_member(chunk, "choices");
  return choices == nullptr ? nullptr : choices->if_array();
}

std::int64_t index_of(const json::object& choice) {
  const json::value* index = api::find_member(choice, "index");
  return index == nullptr ? 0 : api::as_integer(*index).value_or(0);
}

std::string text_of(const json::object& from, std::string_view key) {
  const json::value* value = api::find_member(from, key);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

}  // namespace

StreamMeter::StreamMeter(ModelNames names, const OutgoingCall& call)
    : names_(std::move(names)), include_usage_(call.include_usage), continuous_usage_(call.continuous_usage) {
  head_.model = names_.served;
}

api::ApiResult<std::string> StreamMeter::on_event(std::string_view data) {
  if (done_) return std::string();
  if (data == "[DONE]") return closing();
  std::optional<json::value> value = parse_peer_json(data);
  json::object* chunk = value.has_value() ? value->if_object() : nullptr;
  if (chunk == nullptr) return tl::unexpected(unreadable_answer());
  if (api::find_member(*chunk, "error") != nullptr) return tl::unexpected(error_of_answer(500, data));
  if (head_.id.empty()) {
    head_.id = text_of(*chunk, "id");
    if (const json::value* created = api::find_member(*chunk, "created"); created != nullptr) {
      head_.created = api::as_integer(*created).value_or(0);
    }
    if (text_of(*chunk, "object") == "text_completion") kind_ = api::GenerationRequest::Kind::kCompletion;
  }
  const json::array* choices = choices_of(*chunk);
  std::int64_t tokens = 0;
  for (std::size_t i = 0; choices != nullptr && i < choices->size(); ++i) {
    const json::object* choice = (*choices)[i].if_object();
    if (choice == nullptr) continue;
    any_choice_ = true;
    if (has_token(*choice)) ++tokens;
    open_.insert(index_of(*choice));
    if (has_text(*choice, "finish_reason")) open_.erase(index_of(*choice));
    if (open_.size() > kMaxOpenChoices) return tl::unexpected(unreadable_answer());
  }
  const std::optional<api::Usage> told = read_usage(*chunk);
  if (told.has_value()) {
    const std::int64_t prompt_before = usage_.prompt_tokens;
    usage_ = *told;
    if (usage_.prompt_tokens == 0) usage_.prompt_tokens = prompt_before;
    reported_ = true;
  } else {
    usage_.completion_tokens += tokens;
  }
  // The last usage is ours to send, when the caller wants it; a chunk without choices breaks some clients.
  if (choices == nullptr || (choices->empty() && chunk->contains("usage"))) return std::string();
  (*chunk)["model"] = names_.served;
  if (continuous_usage_) {
    (*chunk)["usage"] = usage_json(usage_);
  } else if (include_usage_) {
    (*chunk)["usage"] = nullptr;
  } else {
    chunk->erase("usage");
  }
  return http::sse_data(api::python_dumps(*value));
}

api::ApiResult<std::string> StreamMeter::on_end() {
  if (done_) return std::string();
  if (any_choice_ && open_.empty()) return closing();
  return tl::unexpected(api::ApiError{api::ErrorCode::kWorkerCrashed, {}, {}});
}

std::string StreamMeter::closing() {
  done_ = true;
  std::string out;
  if (include_usage_) out = http::sse_data(api::usage_chunk(head_, kind_, usage_));
  out += http::kSseDone;
  return out;
}

}  // namespace dormouse::worker::adopt
