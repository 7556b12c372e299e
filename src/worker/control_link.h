// The worker's end of the control channel: one WebSocket it opens to whoever started it. Says hello, then what the
// owner sends; hears drain and stop. A local gateway's end is the worker's end (nobody else would ever stop it); a
// remote one (over TLS) may be away for the lease's time to live and is dialled again with the same lease and epoch.
// The lease runs from the moment the link was lost until a gateway says welcome: one that takes the call and refuses
// the hello does not prolong it, so that a worker nobody knows any more ends itself (the dead-man switch).
// Threads: the io_context's. Callbacks run there, at most one of `on_stop` and `on_lost`, once.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "control/messages.h"
#include "http/asio.h"
#include "http/message.h"

namespace dormouse::worker {

inline constexpr const char* kControlPath = "/internal/worker";

struct ControlLinkOptions {
  http::Address address;
  control::Hello hello;
  std::chrono::milliseconds connect_deadline{5'000};
  std::chrono::milliseconds lease_time_to_live{120'000};  // how long a remote gateway may be away

  [[nodiscard]] bool is_remote() const { return address.tls.has_value(); }
};

struct ControlEvents {
  std::function<void()> on_drain;
  std::function<void()> on_stop;
  std::function<void()> on_lost;  // the gateway is gone for good
};

// Which of a look a second is worth a Stats: each while anything runs, and one when the last work has ended, also of
// work that came and went between two looks.
class StatsNews {
 public:
  [[nodiscard]] bool is_news(bool is_quiet, std::uint64_t steps) {
    const bool is_known = is_quiet && was_quiet_ && steps == steps_;
    was_quiet_ = is_quiet;
    steps_ = steps;
    return !is_known;
  }

 private:
  bool was_quiet_ = true;  // a gateway takes it for that until it is told otherwise
  std::uint64_t steps_ = 0;
};

class ControlLink {
 public:
  ControlLink(asio::io_context& io, ControlLinkOptions options, ControlEvents events);
  ~ControlLink();
  ControlLink(const ControlLink&) = delete;
  ControlLink& operator=(const ControlLink&) = delete;

  // Dials and keeps the link. Once.
  void start();
  // Queued behind hello, in order; kept over a reconnect. Stats and progress are dropped while nobody is connected:
  // the next ones say more.
  void send(control::Message message);
  // Sends and then calls back, also when it could not be sent within `deadline`: a worker's last word.
  void send_last(control::Message message, std::chrono::milliseconds deadline, std::function<void()> done);
  void close();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace dormouse::worker
