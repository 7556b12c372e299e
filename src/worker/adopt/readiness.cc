#include "worker/adopt/readiness.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "worker/adopt/call_rewrite.h"

namespace dormouse::worker::adopt {
namespace {

// A refused connection costs microseconds, and what is lost here is added to every wake.
constexpr std::chrono::milliseconds kAskEvery{50};
constexpr std::chrono::milliseconds kAnswerDeadline{5'000};
constexpr std::size_t kMaxBody = 1U << 20;

http::ClientRequest get(std::string path) {
  http::ClientRequest request;
  request.target = std::move(path);
  request.connect_deadline = kAnswerDeadline;
  request.header_deadline = kAnswerDeadline;
  request.read_deadline = kAnswerDeadline;
  request.max_body_bytes = kMaxBody;
  return request;
}

// The status of GET path, or why there is none.
Task<Result<int>> ask(http::Client& client, http::Address upstream, std::string path) {
  http::ClientRequest request = get(std::move(path));
  Result<std::unique_ptr<http::ClientResponse>> response =
      co_await client.send(std::move(upstream), std::move(request));
  if (!response.has_value()) co_return response.error();
  const int status = (*response)->status();
  const Result<std::string> body = co_await (*response)->read_all();
  if (!body.has_value()) co_return body.error();
  co_return status;
}

bool has_no_such_path(int status) {
  return status == 404 || status == 405 || status == 501;
}

}  // namespace

Task<Status> wait_until_ready(asio::io_context& io, http::Client& client, const Clock& clock, ReadinessOptions options,
                              std::shared_ptr<bool> abandoned) {
  const MonoTime end = clock.now() + options.deadline;
  std::string path = options.path.empty() ? "/health" : options.path;
  std::string last = "no answer";
  while (clock.now() < end) {
    http::Address address = options.upstream;
    std::string asked = path;
    const Result<int> status = co_await ask(client, std::move(address), std::move(asked));
    if (*abandoned) co_return make_error(Code::kCancelled, "not waited for any more");
    if (status.has_value() && *status == 200) co_return Status{};
    if (status.has_value() && options.path.empty() && path == "/health" && has_no_such_path(*status)) {
      path = options.models_path;
      continue;
    }
    last = status.has_value() ? fmt::format("status {}", *status) : status.error().message;
    asio::steady_timer timer(io, kAskEvery);
    co_await timer.async_wait(kTuple);
    if (*abandoned) co_return make_error(Code::kCancelled, "not waited for any more");
  }
  co_return make_error(Code::kDeadlineExceeded,
                       fmt::format("not ready within {} s: GET {} at {}: {}",
                                   std::chrono::duration_cast<std::chrono::seconds>(options.deadline).count(), path,
                                   options.upstream.to_string(), last));
}

Task<std::string> ask_model_name(http::Client& client, http::Address upstream, std::string models_path) {
  http::ClientRequest request = get(std::move(models_path));
  const Result<std::unique_ptr<http::ClientResponse>> response =
      co_await client.send(std::move(upstream), std::move(request));
  if (!response.has_value() || (*response)->status() != 200) co_return std::string();
  const Result<std::string> body = co_await (*response)->read_all();
  co_return body.has_value() ? first_model(*body) : std::string();
}

}  // namespace dormouse::worker::adopt
