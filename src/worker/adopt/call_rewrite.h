// What changes in a request on its way to the adopted server, and in a whole (not streamed) answer on its way back.
// Pure: JSON text in, JSON text out; fields nobody here knows pass as they are. Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "api/generation.h"

namespace dormouse::worker::adopt {

struct ModelNames {
  std::string served;    // what clients call it
  std::string upstream;  // what the adopted server calls it
};

// A request for the upstream, and what its caller wants back.
struct OutgoingCall {
  std::string body;
  bool stream = false;
  bool include_usage = false;  // stream_options, as the caller set them
  bool continuous_usage = false;
};

// Checks what we must understand (an object, model, stream, stream_options); everything else is the upstream's to
// judge. model becomes the upstream's name. A stream is asked for include_usage, and for vLLM's continuous_usage_stats:
// servers that do not know the latter ignore it as they do any unknown field. Errors: invalid_json, json_too_deep,
// invalid_utf8, invalid_value, model_not_found (a model that is not the served one).
[[nodiscard]] api::ApiResult<OutgoingCall> rewrite_call(std::string_view body, const ModelNames& names);

// A request of another kind (embeddings, ...): the served name in `model` becomes the upstream's, where `body` is a
// JSON object that has one. Everything else passes as it is.
[[nodiscard]] std::string rename_model(std::string_view body, const ModelNames& names);

// An answer that came whole: model becomes the served name. Where usage is missing and every choice tells its tokens
// one by one (logprobs), the completion is counted by them; otherwise it stays missing. `usage`: what the answer then
// says. Errors: internal_error (not a JSON object), or the error the answer is.
struct WholeAnswer {
  std::string body;
  api::Usage usage;
};
[[nodiscard]] api::ApiResult<WholeAnswer> rewrite_answer(std::string_view body, const ModelNames& names);

// The same for vectors, which may be tens of megabytes and are not parsed. Errors: internal_error (no such answer).
[[nodiscard]] api::ApiResult<WholeAnswer> rewrite_vectors(std::string_view body, const ModelNames& names);

// An answer with a status of 400 and up. Our own codes pass; of others the kind is told, the text stays here (it may
// hold paths or the prompt).
[[nodiscard]] api::ApiError error_of_answer(int status, std::string_view body);

// The same of /v1/embeddings: an engine that has none, or not for this model, is not_implemented with what to do; a
// text longer than its batch does not fit.
[[nodiscard]] api::ApiError error_of_vectors(int status, std::string_view body);

// The first id of GET /v1/models, "" if there is none to be found.
[[nodiscard]] std::string first_model(std::string_view body);

// What is said of an upstream whose answer is none.
[[nodiscard]] api::ApiError unreadable_answer();

}  // namespace dormouse::worker::adopt
