#include <exception>
#include <string>

#include "base/log.h"
#include "gateway/middleware/middleware.h"

namespace dormouse::gateway {
namespace {

class ErrorBoundary final : public Middleware {
 public:
  Task<void> handle(Call& call, Next next) override {
    std::string failure;
    try {
      co_await next(call);
    } catch (const std::exception& e) {
      failure = e.what();
      if (failure.empty()) failure = "exception";
    }
    // What the handler was waiting for went with its frame: nobody may break it off any more.
    if (!failure.empty()) call.stop.on_fire({});
    if (!failure.empty()) log_error("event=handler_failed id={} what={}", call.request_id, failure);
    if (call.exchange.started()) {
      if (!failure.empty()) call.exchange.abort();
      co_return;
    }
    if (call.status == 0 && !call.exchange.client_gone()) {
      co_await reply_error(call, api::ErrorCode::kInternalError);
    }
  }
};

}  // namespace

std::unique_ptr<Middleware> make_error_boundary() { return std::make_unique<ErrorBoundary>(); }

}  // namespace dormouse::gateway
