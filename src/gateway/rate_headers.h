// What an answer says of limits, in OpenAI's form: x-ratelimit-{limit,remaining,reset}-{requests,tokens}, Retry-After,
// retry-after-ms. Threads: the loop's.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "gateway/limits/limiter.h"
#include "http/message.h"

namespace dormouse::gateway {

// For Access-Control-Expose-Headers, too.
inline constexpr std::array<std::string_view, 9> kRateHeaderNames{"x-ratelimit-limit-requests",
                                                                  "x-ratelimit-remaining-requests",
                                                                  "x-ratelimit-reset-requests",
                                                                  "x-ratelimit-limit-tokens",
                                                                  "x-ratelimit-remaining-tokens",
                                                                  "x-ratelimit-reset-tokens",
                                                                  "retry-after",
                                                                  "retry-after-ms",
                                                                  "x-should-retry"};

// Go's way of writing a duration, to the millisecond, rounded up: "12ms", "1s", "1.5s", "6m0s".
[[nodiscard]] std::string go_duration(Nanoseconds duration);
// Of the limits this request has; nothing where it has none.
void add_rate_headers(http::Headers& headers, const Admission& admission);

// Up to a fifth more than `wait`, so that callers refused together do not come back together; by the request's own
// random id. Not over 60 s where the true wait is not: official SDKs ignore more.
[[nodiscard]] Nanoseconds with_jitter(Nanoseconds wait, std::string_view request_id);
// Whole seconds, rounded up, one at least, and the same in milliseconds.
void add_retry_headers(http::Headers& headers, Nanoseconds wait);

}  // namespace dormouse::gateway
