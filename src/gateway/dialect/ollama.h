// The Ollama dialect's answers: NDJSON lines or one object, for /api/generate and /api/chat, from the worker's chunks;
// and its errors, {"error":"text"}. No I/O, no clock.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "gateway/dialect/answer.h"

namespace dormouse::gateway {

inline constexpr std::string_view kNdjson = "application/x-ndjson";

enum class OllamaShape { kGenerate, kChat };

struct OllamaHead {
  OllamaShape shape = OllamaShape::kChat;
  std::string model;  // as the caller wrote it
  WallTime created;   // of every line
  bool is_stream = true;
};

// Whole tool calls only, each with its arguments as an object; one whose arguments are no object is shown as content.
// Durations are nanoseconds: total accepted to last token, load while an instance woke, prompt_eval until the first
// token, eval from there on.
[[nodiscard]] std::unique_ptr<AnswerWriter> make_ollama_answer(OllamaHead head);
// The whole answer to a request that says nothing: done_reason "load" or "unload".
[[nodiscard]] std::string ollama_notice(const OllamaHead& head, std::string_view done_reason);

// {"error":"text"}; a parameter the text does not name stands before it.
[[nodiscard]] std::string ollama_error(const api::ApiError& error);
// RFC 3339 in UTC, to the microsecond: "2026-11-26T13:00:00.000001Z". Years 1970 to 9999.
[[nodiscard]] std::string rfc3339(WallTime time);

}  // namespace dormouse::gateway
