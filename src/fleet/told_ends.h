// What workers said of requests whose connection the gateway had closed, for whoever settles them. The word may come
// before somebody asks for it, or never. Threads: the loop's.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "control/messages.h"
#include "http/asio.h"

namespace dormouse::fleet {

class ToldEnds {
 public:
  explicit ToldEnds(asio::io_context& io) : io_(io) {}
  ToldEnds(const ToldEnds&) = delete;
  ToldEnds& operator=(const ToldEnds&) = delete;

  void put(const control::Ended& ended);
  // The object must outlive the coroutine.
  Task<std::optional<control::Ended>> wait(std::string request_id, std::chrono::milliseconds wait);

 private:
  struct Waiter {
    explicit Waiter(asio::io_context& io) : timer(io) {}
    asio::steady_timer timer;  // cancelled when `ended` is set
    std::optional<control::Ended> ended;
  };
  // Nobody asked yet; most are asked for within a moment. A worker cannot make us keep more.
  static constexpr std::size_t kMaxKept = 1'024;

  asio::io_context& io_;
  std::map<std::string, Waiter*> waiters_;
  std::unordered_map<std::string, control::Ended> kept_;
  std::deque<std::string> order_;
};

}  // namespace dormouse::fleet
