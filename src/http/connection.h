// One accepted connection: reads requests, runs the handler for each, answers. Internal to http. Owned by its own
// coroutine, serve(); the server knows it weakly. Threads: the io_context's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "http/server.h"
#include "http/socket_stream.h"
#include "http/wire.h"

namespace dormouse::http {

// kIdle: between requests. kReading: a request is arriving, or what follows a refused one is thrown away. kBusy: a
// handler runs, or it has been cut.
enum class Phase { kIdle, kReading, kBusy };

// Something the server can end: a connection, or the WebSocket it became.
class Cuttable {
 public:
  virtual ~Cuttable() = default;
  virtual void cut() = 0;
  // Ends it only if it is in this phase, which is not kBusy. False: it is not.
  virtual bool cut_if(Phase phase) = 0;
};

// What connections share, owned by the server.
struct ServerShared {
  asio::io_context& io;
  ServerLimits limits;
  Handler handler;
  ErrorBody error_body;
  bool closing = false;
  std::size_t arriving_bytes = 0;  // of bodies, all connections together
  // A WebSocket taken over from a connection is registered until it ends.
  std::function<std::uint64_t(std::weak_ptr<Cuttable>)> add;
  std::function<void(std::uint64_t)> remove;
};

class Connection final : public Cuttable, public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ServerShared> shared, std::shared_ptr<SocketStream> stream, std::string listener,
             std::string peer);

  // Runs until the connection ends. Never throws out of a handler.
  static Task<void> serve(std::shared_ptr<Connection> self);

  void cut() override;
  bool cut_if(Phase phase) override;

  // For the exchange.
  Task<Status> write(std::string bytes);
  void break_off();
  void set_gone_callback(std::function<void()> callback);
  [[nodiscard]] bool is_gone() const { return gone_; }
  [[nodiscard]] ServerShared& shared() { return *shared_; }
  [[nodiscard]] const std::shared_ptr<ServerShared>& shared_ptr() { return shared_; }
  [[nodiscard]] const std::string& listener() const { return listener_; }
  [[nodiscard]] SocketStream& stream() { return *stream_; }
  [[nodiscard]] const std::shared_ptr<SocketStream>& stream_ptr() { return stream_; }
  // Ends the watch on the socket and marks the connection as no longer HTTP.
  void hand_over();

 private:
  // No value: close without an answer.
  using ReadError = std::optional<WireError>;
  template <typename T>
  using ReadResult = tl::expected<T, ReadError>;

  Task<ReadResult<RequestHead>> read_head();
  Task<ReadResult<std::string>> read_body(BodyLength length, bool expect_continue);
  Task<ReadResult<std::size_t>> fill();
  Task<bool> run_handler(RequestHead head, std::string body);
  Task<void> answer_error(WireError error);
  Task<void> linger();

  void watch();
  void on_readable();
  void stop_watch();
  void mark_gone();

  std::shared_ptr<ServerShared> shared_;
  std::shared_ptr<SocketStream> stream_;
  std::string listener_;
  std::string peer_;
  std::function<void()> gone_callback_;
  std::uint64_t watch_ = 0;  // counts watches, so that a cancelled one knows
  std::size_t request_count_ = 0;
  Phase phase_ = Phase::kIdle;
  bool gone_ = false;
  bool handed_over_ = false;
  bool is_head_ = false;  // the request being read: its answer has no body, be it an error's
};

// The peer's address as Request::peer has it.
[[nodiscard]] std::string peer_name(int fd);

}  // namespace dormouse::http
