#include <optional>

#include "gateway/admit.h"
#include "gateway/middleware/middleware.h"

namespace dormouse::gateway {
namespace {

class RateLimits final : public Middleware {
 public:
  explicit RateLimits(Limiter& limiter) : limiter_(limiter) {}

  Task<void> handle(Call& call, Next next) override {
    const bool is_limited = call.route != nullptr && call.route->access == Access::kInference && call.caller != nullptr;
    if (!is_limited) {
      co_await next(call);
      co_return;
    }
    // What only looks (the list of models) costs nothing and is told how things stand.
    if (call.route->method != "POST") {
      limiter_.look(call.admission, call.caller->key_id, call.caller->limits);
      co_await next(call);
      co_return;
    }
    const std::optional<api::ApiError> refused = admit_caller(limiter_, call);
    if (refused.has_value()) {
      co_await reply_error(call, *refused);
      co_return;
    }
    co_await next(call);
  }

 private:
  Limiter& limiter_;
};

class RefusalCounter final : public Middleware {
 public:
  RefusalCounter(const Clock& clock, RefusalCounts& counts) : clock_(clock), counts_(counts) {}

  Task<void> handle(Call& call, Next next) override {
    co_await next(call);
    if (!RefusalCounts::is_refusal(call.error_code)) co_return;
    const std::string_view key_id = call.caller != nullptr ? std::string_view(call.caller->key_id) : "";
    counts_.count(clock_.wall(), key_id, call.deployment, call.error_code);
  }

 private:
  const Clock& clock_;
  RefusalCounts& counts_;
};

}  // namespace

std::unique_ptr<Middleware> make_rate_limits(Limiter& limiter) {
  return std::make_unique<RateLimits>(limiter);
}

std::unique_ptr<Middleware> make_refusal_count(const Clock& clock, RefusalCounts& counts) {
  return std::make_unique<RefusalCounter>(clock, counts);
}

}  // namespace dormouse::gateway
