// POST /api/chat and /api/generate, brought to the one GenerationRequest. No I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/generation.h"
#include "base/clock.h"

namespace dormouse::api {
class Fields;
}

namespace dormouse::gateway {

struct OllamaRequest {
  api::GenerationRequest request;
  // No prompt and no messages: nothing is generated; the model is loaded, or unloaded where keep_alive is 0.
  bool says_nothing = false;
  std::optional<Nanoseconds> keep_alive;  // negative: for ever
};

// Both are rewritten as the OpenAI request they mean and judged by api::parse_chat_request or parse_completion_request
// ("raw"), so that what is allowed is the same at every door. Errors name fields as Ollama has them: options.seed.
//   stream is true unless said. think: true, false, or low, medium, high. format: "json" or a JSON schema.
//   options: num_predict below 1 and seed -1 mean none; num_ctx and what concerns a machine changes nothing; unknown
//   ones are ignored and counted. context is ignored. suffix, template and images are refused.
//   Tool calls of the history are given ids where they have none, and each tool message that of the call it answers: by
//   tool_name, else in order.
[[nodiscard]] api::ApiResult<OllamaRequest> parse_ollama_chat(std::string_view body);
[[nodiscard]] api::ApiResult<OllamaRequest> parse_ollama_generate(std::string_view body);

// What show and pull ask for.
struct OllamaModelRequest {
  std::string model;  // or "name", as old clients say it; empty: none given
  bool is_stream = true;
};
[[nodiscard]] api::ApiResult<OllamaModelRequest> parse_ollama_model(std::string_view body);

// The field keep_alive, a duration or seconds; what is neither is refused. nullopt: it is not there.
[[nodiscard]] std::optional<Nanoseconds> read_keep_alive(const api::Fields& fields);
// Go's durations ("10m", "1h30m", "1.5s", "-1m", "0") and bare seconds ("300"); nullopt: neither.
[[nodiscard]] std::optional<Nanoseconds> parse_keep_alive(std::string_view text);

}  // namespace dormouse::gateway
