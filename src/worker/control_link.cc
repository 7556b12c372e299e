#include "worker/control_link.h"

#include <algorithm>
#include <deque>
#include <string>
#include <utility>
#include <variant>

#include "base/clock.h"
#include "base/log.h"
#include "http/websocket.h"

namespace dormouse::worker {
namespace {

// A remote gateway that restarts is back within seconds; once a second loads nobody.
constexpr std::chrono::milliseconds kRedial{1'000};
constexpr std::chrono::milliseconds kLocalRedial{100};
constexpr std::chrono::milliseconds kShortestDial{100};
// So many attempts fit at least into a lease's time to live.
constexpr int kDialsPerLease = 8;
// Ready and failed must not be lost; more than this waiting means nobody will ever read them.
constexpr std::size_t kMaxOutbox = 64;

bool is_perishable(const control::Message& message) {
  return std::holds_alternative<control::Stats>(message) || std::holds_alternative<control::Progress>(message);
}

}  // namespace

struct ControlLink::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& context, ControlLinkOptions o, ControlEvents e)
      : io(context), options(std::move(o)), events(std::move(e)), wake(context) {}

  Task<void> run(std::shared_ptr<Impl> self);
  [[nodiscard]] std::chrono::milliseconds time_left() const;
  Task<bool> dial();
  // All is said. Over TCP a welcome that nobody has read would make our end a reset, and the other side would lose what
  // it has not read yet.
  [[nodiscard]] bool is_heard() const { return outbox.empty() && (!options.is_remote() || welcomed); }
  Task<void> listen();
  Task<void> write_loop(std::shared_ptr<Impl> self);
  Task<void> last_word(std::shared_ptr<Impl> self, std::chrono::milliseconds deadline, std::function<void()> done);
  void start_writer();
  void handle(const std::string& text);
  void end_with(std::function<void()>& callback);

  asio::io_context& io;
  const ControlLinkOptions options;
  ControlEvents events;
  std::unique_ptr<http::WebSocket> socket;  // null: not connected
  struct Outgoing {
    std::string text;
    bool is_ready = false;
  };
  std::deque<Outgoing> outbox;
  std::string ready;        // once it has been sent
  asio::steady_timer wake;  // last_word() waits here until it is heard
  const SystemClock clock;
  MonoTime alone_since = clock.now();
  bool welcomed = false;  // on this connection
  bool writing = false;
  bool closed = false;
};

// Until nobody may expect anything of us any more. A local gateway that answered once and is gone will not come back as
// our parent; one that does not answer at all gets the moment between its fork and its listen.
std::chrono::milliseconds ControlLink::Impl::time_left() const {
  const std::chrono::milliseconds patience =
      options.is_remote() ? options.lease_time_to_live : options.connect_deadline;
  return std::chrono::duration_cast<std::chrono::milliseconds>(alone_since + patience - clock.now());
}

// The owner's callbacks may destroy the link; `self` keeps this alive until the coroutine returns.
Task<void> ControlLink::Impl::run([[maybe_unused]] std::shared_ptr<Impl> self) {
  while (!closed) {
    const bool connected = co_await dial();
    if (closed) co_return;
    if (connected) {
      co_await listen();
      socket.reset();
      if (closed) co_return;
      log_warn("event=control_lost address={}", options.address.to_string());
      if (std::exchange(welcomed, false)) alone_since = clock.now();
    }
    if (time_left() <= std::chrono::milliseconds{0} || (connected && !options.is_remote())) break;
    std::chrono::milliseconds pause = options.is_remote() ? kRedial : kLocalRedial;
    pause = std::min({pause, options.lease_time_to_live / kDialsPerLease, time_left()});
    asio::steady_timer timer(io, pause);
    co_await timer.async_wait(kTuple);
  }
  end_with(events.on_lost);
}

Task<bool> ControlLink::Impl::dial() {
  // Named, all of them: GCC 12 frees an owning temporary of a co_await expression twice (docs/adr/0005).
  http::Headers headers;
  http::Address address = options.address;
  std::string path(kControlPath);
  const std::chrono::milliseconds deadline =
      std::clamp(time_left(), std::min(kShortestDial, options.connect_deadline), options.connect_deadline);
  // A dead link must be known in time to be made anew within the lease.
  const std::chrono::milliseconds silence = std::min(http::kWebSocketSilence, options.lease_time_to_live / 2);
  Result<std::unique_ptr<http::WebSocket>> opened =
      co_await http::connect_websocket(io, std::move(address), std::move(path), std::move(headers), deadline, silence);
  if (!opened.has_value()) {
    log_debug("event=control_dial_failed error=\"{}\"", opened.error().message);
    co_return false;
  }
  std::string hello = control::encode(options.hello);
  const Status said = co_await (*opened)->write(std::move(hello));
  if (!said.has_value()) co_return false;
  // A gateway that restarted knows nothing of an earlier ready.
  if (!ready.empty()) {
    std::string again = ready;
    const Status told = co_await (*opened)->write(std::move(again));
    if (!told.has_value()) co_return false;
  }
  socket = std::move(*opened);
  start_writer();
  co_return true;
}

Task<void> ControlLink::Impl::listen() {
  while (!closed) {
    Result<std::string> text = co_await socket->read();
    if (!text.has_value()) co_return;  // a silent gateway too: it would have answered the pings
    handle(*text);
  }
}

void ControlLink::Impl::handle(const std::string& text) {
  const Result<control::Message> message = control::decode(text);
  if (!message.has_value()) {
    if (message.error().code == Code::kNotFound) return;
    log_warn("event=control_bad_message error=\"{}\"", message.error().message);
    return;
  }
  if (std::holds_alternative<control::Drain>(*message)) {
    // A copy: what it calls may close the link and with it the original.
    if (const std::function<void()> call = events.on_drain; call) call();
  } else if (std::holds_alternative<control::Stop>(*message)) {
    end_with(events.on_stop);
  } else if (std::holds_alternative<control::Welcome>(*message)) {
    welcomed = true;
    wake.cancel();
  }
}

void ControlLink::Impl::end_with(std::function<void()>& callback) {
  if (closed) return;
  closed = true;
  if (const std::function<void()> call = std::move(callback); call) call();
}

void ControlLink::Impl::start_writer() {
  if (writing || socket == nullptr || outbox.empty()) return;
  writing = true;
  asio::co_spawn(io, write_loop(shared_from_this()), asio::detached);
}

Task<void> ControlLink::Impl::write_loop([[maybe_unused]] std::shared_ptr<Impl> self) {
  while (socket != nullptr && !outbox.empty()) {
    std::string text = outbox.front().text;
    const Status written = co_await socket->write(std::move(text));
    if (!written.has_value()) break;  // listen() sees the same end and the next dial starts a writer again
    if (outbox.front().is_ready) ready = std::move(outbox.front().text);
    outbox.pop_front();
  }
  writing = false;
  wake.cancel();
}

Task<void> ControlLink::Impl::last_word([[maybe_unused]] std::shared_ptr<Impl> self, std::chrono::milliseconds deadline,
                                        std::function<void()> done) {
  start_writer();
  const MonoTime until = clock.now() + deadline;
  while (!is_heard() && clock.now() < until) {
    wake.expires_after(until - clock.now());
    co_await wake.async_wait(kTuple);
  }
  done();
}

ControlLink::ControlLink(asio::io_context& io, ControlLinkOptions options, ControlEvents events)
    : impl_(std::make_shared<Impl>(io, std::move(options), std::move(events))) {}

ControlLink::~ControlLink() {
  close();
}

void ControlLink::start() {
  asio::co_spawn(impl_->io, impl_->run(impl_), asio::detached);
}

void ControlLink::send(control::Message message) {
  if (impl_->socket == nullptr && is_perishable(message)) return;
  if (impl_->outbox.size() >= kMaxOutbox) return;
  impl_->outbox.push_back({control::encode(message), std::holds_alternative<control::Ready>(message)});
  impl_->start_writer();
}

void ControlLink::send_last(control::Message message, std::chrono::milliseconds deadline, std::function<void()> done) {
  impl_->outbox.push_back({control::encode(message), false});
  asio::co_spawn(impl_->io, impl_->last_word(impl_, deadline, std::move(done)), asio::detached);
}

void ControlLink::close() {
  impl_->closed = true;
  impl_->events = {};
  if (impl_->socket != nullptr) impl_->socket->close();
}

}  // namespace dormouse::worker
