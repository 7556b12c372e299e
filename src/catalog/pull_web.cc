#include "catalog/pull_web.h"

#include <fmt/format.h>

#include <utility>

#include "catalog/pull_hub.h"

namespace dormouse::catalog {
namespace {

// Of a listing; a repository of a thousand files has 500 KB.
constexpr std::size_t kMaxBodyBytes = 8 << 20;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

Error status_error(int status, const std::string& what) {
  switch (status) {
    case 401:
    case 403:
      return make_error(Code::kPermissionDenied,
                        fmt::format("{}: HTTP {}: it is not given to everybody", what, status));
    case 404:
    case 410: return make_error(Code::kNotFound, fmt::format("{}: HTTP {}: it is not there", what, status));
    case 416: return make_error(Code::kDataLoss, fmt::format("{}: HTTP 416: the file there is shorter", what));
    case 429: return make_error(Code::kRateLimited, fmt::format("{}: HTTP 429: too many requests", what));
    default: return make_error(Code::kUnavailable, fmt::format("{}: HTTP {}", what, status));
  }
}

void PullWeb::cancel() {
  is_cancelled_ = true;
  for (const std::weak_ptr<http::Canceller>& one : running_) {
    if (const auto canceller = one.lock()) canceller->cancel();
  }
}

Task<Result<std::unique_ptr<http::ClientResponse>>> PullWeb::send_once(http::Url url, Ask ask) {
  if (is_cancelled_) co_return make_error(Code::kCancelled, "stopped");
  CO_TRY_STATUS(hosts_.check(url));
  http::Address address;
  address.host = url.host;
  address.port = url.port;
  if (url.scheme == http::Url::Scheme::kHttps)
    address.tls = http::TlsTrust{.fingerprint = {}, .ca_file = {}, .system_cas = true};
  http::ClientRequest request;
  request.method = ask.method;
  request.target = url.target;
  request.headers.set("host", url.authority());
  request.headers.set("user-agent", "dormouse");
  request.headers.set("accept-encoding", "identity");
  if (ask.range.has_value()) {
    request.headers.set("range", fmt::format("bytes={}-{}", ask.range->begin, ask.range->end - 1));
  }
  request.connect_deadline = ask.deadline;
  request.header_deadline = ask.deadline;
  request.read_deadline = ask.silence;
  request.max_body_bytes = kMaxBodyBytes;
  request.admit = hosts_.admit(url);
  request.proxy = proxies_.of(url);
  request.canceller = std::make_shared<http::Canceller>();
  std::erase_if(running_, [](const std::weak_ptr<http::Canceller>& one) { return one.expired(); });
  running_.push_back(request.canceller);
  auto answer = co_await client_.send(std::move(address), std::move(request));
  co_return answer;
}

Task<Result<PullWeb::Answer>> PullWeb::send(http::Url url, Ask ask) {
  const std::string first = url.authority();
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    CO_TRY(std::unique_ptr<http::ClientResponse> response, co_await send_once(url, ask));
    const bool has_facts = ask.stop == Ask::Stop::kAtTheFacts && !facts_of(response->headers()).sha256.empty();
    if (!is_redirect(response->status()) || has_facts) {
      Answer answer{std::move(url), std::move(response)};
      co_return answer;
    }
    const std::string_view location = response->headers().find("location").value_or("");
    Result<http::Url> next = url.resolve(location);
    if (location.empty() || !next.has_value()) {
      co_return make_error(Code::kInvalidArgument,
                           fmt::format("{} sends elsewhere and does not say where: {}", url.authority(),
                                       next.has_value() ? "no Location" : next.error().message));
    }
    if (url.scheme == http::Url::Scheme::kHttps && next->scheme == http::Url::Scheme::kHttp) {
      co_return make_error(Code::kPermissionDenied,
                           fmt::format("{} sends from https to http; refused", url.authority()));
    }
    url = *std::move(next);
  }
  co_return make_error(Code::kUnavailable, fmt::format("{}: more than {} redirects in a row", first, kMaxRedirects));
}

}  // namespace dormouse::catalog
