#include "api/error_table.h"

#include <array>

#include "api/json_write.h"

namespace dormouse::api {
namespace {

constexpr std::string_view kInvalidRequest = "invalid_request_error";
constexpr std::string_view kAuthentication = "authentication_error";
constexpr std::string_view kPermission = "permission_error";
constexpr std::string_view kTimeout = "timeout_error";
constexpr std::string_view kIdempotency = "idempotency_error";
constexpr std::string_view kRateLimit = "rate_limit_error";
constexpr std::string_view kServer = "server_error";
constexpr std::string_view kOverload = "overloaded_error";

struct TableRow {
  ErrorCode code;
  ErrorRow row;
};

// In the order of the enumeration: row() indexes it, a test compares.
constexpr std::array kTable = {
    TableRow{ErrorCode::kInvalidJson, {400, kInvalidRequest, "invalid_json", "The body is not valid JSON.", 0}},
    TableRow{ErrorCode::kJsonTooDeep, {400, kInvalidRequest, "json_too_deep", "The JSON is nested too deeply.", 0}},
    TableRow{ErrorCode::kInvalidUtf8, {400, kInvalidRequest, "invalid_utf8", "The request is not valid UTF-8.", 0}},
    TableRow{ErrorCode::kInvalidValue, {400, kInvalidRequest, "invalid_value", "A parameter is not valid.", 0}},
    TableRow{ErrorCode::kContextLengthExceeded,
             {400, kInvalidRequest, "context_length_exceeded", "The prompt does not fit the model's context.", 0}},
    TableRow{ErrorCode::kGrammarTooComplex,
             {400, kInvalidRequest, "grammar_too_complex", "The schema or grammar is too complex.", 0}},
    TableRow{ErrorCode::kMissingApiKey, {401, kAuthentication, "missing_api_key", "An API key is needed.", 0}},
    TableRow{ErrorCode::kInvalidApiKey, {401, kAuthentication, "invalid_api_key", "The API key is not valid.", 0}},
    TableRow{ErrorCode::kExpiredApiKey, {401, kAuthentication, "expired_api_key", "The API key has expired.", 0}},
    TableRow{ErrorCode::kInsufficientScope,
             {403, kPermission, "insufficient_scope", "The API key may not do this.", 0}},
    TableRow{ErrorCode::kModelNotAllowed,
             {403, kPermission, "model_not_allowed", "The API key may not use this model.", 0}},
    TableRow{ErrorCode::kModelNotFound, {404, kInvalidRequest, "model_not_found", "No such model.", 0}},
    TableRow{ErrorCode::kNotFound, {404, kInvalidRequest, "not_found", "No such path.", 0}},
    TableRow{ErrorCode::kMethodNotAllowed,
             {405, kInvalidRequest, "method_not_allowed", "This path does not take that method.", 0}},
    TableRow{ErrorCode::kRequestTimeout, {408, kTimeout, "request_timeout", "The request did not arrive in time.", 0}},
    TableRow{ErrorCode::kIdempotencyInProgress,
             {409, kIdempotency, "idempotency_in_progress", "A request with this idempotency key is running.", 1}},
    TableRow{ErrorCode::kIdempotencyFinished,
             {409, kIdempotency, "idempotency_finished", "It was answered before; that answer is kept no longer.", 0}},
    TableRow{ErrorCode::kIdempotencyMismatch,
             {422, kIdempotency, "idempotency_mismatch", "This idempotency key was used with another body.", 0}},
    TableRow{ErrorCode::kAlreadyExists, {409, kInvalidRequest, "already_exists", "It exists already.", 0}},
    TableRow{ErrorCode::kReadOnly, {409, kInvalidRequest, "read_only", "It cannot be changed here.", 0}},
    TableRow{ErrorCode::kLengthRequired,
             {411, kInvalidRequest, "length_required", "The request must state its length.", 0}},
    TableRow{ErrorCode::kBodyTooLarge, {413, kInvalidRequest, "body_too_large", "The body is too large.", 0}},
    TableRow{ErrorCode::kUriTooLong, {414, kInvalidRequest, "uri_too_long", "The request target is too long.", 0}},
    TableRow{ErrorCode::kUnsupportedMediaType,
             {415, kInvalidRequest, "unsupported_media_type", "The body must be JSON.", 0}},
    TableRow{ErrorCode::kHeadersTooLarge,
             {431, kInvalidRequest, "headers_too_large", "The request header is too large.", 0}},
    TableRow{ErrorCode::kMalformedRequest,
             {400, kInvalidRequest, "malformed_request", "The request is not well-formed HTTP/1.1.", 0}},
    TableRow{ErrorCode::kHostNotAllowed,
             {421, kInvalidRequest, "host_not_allowed", "This server does not answer for that host.", 0}},
    TableRow{ErrorCode::kRateLimitRequests,
             {429, kRateLimit, "rate_limit_requests", "Too many requests for this API key.", 1}},
    TableRow{ErrorCode::kRateLimitTokens,
             {429, kRateLimit, "rate_limit_tokens", "Too many tokens for this API key.", 1}},
    TableRow{ErrorCode::kRateLimitConcurrency,
             {429, kRateLimit, "rate_limit_concurrency", "Too many requests at once for this API key.", 1}},
    // No Retry-After: an exhausted budget does not come back by waiting.
    TableRow{ErrorCode::kInsufficientQuota,
             {429, "insufficient_quota", "insufficient_quota", "The budget of this API key is used up.", 0}},
    TableRow{ErrorCode::kInternalError, {500, kServer, "internal_error", "Something went wrong on our side.", 0}},
    TableRow{ErrorCode::kWorkerCrashed,
             {502, kServer, "worker_crashed", "The model's worker ended before it could answer.", 1}},
    TableRow{ErrorCode::kOverloaded, {503, kOverload, "overloaded", "The server is busy.", 1}},
    TableRow{ErrorCode::kQueueFull, {503, kOverload, "queue_full", "Too many requests are waiting for this model.", 1}},
    TableRow{ErrorCode::kQueueTimeout,
             {503, kOverload, "queue_timeout", "The request waited too long for its turn.", 1}},
    TableRow{ErrorCode::kModelLoading, {503, kOverload, "model_loading", "The model is waking up.", 2}},
    TableRow{ErrorCode::kModelLoadFailed, {503, kOverload, "model_load_failed", "The model could not be loaded.", 10}},
    TableRow{ErrorCode::kLedgerUnavailable,
             {503, kOverload, "ledger_unavailable", "Usage cannot be recorded right now.", 5}},
    TableRow{ErrorCode::kDraining, {503, kOverload, "draining", "The server is shutting down.", 1}},
    TableRow{ErrorCode::kGenerationTimeout,
             {504, kTimeout, "generation_timeout", "The answer was not finished in time.", 0}},
    TableRow{ErrorCode::kDiskFull,
             {507, kServer, "disk_full", "The disk has too little room: free some, then try again.", 0}},
    TableRow{ErrorCode::kSourceUnreachable,
             {502, kServer, "source_unreachable",
              "No source can be reached: check the network and HTTPS_PROXY, then try again.", 0}},
    TableRow{ErrorCode::kSourceMismatch,
             {502, kServer, "source_mismatch",
              "The source has another file than was promised, and nothing of it was kept: try the other source.", 0}},
    TableRow{ErrorCode::kSourceRefused,
             {502, kServer, "source_refused", "The source does not give the file out: try the other source.", 0}},
    TableRow{ErrorCode::kNotImplemented,
             {501, kInvalidRequest, "not_implemented", "This transfer coding is not supported.", 0}},
};

constexpr bool is_in_enumeration_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<std::size_t>(kTable[i].code) != i) return false;
  }
  return true;
}
static_assert(is_in_enumeration_order());
static_assert(kTable.size() == kErrorCodeCount);

}  // namespace

const ErrorRow& row(ErrorCode code) {
  return kTable[static_cast<std::size_t>(code)].row;
}

std::optional<ErrorCode> find_code(std::string_view code) {
  for (const TableRow& entry : kTable) {
    if (entry.row.code == code) return entry.code;
  }
  return std::nullopt;
}

std::string error_body(const ApiError& error) {
  const ErrorRow& entry = row(error.code);
  std::string out = R"({"error":{"message":)";
  append_json_string(out, error.message.empty() ? entry.text : std::string_view(error.message));
  out += R"(,"type":)";
  append_json_string(out, entry.type);
  out += R"(,"param":)";
  if (error.param.empty()) {
    out += "null";
  } else {
    append_json_string(out, error.param);
  }
  out += R"(,"code":)";
  append_json_string(out, entry.code);
  out += "}}";
  return out;
}

ApiError from_error(const Error& error) {
  switch (error.code) {
    case Code::kInvalidArgument: return {ErrorCode::kInvalidValue, error.message, ""};
    case Code::kUnauthenticated: return {ErrorCode::kInvalidApiKey, "", ""};
    case Code::kPermissionDenied: return {ErrorCode::kInsufficientScope, "", ""};
    case Code::kNotFound: return {ErrorCode::kNotFound, "", ""};
    case Code::kAlreadyExists: return {ErrorCode::kInvalidValue, "It exists already.", ""};
    case Code::kTooLarge: return {ErrorCode::kBodyTooLarge, "", ""};
    case Code::kRateLimited: return {ErrorCode::kRateLimitRequests, "", ""};
    case Code::kOverloaded: return {ErrorCode::kOverloaded, "", ""};
    case Code::kDeadlineExceeded: return {ErrorCode::kGenerationTimeout, "", ""};
    // The caller went away, so nobody reads this; 408 is what a client library retries.
    case Code::kCancelled: return {ErrorCode::kRequestTimeout, "", ""};
    case Code::kUnavailable: return {ErrorCode::kOverloaded, "", ""};
    case Code::kDataLoss: return {ErrorCode::kInternalError, "", ""};
    case Code::kInternal: return {ErrorCode::kInternalError, "", ""};
  }
  return {ErrorCode::kInternalError, "", ""};
}

}  // namespace dormouse::api
