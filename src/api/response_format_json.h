// ResponseFormat out of a request's JSON, and back. Include from .cc files only (Boost.JSON). Threads: any.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "api/fields.h"
#include "api/response_format.h"

namespace dormouse::api {

// Fields read below: OpenAI's, vLLM's old and new ones, llama-server's.
inline constexpr std::array<std::string_view, 8> kFormatFields = {
    "response_format", "structured_outputs", "guided_json", "guided_regex",
    "guided_choice",   "guided_grammar",     "json_schema", "grammar"};

// Refuses two fields that each say something, and what is not a format. Whether a schema is one that we can hold an
// answer to is for the engine behind to say.
[[nodiscard]] ResponseFormat read_format(const Fields& fields, Problem& problem);
// Ollama's `format` of /generate: "json", or a schema.
[[nodiscard]] ResponseFormat read_short_format(const Fields& fields, std::string_view key);

// `,"response_format":...`: what OpenAI's dialect has a field for goes into it, expressions into vLLM's
// structured_outputs, grammars into llama-server's. Nothing for kText.
void append_format(std::string& out, const ResponseFormat& format);

}  // namespace dormouse::api
