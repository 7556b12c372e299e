// Answers of the OpenAI dialect, chunk by chunk and whole. Rules: peers-and-wire notes 4.1 (which field clients choke
// on).
#include <algorithm>
#include <cmath>

#include "api/generation.h"
#include "api/json_write.h"

namespace dormouse::api {
namespace {

using Kind = GenerationRequest::Kind;

void append_head(std::string& out, const ResponseHead& head, std::string_view object) {
  out += R"({"id":)";
  append_json_string(out, head.id);
  out += R"(,"object":)";
  append_json_string(out, object);
  out += R"(,"created":)";
  append_json_int(out, head.created);
  out += R"(,"model":)";
  append_json_string(out, head.model);
}

void append_usage(std::string& out, const Usage& usage) {
  out += R"(,"usage":{"prompt_tokens":)";
  append_json_int(out, usage.prompt_tokens);
  out += R"(,"completion_tokens":)";
  append_json_int(out, usage.completion_tokens);
  out += R"(,"total_tokens":)";
  append_json_int(out, usage.prompt_tokens + usage.completion_tokens);
  out += R"(,"prompt_tokens_details":{"cached_tokens":)";
  append_json_int(out, usage.cached_tokens);
  out += R"(},"completion_tokens_details":{"reasoning_tokens":)";
  append_json_int(out, usage.reasoning_tokens);
  out += "}}";
}

void append_optional_usage(std::string& out, const std::optional<Usage>& usage, bool usage_null) {
  if (usage) {
    append_usage(out, *usage);
  } else if (usage_null) {
    out += R"(,"usage":null)";
  }
}

// JSON has no infinity; -9999 is what vLLM writes for an impossible token.
void append_logprob(std::string& out, double logprob) {
  append_json_double(out, std::isfinite(logprob) ? logprob : -9999.0);
}

void append_token(std::string& out, const std::string& token, double logprob) {
  out += R"({"token":)";
  append_json_string(out, token);
  out += R"(,"logprob":)";
  append_logprob(out, logprob);
  out += R"(,"bytes":[)";
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (i > 0) out += ',';
    append_json_int(out, static_cast<unsigned char>(token[i]));
  }
  out += ']';
}

void append_chat_logprobs(std::string& out, const std::vector<TokenLogprob>& logprobs) {
  out += R"(,"logprobs":)";
  if (logprobs.empty()) {
    out += "null";
    return;
  }
  out += R"({"content":[)";
  for (std::size_t i = 0; i < logprobs.size(); ++i) {
    if (i > 0) out += ',';
    append_token(out, logprobs[i].token, logprobs[i].logprob);
    out += R"(,"top_logprobs":[)";
    for (std::size_t j = 0; j < logprobs[i].top.size(); ++j) {
      if (j > 0) out += ',';
      append_token(out, logprobs[i].top[j].first, logprobs[i].top[j].second);
      out += '}';
    }
    out += "]}";
  }
  out += "]}";
}

// The completion dialect has its own shape: parallel arrays.
void append_completion_logprobs(std::string& out, const Delta& delta) {
  out += R"(,"logprobs":)";
  if (delta.logprobs.empty()) {
    out += "null";
    return;
  }
  std::string tokens;
  std::string values;
  std::string tops;
  std::string offsets;
  std::int64_t offset = delta.text_offset;
  for (const TokenLogprob& entry : delta.logprobs) {
    const std::string_view separator = tokens.empty() ? "" : ",";
    tokens += separator;
    append_json_string(tokens, entry.token);
    values += separator;
    append_logprob(values, entry.logprob);
    offsets += separator;
    append_json_int(offsets, offset);
    offset += characters(entry.token);
    tops += separator;
    tops += '{';
    for (std::size_t j = 0; j < entry.top.size(); ++j) {
      if (j > 0) tops += ',';
      append_json_string(tops, entry.top[j].first);
      tops += ':';
      append_logprob(tops, entry.top[j].second);
    }
    tops += '}';
  }
  out += R"({"tokens":[)" + tokens + R"(],"token_logprobs":[)" + values + R"(],"top_logprobs":[)" + tops +
         R"(],"text_offset":[)" + offsets + "]}";
}

void append_finish_reason(std::string& out, const std::optional<std::string>& reason) {
  out += R"(,"finish_reason":)";
  if (reason) {
    append_json_string(out, *reason);
  } else {
    out += "null";
  }
}

enum class ToolCallForm { kWhole, kPiece };

void append_tool_calls(std::string& out, const std::vector<ToolCallDelta>& calls, ToolCallForm form) {
  out += R"("tool_calls":[)";
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const ToolCallDelta& call = calls[i];
    out += i > 0 ? ",{" : "{";
    if (form == ToolCallForm::kPiece) {
      out += R"("index":)";
      append_json_int(out, call.index);
      out += ',';
    }
    if (!call.id.empty()) {
      out += R"("id":)";
      append_json_string(out, call.id);
      out += R"(,"type":"function",)";
    }
    out += R"("function":{)";
    if (!call.name.empty()) {
      out += R"("name":)";
      append_json_string(out, call.name);
      out += ',';
    }
    out += R"("arguments":)";
    append_json_string(out, call.arguments);
    out += "}}";
  }
  out += ']';
}

// Both names: clients are split over which they read.
void append_reasoning(std::string& out, const std::string& reasoning) {
  out += R"("reasoning_content":)";
  append_json_string(out, reasoning);
  out += R"(,"reasoning":)";
  append_json_string(out, reasoning);
}

void append_delta(std::string& out, const Delta& delta, bool first) {
  out += R"("delta":{)";
  const auto separate = [&out] {
    if (out.back() != '{') out += ',';
  };
  if (first) out += R"("role":"assistant")";
  if (first || !delta.content.empty()) {
    separate();
    out += R"("content":)";
    append_json_string(out, delta.content);
  }
  if (!delta.reasoning_content.empty()) {
    separate();
    append_reasoning(out, delta.reasoning_content);
  }
  if (!delta.tool_calls.empty()) {
    separate();
    append_tool_calls(out, delta.tool_calls, ToolCallForm::kPiece);
  }
  out += '}';
}

void append_message(std::string& out, const Delta& choice) {
  out += R"("message":{"role":"assistant","content":)";
  // A call without a word beside it is no empty text.
  if (choice.content.empty() && !choice.tool_calls.empty()) {
    out += "null";
  } else {
    append_json_string(out, choice.content);
  }
  if (!choice.reasoning_content.empty()) {
    out += ',';
    append_reasoning(out, choice.reasoning_content);
  }
  if (!choice.tool_calls.empty()) {
    out += ',';
    append_tool_calls(out, choice.tool_calls, ToolCallForm::kWhole);
  }
  out += '}';
}

void append_completion_choice(std::string& out, const Delta& delta) {
  out += R"({"index":)";
  append_json_int(out, delta.index);
  out += R"(,"text":)";
  append_json_string(out, delta.content);
  append_completion_logprobs(out, delta);
  append_finish_reason(out, delta.finish_reason);
  out += '}';
}

void append_model(std::string& out, const ModelCard& model) {
  out += R"({"id":)";
  append_json_string(out, model.id);
  out += R"(,"object":"model","created":)";
  append_json_int(out, model.created);
  out += R"(,"owned_by":"dormouse")";
  if (model.max_model_len > 0) {
    out += R"(,"max_model_len":)";
    append_json_int(out, model.max_model_len);
  }
  out += '}';
}

}  // namespace

std::int64_t characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
}

std::string chat_chunk(const ResponseHead& head, const Delta& delta, bool first, const std::optional<Usage>& usage,
                       bool usage_null) {
  std::string out;
  append_head(out, head, "chat.completion.chunk");
  out += R"(,"choices":[{"index":)";
  append_json_int(out, delta.index);
  out += ',';
  append_delta(out, delta, first);
  append_chat_logprobs(out, delta.logprobs);
  append_finish_reason(out, delta.finish_reason);
  out += "}]";
  append_optional_usage(out, usage, usage_null);
  out += '}';
  return out;
}

std::string completion_chunk(const ResponseHead& head, const Delta& delta, const std::optional<Usage>& usage,
                             bool usage_null) {
  std::string out;
  append_head(out, head, "text_completion");
  out += R"(,"choices":[)";
  append_completion_choice(out, delta);
  out += ']';
  append_optional_usage(out, usage, usage_null);
  out += '}';
  return out;
}

std::string usage_chunk(const ResponseHead& head, Kind kind, const Usage& usage) {
  std::string out;
  append_head(out, head, kind == Kind::kChat ? "chat.completion.chunk" : "text_completion");
  out += R"(,"choices":[])";
  append_usage(out, usage);
  out += '}';
  return out;
}

std::string chat_response(const ResponseHead& head, const std::vector<Delta>& choices, const Usage& usage) {
  std::string out;
  append_head(out, head, "chat.completion");
  out += R"(,"choices":[)";
  for (std::size_t i = 0; i < choices.size(); ++i) {
    out += i > 0 ? R"(,{"index":)" : R"({"index":)";
    append_json_int(out, choices[i].index);
    out += ',';
    append_message(out, choices[i]);
    append_chat_logprobs(out, choices[i].logprobs);
    append_finish_reason(out, choices[i].finish_reason);
    out += '}';
  }
  out += ']';
  append_usage(out, usage);
  out += '}';
  return out;
}

std::string completion_response(const ResponseHead& head, const std::vector<Delta>& choices, const Usage& usage) {
  std::string out;
  append_head(out, head, "text_completion");
  out += R"(,"choices":[)";
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) out += ',';
    append_completion_choice(out, choices[i]);
  }
  out += ']';
  append_usage(out, usage);
  out += '}';
  return out;
}

std::string models_response(const std::vector<ModelCard>& models) {
  std::string out = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (i > 0) out += ',';
    append_model(out, models[i]);
  }
  out += "]}";
  return out;
}

std::string model_response(const ModelCard& model) {
  std::string out;
  append_model(out, model);
  return out;
}

}  // namespace dormouse::api
