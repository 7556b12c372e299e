// Events of one job on their way from the engine thread to the handler that writes them out. Bounded: a reader that
// falls kMaxPending events behind has its job ended (reliability notes R-23); text a reader has not taken is no reason
// to hold KV pages.
// Threads: the io_context's only; the engine thread posts.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <vector>

#include "http/asio.h"
#include "worker/generator.h"

namespace dormouse::worker {

// An event becomes a frame of about 250 bytes: 1,024 of them are the 256 KiB that R-23 allows.
inline constexpr std::size_t kMaxPendingEvents = 1024;

class JobChannel {
 public:
  JobChannel(asio::io_context& io, JobId id) : timer_(io), id_(id) {}

  [[nodiscard]] JobId id() const { return id_; }
  void push(JobEvent event) {
    if (closed_) return;
    if (bounded_ && pending_.size() >= kMaxPendingEvents) {
      overflowed_ = true;
      close();
      if (on_overflow_) on_overflow_();
      return;
    }
    pending_.push_back(std::move(event));
    timer_.cancel();
  }
  // No more events: the client has gone, or the worker stops.
  void close() {
    closed_ = true;
    timer_.cancel();
  }
  void set_bounded(std::function<void()> on_overflow) {
    bounded_ = true;
    on_overflow_ = std::move(on_overflow);
  }
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] bool overflowed() const { return overflowed_; }

  // All events there are; waits for the first one at most `patience`. Empty: closed, or patience is over.
  Task<std::vector<JobEvent>> take(std::chrono::milliseconds patience) {
    if (pending_.empty() && !closed_) {
      timer_.expires_after(patience);
      co_await timer_.async_wait(kTuple);
    }
    std::vector<JobEvent> out(std::make_move_iterator(pending_.begin()), std::make_move_iterator(pending_.end()));
    pending_.clear();
    co_return out;
  }

 private:
  asio::steady_timer timer_;
  const JobId id_;
  std::deque<JobEvent> pending_;
  std::function<void()> on_overflow_;
  bool bounded_ = false;
  bool closed_ = false;
  bool overflowed_ = false;
};

}  // namespace dormouse::worker
