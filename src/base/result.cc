#include "base/result.h"

#include <fmt/format.h>

#include <cstring>

namespace dormouse {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::kInvalidArgument: return "invalid_argument";
    case Code::kUnauthenticated: return "unauthenticated";
    case Code::kPermissionDenied: return "permission_denied";
    case Code::kNotFound: return "not_found";
    case Code::kAlreadyExists: return "already_exists";
    case Code::kTooLarge: return "too_large";
    case Code::kRateLimited: return "rate_limited";
    case Code::kOverloaded: return "overloaded";
    case Code::kDeadlineExceeded: return "deadline_exceeded";
    case Code::kCancelled: return "cancelled";
    case Code::kUnavailable: return "unavailable";
    case Code::kDataLoss: return "data_loss";
    case Code::kInternal: return "internal";
  }
  return "internal";
}

Error make_error(Code code, std::string message) {
  return Error{code, std::move(message)};
}

Error errno_error(std::string_view what, int errno_value) {
  Code code = Code::kInternal;
  switch (errno_value) {
    case ENOENT:
    case ENOTDIR: code = Code::kNotFound; break;
    case EEXIST:
    case EADDRINUSE: code = Code::kAlreadyExists; break;
    case EACCES:
    case EPERM:
    case EROFS: code = Code::kPermissionDenied; break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: code = Code::kTooLarge; break;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN: code = Code::kOverloaded; break;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENETUNREACH:
    case EHOSTUNREACH: code = Code::kUnavailable; break;
    case ETIMEDOUT: code = Code::kDeadlineExceeded; break;
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR: code = Code::kInvalidArgument; break;
    default: break;
  }
  return Error{code, fmt::format("{}: {}", what, std::strerror(errno_value))};
}

}  // namespace dormouse
