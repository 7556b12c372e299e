// One at a time, in order of arrival: how changes that await in the middle keep out of each other's way on one loop.
#pragma once

#include <deque>
#include <memory>
#include <utility>

#include "gateway/one_shot.h"
#include "http/asio.h"

namespace dormouse::gateway {

class Turns {
  struct State {
    bool taken = false;
    std::deque<OneShot<bool>> waiting;
  };

 public:
  explicit Turns(asio::io_context& io) : io_(io) {}

  // Held until destroyed; may outlive the Turns.
  class Turn {
   public:
    explicit Turn(std::shared_ptr<State> state) : state_(std::move(state)) {}
    Turn(Turn&&) noexcept = default;
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (state_ == nullptr) return;
      if (state_->waiting.empty()) {
        state_->taken = false;
        return;
      }
      const OneShot<bool> next = state_->waiting.front();
      state_->waiting.pop_front();
      next.set(true);
    }

   private:
    std::shared_ptr<State> state_;
  };

  [[nodiscard]] Task<Turn> take() { return wait(io_, state_); }

 private:
  static Task<Turn> wait(asio::io_context& io, std::shared_ptr<State> state) {
    if (std::exchange(state->taken, true)) {
      const OneShot<bool> called(io);
      state->waiting.push_back(called);
      static_cast<void>(co_await called.get());
    }
    co_return Turn(std::move(state));
  }

  asio::io_context& io_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace dormouse::gateway
