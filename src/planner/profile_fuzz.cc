// Any bytes: a profile, or one error that names a line. What is read passes as traffic and keeps something awake.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "planner/profile.h"

namespace {

namespace planner = dormouse::planner;

void require(bool is_so) {
  if (!is_so) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto profile = planner::parse_profile({reinterpret_cast<const char*>(data), size});
  if (!profile.has_value()) {
    require(profile.error().message.starts_with("profile, line "));
    return 0;
  }
  const planner::ProfileTraffic traffic{.profile = *profile, .requests_per_day = 800, .service_s = 2};
  require(planner::check(traffic).has_value());
  const auto month = planner::expected_month(traffic, {60, 30, 0});
  require(month.has_value() && month->awake_s > 0 && month->awake_s <= planner::kHoursOfMonth * 3'600 * 1.000'001);
  require(month->cold_share >= 0 && month->cold_share <= 1.000'001);
  return 0;
}
