#include <memory>
#include <utility>

#include "gateway/middleware/middleware.h"

namespace dormouse::gateway {
namespace {

class DeadlineTimer final : public Middleware {
 public:
  DeadlineTimer(asio::io_context& io, const Clock& clock, std::chrono::milliseconds timeout)
      : io_(io), clock_(clock), timeout_(timeout) {}

  Task<void> handle(Call& call, Next next) override {
    if (call.route == nullptr || call.route->access != Access::kInference) {
      co_await next(call);
      co_return;
    }
    call.deadline = clock_.now() + timeout_;
    asio::steady_timer timer(io_, timeout_);
    // The handler may be queued although the timer is gone: it must not touch a call that has ended.
    const auto alive = std::make_shared<Call*>(&call);
    const Ended ended(alive);
    timer.async_wait([alive](const boost::system::error_code& ec) {
      if (!ec && *alive != nullptr) (*alive)->stop.fire(StopReason::kDeadline);
    });
    co_await next(call);
  }

 private:
  // Also when an exception passes.
  struct Ended {
    explicit Ended(std::shared_ptr<Call*> a) : alive(std::move(a)) {}
    ~Ended() { *alive = nullptr; }
    Ended(const Ended&) = delete;
    Ended& operator=(const Ended&) = delete;
    std::shared_ptr<Call*> alive;
  };
  asio::io_context& io_;
  const Clock& clock_;
  const std::chrono::milliseconds timeout_;
};

}  // namespace

std::unique_ptr<Middleware> make_deadline(asio::io_context& io, const Clock& clock, std::chrono::milliseconds timeout) {
  return std::make_unique<DeadlineTimer>(io, clock, timeout);
}

}  // namespace dormouse::gateway
