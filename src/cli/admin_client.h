// The CLI's way to a running server: run/admin.sock, one blocking call after another. Threads: one.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/context.h"

namespace dormouse::http {
struct ClientRequest;
}

namespace dormouse::cli {

class AdminClient {
 public:
  explicit AdminClient(std::string socket) : socket_(std::move(socket)) {}

  // The body of a 2xx answer. Errors: kUnavailable (no server there), else what the server said, in its words:
  // kNotFound (404), kInvalidArgument (400), kInternal.
  Result<std::string> get(const std::string& target) { return call("GET", target, ""); }
  // Waits no longer than this for an answer's head. Others wait for minutes, as wake and sleep need it.
  Result<std::string> get_within(const std::string& target, std::chrono::milliseconds deadline);
  Result<std::string> post(const std::string& target, const std::string& body) { return call("POST", target, body); }
  // Of what takes its time: `waiting` is called some four times a second, with the seconds since it was asked.
  Result<std::string> post_waiting(const std::string& target, const std::function<void(double seconds)>& waiting);
  Result<std::string> patch(const std::string& target, const std::string& body) { return call("PATCH", target, body); }
  Result<std::string> remove(const std::string& target) { return call("DELETE", target, ""); }
  // A body of any length, handed over piece by piece as it comes.
  Status stream(const std::string& target, const std::function<void(std::string_view)>& on_piece);

 private:
  Result<std::string> call(const std::string& method, const std::string& target, const std::string& body);
  Result<std::string> finish(http::ClientRequest request, const std::function<void(double seconds)>& waiting);
  std::string socket_;
};

// Prints what went wrong and what to do, and sets the exit code.
void report_failure(Context& context, const Error& error);
// What the server wants its operator to know, a line each, as `ps` shows it. A server that does not answer has none.
void print_notices(AdminClient& client);

}  // namespace dormouse::cli
