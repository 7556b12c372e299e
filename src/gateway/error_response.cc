#include "gateway/error_response.h"

#include <string_view>

#include "catalog/deployment_rules.h"

namespace dormouse::gateway {

api::ApiError from_refusal(const fleet::Refusal& refusal) {
  api::ApiError error;
  switch (refusal.reason) {
    case fleet::RefusalReason::kUnknownDeployment: error.code = api::ErrorCode::kModelNotFound; break;
    case fleet::RefusalReason::kQueueFull: error.code = api::ErrorCode::kQueueFull; break;
    case fleet::RefusalReason::kQueueTimeout: error.code = api::ErrorCode::kQueueTimeout; break;
    case fleet::RefusalReason::kLoadFailed: error.code = api::ErrorCode::kModelLoadFailed; break;
    case fleet::RefusalReason::kLedgerUnavailable: error.code = api::ErrorCode::kLedgerUnavailable; break;
    case fleet::RefusalReason::kDraining: error.code = api::ErrorCode::kDraining; break;
    case fleet::RefusalReason::kCancelled: error.code = api::ErrorCode::kRequestTimeout; break;
  }
  return error;
}

api::ApiError from_stop(StopReason reason) {
  api::ApiError error;
  switch (reason) {
    case StopReason::kNone: error.code = api::ErrorCode::kInternalError; break;
    case StopReason::kClientGone: error.code = api::ErrorCode::kRequestTimeout; break;  // nobody reads it
    case StopReason::kDeadline: error.code = api::ErrorCode::kGenerationTimeout; break;
    case StopReason::kShutdown: error.code = api::ErrorCode::kDraining; break;
    case StopReason::kKeyRevoked: error.code = api::ErrorCode::kInvalidApiKey; break;
  }
  return error;
}

api::ApiError from_ledger(const Error& error) {
  api::ApiError out;
  out.code = error.code == Code::kOverloaded  ? api::ErrorCode::kOverloaded
             : error.code == Code::kCancelled ? api::ErrorCode::kDraining
             : error.code == Code::kNotFound  ? api::ErrorCode::kModelNotFound  // removed a moment ago
                                              : api::ErrorCode::kLedgerUnavailable;
  return out;
}

api::ApiError from_admin(const Error& error, api::ErrorCode unavailable) {
  api::ApiError out = api::from_error(error);
  if (error.code == Code::kUnavailable) out.code = unavailable;
  if (error.code == Code::kNotFound) out.code = api::ErrorCode::kModelNotFound;
  if (error.code == Code::kAlreadyExists) out.code = api::ErrorCode::kAlreadyExists;
  if (error.code == Code::kPermissionDenied) out.code = api::ErrorCode::kReadOnly;
  out.message = error.message;
  const std::string_view key = std::string_view(error.message).substr(0, error.message.find(':'));
  if (key == "name" || key == "image" || catalog::find_field(key) != nullptr) out.param = key;
  return out;
}

api::ApiError from_pull(const Error& error) {
  switch (error.code) {
    case Code::kTooLarge: return {api::ErrorCode::kDiskFull, {}, {}};
    case Code::kUnauthenticated:  // TLS: somebody else answers in its place
    case Code::kRateLimited:
    case Code::kDeadlineExceeded:
    case Code::kUnavailable: return {api::ErrorCode::kSourceUnreachable, {}, {}};
    case Code::kDataLoss: return {api::ErrorCode::kSourceMismatch, {}, {}};
    case Code::kNotFound:
    case Code::kPermissionDenied: return {api::ErrorCode::kSourceRefused, {}, {}};
    case Code::kAlreadyExists:
      return {api::ErrorCode::kAlreadyExists,
              "Another program is pulling it, or another file has its name: wait, or move that file away.",
              {}};
    case Code::kInvalidArgument:
    case Code::kOverloaded:
    case Code::kCancelled:
    case Code::kInternal: break;
  }
  return api::from_error(error);
}

Task<void> reply_failure(Call& call, const Error& failure) {
  api::ApiError error = from_admin(failure, api::ErrorCode::kLedgerUnavailable);
  // "NAME: what is wrong with it", as every message about a parameter here is written.
  constexpr std::string_view kNames = "abcdefghijklmnopqrstuvwxyz_0123456789";
  const std::size_t colon = failure.message.find(": ");
  const bool is_named = colon != std::string::npos && failure.message.find_first_not_of(kNames) == colon;
  if (failure.code == Code::kInvalidArgument && is_named) error.param = failure.message.substr(0, colon);
  co_await reply_error(call, error);
}

}  // namespace dormouse::gateway
