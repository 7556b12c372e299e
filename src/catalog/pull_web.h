// Requests of a pull: every address and every redirect is looked at before anything is connected to, at most
// kMaxRedirects in a row; no credentials are ever sent. Threads: the io_context's.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/pull_network.h"
#include "catalog/pull_part.h"
#include "http/client.h"
#include "http/url.h"

namespace dormouse::catalog {

inline constexpr int kMaxRedirects = 5;

class PullWeb {
 public:
  // Both are borrowed.
  PullWeb(asio::io_context& io, const AllowedHosts& hosts, const Proxies& proxies)
      : client_(io), hosts_(hosts), proxies_(proxies) {}

  struct Ask {
    std::string method = "GET";
    std::optional<ByteRange> range;
    std::chrono::milliseconds deadline{30'000};  // to connect, and again to the answer's header
    std::chrono::milliseconds silence{60'000};   // between two pieces of the body
    // Of HEAD to a hub: an answer that says what the file is, redirect or not, is the answer.
    enum class Stop { kAtTheEnd, kAtTheFacts } stop = Stop::kAtTheEnd;
  };
  struct Answer {
    http::Url url;  // that answered
    std::unique_ptr<http::ClientResponse> response;
  };
  // Errors: kPermissionDenied (a host or an address that is not allowed), kInvalidArgument (a Location that is no
  // address), kUnavailable (more than kMaxRedirects; the network), kDeadlineExceeded, kUnauthenticated, kCancelled.
  Task<Result<Answer>> send(http::Url url, Ask ask);

  // Ends every request, also those to come.
  void cancel();
  [[nodiscard]] bool is_cancelled() const { return is_cancelled_; }

 private:
  Task<Result<std::unique_ptr<http::ClientResponse>>> send_once(http::Url url, Ask ask);

  http::Client client_;
  const AllowedHosts& hosts_;
  const Proxies& proxies_;
  std::vector<std::weak_ptr<http::Canceller>> running_;
  bool is_cancelled_ = false;
};

// What an answer that is no success means, for a person. `what`: "huggingface.co: Qwen/... x.gguf".
[[nodiscard]] Error status_error(int status, const std::string& what);

}  // namespace dormouse::catalog
