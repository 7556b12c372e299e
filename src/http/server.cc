#include "http/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <map>
#include <vector>

#include "base/log.h"
#include "http/connection.h"
#include "http/listener.h"

namespace dormouse::http {
namespace {

// Out of descriptors or memory: accepting again at once would spin on the same connection.
constexpr std::chrono::milliseconds kAcceptBackOff{100};
// What the kernel keeps of an answer nobody reads, per connection (it doubles the number): R-23.
constexpr int kSendBufferBytes = 128 * 1024;
constexpr std::chrono::seconds kUnwindFor{1};
// At the limit of connections: so many make room at once, because finding them is a walk over all; and so long they
// take to end.
constexpr int kRoom = 64;
constexpr std::chrono::milliseconds kRoomFor{1};

// Of a listener. What the loop is told may be the news of one that has been accepted since.
bool somebody_waits(int fd) {
  pollfd asked{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&asked, 1, 0) > 0;
}

bool is_exhaustion(int errno_value) {
  return errno_value == EMFILE || errno_value == ENFILE || errno_value == ENOBUFS || errno_value == ENOMEM;
}

}  // namespace

struct Server::Impl : std::enable_shared_from_this<Server::Impl> {
  struct Listener {
    asio::posix::stream_descriptor descriptor;
    Address address;
    std::string name;
    int family = 0;
    std::shared_ptr<TlsContext> tls;  // null: plain
  };

  Impl(asio::io_context& io_context, ServerLimits limits, Handler handler, ErrorBody error_body)
      : io(io_context),
        changed(io_context),
        shared(std::make_shared<ServerShared>(
            ServerShared{io_context, limits, std::move(handler), std::move(error_body), false, 0, {}, {}})) {}

  std::uint64_t add(std::weak_ptr<Cuttable> item) {
    const std::uint64_t id = ++last_id;
    items.emplace(id, std::move(item));
    return id;
  }
  void remove(std::uint64_t id) {
    items.erase(id);
    changed.cancel();
  }
  void close_listeners();
  void cut_all();
  bool make_room();
  void start(int fd, const Listener& listener);
  static Task<void> accept_loop(std::shared_ptr<Impl> self, std::shared_ptr<Listener> listener);
  static Task<void> drain(std::shared_ptr<Impl> self, std::chrono::milliseconds deadline);
  Task<bool> wait_until_empty(std::chrono::milliseconds deadline);

  asio::io_context& io;
  asio::steady_timer changed;
  std::shared_ptr<ServerShared> shared;
  std::vector<std::shared_ptr<Listener>> listeners;
  std::map<std::uint64_t, std::weak_ptr<Cuttable>> items;
  std::uint64_t last_id = 0;
};

void Server::Impl::close_listeners() {
  shared->closing = true;
  for (const auto& listener : listeners) {
    boost::system::error_code ignored;  // closing what is closed is fine
    listener->descriptor.close(ignored);
    if (listener->address.kind == Address::Kind::kUnix) ::unlink(listener->address.path.c_str());
  }
  listeners.clear();
  const auto snapshot = items;
  for (const auto& [id, item] : snapshot) {
    if (const auto alive = item.lock()) alive->cut_if(Phase::kIdle);
  }
}

// False: all are at work. Cutting ends waits and no more, so the map stands still meanwhile.
bool Server::Impl::make_room() {
  for (const Phase phase : {Phase::kIdle, Phase::kReading}) {
    int made = 0;
    for (const auto& [id, item] : items) {
      const auto alive = item.lock();
      if (alive && alive->cut_if(phase) && ++made == kRoom) return true;
    }
    if (made > 0) return true;
  }
  return false;
}

void Server::Impl::cut_all() {
  const auto snapshot = items;
  for (const auto& [id, item] : snapshot) {
    if (const auto alive = item.lock()) alive->cut();
  }
}

void Server::Impl::start(int fd, const Listener& listener) {
  const int on = 1;
  const int send_bytes = kSendBufferBytes;
  // Both are improvements, not conditions: a socket that refuses them still works.
  if (listener.family != AF_UNIX) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes));
  SocketStream::Socket socket(io);
  boost::system::error_code ec;
  socket.assign(asio::generic::stream_protocol(listener.family, listener.family == AF_UNIX ? 0 : IPPROTO_TCP), fd, ec);
  if (ec) {
    log_error("event=accept_failed what=\"{}\"", ec.message());
    ::close(fd);
    return;
  }
  auto stream = std::make_shared<SocketStream>(io, std::move(socket));
  if (listener.tls != nullptr) {
    Result<std::unique_ptr<TlsSession>> tls = TlsSession::accept(*listener.tls, fd);
    if (!tls.has_value()) return log_error("event=accept_failed what=\"{}\"", tls.error().message);
    stream->secure(*std::move(tls));
  }
  const auto connection = std::make_shared<Connection>(shared, std::move(stream), listener.name, peer_name(fd));
  const std::uint64_t id = add(connection);
  asio::co_spawn(io, Connection::serve(connection), [self = shared_from_this(), id](std::exception_ptr failure) {
    if (failure) log_error("event=connection_failed");
    self->remove(id);
  });
}

Task<void> Server::Impl::accept_loop(std::shared_ptr<Impl> self, std::shared_ptr<Listener> listener) {
  asio::steady_timer back_off(self->io);
  while (listener->descriptor.is_open()) {
    const auto is_full = [&self] { return self->items.size() >= self->shared->limits.connections; };
    if (is_full()) {
      // Nobody is cut before somebody waits at the door: who has just come in has not been heard yet.
      co_await listener->descriptor.async_wait(asio::posix::stream_descriptor::wait_read, kTuple);
      if (!listener->descriptor.is_open() || !is_full()) continue;
      if (!somebody_waits(listener->descriptor.native_handle())) continue;
      // Kept in the backlog. Polled, not signalled: it happens at the limit only, and drain() owns the signal.
      back_off.expires_after(self->make_room() ? kRoomFor : kAcceptBackOff);
      co_await back_off.async_wait(kTuple);  // over or cancelled: the loop looks again
      continue;
    }
    const int fd = ::accept4(listener->descriptor.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      self->start(fd, *listener);
      continue;
    }
    const int failure = errno;
    if (failure == EAGAIN) {
      // Readable or closed: the loop looks again.
      co_await listener->descriptor.async_wait(asio::posix::stream_descriptor::wait_read, kTuple);
    } else if (is_exhaustion(failure)) {
      log_warn("event=accept_paused what=\"{}\"", errno_error("accept", failure).message);
      back_off.expires_after(kAcceptBackOff);
      co_await back_off.async_wait(kTuple);  // over or cancelled: the loop looks again
    } else if (failure == EBADF || failure == EINVAL) {
      co_return;
    }
    // Else: the connection died in the backlog (ECONNABORTED and the network's own errors, accept(2)).
  }
}

// True: nothing is left.
Task<bool> Server::Impl::wait_until_empty(std::chrono::milliseconds deadline) {
  // Two timers: `changed` is cancelled by every connection that ends, `over` says how long altogether.
  asio::steady_timer over(io, deadline);
  const auto passed = std::make_shared<bool>(false);
  over.async_wait([self = shared_from_this(), passed](const boost::system::error_code& ec) {
    if (ec) return;
    *passed = true;
    self->changed.cancel();
  });
  while (!items.empty() && !*passed) {
    changed.expires_at(asio::steady_timer::time_point::max());
    co_await changed.async_wait(kTuple);  // always ends by cancel
  }
  over.cancel();
  co_return items.empty();
}

Task<void> Server::Impl::drain(std::shared_ptr<Impl> self, std::chrono::milliseconds deadline) {
  self->close_listeners();
  const bool empty = co_await self->wait_until_empty(deadline);
  if (empty) co_return;
  log_warn("event=drain_cut connections={}", self->items.size());
  self->cut_all();
  const bool unwound = co_await self->wait_until_empty(kUnwindFor);
  if (!unwound) log_warn("event=drain_left connections={}", self->items.size());
}

Server::Server(asio::io_context& io, ServerLimits limits, Handler handler, ErrorBody error_body)
    : impl_(std::make_shared<Impl>(io, limits, std::move(handler), std::move(error_body))) {
  const std::weak_ptr<Impl> weak = impl_;
  impl_->shared->add = [weak](std::weak_ptr<Cuttable> item) {
    const auto impl = weak.lock();
    return impl ? impl->add(std::move(item)) : std::uint64_t{0};
  };
  impl_->shared->remove = [weak](std::uint64_t id) {
    if (const auto impl = weak.lock()) impl->remove(id);
  };
}

Server::~Server() {
  impl_->close_listeners();
  impl_->cut_all();
}

Result<Address> Server::listen(const Address& address, std::string name, const TlsIdentity* identity) {
  std::shared_ptr<TlsContext> tls;
  if (identity != nullptr) {
    TRY(tls, TlsContext::server(*identity));
  }
  TRY(BoundSocket bound, bind_and_listen(address));
  const auto listener =
      std::make_shared<Impl::Listener>(Impl::Listener{asio::posix::stream_descriptor(impl_->io, bound.fd.release()),
                                                      bound.address, std::move(name), bound.family, std::move(tls)});
  impl_->listeners.push_back(listener);
  asio::co_spawn(impl_->io, Impl::accept_loop(impl_, listener), [](std::exception_ptr failure) {
    if (failure) log_error("event=accept_loop_failed");
  });
  return bound.address;
}

Status Server::set_identity(const TlsIdentity& identity) {
  TRY(const std::shared_ptr<TlsContext> tls, TlsContext::server(identity));
  for (const auto& listener : impl_->listeners) {
    if (listener->tls != nullptr) listener->tls = tls;
  }
  return {};
}

void Server::close_listeners() {
  impl_->close_listeners();
}

Task<void> Server::drain(std::chrono::milliseconds deadline) {
  return Impl::drain(impl_, deadline);
}

std::size_t Server::connections() const {
  return impl_->items.size();
}

}  // namespace dormouse::http
