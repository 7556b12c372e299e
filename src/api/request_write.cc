#include <fmt/format.h>

#include "api/generation.h"
#include "api/json_write.h"
#include "api/response_format_json.h"

namespace dormouse::api {
namespace {

// Writes `,"key":` (without the comma for the first).
void append_key(std::string& out, std::string_view key) {
  if (out.back() != '{') out += ',';
  out += '"';
  out += key;
  out += "\":";
}

void append_text(std::string& out, std::string_view key, std::string_view value) {
  append_key(out, key);
  append_json_string(out, value);
}
void append_number(std::string& out, std::string_view key, const std::optional<double>& value) {
  if (!value) return;
  append_key(out, key);
  append_json_double(out, *value);
}
void append_integer(std::string& out, std::string_view key, const std::optional<std::int64_t>& value) {
  if (!value) return;
  append_key(out, key);
  append_json_int(out, *value);
}
void append_true(std::string& out, std::string_view key, bool value) {
  if (!value) return;
  append_key(out, key);
  out += "true";
}

void append_sampling(std::string& out, const SamplingParams& sampling) {
  append_number(out, "temperature", sampling.temperature);
  append_number(out, "top_p", sampling.top_p);
  append_integer(out, "top_k", sampling.top_k);
  append_number(out, "min_p", sampling.min_p);
  append_number(out, "repetition_penalty", sampling.repetition_penalty);
  append_number(out, "presence_penalty", sampling.presence_penalty);
  append_number(out, "frequency_penalty", sampling.frequency_penalty);
  if (!sampling.logit_bias.empty()) {
    append_key(out, "logit_bias");
    out += '{';
    for (const auto& [token, bias] : sampling.logit_bias) {
      append_number(out, std::to_string(token), bias);
    }
    out += '}';
  }
  if (sampling.seed) append_integer(out, "seed", static_cast<std::int64_t>(*sampling.seed));
  append_integer(out, "max_tokens", sampling.max_tokens);
  if (!sampling.stop.empty()) {
    append_key(out, "stop");
    char separator = '[';
    for (const std::string& stop : sampling.stop) {
      out += separator;
      append_json_string(out, stop);
      separator = ',';
    }
    out += ']';
  }
  append_true(out, "ignore_eos", sampling.ignore_eos);
}

void append_tool_call(std::string& out, const ToolCall& call) {
  out += '{';
  append_text(out, "id", call.id);
  append_text(out, "type", "function");
  append_key(out, "function");
  out += '{';
  append_text(out, "name", call.name);
  if (call.arguments_is_string) {
    append_text(out, "arguments", call.arguments);
  } else {
    append_key(out, "arguments");
    out += call.arguments;
  }
  out += "}}";
}

void append_message(std::string& out, const Message& message) {
  out += '{';
  append_text(out, "role", message.role);
  append_text(out, "content", message.content);
  if (message.reasoning_content) append_text(out, "reasoning_content", *message.reasoning_content);
  if (!message.tool_calls.empty()) {
    append_key(out, "tool_calls");
    char separator = '[';
    for (const ToolCall& call : message.tool_calls) {
      out += separator;
      append_tool_call(out, call);
      separator = ',';
    }
    out += ']';
  }
  if (!message.tool_call_id.empty()) append_text(out, "tool_call_id", message.tool_call_id);
  out += '}';
}

void append_chat(std::string& out, const GenerationRequest& request) {
  append_key(out, "messages");
  char separator = '[';
  for (const Message& message : request.messages) {
    out += separator;
    append_message(out, message);
    separator = ',';
  }
  out += request.messages.empty() ? "[]" : "]";
  if (!request.tools.empty()) {
    append_key(out, "tools");
    out += fmt::format("[{}]", fmt::join(request.tools, ","));
  }
  if (request.enable_thinking) {
    append_key(out, "chat_template_kwargs");
    out += *request.enable_thinking ? R"({"enable_thinking":true})" : R"({"enable_thinking":false})";
  }
  append_true(out, "logprobs", request.sampling.logprobs);
  if (request.sampling.top_logprobs > 0) append_integer(out, "top_logprobs", request.sampling.top_logprobs);
}

void append_completion(std::string& out, const GenerationRequest& request) {
  if (request.prompt_tokens.empty()) {
    append_text(out, "prompt", request.prompt);
  } else {
    append_key(out, "prompt");
    out += fmt::format("[{}]", fmt::join(request.prompt_tokens, ","));
  }
  append_true(out, "echo", request.echo);
  if (request.sampling.logprobs) append_integer(out, "logprobs", request.sampling.top_logprobs);
}

}  // namespace

std::string to_json(const GenerationRequest& request) {
  std::string out = "{";
  if (!request.model.empty()) append_text(out, "model", request.model);
  switch (request.kind) {
    case GenerationRequest::Kind::kChat: append_chat(out, request); break;
    case GenerationRequest::Kind::kCompletion: append_completion(out, request); break;
  }
  if (request.n != 1) append_integer(out, "n", request.n);
  append_true(out, "stream", request.stream);
  if (request.stream_options != StreamOptions{}) {
    append_key(out, "stream_options");
    out += '{';
    append_true(out, "include_usage", request.stream_options.include_usage);
    append_true(out, "continuous_usage_stats", request.stream_options.continuous_usage_stats);
    out += '}';
  }
  append_sampling(out, request.sampling);
  append_format(out, request.format);
  out += '}';
  return out;
}

}  // namespace dormouse::api
