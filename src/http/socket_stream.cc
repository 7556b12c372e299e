#include "http/socket_stream.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cerrno>
#include <vector>

namespace dormouse::http {
namespace {

constexpr std::size_t kReceiveBytes = 16 * 1024;

}  // namespace

SocketStream::SocketStream(asio::io_context& io, Socket socket) : socket_(std::move(socket)), timer_(io) {}

SocketStream::Arrival SocketStream::receive() {
  // On the stack, not in a coroutine's frame: an idle connection holds no buffer.
  std::array<char, kReceiveBytes> piece;
  for (;;) {
    const ssize_t n = ::recv(socket_.native_handle(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (n > 0) {
      buffer_.append(piece.data(), static_cast<std::size_t>(n));
      return Arrival::kData;
    }
    if (n == 0) return Arrival::kEnd;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? Arrival::kNothing : Arrival::kBroken;
  }
}

Error SocketStream::why(const boost::system::error_code& ec) const {
  if (cancelled_) return make_error(Code::kCancelled, "connection cancelled");
  if (timed_out_) return make_error(Code::kDeadlineExceeded, "connection deadline passed");
  if (ec == asio::error::operation_aborted) return make_error(Code::kCancelled, "wait cancelled");
  return make_error(Code::kUnavailable, fmt::format("connection broken: {}", ec.message()));
}

Error SocketStream::end_reason(Error error) const {
  return cancelled_ || timed_out_ ? why({}) : std::move(error);
}

Task<Result<std::size_t>> SocketStream::fill() {
  const std::shared_ptr<SocketStream> self = shared_from_this();
  for (;;) {
    if (cancelled_ || timed_out_) co_return why({});
    const std::size_t before = buffer_.size();
    switch (receive()) {
      case Arrival::kData: co_return buffer_.size() - before;
      case Arrival::kEnd: co_return std::size_t{0};
      case Arrival::kBroken: co_return make_error(Code::kUnavailable, "connection broken by the peer");
      case Arrival::kNothing: break;
    }
    const auto [ec] = co_await socket_.async_wait(Socket::wait_read, kTuple);
    if (ec) co_return why(ec);
  }
}

Task<Status> SocketStream::write_all(std::string data, std::chrono::nanoseconds progress) {
  const std::shared_ptr<SocketStream> self = shared_from_this();
  std::string_view rest = data;
  bool waited = false;
  while (!rest.empty()) {
    if (cancelled_ || timed_out_) co_return why({});
    const ssize_t n = ::send(socket_.native_handle(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
      co_return make_error(Code::kUnavailable, "connection broken by the peer");
    arm(progress);
    waited = true;
    const auto [ec] = co_await socket_.async_wait(Socket::wait_write, kTuple);
    if (ec) co_return why(ec);
  }
  if (waited) disarm();
  co_return Status();
}

void SocketStream::send_now(std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::send(socket_.native_handle(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return;
    data.remove_prefix(static_cast<std::size_t>(n));
  }
}

void SocketStream::arm(std::chrono::nanoseconds after) {
  const std::uint64_t mine = ++armed_;
  timer_.expires_after(after);
  timer_.async_wait([self = shared_from_this(), mine](const boost::system::error_code& ec) {
    if (ec || mine != self->armed_) return;
    self->timed_out_ = true;
    boost::system::error_code ignored;  // a closed socket has no waits left to end
    self->socket_.cancel(ignored);
  });
}

void SocketStream::disarm() {
  ++armed_;
  timer_.cancel();
}

void SocketStream::cancel() {
  cancelled_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

void SocketStream::close() {
  cancelled_ = true;
  disarm();
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void SocketStream::shutdown_send() {
  boost::system::error_code ignored;  // the peer may have gone first
  socket_.shutdown(Socket::shutdown_send, ignored);
}

SocketStream::Socket SocketStream::release() {
  disarm();
  return std::move(socket_);
}

namespace {

using Endpoint = asio::generic::stream_protocol::endpoint;

Task<Result<std::vector<Endpoint>>> resolve(asio::io_context& io, Address address) {
  std::vector<Endpoint> endpoints;
  if (address.kind == Address::Kind::kUnix) {
    endpoints.emplace_back(asio::local::stream_protocol::endpoint(address.path));
    co_return endpoints;
  }
  boost::system::error_code ec;
  const auto literal = asio::ip::make_address(address.host, ec);
  if (!ec) {
    endpoints.emplace_back(asio::ip::tcp::endpoint(literal, address.port));
    co_return endpoints;
  }
  asio::ip::tcp::resolver resolver(io);
  const std::string port = std::to_string(address.port);
  const auto [failure, results] = co_await resolver.async_resolve(address.host, port, kTuple);
  if (failure)
    co_return make_error(Code::kUnavailable, fmt::format("name of {} does not resolve", address.to_string()));
  for (const auto& entry : results) endpoints.emplace_back(entry.endpoint());
  co_return endpoints;
}

Task<Status> connect_to(std::shared_ptr<SocketStream> stream, Endpoint endpoint) {
  boost::system::error_code ec;
  SocketStream::Socket& socket = stream->socket();
  socket.open(endpoint.protocol(), ec);
  if (ec) co_return make_error(Code::kUnavailable, fmt::format("socket: {}", ec.message()));
  const auto [connected] = co_await socket.async_connect(endpoint, kTuple);
  if (connected == asio::error::operation_aborted) co_return make_error(Code::kCancelled, "connect ended");
  if (connected) co_return make_error(Code::kUnavailable, fmt::format("connect: {}", connected.message()));
  if (endpoint.protocol().family() != AF_UNIX) {
    socket.set_option(asio::ip::tcp::no_delay(true), ec);  // a token's few bytes must not wait for more
  }
  co_return Status();
}

}  // namespace

Task<Result<std::shared_ptr<SocketStream>>> connect_stream(asio::io_context& io, Address address,
                                                           std::chrono::nanoseconds deadline,
                                                           std::function<void(std::shared_ptr<SocketStream>)> on_open) {
  CO_TRY(const std::vector<Endpoint> endpoints, co_await resolve(io, address));
  Error last = make_error(Code::kUnavailable, "no endpoint");
  for (const Endpoint& endpoint : endpoints) {
    auto stream = std::make_shared<SocketStream>(io, SocketStream::Socket(io));
    if (on_open) on_open(stream);
    stream->arm(deadline);
    const Status connected = co_await connect_to(stream, endpoint);
    if (connected) {
      stream->disarm();
      co_return stream;
    }
    last = stream->end_reason(connected.error());
    stream->close();
    if (last.code == Code::kCancelled) break;
  }
  last.message = fmt::format("{}: {}", address.to_string(), last.message);
  co_return last;
}

}  // namespace dormouse::http
