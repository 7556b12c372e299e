#include "gateway/advice.h"

#include "base/money.h"
#include "catalog/image_name.h"

namespace dormouse::gateway {
namespace {

// The types' speeds are those of a 4B model: of another size they say nothing.
bool is_4b(const Deployment& deployment) {
  return catalog::canonical_image_key(deployment.image).find("4b") != std::string::npos;
}

}  // namespace

Advice Advisor::advice_for(const Deployment& deployment) const {
  Advice out;
  out.expected_tokens_per_second = static_cast<double>(deployment.rules.expected_tokens_per_second);
  const catalog::InstanceType* const type = types_.find(deployment.rules.instance_type);
  if (type == nullptr) return out;
  if (out.expected_tokens_per_second <= 0 && is_4b(deployment))
    out.expected_tokens_per_second = type->tokens_per_second;
  const bool is_hourly = deployment.rules.billing == "hourly";
  if (is_hourly && type->hour_micros.has_value()) out.price = HourPrice{*type->hour_micros, type->currency};
  if (is_hourly && type->hour_micros.value_or(0) > 0 && type->month_micros.has_value()) {
    out.break_even_hours = static_cast<double>(*type->month_micros) / static_cast<double>(*type->hour_micros);
  }
  const catalog::InstanceType* const next = types_.next_larger(type->name);
  if (next == nullptr) return out;
  out.next_type = next->name;
  if (next->hour_micros.has_value()) out.next_price = to_display(Money{*next->hour_micros, next->currency}) + "/h";
  return out;
}

}  // namespace dormouse::gateway
