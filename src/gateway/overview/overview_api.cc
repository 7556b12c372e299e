// The part of Gateway that the console's overview and deploy page look at: the status as it changes, a deployment's
// last day, what there is to deploy on. None of it wakes an instance.
#include <algorithm>
#include <optional>
#include <utility>

#include "gateway/admin/query_string.h"
#include "gateway/error_response.h"
#include "gateway/gateway.h"
#include "gateway/one_shot.h"
#include "gateway/overview/overview_wire.h"
#include "http/sse.h"

namespace dormouse::gateway {
namespace {

constexpr std::chrono::seconds kLookPeriod{1};
constexpr Nanoseconds kCommentPeriod = std::chrono::seconds(15);
constexpr std::int64_t kDefaultHours = 24;
constexpr std::int64_t kMaxHours = 7 * 24;
constexpr std::int64_t kHourUs = 3'600'000'000;

// A watcher among the others, for as long as it is one.
class Watching {
 public:
  Watching(std::set<Call*>& all, Call& call) : all_(all), call_(call) { all_.insert(&call); }
  ~Watching() {
    call_.stop.on_fire({});
    all_.erase(&call_);
  }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

 private:
  std::set<Call*>& all_;
  Call& call_;
};

}  // namespace

bool Gateway::is_still_welcome(const Call& call) {
  if (call.request().peer == "unix") return true;
  if (!call.session.empty()) return sessions_.find(call.session).has_value();
  if (call.caller != nullptr) return keys_.holder_of(call.caller->key_id) != nullptr;
  return !keys_.wants_keys();
}

// A watcher that takes nothing is ended by the server's write deadline; what it missed meanwhile it never gets: the
// next event says all there is.
Task<void> Gateway::admin_events(Call& call) {
  if (watchers_.size() >= kMaxWatchers) {
    const api::ApiError error{api::ErrorCode::kOverloaded, "Too many watch already: close a console.", ""};
    co_await reply_error(call, error);
    co_return;
  }
  const Watching watching(watchers_, call);
  co_await figures_.refresh();
  const Status begun = co_await begin_stream(call, "text/event-stream");
  if (!begun.has_value()) co_return;
  asio::steady_timer timer(services_.io);
  call.stop.on_fire([&timer] { timer.cancel(); });
  std::int64_t seen = 0;
  MonoTime said = services_.clock.now();
  const bool only_head = call.request().method == "HEAD";
  while (!only_head && call.stop.reason() == StopReason::kNone && !draining_ && is_still_welcome(call)) {
    const StatusFeed::Snapshot& now = feed_.look();
    const bool is_new = now.version != seen;
    const bool is_silent = services_.clock.now() - said >= kCommentPeriod;
    if (is_new || is_silent) {
      std::string chunk = is_new ? now.event : std::string(http::kSseComment);
      seen = now.version;
      said = services_.clock.now();
      call.answer_bytes += static_cast<std::int64_t>(chunk.size());
      const Status written = co_await call.exchange.write(std::move(chunk));
      if (!written.has_value()) co_return;
    }
    if (call.stop.reason() != StopReason::kNone) break;
    timer.expires_after(kLookPeriod);
    [[maybe_unused]] const auto [ec] = co_await timer.async_wait(kTuple);
  }
  const Status ended = co_await call.exchange.finish();
  static_cast<void>(ended);
}

Task<void> Gateway::admin_strip(Call& call) const {
  const Deployment* const deployment = deployment_of(call);
  if (deployment == nullptr) {
    co_await reply_error(call, api::ErrorCode::kModelNotFound);
    co_return;
  }
  const Result<QueryString> query = QueryString::parse(call.request().query);
  const Result<std::int64_t> hours =
      query.has_value() ? query->number("hours", kDefaultHours, {1, kMaxHours}) : query.error();
  if (!hours.has_value()) {
    co_await reply_failure(call, hours.error());
    co_return;
  }
  const std::int64_t now_us = services_.clock.wall().us;
  const ledger::StripQuery wish{deployment->name, std::max<std::int64_t>(0, now_us - *hours * kHourUs), now_us};
  const OneShot<Result<ledger::Strip>> answer(services_.io);
  services_.ledger.strip(wish, [answer](Result<ledger::Strip> got) { answer.set(std::move(got)); });
  const Result<ledger::Strip> strip = co_await answer.get();
  if (!strip.has_value()) {
    co_await reply_failure(call, strip.error());
    co_return;
  }
  const std::string body = strip_json(wish, *strip);
  co_await reply_json(call, 200, body);
}

Task<void> Gateway::admin_instance_types(Call& call) const {
  const catalog::InstanceTypes none;
  const std::string body =
      instance_types_json(options_.instances == nullptr ? none : *options_.instances, look_at_this_machine());
  co_await reply_json(call, 200, body);
}

}  // namespace dormouse::gateway
