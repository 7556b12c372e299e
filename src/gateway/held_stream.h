// Keeps a streaming caller's connection alive while its model wakes or reads its prompt: after a short grace the
// headers of the stream and then its dialect's silence every 10 s (requirement R-20). Lives in the request's frame;
// stop() before leaving it. Threads: the loop's.
#pragma once

#include <chrono>
#include <memory>

#include "gateway/booking.h"
#include "gateway/call.h"
#include "gateway/dialect/answer.h"

namespace dormouse::gateway {

class HeldStream {
 public:
  HeldStream(asio::io_context& io, Call& call, const Booking& booking, StreamForm form);
  ~HeldStream();
  HeldStream(const HeldStream&) = delete;
  HeldStream& operator=(const HeldStream&) = delete;

  void start();
  // Returns when no ping is under way. Idempotent.
  Task<void> stop();

 private:
  // A wake out of the page cache is over before this (120 ms promised): an error there can still be a real HTTP status.
  static constexpr std::chrono::milliseconds kGrace{250};
  static constexpr std::chrono::seconds kPeriod{10};

  struct State {
    State(asio::io_context& io, Call& c, const Booking& b, StreamForm f)
        : call(c), booking(b), form(f), timer(io), ended(io) {}
    Call& call;
    const Booking& booking;
    const StreamForm form;
    asio::steady_timer timer;
    OneShot<bool> ended;
    bool stopping = false;
    bool running = false;
  };
  static Task<void> ping(std::shared_ptr<State> state);

  asio::io_context& io_;
  std::shared_ptr<State> state_;
};

}  // namespace dormouse::gateway
