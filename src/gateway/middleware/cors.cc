#include <optional>
#include <string_view>
#include <utility>

#include "gateway/exposure/exposure.h"
#include "gateway/middleware/middleware.h"
#include "gateway/router.h"

namespace dormouse::gateway {
namespace {

// Routes a page of another origin may be told of: what keys are for, and liveness. Never the admin's.
bool is_for_pages(std::optional<Access> access) {
  return !access.has_value() || *access == Access::kInference || *access == Access::kOpen;
}

class Cors final : public Middleware {
 public:
  Cors(const Exposure& exposure, const Router& router) : exposure_(exposure), router_(router) {}

  Task<void> handle(Call& call, Next next) override {
    const CorsRules& rules = exposure_.cors();
    const bool for_pages = is_for_pages(call.path_access);
    if (for_pages) rules.add_vary(call.answer_headers);
    const auto origin = call.request().headers.find("origin");
    if (!origin.has_value() || call.reach == Reach::kSocket) {
      co_await next(call);
      co_return;
    }
    const bool listed = for_pages && rules.allows(*origin);
    const auto host = call.request().headers.find("host");
    // Another program's page on this machine may ask the model, but not change what is served.
    const bool ours = (for_pages && is_loopback_origin(*origin)) || (host.has_value() && is_own_origin(*origin, *host));
    if (!listed && !ours) {
      co_await reply_error(call, api::ErrorCode::kHostNotAllowed);
      co_return;
    }
    if (listed && is_preflight(call)) {
      co_await answer_preflight(call, *origin);
      co_return;
    }
    if (listed) rules.add_answer_headers(*origin, call.answer_headers);
    co_await next(call);
  }

 private:
  // Before keys are looked at: a preflight carries none.
  [[nodiscard]] bool is_preflight(const Call& call) const {
    if (call.request().method != "OPTIONS") return false;
    const auto method = call.request().headers.find("access-control-request-method");
    const Route* const route = method.has_value() ? router_.find(*method, call.request().path) : nullptr;
    return route != nullptr && route->access == Access::kInference;
  }

  Task<void> answer_preflight(Call& call, std::string_view origin) const {
    http::Response response;
    response.status = 204;
    const std::string_view wanted =
        call.request().headers.find("access-control-request-headers").value_or(std::string_view());
    exposure_.cors().add_preflight_headers(origin, wanted, response.headers);
    return reply(call, std::move(response));
  }

  const Exposure& exposure_;
  const Router& router_;
};

}  // namespace

std::unique_ptr<Middleware> make_cors(const Exposure& exposure, const Router& router) {
  return std::make_unique<Cors>(exposure, router);
}

}  // namespace dormouse::gateway
