#include "gateway/rate_headers.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

namespace dormouse::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kMostObeyed{60};

void add_number(http::Headers& headers, std::string_view name, std::int64_t value) {
  const fmt::format_int text(value);
  headers.add(name, std::string_view(text.data(), text.size()));
}

void add_view(http::Headers& headers, const std::optional<RateView>& view, const std::string_view* names) {
  if (!view.has_value()) return;
  add_number(headers, names[0], view->limit);
  add_number(headers, names[1], view->remaining);
  headers.add(names[2], go_duration(view->reset));
}

}  // namespace

std::string go_duration(Nanoseconds duration) {
  const std::int64_t ms = std::chrono::ceil<milliseconds>(duration).count();
  if (ms <= 0) return "0s";
  if (ms < 1'000) return fmt::format("{}ms", ms);
  std::string rest = fmt::format("{}", ms / 1'000 % 60);
  if (ms % 1'000 != 0) {
    rest += fmt::format(".{:03}", ms % 1'000);
    while (rest.ends_with('0')) rest.pop_back();
  }
  const std::int64_t minutes = ms / 60'000;
  if (minutes == 0) return rest + "s";
  if (minutes < 60) return fmt::format("{}m{}s", minutes, rest);
  return fmt::format("{}h{}m{}s", minutes / 60, minutes % 60, rest);
}

void add_rate_headers(http::Headers& headers, const Admission& admission) {
  add_view(headers, admission.requests(), kRateHeaderNames.data());
  add_view(headers, admission.tokens(), kRateHeaderNames.data() + 3);
}

Nanoseconds with_jitter(Nanoseconds wait, std::string_view request_id) {
  constexpr std::int64_t kSteps = 1'000;
  constexpr std::int64_t kShare = 5;  // a fifth
  const auto step = static_cast<std::int64_t>(std::hash<std::string_view>{}(request_id) % kSteps);
  const Nanoseconds jittered = wait + wait / kShare * step / kSteps;
  return wait <= kMostObeyed ? std::min<Nanoseconds>(jittered, kMostObeyed) : jittered;
}

void add_retry_headers(http::Headers& headers, Nanoseconds wait) {
  add_number(headers, "retry-after", std::max<std::int64_t>(std::chrono::ceil<seconds>(wait).count(), 1));
  add_number(headers, "retry-after-ms", std::max<std::int64_t>(std::chrono::ceil<milliseconds>(wait).count(), 1));
}

}  // namespace dormouse::gateway
