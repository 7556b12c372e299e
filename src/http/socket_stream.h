// A connected stream socket (Unix or TCP alike, with TLS or without), its receive buffer and one deadline. Internal to
// http: server, client and the WebSocket handshake read and write through it. Held by shared_ptr: pending waits keep it
// alive. Threads: the io_context's.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/asio.h"
#include "http/message.h"
#include "http/tls_session.h"

namespace dormouse::http {

class SocketStream : public std::enable_shared_from_this<SocketStream> {
 public:
  using Socket = asio::generic::stream_protocol::socket;

  SocketStream(asio::io_context& io, Socket socket);

  [[nodiscard]] Socket& socket() { return socket_; }
  // Everything from here on goes through TLS. Before the first byte.
  void secure(std::unique_ptr<TlsSession> tls) { tls_ = std::move(tls); }
  // Without TLS: nothing. Errors: as fill; kUnauthenticated (not the peer that is trusted).
  Task<Status> handshake();
  // Received and not used up yet.
  [[nodiscard]] std::string& buffer() { return buffer_; }

  // What has arrived, without waiting, is appended to the buffer.
  enum class Arrival { kData, kNothing, kEnd, kBroken };
  Arrival receive();

  // One attempt, without waiting. kWant*: once the socket is ready for it, again.
  using Step = TlsSession::Step;
  Step try_read(char* data, std::size_t size, std::size_t& got);
  Step try_write(std::string_view data, std::size_t& taken);
  // Received, but not visible on the socket: waiting for it would wait too long.
  [[nodiscard]] bool has_pending() const { return tls_ != nullptr && tls_->has_pending(); }

  // Waits for bytes and appends them; 0: the peer closed its side.
  // Errors: kDeadlineExceeded (arm), kCancelled, kUnavailable (broken).
  Task<Result<std::size_t>> fill();
  // Returns when the kernel has all of it. `progress`: the longest the peer may take nothing; replaces an armed
  // deadline. Errors: as fill.
  Task<Status> write_all(std::string data, std::chrono::nanoseconds progress);

  // One deadline at a time, absolute from now on: when it passes, every wait ends with kDeadlineExceeded.
  void arm(std::chrono::nanoseconds after);
  void disarm();

  // Every wait, pending or later, ends with kCancelled.
  void cancel();
  void close();
  void shutdown_send();
  // For a last answer after a deadline: what the kernel takes at once. The rest is lost, and so is the connection.
  void send_now(std::string_view data);
  // Forgets that a deadline passed, so that arm() and fill() work again. Does not undo cancel().
  void revive() { timed_out_ = false; }
  // `error`, unless it comes of the deadline or of cancel().
  [[nodiscard]] Error end_reason(Error error) const;

 private:
  [[nodiscard]] Error why(const boost::system::error_code& ec) const;

  Socket socket_;
  std::unique_ptr<TlsSession> tls_;  // null: plain
  Socket::wait_type receive_waits_for_ = Socket::wait_read;
  asio::steady_timer timer_;
  std::string buffer_;
  std::uint64_t armed_ = 0;  // counts arm and disarm, so that a timer that fires late knows
  bool timed_out_ = false;
  bool cancelled_ = false;
};

// Both may be empty.
struct ConnectHooks {
  // Hands out the stream before the connection stands, so that someone may cancel it.
  std::function<void(std::shared_ptr<SocketStream>)> on_open;
  // Asked of each address that a name turned out to be; see AddressCheck (client.h).
  std::function<Status(std::string_view ip)> admit;
};

// With TLS if the address says so. Errors: kUnavailable (refused, no such socket, name unknown, no TLS there),
// kUnauthenticated (not the certificate that is trusted), kInvalidArgument (CA file), kDeadlineExceeded, kCancelled;
// those of `admit`, where no address passes.
Task<Result<std::shared_ptr<SocketStream>>> connect_stream(asio::io_context& io, Address address,
                                                           std::chrono::nanoseconds deadline, ConnectHooks hooks);

// TLS from here on, as `address` says, over a connection that stands (behind a proxy's CONNECT); without TLS there:
// nothing. Errors: those of connect_stream.
Task<Status> start_tls(std::shared_ptr<SocketStream> stream, Address address, std::chrono::nanoseconds deadline);

}  // namespace dormouse::http
