// The only file that sees Beast: its WebSocket over our socket, TLS or not. Without compression, which halves the
// compile time and which messages of a few hundred bytes do not need.
#include "http/websocket.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <deque>

#include "base/log.h"
#include "http/socket_stream.h"
#include "http/websocket_core.h"

namespace dormouse::http {
namespace {

namespace beast = boost::beast;
namespace websocket = beast::websocket;
using boost::system::error_code;

constexpr std::size_t kMaxMessageBytes = 1U << 20;
constexpr std::size_t kMaxWaitingWriters = 1024;
constexpr std::chrono::seconds kHandshakeDeadline{5};  // of the closing one too

Error to_error(const error_code& ec, std::string_view doing) {
  if (ec == websocket::error::closed || ec == asio::error::operation_aborted) {
    return make_error(Code::kCancelled, "websocket closed");
  }
  if (ec == websocket::error::message_too_big || ec == websocket::error::buffer_overflow) {
    return make_error(Code::kTooLarge, fmt::format("websocket message over {} bytes", kMaxMessageBytes));
  }
  if (ec == beast::error::timeout)
    return make_error(Code::kDeadlineExceeded, fmt::format("websocket {} timed out", doing));
  return make_error(Code::kUnavailable, fmt::format("websocket {}: {}", doing, ec.message()));
}

// One read or write of Beast's: tries, waits for the socket, tries again. Never completes inside the call that began
// it.
template <typename Attempt>
struct TransferOperation {
  std::shared_ptr<SocketStream> stream;
  Attempt attempt;  // (bytes moved) -> Step
  bool has_begun = false;
  std::size_t moved = 0;
  error_code outcome{};
  bool is_over = false;

  template <typename Self>
  void operator()(Self& self, error_code ec = {}) {
    if (is_over) return self.complete(outcome, moved);
    if (ec) return self.complete(ec, 0);
    const SocketStream::Step step = attempt(*stream, moved);
    if (step == SocketStream::Step::kWantRead || step == SocketStream::Step::kWantWrite) {
      has_begun = true;
      const auto direction =
          step == SocketStream::Step::kWantRead ? SocketStream::Socket::wait_read : SocketStream::Socket::wait_write;
      return stream->socket().async_wait(direction, std::move(self));
    }
    if (step == SocketStream::Step::kEnd) outcome = asio::error::eof;
    if (step == SocketStream::Step::kBroken) outcome = asio::error::connection_reset;
    if (has_begun) return self.complete(outcome, moved);
    is_over = true;
    const auto executor = stream->socket().get_executor();
    asio::post(executor, std::move(self));
  }
};

// What Beast takes for a socket.
class SocketLayer {
 public:
  using executor_type = SocketStream::Socket::executor_type;

  explicit SocketLayer(std::shared_ptr<SocketStream> stream) : stream_(std::move(stream)) {}
  executor_type get_executor() { return stream_->socket().get_executor(); }

  template <typename Buffers, typename Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    const asio::mutable_buffer into = first_of<asio::mutable_buffer>(buffers);
    auto attempt = [into](SocketStream& stream, std::size_t& got) {
      if (into.size() == 0) return SocketStream::Step::kDone;
      return stream.try_read(static_cast<char*>(into.data()), into.size(), got);
    };
    return begin(std::move(attempt), std::forward<Token>(token));
  }
  template <typename Buffers, typename Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    const asio::const_buffer from = first_of<asio::const_buffer>(buffers);
    auto attempt = [from](SocketStream& stream, std::size_t& taken) {
      if (from.size() == 0) return SocketStream::Step::kDone;
      return stream.try_write({static_cast<const char*>(from.data()), from.size()}, taken);
    };
    return begin(std::move(attempt), std::forward<Token>(token));
  }
  void close() { stream_->close(); }

  friend void beast_close_socket(SocketLayer& layer) { layer.close(); }
  friend void teardown(beast::role_type, SocketLayer& layer, error_code&) { layer.close(); }
  template <typename Handler>
  friend void async_teardown(beast::role_type, SocketLayer& layer, Handler&& handler) {
    layer.close();
    const auto executor = layer.get_executor();
    asio::post(executor, beast::bind_handler(std::forward<Handler>(handler), error_code()));
  }

 private:
  // One buffer at a time: what is short of the whole is an ordinary short transfer.
  template <typename Buffer, typename Buffers>
  static Buffer first_of(const Buffers& buffers) {
    for (auto i = asio::buffer_sequence_begin(buffers); i != asio::buffer_sequence_end(buffers); ++i) {
      const Buffer buffer(*i);
      if (buffer.size() > 0) return buffer;
    }
    return Buffer();
  }
  template <typename Attempt, typename Token>
  auto begin(Attempt attempt, Token&& token) {
    return asio::async_compose<Token, void(error_code, std::size_t)>(
        TransferOperation<Attempt>{stream_, std::move(attempt)}, token, stream_->socket());
  }

  std::shared_ptr<SocketStream> stream_;
};

// Shared by the handle the user holds and the operations under way; its end is the connection's end.
class WebSocketCore final : public Cuttable, public std::enable_shared_from_this<WebSocketCore> {
 public:
  using Stream = websocket::stream<SocketLayer, false>;

  WebSocketCore(asio::io_context& io, std::shared_ptr<SocketStream> socket, beast::role_type role,
                std::chrono::milliseconds silence)
      : io_(io), stream_(std::move(socket)) {
    websocket::stream_base::timeout timeout = websocket::stream_base::timeout::suggested(role);
    timeout.handshake_timeout = kHandshakeDeadline;
    timeout.idle_timeout = silence;
    timeout.keep_alive_pings = true;
    stream_.set_option(timeout);
    stream_.read_message_max(kMaxMessageBytes);
    stream_.text(true);
  }
  ~WebSocketCore() override {
    stream_.next_layer().close();
    if (const auto shared = registered_with_.lock()) shared->remove(registration_);
  }
  WebSocketCore(const WebSocketCore&) = delete;
  WebSocketCore& operator=(const WebSocketCore&) = delete;

  Stream& stream() { return stream_; }

  void register_with(const std::shared_ptr<ServerShared>& shared) {
    registration_ = shared->add(weak_from_this());
    registered_with_ = shared;
  }

  static Task<Result<std::string>> read(std::shared_ptr<WebSocketCore> self) {
    if (self->closed_) co_return make_error(Code::kCancelled, "websocket closed");
    beast::flat_buffer buffer;
    const auto [ec, size] = co_await self->stream_.async_read(buffer, kTuple);
    if (self->closed_) co_return make_error(Code::kCancelled, "websocket closed");
    if (ec) {
      self->closed_ = true;
      co_return to_error(ec, "read");
    }
    co_return std::string(static_cast<const char*>(buffer.data().data()), size);
  }

  static Task<Status> write(std::shared_ptr<WebSocketCore> self, std::string text) {
    if (self->closed_) co_return make_error(Code::kCancelled, "websocket closed");
    if (self->is_writing_) {
      if (self->waiting_.size() >= kMaxWaitingWriters) {
        co_return make_error(Code::kOverloaded, "too many websocket messages are waiting to be written");
      }
      const auto turn = std::make_shared<Turn>(self->io_);
      self->waiting_.push_back(turn);
      co_await turn->wake.async_wait(kTuple);  // always ends by cancel; `granted` says whose
      if (!turn->granted) {
        std::erase(self->waiting_, turn);
        co_return make_error(Code::kCancelled, "write cancelled");
      }
    }
    self->is_writing_ = true;
    error_code ec = asio::error::operation_aborted;
    if (!self->closed_) {
      const auto [failed, size] = co_await self->stream_.async_write(asio::buffer(text), kTuple);
      ec = failed;
    }
    self->pass_turn();
    if (ec) co_return to_error(ec, "write");
    co_return Status();
  }

  void close() {
    if (closed_) return cut();
    closed_ = true;
    asio::co_spawn(io_, close_politely(shared_from_this()), asio::detached);
  }

  void cut() override {
    closed_ = true;
    stream_.next_layer().close();
  }
  bool cut_if(Phase) override { return false; }  // always busy: both sides may speak at any time

 private:
  struct Turn {
    explicit Turn(asio::io_context& io) : wake(io, asio::steady_timer::time_point::max()) {}
    asio::steady_timer wake;
    bool granted = false;
  };

  void pass_turn() {
    is_writing_ = !waiting_.empty();
    if (waiting_.empty()) return;
    const std::shared_ptr<Turn> next = waiting_.front();
    waiting_.pop_front();
    next->granted = true;
    next->wake.cancel();
  }

  // Owned by the operation itself, bounded by kHandshakeDeadline, cut by the server's registry or by close() again.
  static Task<void> close_politely(std::shared_ptr<WebSocketCore> self) {
    const auto [ec] = co_await self->stream_.async_close(websocket::close_code::normal, kTuple);
    if (ec) self->cut();
  }

  asio::io_context& io_;
  Stream stream_;
  std::deque<std::shared_ptr<Turn>> waiting_;
  bool is_writing_ = false;
  bool closed_ = false;
  std::weak_ptr<ServerShared> registered_with_;
  std::uint64_t registration_ = 0;
};

class WebSocketHandle final : public WebSocket {
 public:
  explicit WebSocketHandle(std::shared_ptr<WebSocketCore> core) : core_(std::move(core)) {}
  ~WebSocketHandle() override { core_->close(); }
  WebSocketHandle(const WebSocketHandle&) = delete;
  WebSocketHandle& operator=(const WebSocketHandle&) = delete;

  Task<Result<std::string>> read() override { return WebSocketCore::read(core_); }
  Task<Status> write(std::string text) override { return WebSocketCore::write(core_, std::move(text)); }
  void close() override { core_->close(); }

 private:
  std::shared_ptr<WebSocketCore> core_;
};

}  // namespace

bool is_websocket_request(const Request& request) {
  return request.method == "GET" && has_token(request.headers, "upgrade", "websocket") &&
         has_token(request.headers, "connection", "upgrade") && request.headers.find("sec-websocket-key") &&
         request.headers.find("sec-websocket-version") == "13";
}

Task<Result<std::unique_ptr<WebSocket>>> accept_websocket(std::shared_ptr<ServerShared> shared,
                                                          std::shared_ptr<SocketStream> stream, Request request,
                                                          std::chrono::milliseconds silence) {
  const auto core = std::make_shared<WebSocketCore>(shared->io, std::move(stream), beast::role_type::server,
                                                    std::min(silence, shared->limits.websocket_silence));
  core->register_with(shared);
  websocket::request_type upgrade;
  upgrade.method(beast::http::verb::get);
  upgrade.target(request.path);
  upgrade.version(11);
  for (const auto& [name, value] : request.headers.all()) upgrade.insert(name, value);
  const auto [ec] = co_await core->stream().async_accept(upgrade, kTuple);
  if (ec) co_return to_error(ec, "accept");
  std::unique_ptr<WebSocket> handle = std::make_unique<WebSocketHandle>(core);
  co_return handle;
}

Task<Result<std::unique_ptr<WebSocket>>> connect_websocket(asio::io_context& io, Address address, std::string path,
                                                           Headers headers, std::chrono::milliseconds deadline,
                                                           std::chrono::milliseconds silence) {
  const std::string host = address.kind == Address::Kind::kUnix ? "localhost" : address.to_string();
  const ConnectHooks nobody;  // a request of this kind cannot be cancelled
  CO_TRY(const std::shared_ptr<SocketStream> stream, co_await connect_stream(io, address, deadline, nobody));
  const auto core = std::make_shared<WebSocketCore>(io, stream, beast::role_type::client, silence);
  core->stream().set_option(websocket::stream_base::decorator([headers](websocket::request_type& request) {
    for (const auto& [name, value] : headers.all()) {
      if (is_valid_field(name, value)) request.set(name, value);
    }
  }));
  websocket::response_type response;
  const auto [ec] = co_await core->stream().async_handshake(response, host, path, kTuple);
  if (ec == websocket::error::upgrade_declined) {
    co_return make_error(Code::kUnavailable,
                         fmt::format("websocket {}: answered {}", address.to_string(), response.result_int()));
  }
  if (ec) co_return to_error(ec, "handshake");
  std::unique_ptr<WebSocket> handle = std::make_unique<WebSocketHandle>(core);
  co_return handle;
}

}  // namespace dormouse::http
