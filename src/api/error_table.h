// The fixed table of errors a client can see: status, type, code, text (reliability notes 4.1). Error text never
// carries paths, addresses or prompt text; the one variable part is the name of a parameter and numbers of limits.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dormouse::api {

// One enumerator a row of the table.
enum class ErrorCode {
  kInvalidJson, kJsonTooDeep, kInvalidUtf8, kInvalidValue, kContextLengthExceeded, kGrammarTooComplex,
  kMissingApiKey, kInvalidApiKey, kExpiredApiKey, kInsufficientScope, kModelNotAllowed,
  kModelNotFound, kNotFound, kMethodNotAllowed, kRequestTimeout,
  kIdempotencyInProgress, kIdempotencyFinished, kIdempotencyMismatch, kAlreadyExists, kReadOnly,
  kLengthRequired, kBodyTooLarge, kUriTooLong, kUnsupportedMediaType, kHeadersTooLarge, kMalformedRequest,
  kHostNotAllowed, kRateLimitRequests, kRateLimitTokens, kRateLimitConcurrency, kInsufficientQuota,
  kInternalError, kWorkerCrashed, kOverloaded, kQueueFull, kQueueTimeout, kModelLoading, kModelLoadFailed,
  kLedgerUnavailable, kDraining, kGenerationTimeout,
  kDiskFull, kSourceUnreachable, kSourceMismatch, kSourceRefused,  // why a download ended
  kNotImplemented,  // 501: a transfer coding we do not speak; keep last, kErrorCodeCount counts by it
};
inline constexpr std::size_t kErrorCodeCount = static_cast<std::size_t>(ErrorCode::kNotImplemented) + 1;

struct ErrorRow {
  int status = 500;
  std::string_view type;
  std::string_view code;
  std::string_view text;        // the default message
  int retry_after_s = 0;        // 0: no header
};
[[nodiscard]] const ErrorRow& row(ErrorCode code);
[[nodiscard]] std::optional<ErrorCode> find_code(std::string_view code);

// An error on its way to a client.
struct ApiError {
  ErrorCode code = ErrorCode::kInternalError;
  std::string message;  // empty: the row's text
  std::string param;    // empty: null
};

// {"error":{"message","type","param","code"}}
[[nodiscard]] std::string error_body(const ApiError& error);
// Where an internal Error becomes one a client may see. The message is not passed on unless it is kInvalidArgument.
[[nodiscard]] ApiError from_error(const Error& error);

}  // namespace dormouse::api
