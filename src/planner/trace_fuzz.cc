// Any bytes: a trace, or one error that names a line. What is read keeps traffic.h's bounds, and a replay of it adds
// up. The first byte picks the options.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "planner/replay.h"
#include "planner/trace.h"

namespace {

namespace planner = dormouse::planner;

void require(bool is_so) {
  if (!is_so) std::abort();
}

void check(const planner::Workload& trace) {
  require(!trace.arrivals.empty() && trace.months > 0 && trace.input_tokens >= 0 && trace.output_tokens >= 0);
  std::int64_t last_us = 0;
  for (const planner::Arrival& arrival : trace.arrivals) {
    require(arrival.at_us >= last_us && arrival.at_us <= planner::kMostUs);
    require(arrival.service_us >= 0 && arrival.service_us <= planner::kMostServiceUs);
    last_us = arrival.at_us;
  }
  const planner::Tariff tariff{.hour_micros = 1'800'000, .increment_us = 60 * planner::kSecondUs};
  for (const planner::Timer& timer : {planner::Timer{}, {0, 0, 0, 0}, {60, 30, 2, 0}, {60, 30, 3, 0.5}}) {
    const planner::Outcome got = planner::replay(trace.arrivals, timer, tariff);
    require(got.awake_us == got.busy_us + got.waking_us + got.idle_us && got.idle_us >= 0);
    require(got.cold_requests >= got.wakes && got.cold_requests <= got.requests);
    require(got.paid_us >= got.awake_us);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  planner::TraceOptions options;
  if ((data[0] & 1) != 0) options.speeds = planner::TokenSpeeds{500, 30};
  if ((data[0] & 2) != 0) options.context_tokens = 8'192;
  if ((data[0] & 4) != 0) options.holes = planner::Holes::kKeep;
  const auto trace = planner::parse_trace({reinterpret_cast<const char*>(data) + 1, size - 1}, options);
  if (trace.has_value()) {
    check(*trace);
  } else {
    require(trace.error().message.starts_with("trace, line "));
  }
  return 0;
}
