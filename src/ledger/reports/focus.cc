// The bill by the hour, from the same costs as bill.cc: their differences at each full hour (UTC) add up to its totals.
#include <algorithm>
#include <map>
#include <utility>

#include "ledger/reports/select.h"
#include "ledger/reports/span_costs.h"

namespace dormouse::ledger {
namespace {

constexpr std::int64_t kHourUs = 3'600'000'000;
constexpr std::size_t kMaxCharges = 200'000;

struct Known {
  std::string name;
  std::string image;
  std::int64_t idle_timeout_ms = 0;
};

struct Draft {
  Month month;
  std::map<std::int64_t, Known> deployments;
  std::vector<FocusCharge> charges;
  std::map<std::pair<std::int64_t, std::string>, std::int64_t> fee_left;  // deployment, currency: not yet used
};

Result<std::map<std::int64_t, Known>> select_deployments_ever(Connection& connection) {
  TRY(Statement select, connection.prepare("SELECT id, name, image, idle_timeout_ms FROM deployments"));
  std::map<std::int64_t, Known> out;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return out;
    out[select.integer(0)] = {select.text(1), select.text(2), select.integer(3)};
  }
}

FocusCharge charge_of(const Draft& draft, FocusCharge::Kind kind, std::int64_t deployment_id, const Price& price) {
  FocusCharge out;
  out.kind = kind;
  out.begin_us = draft.month.begin_us;
  out.end_us = draft.month.end_us;
  out.price = price;
  const auto found = draft.deployments.find(deployment_id);
  if (found == draft.deployments.end()) return out;
  out.deployment = found->second.name;
  out.image = found->second.image;
  out.idle_timeout_ms = found->second.idle_timeout_ms;
  return out;
}

Status add_span(Draft& draft, const SpanCost& span) {
  if (!span.price.has_value()) return {};
  const std::int64_t paid_us = span.paid_us();
  const std::int64_t begin_us = std::max(span.begin_us, draft.month.begin_us);
  const std::int64_t end_us = std::min(span.begin_us + paid_us, draft.month.end_us);
  for (std::int64_t at = begin_us; at < end_us;) {
    const std::int64_t next = std::min((at / kHourUs + 1) * kHourUs, end_us);
    if (draft.charges.size() >= kMaxCharges) {
      return make_error(Code::kTooLarge, "more than 200,000 charges in this month; ask for one deployment");
    }
    FocusCharge charge = charge_of(draft, FocusCharge::Kind::kUsage, span.deployment_id, *span.price);
    charge.begin_us = at / kHourUs * kHourUs;
    charge.end_us = charge.begin_us + kHourUs;
    charge.begin_us = std::max(charge.begin_us, draft.month.begin_us);
    charge.end_us = std::min(charge.end_us, draft.month.end_us);
    charge.instance_id = span.instance_id;
    const auto within = [&](std::int64_t length_us) {
      return span.before(next, length_us) - span.before(at, length_us);
    };
    charge.paid_us = within(paid_us);
    charge.awake_us = within(span.awake_us);
    charge.waking_us = within(span.waking_us);
    const std::int64_t worth = span.worth_until(next, paid_us) - span.worth_until(at, paid_us);
    if (span.is_hourly()) {
      charge.billed_micros = worth;
      charge.effective_micros = worth;
    } else {
      std::int64_t& left = draft.fee_left[{span.deployment_id, span.price->currency}];
      charge.effective_micros = std::min(worth, left);
      left -= charge.effective_micros;
    }
    draft.charges.push_back(std::move(charge));
    at = next;
  }
  return {};
}

Status add_fees(const std::vector<MonthFee>& fees, Draft& draft) {
  for (const MonthFee& fee : fees) {
    FocusCharge purchase = charge_of(draft, FocusCharge::Kind::kFee, fee.deployment_id, fee.price);
    purchase.billed_micros = fee.micros;
    draft.charges.push_back(std::move(purchase));
    FocusCharge unused = charge_of(draft, FocusCharge::Kind::kUnusedFee, fee.deployment_id, fee.price);
    std::int64_t& left = draft.fee_left[{fee.deployment_id, fee.price.currency}];
    unused.effective_micros = std::exchange(left, 0);
    if (unused.effective_micros > 0) draft.charges.push_back(std::move(unused));
  }
  return {};
}

// Busy time lies in quarters, which hours are made of; each goes to its instance's charge of that hour.
Status add_busy(Connection& connection, Draft& draft) {
  std::map<std::pair<std::string, std::int64_t>, FocusCharge*> by_hour;
  for (FocusCharge& charge : draft.charges) {
    if (charge.kind == FocusCharge::Kind::kUsage) by_hour[{charge.instance_id, charge.begin_us / kHourUs}] = &charge;
  }
  TRY(Statement select, connection.prepare("SELECT instance_id, slot_us, busy_us FROM instance_quarters"
                                           " WHERE slot_us >= ?1 AND slot_us < ?2"));
  select.bind(1, draft.month.begin_us).bind(2, draft.month.end_us);
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return {};
    const auto found = by_hour.find({select.text(0), select.integer(1) / kHourUs});
    if (found != by_hour.end()) found->second->busy_us += select.integer(2);
  }
}

}  // namespace

Result<std::vector<FocusCharge>> select_focus(Connection& connection, const BillQuery& query) {
  TRY(Month month, month_of(query));
  TRY(auto deployments, select_deployments_ever(connection));
  Draft draft{std::move(month), std::move(deployments), {}, {}};
  const auto wants = [&](std::int64_t deployment_id) {
    const auto found = draft.deployments.find(deployment_id);
    return !query.deployment.has_value() ||
           (found != draft.deployments.end() && found->second.name == *query.deployment);
  };
  TRY(std::vector<MonthFee> fees, select_fees(connection, draft.month.name));
  std::erase_if(fees, [&](const MonthFee& fee) { return !wants(fee.deployment_id); });
  for (const MonthFee& fee : fees) draft.fee_left[{fee.deployment_id, fee.price.currency}] += fee.micros;
  TRY(const std::vector<SpanCost> spans, select_span_costs(connection, draft.month.begin_us, draft.month.end_us));
  for (const SpanCost& span : spans) {
    if (wants(span.deployment_id)) TRY_STATUS(add_span(draft, span));
  }
  TRY_STATUS(add_fees(fees, draft));
  TRY_STATUS(add_busy(connection, draft));
  std::stable_sort(draft.charges.begin(), draft.charges.end(),
                   [](const FocusCharge& a, const FocusCharge& b) { return a.begin_us < b.begin_us; });
  return std::move(draft.charges);
}

}  // namespace dormouse::ledger
