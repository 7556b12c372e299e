// One TLS connection over a socket that somebody else waits on: each call does what it can at once and says what to
// wait for. Internal to http (SocketStream). Threads: the io_context's.
#pragma once

#include <openssl/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"
#include "http/tls.h"

namespace dormouse::http {

// "sha256:HEX" of the certificate.
[[nodiscard]] std::string fingerprint_of(const X509* certificate);

// Settings shared by the connections of a listener. A client makes one for each connection.
class TlsContext {
 public:
  // Errors: kInvalidArgument (not PEM, or the key of another certificate).
  static Result<std::shared_ptr<TlsContext>> server(const TlsIdentity& identity);
  // Errors: kInvalidArgument (the CA file cannot be read).
  static Result<std::shared_ptr<TlsContext>> client(const TlsTrust& trust);
  [[nodiscard]] SSL_CTX* get() const { return context_.get(); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const;
  };
  std::unique_ptr<SSL_CTX, Free> context_;
};

class TlsSession {
 public:
  enum class Step { kDone, kWantRead, kWantWrite, kEnd, kBroken };

  // `socket` is borrowed: it is open as long as calls are made.
  static Result<std::unique_ptr<TlsSession>> accept(const TlsContext& context, int socket);
  static Result<std::unique_ptr<TlsSession>> connect(const TlsTrust& trust, const std::string& host, int socket);

  Step handshake();
  // After the handshake, before the first byte of ours. Errors: kUnauthenticated (a client's: not the certificate that
  // is trusted).
  [[nodiscard]] Status check_peer() const;
  // Room for kRecordBytes leaves nothing behind that waiting on the socket would not see.
  Step read(char* data, std::size_t size, std::size_t& got);
  [[nodiscard]] bool has_pending() const;
  // After kWant*, again with the same bytes or more.
  Step write(std::string_view data, std::size_t& taken);
  // Says goodbye, as far as the kernel takes it at once.
  void shutdown();
  // Why it is broken, for the log.
  [[nodiscard]] const std::string& failure() const { return failure_; }

  static constexpr std::size_t kRecordBytes = 16 * 1024;

 private:
  struct Free {
    void operator()(SSL* session) const;
  };
  static Result<std::unique_ptr<TlsSession>> make(const TlsContext& context, int socket);
  Step step_of(int result);

  std::unique_ptr<SSL, Free> ssl_;
  std::string fingerprint_;  // wanted; empty: by CA, or any (a server's)
  std::string failure_;
  bool is_client_ = false;
};

}  // namespace dormouse::http
