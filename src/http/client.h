// An HTTP/1.1 client with keep-alive per address, for upstreams on a Unix socket or TCP. Bodies are read as they come.
// Threads: the io_context's.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/asio.h"
#include "http/message.h"

namespace dormouse::http {

class SocketStream;

// Asked of every address that a name turned out to be ("93.184.216.34", "2606:2800::1"), before a connection to it:
// what was looked at is what is connected to.
using AddressCheck = std::function<Status(std::string_view ip)>;

// A proxy that passes bytes on (CONNECT, RFC 9110 section 9.3.6); TLS, where there is any, is the peer's behind it.
// Names are resolved there: AddressCheck is not asked.
struct Proxy {
  Address address;
  std::string authorization;  // the field's value; secret; empty: none
};

// Ends a request in any stage, before its response exists too: connecting, waiting for the header, reading the body.
// For one request; cancel() from the loop, before or after send().
class Canceller {
 public:
  void cancel();
  [[nodiscard]] bool is_cancelled() const { return cancelled_; }
  void attach(const std::shared_ptr<SocketStream>& stream);  // the client's side

 private:
  std::weak_ptr<SocketStream> stream_;
  bool cancelled_ = false;
};

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";  // path and query
  Headers headers;
  std::string body;
  std::chrono::milliseconds connect_deadline{2'000};
  std::chrono::milliseconds header_deadline{60'000};  // from sent to response header
  std::chrono::milliseconds read_deadline{120'000};   // between two pieces of body
  std::size_t max_body_bytes = 64U << 20;             // of a body read whole
  std::shared_ptr<Canceller> canceller;               // optional; errors with kCancelled
  AddressCheck admit;                                 // optional; a pooled connection was asked when it was made
  std::optional<Proxy> proxy;                         // optional, kTcp
};

// A response whose body is still coming. Destroying it before the end closes the connection (which tells the peer);
// after the end the connection returns to the pool.
class ClientResponse {
 public:
  virtual ~ClientResponse() = default;
  [[nodiscard]] virtual int status() const = 0;
  [[nodiscard]] virtual const Headers& headers() const = 0;
  // Next piece of body; nullopt at the end. Errors: kUnavailable (broken off), kDeadlineExceeded, kCancelled (by
  // cancel()).
  virtual Task<Result<std::optional<std::string>>> read_some() = 0;
  // The rest of the body. Errors: also kTooLarge.
  virtual Task<Result<std::string>> read_all() = 0;
  // From anywhere on the loop: a pending read ends with kCancelled and the connection closes.
  virtual void cancel() = 0;
};

class Client {
 public:
  explicit Client(asio::io_context& io);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Errors: kUnavailable (cannot connect, broke before the header, the proxy says no), kUnauthenticated (TLS: not the
  // peer we trust), kDeadlineExceeded, kCancelled; those of `admit`. A pooled connection that turns out to be dead
  // before any byte of the answer is replaced by a fresh one, once.
  Task<Result<std::unique_ptr<ClientResponse>>> send(Address address, ClientRequest request);
  // Drops pooled connections to an address (the worker there has gone).
  void forget(const Address& address);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace dormouse::http
