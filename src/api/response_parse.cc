// parse_chunk: lenient on purpose. The server at the other end may be llama-server, vLLM or Ollama of any age; a field
// it wrote in its own way must not break the stream that carries everything else.
#include <algorithm>
#include <boost/json/parse.hpp>
#include <limits>

#include "api/fields.h"
#include "api/generation.h"

namespace dormouse::api {
namespace {

namespace json = boost::json;

// A peer's word that we count on from; no text is so long.
constexpr std::int64_t kMaxTextOffset = std::int64_t{1} << 40;

const json::object* object_at(const json::object& from, std::string_view key) {
  const json::value* value = find_member(from, key);
  return value == nullptr ? nullptr : value->if_object();
}
const json::array* array_at(const json::object& from, std::string_view key) {
  const json::value* value = find_member(from, key);
  return value == nullptr ? nullptr : value->if_array();
}
std::string text_at(const json::object& from, std::string_view key) {
  const json::value* value = find_member(from, key);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}
std::int64_t int_at(const json::object& from, std::string_view key) {
  const json::value* value = find_member(from, key);
  return value == nullptr ? 0 : as_integer(*value).value_or(0);
}
double number_at(const json::object& from, std::string_view key) {
  const json::value* value = find_member(from, key);
  return value == nullptr ? 0 : as_number(*value).value_or(0);
}
int index_at(const json::object& from) {
  const std::int64_t index = int_at(from, "index");
  return index < 0 || index > std::numeric_limits<int>::max() ? 0 : static_cast<int>(index);
}

// "token" cannot hold half a character, "bytes" can.
std::string token_at(const json::object& entry) {
  const json::array* bytes = array_at(entry, "bytes");
  if (bytes == nullptr) return text_at(entry, "token");
  std::string token;
  for (const json::value& byte : *bytes) {
    token += static_cast<char>(static_cast<unsigned char>(as_integer(byte).value_or(0) & 0xFF));
  }
  return token;
}

void read_logprobs(const json::object& choice, Delta& out) {
  const json::object* logprobs = object_at(choice, "logprobs");
  if (logprobs == nullptr) return;
  if (const json::array* content = array_at(*logprobs, "content")) {
    for (const json::value& element : *content) {
      const json::object* entry = element.if_object();
      if (entry == nullptr) continue;
      TokenLogprob token{token_at(*entry), number_at(*entry, "logprob"), {}};
      if (const json::array* top = array_at(*entry, "top_logprobs")) {
        for (const json::value& candidate : *top) {
          if (const json::object* c = candidate.if_object())
            token.top.emplace_back(token_at(*c), number_at(*c, "logprob"));
        }
      }
      out.logprobs.push_back(std::move(token));
    }
    return;
  }
  const json::array* tokens = array_at(*logprobs, "tokens");
  const json::array* values = array_at(*logprobs, "token_logprobs");
  const json::array* tops = array_at(*logprobs, "top_logprobs");
  const json::array* offsets = array_at(*logprobs, "text_offset");
  if (offsets != nullptr && !offsets->empty()) {
    out.text_offset = std::clamp<std::int64_t>(as_integer(offsets->front()).value_or(0), 0, kMaxTextOffset);
  }
  for (std::size_t i = 0; tokens != nullptr && i < tokens->size(); ++i) {
    const json::string* text = (*tokens)[i].if_string();
    TokenLogprob token{text == nullptr ? "" : std::string(text->data(), text->size()), 0, {}};
    if (values != nullptr && i < values->size()) token.logprob = as_number((*values)[i]).value_or(0);
    const json::object* top = tops != nullptr && i < tops->size() ? (*tops)[i].if_object() : nullptr;
    if (top != nullptr) {
      for (const auto& member : *top) {
        token.top.emplace_back(std::string(member.key().data(), member.key().size()),
                               as_number(member.value()).value_or(0));
      }
    }
    out.logprobs.push_back(std::move(token));
  }
}

void read_tool_calls(const json::object& body, Delta& out) {
  const json::array* calls = array_at(body, "tool_calls");
  if (calls == nullptr) return;
  for (std::size_t i = 0; i < calls->size(); ++i) {
    const json::object* entry = (*calls)[i].if_object();
    if (entry == nullptr) continue;
    ToolCallDelta call;
    call.index = find_member(*entry, "index") == nullptr ? static_cast<int>(i) : index_at(*entry);
    call.id = text_at(*entry, "id");
    if (const json::object* function = object_at(*entry, "function")) {
      call.name = text_at(*function, "name");
      call.arguments = text_at(*function, "arguments");
    }
    out.tool_calls.push_back(std::move(call));
  }
}

Delta read_choice(const json::object& choice) {
  Delta out;
  out.index = index_at(choice);
  const json::object* body = object_at(choice, "delta");
  if (body == nullptr) body = object_at(choice, "message");
  if (body == nullptr) {
    out.content = text_at(choice, "text");
  } else {
    out.content = text_at(*body, "content");
    out.reasoning_content = text_at(*body, "reasoning_content");
    if (out.reasoning_content.empty()) out.reasoning_content = text_at(*body, "reasoning");
    read_tool_calls(*body, out);
  }
  read_logprobs(choice, out);
  const std::string reason = text_at(choice, "finish_reason");
  if (!reason.empty()) out.finish_reason = reason;
  return out;
}

// Counts come from a peer; a negative one would become a credit on a bill.
std::int64_t count_at(const json::object& from, std::string_view key) {
  return std::max<std::int64_t>(0, int_at(from, key));
}

Usage read_usage(const json::object& usage) {
  Usage out;
  out.prompt_tokens = count_at(usage, "prompt_tokens");
  out.completion_tokens = count_at(usage, "completion_tokens");
  if (const json::object* details = object_at(usage, "prompt_tokens_details")) {
    out.cached_tokens = count_at(*details, "cached_tokens");
  }
  if (const json::object* details = object_at(usage, "completion_tokens_details")) {
    out.reasoning_tokens = count_at(*details, "reasoning_tokens");
  }
  return out;
}

// Our own codes pass; another server's error is told by its status, if it wrote one, and its text stays here.
ApiError read_error(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return {ErrorCode::kInternalError, "", ""};
  if (const auto known = find_code(text_at(*object, "code"))) {
    return {*known, text_at(*object, "message"), text_at(*object, "param")};
  }
  const std::string type = text_at(*object, "type");
  const std::int64_t status = int_at(*object, "code");
  if (type == "exceed_context_size_error") return {ErrorCode::kContextLengthExceeded, "", ""};
  if (status == 503 || type == "unavailable_error" || type == "overloaded_error")
    return {ErrorCode::kOverloaded, "", ""};
  if (status == 429) return {ErrorCode::kOverloaded, "", ""};
  if (status == 404) return {ErrorCode::kModelNotFound, "", ""};
  if (status == 400 || type == "invalid_request_error" || type == "BadRequestError") {
    return {ErrorCode::kInvalidValue, "", text_at(*object, "param")};
  }
  return {ErrorCode::kInternalError, "", ""};
}

}  // namespace

Result<ParsedChunk> parse_chunk(std::string_view text) {
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  boost::system::error_code ec;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), ec, json::storage_ptr(), options);
  const json::object* object = value.if_object();
  if (ec || object == nullptr) return make_error(Code::kDataLoss, "upstream sent a chunk that is no JSON object");
  ParsedChunk out;
  out.head.id = text_at(*object, "id");
  out.head.created = int_at(*object, "created");
  out.head.model = text_at(*object, "model");
  if (const json::value* error = find_member(*object, "error")) out.error = read_error(*error);
  if (const json::array* choices = array_at(*object, "choices")) {
    for (const json::value& element : *choices) {
      if (const json::object* choice = element.if_object()) out.choices.push_back(read_choice(*choice));
    }
  }
  if (const json::object* usage = object_at(*object, "usage")) out.usage = read_usage(*usage);
  return out;
}

}  // namespace dormouse::api
