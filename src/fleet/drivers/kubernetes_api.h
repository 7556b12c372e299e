// One cluster's API server over HTTP/1.1: TLS by the cluster's CA, the service account's token, its answers as JSON.
// What the server asks its clients to do is done here: a call that came too early (429, or 503 with Retry-After) waits
// as told, and a token that is over (401) is read again from its file, which the kubelet replaces every hour. A call
// that may be sent twice (an apply: it is its object's name that counts) is, when its answer is lost.
// Threads: the loop's.
#pragma once

#include <boost/json/value.hpp>
#include <chrono>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/asio.h"
#include "http/client.h"

namespace dormouse::fleet {

struct KubernetesAccess {
  std::string server;                           // https://HOST:PORT, or http:// towards a proxy on loopback
  std::string ca_file;                          // PEM; needed with https
  std::string token_file;                       // empty: no Authorization header
  std::chrono::milliseconds timeout{30'000};    // of one try, for the header and between pieces of the body
  int tries = 4;                                // of a call put off, or lost and repeatable, the first included
  std::chrono::milliseconds first_wait{500};    // after a lost one; doubles
  std::chrono::milliseconds most_wait{10'000};  // a longer Retry-After is cut to this
};

enum class IfLost { kGiveUp, kRepeat };

struct KubernetesCall {
  std::string method = "GET";
  std::string target;  // path and query, percent-encoded
  std::string content_type;
  std::string body;
  IfLost if_lost = IfLost::kGiveUp;
};

struct KubernetesAnswer {
  int status = 0;           // whatever the server said, 4xx and 5xx too
  boost::json::value body;  // an object; of an error a Status
};

class KubernetesApi {
 public:
  // Errors: kInvalidArgument, saying which of server, ca_file, token_file.
  [[nodiscard]] static Status check(const KubernetesAccess& access);
  // `access` has been checked.
  KubernetesApi(asio::io_context& io, KubernetesAccess access);
  ~KubernetesApi();
  KubernetesApi(const KubernetesApi&) = delete;
  KubernetesApi& operator=(const KubernetesApi&) = delete;

  // The object outlives its tasks. Errors: kUnavailable (another cluster's certificate, too) and kDeadlineExceeded: the
  // call may have been carried out. kNotFound and kDataLoss (token file), kCancelled (closed), kDataLoss (an answer
  // that is not a JSON object).
  [[nodiscard]] Task<Result<KubernetesAnswer>> call(KubernetesCall call);
  // A GET whose answer goes on for as long as `at_most`: each line of it, without its end, until `on_line` says false.
  // Never repeated. Returns the HTTP status; lines come with 200 only. Errors: as call(), and kTooLarge (a line).
  [[nodiscard]] Task<Result<int>> stream(std::string target, std::chrono::milliseconds at_most,
                                         std::function<bool(std::string_view)> on_line);
  // Ends what is under way, and every later call, with kCancelled.
  void close();

 private:
  struct Raw {
    int status = 0;
    std::chrono::milliseconds retry_after{-1};  // negative: not told
    std::string body;
  };
  class Waiting;
  class Sending;
  [[nodiscard]] http::ClientRequest request_of(const KubernetesCall& call, const std::string& token) const;
  [[nodiscard]] Task<Result<Raw>> send_once(const KubernetesCall& call, const std::string& token);
  [[nodiscard]] Result<std::string> read_token() const;
  [[nodiscard]] std::chrono::milliseconds wait_before_next(const Result<Raw>& raw, IfLost if_lost, int tried) const;

  asio::io_context& io_;
  const KubernetesAccess access_;
  http::Address address_;
  http::Client client_;
  std::set<asio::steady_timer*> waiting_;
  std::set<http::Canceller*> sending_;
  bool closed_ = false;
};

// What went wrong, from a Status object: "the pods is forbidden: exceeded quota (403 Forbidden)". The code by HTTP
// status: kUnauthenticated, kPermissionDenied, kNotFound, kAlreadyExists (409), kInvalidArgument (400, 422),
// kRateLimited, else kUnavailable.
[[nodiscard]] Error kubernetes_error(std::string_view what, const KubernetesAnswer& answer);

// The beginning of what somebody else wrote, for messages: one line, at most 300 bytes, control characters out.
[[nodiscard]] std::string one_line(std::string_view text);

// For a query: everything but unreserved characters as %XX.
[[nodiscard]] std::string percent_encoded(std::string_view text);

}  // namespace dormouse::fleet
