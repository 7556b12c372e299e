#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "api/json_write.h"
#include "base/log.h"
#include "gateway/middleware/middleware.h"

namespace dormouse::gateway {
namespace {

// nginx's number for a client that left before the answer; it appears in logs and metrics only.
constexpr int kClientClosed = 499;

double milliseconds(Nanoseconds d) {
  return static_cast<double>(d.count()) / 1e6;
}

std::string_view route_of(const Call& call) {
  return call.route != nullptr ? std::string_view(call.route->pattern) : std::string_view("-");
}

// "2026-01-15T08:00:00.123Z".
std::string utc_text(WallTime time) {
  const auto seconds = static_cast<std::time_t>(time.us / 1'000'000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", utc, time.us / 1'000 % 1'000);
}

// An instance's word, and a line's: only known ones are repeated.
std::string_view finish_of(const Call& call) {
  for (const std::string_view known : {"stop", "length", "tool_calls", "content_filter", "abort", "error"}) {
    if (call.finish_reason == known) return known;
  }
  return call.finish_reason.empty() ? "" : "other";
}

// Behind a trusted proxy the one it names. A request that no door was found for has none.
std::string_view client_of(const Call& call) {
  return call.client.empty() ? std::string_view(call.request().peer) : std::string_view(call.client);
}

// For people, on one line.
std::string words(const Call& call, Nanoseconds took) {
  std::string out = fmt::format(
      "event=request id={} client={} method={} route={} status={} ms={:.1f} bytes_in={} bytes_out={}",
      call.request_id, client_of(call), call.request().method, route_of(call), call.status, milliseconds(took),
      call.request().body.size(), call.answer_bytes);
  if (call.caller != nullptr) out += " key=" + call.caller->key_id;
  if (!call.error_code.empty()) out += " code=" + call.error_code;
  if (call.deployment.empty()) return out;
  out += fmt::format(" deployment={} dialect={} in={} out={} wake_ms={:.1f} ttft_ms={:.1f}", call.deployment,
                     call.dialect, call.prompt_tokens, call.completion_tokens, milliseconds(call.wake_wait),
                     milliseconds(call.first_token));
  if (!finish_of(call).empty()) out.append(" finish=").append(finish_of(call));
  return out;
}

void text_member(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out.append(",\"").append(name).append("\":");
  api::append_json_string(out, value);
}

// For programs: what is empty or of no meaning is left out.
std::string json_line(const Call& call, Nanoseconds took) {
  std::string out = fmt::format("{}{}", kAccessLineBegin, call.accepted_wall.us);
  text_member(out, "time", utc_text(call.accepted_wall));
  text_member(out, "id", call.request_id);
  text_member(out, "client_id", call.client_request_id);
  text_member(out, "client", client_of(call));
  if (call.caller != nullptr) text_member(out, "key", call.caller->key_id);
  text_member(out, "method", call.request().method);
  text_member(out, "route", route_of(call));
  out += fmt::format(",\"status\":{},\"ms\":{:.3f},\"bytes_in\":{},\"bytes_out\":{}", call.status, milliseconds(took),
                     call.request().body.size(), call.answer_bytes);
  text_member(out, "error", call.error_code);
  text_member(out, "deployment", call.deployment);
  text_member(out, "dialect", call.dialect);
  text_member(out, "finish", finish_of(call));
  if (!call.deployment.empty()) {
    out += fmt::format(
        ",\"tokens_in\":{},\"tokens_cached\":{},\"tokens_out\":{},\"queue_ms\":{:.3f},"
        "\"wake_ms\":{:.3f},\"ttft_ms\":{:.3f},\"decode_ms\":{:.3f}",
        call.prompt_tokens, call.cached_tokens, call.completion_tokens, milliseconds(call.queue_wait),
        milliseconds(call.wake_wait), milliseconds(call.first_token), milliseconds(call.decode_time));
  }
  if (call.charge.has_value()) {
    out += fmt::format(",\"charge_micros\":{}", call.charge->micros);
    text_member(out, "currency", call.charge->currency);
  }
  return out + "}";
}

class AccessLog final : public Middleware {
 public:
  AccessLog(const Clock& clock, Metrics& metrics, AccessFile* file) : clock_(clock), metrics_(metrics), file_(file) {}

  Task<void> handle(Call& call, Next next) override {
    co_await next(call);
    const Nanoseconds took = clock_.now() - call.accepted;
    if (call.stop.reason() == StopReason::kClientGone) call.status = kClientClosed;
    metrics_.count_request(call, took);
    // Probes and a console that polls would fill the log; what changes something is always in it.
    const bool quiet = call.route != nullptr && call.route->access != Access::kInference &&
                       call.request().method == "GET" && call.status < 400;
    log_line(quiet ? LogLevel::kDebug : LogLevel::kInfo, words(call, took));
    if (!quiet && file_ != nullptr) file_->append(json_line(call, took));
  }

 private:
  const Clock& clock_;
  Metrics& metrics_;
  AccessFile* const file_;
};

}  // namespace

std::unique_ptr<Middleware> make_access_log(const Clock& clock, Metrics& metrics, AccessFile* file) {
  return std::make_unique<AccessLog>(clock, metrics, file);
}

}  // namespace dormouse::gateway
