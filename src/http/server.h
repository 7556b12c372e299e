// An HTTP/1.1 server: limits and deadlines on everything, keep-alive, streaming answers with back-pressure, WebSocket
// upgrades. A malformed or oversized request is answered (400, 408, 413, 414, 431, 501) by the server itself through
// `error_body`, and never reaches the handler.
// Requests are answered one after the other on a connection, pipelined ones too. A POST without a length has an empty
// body. HTTP/1.0 is answered and closed. A client that closes its sending side counts as gone: no client library
// half-closes, and a proxy that does has lost its own client.
// Threads: everything here belongs to the io_context's one thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/asio.h"
#include "http/message.h"
#include "http/tls.h"
#include "http/websocket.h"

namespace dormouse::http {

// What is too much, and what happens: the status in the comment, then close.
struct ServerLimits {
  std::size_t header_bytes = 16 * 1024;      // 431
  std::size_t header_count = 100;            // 431
  std::size_t uri_bytes = 4 * 1024;          // 414
  std::size_t body_bytes = 8 * 1024 * 1024;  // 413, while streaming in, also chunked
  std::chrono::seconds header_deadline{10};  // 408, absolute for the whole header; so long again for a TLS handshake
  std::chrono::seconds body_patience{10};    // 408: less than body_pace_bytes more in so long
  std::size_t body_pace_bytes = 10 * 1024;   // with the above: 1 KiB/s
  // Of all bodies on their way together. Beyond it those over 64 KiB are told 503: what nobody has been asked a key for
  // yet must not take the machine's memory, and must not keep small requests out either.
  std::size_t arriving_bytes = 256 * 1024 * 1024;
  // Closed silently. Over the 60 s after which load balancers close theirs (AWS ALB, nginx to its upstreams): a request
  // on its way to a server that closes first is lost.
  std::chrono::seconds idle_keep_alive{75};
  std::chrono::seconds write_deadline{60};      // a reader that takes nothing for this long is dropped
  std::size_t requests_per_connection = 1'000;  // the last one's answer says `Connection: close`
  // The oldest that are idle make room, then the oldest whose request has not arrived; all at work: accept pauses.
  std::size_t connections = 12'000;
  std::chrono::milliseconds websocket_silence = kWebSocketSilence;  // a WebSocket's peer is gone
};

// One request and the way to answer it. Lives until the handler's coroutine returns.
class Exchange {
 public:
  virtual ~Exchange() = default;

  [[nodiscard]] virtual const Request& request() const = 0;
  [[nodiscard]] virtual const std::string& listener() const = 0;  // the name given to listen()

  // Exactly one of send / start_stream / upgrade per exchange. Errors: kCancelled (client gone), kDeadlineExceeded.
  virtual Task<Status> send(Response response) = 0;
  // Status line and headers now, chunked body by write() ... finish().
  virtual Task<Status> start_stream(int status, Headers headers) = 0;
  // Returns when the kernel has taken the bytes: that is the back-pressure.
  virtual Task<Status> write(std::string chunk) = 0;
  virtual Task<Status> finish() = 0;
  // Ends the connection without the closing chunk: the client sees a broken stream.
  virtual void abort() = 0;
  // A peer that is silent for the shorter of `silence` and the server's limit is gone.
  virtual Task<Result<std::unique_ptr<WebSocket>>> upgrade(std::chrono::milliseconds silence = kWebSocketSilence) = 0;

  [[nodiscard]] virtual bool started() const = 0;  // a status line has been sent
  // True once the client closed its side, the connection broke, or the server cut it. Noticed while the handler awaits
  // anything (and up to 64 KiB of pipelined requests behind this one: beyond that nobody looks).
  [[nodiscard]] virtual bool client_gone() const = 0;
  // Called once, on the loop, when that happens (at once if it already has). One callback; set again to replace, {} to
  // clear.
  virtual void on_client_gone(std::function<void()> callback) = 0;
};

using Handler = std::function<Task<void>(Exchange&)>;
// The body of an answer the server gives on its own, and headers to send with it (x-request-id). A string will do.
struct ErrorAnswer {
  std::string body;
  Headers headers;
  // NOLINTNEXTLINE(google-explicit-constructor): a callback may simply return the JSON.
  ErrorAnswer(std::string json) : body(std::move(json)) {}
  ErrorAnswer(std::string json, Headers extra) : body(std::move(json)), headers(std::move(extra)) {}
};
// (status, code of the error table such as "headers_too_large") -> answer. Codes in use: malformed_request,
// invalid_utf8, request_timeout, body_too_large, uri_too_long, headers_too_large, not_implemented, overloaded, and
// internal_error when a handler ends without an answer.
using ErrorBody = std::function<ErrorAnswer(int, std::string_view)>;

class Server {
 public:
  Server(asio::io_context& io, ServerLimits limits, Handler handler, ErrorBody error_body);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // May be called several times. Returns the bound address (port filled in). A stale Unix socket file is replaced; one
  // that answers is kAlreadyExists. Unix sockets are made with mode 0600.
  // With an identity everything on it is TLS. Errors: also kInvalidArgument (certificate and key).
  Result<Address> listen(const Address& address, std::string name, const TlsIdentity* identity = nullptr);
  // What every TLS listener shows to new connections from now on; those that stand keep what they have.
  // Errors: kInvalidArgument (certificate and key): nothing changes.
  Status set_identity(const TlsIdentity& identity);
  // Stops accepting; idle connections are closed, busy ones answer with `Connection: close`.
  void close_listeners();
  // close_listeners(), then waits until every connection (WebSockets too) has ended or `deadline` passes, then cuts the
  // rest and gives their handlers a second to end. Await it before the destructor, which cuts and does not wait.
  Task<void> drain(std::chrono::milliseconds deadline);
  [[nodiscard]] std::size_t connections() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace dormouse::http
