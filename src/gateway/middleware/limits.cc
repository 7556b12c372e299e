#include "gateway/middleware/middleware.h"

namespace dormouse::gateway {
namespace {

class Limits final : public Middleware {
 public:
  explicit Limits(std::size_t max_in_flight) : max_in_flight_(max_in_flight) {}

  Task<void> handle(Call& call, Next next) override {
    // Liveness must answer when all else is full, and a worker's channel is no request.
    const bool counted = call.route == nullptr || call.route->access == Access::kInference;
    if (!counted) {
      co_await next(call);
      co_return;
    }
    if (in_flight_ >= max_in_flight_) {
      co_await reply_error(call, api::ErrorCode::kOverloaded);
      co_return;
    }
    const Slot slot(in_flight_);
    co_await next(call);
  }

 private:
  struct Slot {
    explicit Slot(std::size_t& count) : count_(count) { ++count_; }
    ~Slot() { --count_; }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    std::size_t& count_;
  };
  const std::size_t max_in_flight_;
  std::size_t in_flight_ = 0;
};

}  // namespace

std::unique_ptr<Middleware> make_limits(std::size_t max_in_flight) { return std::make_unique<Limits>(max_in_flight); }

}  // namespace dormouse::gateway
