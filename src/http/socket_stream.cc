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
#include <cstring>
#include <vector>

namespace dormouse::http {
namespace {

constexpr std::size_t kReceiveBytes = TlsSession::kRecordBytes;

}  // namespace

SocketStream::SocketStream(asio::io_context& io, Socket socket) : socket_(std::move(socket)), timer_(io) {}

SocketStream::Step SocketStream::try_read(char* data, std::size_t size, std::size_t& got) {
  if (tls_ != nullptr) return tls_->read(data, size, got);
  for (;;) {
    const ssize_t n = ::recv(socket_.native_handle(), data, size, MSG_DONTWAIT);
    got = n > 0 ? static_cast<std::size_t>(n) : 0;
    if (n > 0) return Step::kDone;
    if (n == 0) return Step::kEnd;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? Step::kWantRead : Step::kBroken;
  }
}

SocketStream::Step SocketStream::try_write(std::string_view data, std::size_t& taken) {
  if (tls_ != nullptr) return tls_->write(data, taken);
  for (;;) {
    const ssize_t n = ::send(socket_.native_handle(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    taken = n > 0 ? static_cast<std::size_t>(n) : 0;
    if (n >= 0) return Step::kDone;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? Step::kWantWrite : Step::kBroken;
  }
}

SocketStream::Arrival SocketStream::receive() {
  // On the stack, not in a coroutine's frame: an idle connection holds no buffer.
  std::array<char, kReceiveBytes> piece;
  std::size_t got = 0;
  switch (try_read(piece.data(), piece.size(), got)) {
    case Step::kDone: buffer_.append(piece.data(), got); return Arrival::kData;
    case Step::kWantRead: receive_waits_for_ = Socket::wait_read; return Arrival::kNothing;
    case Step::kWantWrite: receive_waits_for_ = Socket::wait_write; return Arrival::kNothing;
    case Step::kEnd: return Arrival::kEnd;
    case Step::kBroken: return Arrival::kBroken;
  }
  return Arrival::kBroken;
}

Task<Status> SocketStream::handshake() {
  const std::shared_ptr<SocketStream> self = shared_from_this();
  while (tls_ != nullptr) {
    if (cancelled_ || timed_out_) co_return why({});
    const Step step = tls_->handshake();
    if (step == Step::kDone) co_return tls_->check_peer();
    if (step != Step::kWantRead && step != Step::kWantWrite) {
      co_return make_error(Code::kUnavailable, fmt::format("TLS handshake: {}", tls_->failure()));
    }
    const auto [ec] =
        co_await socket_.async_wait(step == Step::kWantRead ? Socket::wait_read : Socket::wait_write, kTuple);
    if (ec) co_return why(ec);
  }
  co_return Status();
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
    const auto [ec] = co_await socket_.async_wait(receive_waits_for_, kTuple);
    if (ec) co_return why(ec);
  }
}

Task<Status> SocketStream::write_all(std::string data, std::chrono::nanoseconds progress) {
  const std::shared_ptr<SocketStream> self = shared_from_this();
  std::string_view rest = data;
  bool waited = false;
  while (!rest.empty()) {
    if (cancelled_ || timed_out_) co_return why({});
    std::size_t taken = 0;
    const Step step = try_write(rest, taken);
    if (step == Step::kDone) {
      rest.remove_prefix(taken);
      continue;
    }
    if (step != Step::kWantRead && step != Step::kWantWrite)
      co_return make_error(Code::kUnavailable, "connection broken by the peer");
    arm(progress);
    waited = true;
    const auto [ec] =
        co_await socket_.async_wait(step == Step::kWantRead ? Socket::wait_read : Socket::wait_write, kTuple);
    if (ec) co_return why(ec);
  }
  if (waited) disarm();
  co_return Status();
}

void SocketStream::send_now(std::string_view data) {
  std::size_t taken = 0;
  while (!data.empty() && try_write(data, taken) == Step::kDone) data.remove_prefix(taken);
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
  if (tls_ != nullptr && socket_.is_open()) tls_->shutdown();
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void SocketStream::shutdown_send() {
  if (tls_ != nullptr) tls_->shutdown();
  boost::system::error_code ignored;  // the peer may have gone first
  socket_.shutdown(Socket::shutdown_send, ignored);
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

Task<Status> secure_stream(std::shared_ptr<SocketStream> stream, Address address) {
  if (!address.tls.has_value()) co_return Status();
  const int socket = stream->socket().native_handle();
  CO_TRY(std::unique_ptr<TlsSession> tls, TlsSession::connect(*address.tls, address.host, socket));
  stream->secure(std::move(tls));
  const Status shaken = co_await stream->handshake();
  co_return shaken;
}

Task<Status> connect_to(std::shared_ptr<SocketStream> stream, Endpoint endpoint, Address address) {
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
  const Status secured = co_await secure_stream(stream, address);
  co_return secured;
}

// What the hook says of an endpoint. A Unix socket is nobody's network.
Status admitted(const ConnectHooks& hooks, const Endpoint& endpoint) {
  if (!hooks.admit || endpoint.protocol().family() == AF_UNIX) return {};
  asio::ip::tcp::endpoint ip;
  if (endpoint.size() > ip.capacity()) return make_error(Code::kInternal, "an endpoint of no known kind");
  ip.resize(endpoint.size());
  std::memcpy(ip.data(), endpoint.data(), endpoint.size());
  return hooks.admit(ip.address().to_string());
}

}  // namespace

Task<Result<std::shared_ptr<SocketStream>>> connect_stream(asio::io_context& io, Address address,
                                                           std::chrono::nanoseconds deadline, ConnectHooks hooks) {
  CO_TRY(const std::vector<Endpoint> endpoints, co_await resolve(io, address));
  Error last = make_error(Code::kUnavailable, "no endpoint");
  for (const Endpoint& endpoint : endpoints) {
    if (const Status pass = admitted(hooks, endpoint); !pass.has_value()) {
      last = pass.error();
      continue;
    }
    auto stream = std::make_shared<SocketStream>(io, SocketStream::Socket(io));
    if (hooks.on_open) hooks.on_open(stream);
    stream->arm(deadline);
    const Status connected = co_await connect_to(stream, endpoint, address);
    if (connected) {
      stream->disarm();
      co_return stream;
    }
    last = stream->end_reason(connected.error());
    stream->close();
    if (last.code == Code::kCancelled || last.code == Code::kUnauthenticated) break;
  }
  last.message = fmt::format("{}: {}", address.to_string(), last.message);
  co_return last;
}

Task<Status> start_tls(std::shared_ptr<SocketStream> stream, Address address, std::chrono::nanoseconds deadline) {
  stream->arm(deadline);
  const Status secured = co_await secure_stream(stream, address);
  stream->disarm();
  if (secured.has_value()) co_return Status();
  Error why = stream->end_reason(secured.error());
  why.message = fmt::format("{}: {}", address.to_string(), why.message);
  co_return why;
}

}  // namespace dormouse::http
