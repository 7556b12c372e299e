// A value set once by one side and awaited by the other, on one loop: how a ledger callback becomes something a
// coroutine can wait for. Copies share the value, so a late callback finds it alive.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "http/asio.h"

namespace dormouse::gateway {

template <typename T>
class OneShot {
 public:
  explicit OneShot(asio::io_context& io) : state_(std::make_shared<State>(io)) {}

  // The first value stays.
  void set(T value) const {
    if (state_->value.has_value()) return;
    state_->value = std::move(value);
    state_->timer.cancel();
  }
  [[nodiscard]] bool is_set() const { return state_->value.has_value(); }
  [[nodiscard]] Task<T> get() const { return wait(state_); }

 private:
  struct State {
    explicit State(asio::io_context& io) : timer(io, asio::steady_timer::time_point::max()) {}
    asio::steady_timer timer;  // never expires by itself: cancelling it is the signal
    std::optional<T> value;
  };
  static Task<T> wait(std::shared_ptr<State> state) {
    while (!state->value.has_value()) {
      [[maybe_unused]] const auto [ec] = co_await state->timer.async_wait(kTuple);
    }
    co_return *state->value;
  }
  std::shared_ptr<State> state_;
};

}  // namespace dormouse::gateway
