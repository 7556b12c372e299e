#include "gateway/overview/status_feed.h"

#include <utility>

#include "http/sse.h"

namespace dormouse::gateway {
namespace {

constexpr Nanoseconds kPeriod = std::chrono::seconds(1);
// What grows by time alone is said anew after this long.
constexpr Nanoseconds kSilence = std::chrono::minutes(1);

}  // namespace

const StatusFeed::Snapshot& StatusFeed::look() {
  const MonoTime now = clock_.now();
  if (looked_.has_value() && now - *looked_ < kPeriod) return now_;
  looked_ = now;
  StatusView status = view_();
  std::string whole = to_json(status);
  std::string said = to_json(without_time(std::move(status)));
  if (said == said_ && now - changed_ < kSilence) return now_;
  said_ = std::move(said);
  changed_ = now;
  ++now_.version;
  now_.event = http::sse_named("status", whole);
  return now_;
}

StatusView without_time(StatusView status) {
  status.now_ms = 0;
  status.uptime_s = 0;
  status.resident_bytes = 0;
  for (DeploymentView& d : status.deployments) {
    d.since_ms = 0;
    d.in_state_s = 0;
    if (d.idle_left_s.has_value()) d.idle_left_s = 0;
    if (d.backoff_left_s.has_value()) d.backoff_left_s = 0;
    d.speed.since_s = 0;
    if (d.figures.has_value()) d.figures->saved_micros.reset();
    if (d.figures.has_value()) d.figures->forecast_micros.reset();
    if (d.figures.has_value()) d.figures->margin_micros.reset();
    d.last_minute = {};
    for (InstanceView& i : d.instances) i.alive_s = 0;
  }
  return status;
}

}  // namespace dormouse::gateway
