#include "http/connection.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/log.h"
#include "http/exchange.h"

namespace dormouse::http {
namespace {

constexpr WireError kRequestTimeout{408, "request_timeout"};
constexpr WireError kBodyTooLarge{413, "body_too_large"};
constexpr WireError kInternalError{500, "internal_error"};
constexpr WireError kOverloaded{503, "overloaded"};

// Pipelined bytes kept while a handler runs; past it the watch on the socket stops.
constexpr std::size_t kMaxPipelinedBytes = 64 * 1024;
// After an error the client may still be sending: what it sends is read and thrown away this long, or the kernel's
// reset would take the answer from it.
constexpr std::chrono::seconds kLingerFor{2};
constexpr std::size_t kMaxLingerBytes = 16U << 20;
constexpr std::size_t kSmallBodyBytes = 64 * 1024;  // ServerLimits::arriving_bytes

HeadLimits head_limits(const ServerLimits& limits) {
  HeadLimits out;
  out.header_bytes = limits.header_bytes;
  out.header_count = limits.header_count;
  out.uri_bytes = limits.uri_bytes;
  return out;
}

// One body's share of what is arriving.
class Arriving {
 public:
  explicit Arriving(std::size_t& total) : total_(total) {}
  ~Arriving() { total_ -= mine_; }
  Arriving(const Arriving&) = delete;
  Arriving& operator=(const Arriving&) = delete;
  void set(std::size_t bytes) { total_ += bytes - std::exchange(mine_, bytes); }

 private:
  std::size_t& total_;
  std::size_t mine_ = 0;
};

}  // namespace

std::string peer_name(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return "unknown";
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    return fmt::format("{}:{}", text.data(), ntohs(v4->sin_port));
  }
  if (storage.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
    ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    return fmt::format("[{}]:{}", text.data(), ntohs(v6->sin6_port));
  }
  return "unix";
}

Connection::Connection(std::shared_ptr<ServerShared> shared, std::shared_ptr<SocketStream> stream, std::string listener,
                       std::string peer)
    : shared_(std::move(shared)), stream_(std::move(stream)), listener_(std::move(listener)), peer_(std::move(peer)) {}

Task<void> Connection::serve(std::shared_ptr<Connection> self) {
  self->stream_->arm(self->shared_->limits.header_deadline);
  const Status shaken = co_await self->stream_->handshake();
  if (!shaken) log_debug("event=handshake_failed peer={} error=\"{}\"", self->peer_, shaken.error().message);
  bool more = shaken.has_value();
  while (more) {
    auto head = co_await self->read_head();
    ReadError error;
    if (!head) {
      error = head.error();
      more = false;
    } else {
      auto body = co_await self->read_body(head->body, head->expect_continue);
      if (!body) {
        error = body.error();
        more = false;
      } else {
        more = co_await self->run_handler(*std::move(head), *std::move(body));
      }
    }
    if (error) co_await self->answer_error(*error);
  }
  if (!self->handed_over_) self->stream_->close();
}

// Bytes read, or why not: the deadline is a 408, everything else needs no answer.
Task<Connection::ReadResult<std::size_t>> Connection::fill() {
  const Result<std::size_t> got = co_await stream_->fill();
  if (got && *got > 0) co_return *got;
  if (!got && got.error().code == Code::kDeadlineExceeded) co_return tl::unexpected(ReadError(kRequestTimeout));
  co_return tl::unexpected(ReadError());
}

Task<Connection::ReadResult<RequestHead>> Connection::read_head() {
  const ServerLimits& limits = shared_->limits;
  const HeadLimits bounds = head_limits(limits);
  std::string& buffer = stream_->buffer();
  if (buffer.empty()) {
    std::string().swap(buffer);  // an idle connection costs no buffer
    phase_ = Phase::kIdle;
    if (shared_->closing) co_return tl::unexpected(ReadError());
    stream_->arm(request_count_ == 0 ? limits.header_deadline : limits.idle_keep_alive);
    const auto got = co_await fill();
    if (!got) co_return tl::unexpected(ReadError());
  }
  phase_ = Phase::kReading;
  // Absolute from the accept for the first request, from its first byte for the later ones.
  if (request_count_ > 0) stream_->arm(limits.header_deadline);
  ++request_count_;
  std::size_t scanned = 0;
  bool skipped_empty_line = false;
  for (;;) {
    // One empty line before the request is allowed: old clients end a body with one too many (RFC 9112, 2.2).
    if (!skipped_empty_line && buffer.starts_with("\r\n")) {
      buffer.erase(0, 2);
      scanned = 0;
      skipped_empty_line = true;
    }
    is_head_ = buffer.starts_with("HEAD ");
    const auto end = find_head_end(buffer, bounds, scanned);
    if (!end) co_return tl::unexpected(ReadError(end.error()));
    if (*end > 0) {
      auto head = parse_request_head(std::string_view(buffer).substr(0, *end), bounds);
      buffer.erase(0, *end);
      if (!head) co_return tl::unexpected(ReadError(head.error()));
      co_return *std::move(head);
    }
    const auto got = co_await fill();
    if (!got) co_return tl::unexpected(got.error());
  }
}

Task<Connection::ReadResult<std::string>> Connection::read_body(BodyLength length, bool expect_continue) {
  std::string body;
  std::string& buffer = stream_->buffer();
  const ServerLimits& limits = shared_->limits;
  const std::size_t limit = limits.body_bytes;
  if (length.kind == BodyLength::Kind::kNone || length.kind == BodyLength::Kind::kUntilClose) {
    stream_->disarm();
    co_return body;
  }
  if (length.kind == BodyLength::Kind::kFixed && length.bytes > limit)
    co_return tl::unexpected(ReadError(kBodyTooLarge));
  if (expect_continue && buffer.empty()) {
    std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    const Status sent = co_await stream_->write_all(std::move(go_on), limits.write_deadline);
    if (!sent) co_return tl::unexpected(ReadError());
  }
  stream_->arm(limits.body_patience);
  std::size_t since_armed = 0;
  Arriving arriving(shared_->arriving_bytes);
  ChunkDecoder decoder;
  for (;;) {
    bool done = false;
    if (length.kind == BodyLength::Kind::kFixed) {
      // Grows with what arrives, not with what was announced.
      const std::size_t take = std::min(buffer.size(), static_cast<std::size_t>(length.bytes) - body.size());
      body.append(buffer, 0, take);
      buffer.erase(0, take);
      done = body.size() == length.bytes;
    } else {
      const auto used = decoder.push(buffer, body, limit);
      if (!used) co_return tl::unexpected(ReadError(used.error()));
      buffer.erase(0, *used);
      done = decoder.done();
    }
    if (done) break;
    arriving.set(body.size());
    if (body.size() > kSmallBodyBytes && shared_->arriving_bytes > limits.arriving_bytes)
      co_return tl::unexpected(ReadError(kOverloaded));
    const auto got = co_await fill();
    if (!got) co_return tl::unexpected(got.error());
    since_armed += *got;
    if (since_armed < limits.body_pace_bytes) continue;
    stream_->arm(limits.body_patience);
    since_armed = 0;
  }
  stream_->disarm();
  co_return body;
}

// True: the connection may carry another request.
Task<bool> Connection::run_handler(RequestHead head, std::string body) {
  const bool http_1_0 = head.http_1_0;
  const bool keep_alive = head.keep_alive && request_count_ < shared_->limits.requests_per_connection;
  phase_ = Phase::kBusy;
  Request request;
  request.method = std::move(head.method);
  request.path = std::move(head.path);
  request.query = std::move(head.query);
  request.headers = std::move(head.headers);
  request.body = std::move(body);
  request.peer = peer_;
  const auto exchange =
      std::make_unique<ConnectionExchange>(shared_from_this(), std::move(request), http_1_0, keep_alive);
  watch();
  try {
    Task<void> task = shared_->handler(*exchange);
    co_await std::move(task);
  } catch (const std::exception& failure) {
    log_error("event=handler_failed path={} what=\"{}\"", exchange->request().path, failure.what());
  }
  gone_callback_ = nullptr;
  if (exchange->is_upgraded()) co_return false;
  stop_watch();
  if (!exchange->started() && !gone_) {
    log_error("event=no_answer path={}", exchange->request().path);
    co_await answer_error(kInternalError);
    co_return false;
  }
  const bool reusable = exchange->is_reusable();
  // Bytes nobody will answer are waiting: closing now would reset the answer away.
  if (!reusable && !gone_ && !stream_->buffer().empty()) co_await linger();
  co_return reusable;
}

Task<void> Connection::answer_error(WireError error) {
  stream_->disarm();
  // The deadline that brought us here ended the stream's waits; the answer goes out if the kernel takes it at once,
  // which for a connection that has not been written to it does.
  ErrorAnswer answer = shared_->error_body(error.status, error.code);
  Headers headers = answer.headers;
  headers.set("content-type", "application/json");
  headers.set("content-length", std::to_string(answer.body.size()));
  std::string bytes = format_response_head(error.status, headers, AfterAnswer::kClose);
  if (!is_head_) bytes += answer.body;
  stream_->send_now(bytes);
  co_await linger();
}

Task<void> Connection::linger() {
  phase_ = Phase::kReading;
  stream_->shutdown_send();
  stream_->revive();
  stream_->arm(kLingerFor);
  std::size_t dropped = 0;
  for (;;) {
    dropped += stream_->buffer().size();
    stream_->buffer().clear();
    if (dropped > kMaxLingerBytes) co_return;
    const Result<std::size_t> got = co_await stream_->fill();
    if (!got || *got == 0) co_return;
  }
}

Task<Status> Connection::write(std::string bytes) {
  if (gone_) co_return make_error(Code::kCancelled, "client gone");
  const Status written = co_await stream_->write_all(std::move(bytes), shared_->limits.write_deadline);
  if (written) co_return written;
  Error error = written.error();
  if (gone_ || error.code != Code::kDeadlineExceeded) error = make_error(Code::kCancelled, "client gone");
  mark_gone();
  co_return error;
}

void Connection::watch() {
  const std::uint64_t mine = ++watch_;
  stream_->socket().async_wait(SocketStream::Socket::wait_read,
                               [self = shared_from_this(), mine](const boost::system::error_code& ec) {
                                 if (!ec && mine == self->watch_) self->on_readable();
                               });
}

void Connection::on_readable() {
  switch (stream_->receive()) {
    case SocketStream::Arrival::kData:
      if (stream_->buffer().size() < kMaxPipelinedBytes) watch();
      return;
    case SocketStream::Arrival::kNothing: watch(); return;
    case SocketStream::Arrival::kEnd:
    case SocketStream::Arrival::kBroken: mark_gone(); return;
  }
}

void Connection::stop_watch() {
  ++watch_;
  if (gone_) return;
  boost::system::error_code ignored;  // nothing else waits on the socket here
  stream_->socket().cancel(ignored);
}

void Connection::mark_gone() {
  if (gone_) return;
  gone_ = true;
  ++watch_;
  stream_->cancel();
  set_gone_callback(std::move(gone_callback_));
}

void Connection::set_gone_callback(std::function<void()> callback) {
  gone_callback_ = std::move(callback);
  if (!gone_ || !gone_callback_) return;
  // Posted, so that it never runs inside the call that found out.
  asio::post(shared_->io, [self = shared_from_this()] {
    const std::function<void()> pending = std::exchange(self->gone_callback_, nullptr);
    if (pending) pending();
  });
}

void Connection::break_off() {
  mark_gone();
  stream_->close();
}

void Connection::hand_over() {
  stop_watch();
  handed_over_ = true;
}

void Connection::cut() {
  if (handed_over_) return;
  mark_gone();
}

bool Connection::cut_if(Phase phase) {
  if (phase_ != phase) return false;
  phase_ = Phase::kBusy;
  stream_->cancel();
  return true;
}

}  // namespace dormouse::http
