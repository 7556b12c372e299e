#include "gateway/held_stream.h"

#include <string>
#include <utility>

namespace dormouse::gateway {

HeldStream::HeldStream(asio::io_context& io, Call& call, const Booking& booking, StreamForm form)
    : io_(io), state_(std::make_shared<State>(io, call, booking, form)) {}

HeldStream::~HeldStream() {
  state_->stopping = true;
  state_->timer.cancel();
}

void HeldStream::start() {
  state_->running = true;
  asio::co_spawn(io_, ping(state_), asio::detached);
}

Task<void> HeldStream::stop() {
  if (!state_->running) co_return;
  state_->stopping = true;
  state_->timer.cancel();
  co_await state_->ended.get();
}

Task<void> HeldStream::ping(std::shared_ptr<State> state) {
  std::chrono::milliseconds wait = kGrace;
  while (!state->stopping) {
    state->timer.expires_after(wait);
    [[maybe_unused]] const auto [ec] = co_await state->timer.async_wait(kTuple);
    if (state->stopping) break;
    if (!state->call.exchange.started()) {
      const Status reserved = co_await state->booking.durable();  // no byte leaves before it
      if (state->stopping || !reserved.has_value()) break;
      const Status begun = co_await begin_stream(state->call, state->form.content_type);
      if (!begun.has_value()) break;
    }
    std::string silence(state->form.silence);
    const Status written = co_await state->call.exchange.write(std::move(silence));
    if (!written.has_value()) break;
    wait = kPeriod;
  }
  state->running = false;
  state->ended.set(true);
}

}  // namespace dormouse::gateway
