#include <fmt/format.h>

#include "base/log.h"
#include "gateway/middleware/middleware.h"

namespace dormouse::gateway {
namespace {

// nginx's number for a client that left before the answer; it appears in logs and metrics only.
constexpr int kClientClosed = 499;

class AccessLog final : public Middleware {
 public:
  AccessLog(const Clock& clock, Metrics& metrics) : clock_(clock), metrics_(metrics) {}

  Task<void> handle(Call& call, Next next) override {
    co_await next(call);
    const Nanoseconds took = clock_.now() - call.accepted;
    if (call.stop.reason() == StopReason::kClientGone) call.status = kClientClosed;
    metrics_.count_request(call, took);
    // Probes and a console that polls would fill the log; what changes something is always in it.
    const bool quiet = call.route != nullptr && call.route->access != Access::kInference &&
                       call.request().method == "GET" && call.status < 400;
    log_line(quiet ? LogLevel::kDebug : LogLevel::kInfo, line(call, took));
  }

 private:
  static std::string line(const Call& call, Nanoseconds took) {
    std::string out =
        fmt::format("event=request id={} client={} method={} route={} status={} ms={:.1f}", call.request_id,
                    call.client, call.request().method, call.route != nullptr ? call.route->pattern : std::string("-"),
                    call.status, static_cast<double>(took.count()) / 1e6);
    if (!call.error_code.empty()) out += " code=" + call.error_code;
    if (call.deployment.empty()) return out;
    return out + fmt::format(" deployment={} in={} out={} wake_ms={:.1f} ttft_ms={:.1f}", call.deployment,
                             call.prompt_tokens, call.completion_tokens,
                             static_cast<double>(call.wake_wait.count()) / 1e6,
                             static_cast<double>(call.first_token.count()) / 1e6);
  }

  const Clock& clock_;
  Metrics& metrics_;
};

}  // namespace

std::unique_ptr<Middleware> make_access_log(const Clock& clock, Metrics& metrics) {
  return std::make_unique<AccessLog>(clock, metrics);
}

}  // namespace dormouse::gateway
