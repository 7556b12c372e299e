// The project's one way to fail: Result<T> is a value or an Error{Code, message}.
// Expected failures (bad input, a file, a peer) are Results; bugs are CHECKs (base/check.h); exceptions come only from
// std and Boost and are caught at coroutine spawn, thread entry and main.
// Named after std::expected so that a later switch is one alias (docs/adr/0003).
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace dormouse {

// Protocol-free; mapped to HTTP in api/error_table.cc and nowhere else.
enum class Code {
  kInvalidArgument,   // the caller's value is wrong
  kUnauthenticated,   // no or wrong credential
  kPermissionDenied,  // a right credential that may not do this
  kNotFound,
  kAlreadyExists,
  kTooLarge,  // over a named limit
  kRateLimited,
  kOverloaded,  // a queue or a pool is full; later may work
  kDeadlineExceeded,
  kCancelled,    // the caller went away
  kUnavailable,  // a dependency is down; later may work
  kDataLoss,     // a file or a row is damaged
  kInternal,     // ours to fix
};

[[nodiscard]] std::string_view to_string(Code code);

struct Error {
  Code code = Code::kInternal;
  // For a person with a shell: what, which, expected, got. No secrets, no prompt text.
  std::string message;
};

template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  // NOLINTNEXTLINE(google-explicit-constructor): `return Error{...};` is the idiom of the whole tree.
  Result(Error error) : tl::expected<T, Error>(tl::unexpect, std::move(error)) {}
};

using Status = Result<void>;

[[nodiscard]] Error make_error(Code code, std::string message);
// Turns an errno into an Error in exactly one place. Message: "<what>: <strerror>".
[[nodiscard]] Error errno_error(std::string_view what, int errno_value);

}  // namespace dormouse

// TRY(auto x, f());  declares x or returns the error.  TRY_STATUS(f());  returns the error or goes on.
// __COUNTER__, not __LINE__: two on one line must not collide.
#define DORMOUSE_CONCAT_INNER(a, b) a##b
#define DORMOUSE_CONCAT(a, b) DORMOUSE_CONCAT_INNER(a, b)
#define DORMOUSE_TRY_IMPL(temporary, return_keyword, declaration, ...)     \
  auto temporary = (__VA_ARGS__);                                          \
  if (!temporary.has_value()) return_keyword std::move(temporary).error(); \
  declaration = *std::move(temporary)
#define DORMOUSE_TRY_STATUS_IMPL(temporary, return_keyword, ...)                                \
  do {                                                                                          \
    auto temporary = (__VA_ARGS__);                                                             \
    if (!temporary.has_value()) return_keyword ::dormouse::Error(std::move(temporary).error()); \
  } while (false)
#define TRY(declaration, ...) \
  DORMOUSE_TRY_IMPL(DORMOUSE_CONCAT(try_result_, __COUNTER__), return, declaration, __VA_ARGS__)
#define CO_TRY(declaration, ...) \
  DORMOUSE_TRY_IMPL(DORMOUSE_CONCAT(try_result_, __COUNTER__), co_return, declaration, __VA_ARGS__)
#define TRY_STATUS(...) DORMOUSE_TRY_STATUS_IMPL(DORMOUSE_CONCAT(try_result_, __COUNTER__), return, __VA_ARGS__)
#define CO_TRY_STATUS(...) DORMOUSE_TRY_STATUS_IMPL(DORMOUSE_CONCAT(try_result_, __COUNTER__), co_return, __VA_ARGS__)
