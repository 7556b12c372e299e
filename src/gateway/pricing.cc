#include "gateway/pricing.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "gateway/deployments.h"
#include "gateway/one_shot.h"

namespace dormouse::gateway {
namespace {

// A month that begins is booked within this; the fee says which month it is for.
constexpr std::chrono::minutes kFeePeriod{10};

ledger::Price price_of(const catalog::InstanceType& type, const TimePrice& by_time, std::string billing) {
  ledger::Price out;
  out.instance_type = type.name;
  out.billing = std::move(billing);
  out.currency = by_time.currency;
  out.period_micros = by_time.micros;
  out.period_us = by_time.period_ns / 1'000;
  out.increment_us = std::chrono::microseconds(type.increment).count();
  out.source = type.provenance();
  if (out.source.empty()) out.source = "dormouse.toml";
  return out;
}

Task<Result<fleet::InstancePrice>> version_of(asio::io_context& io, ledger::Ledger& ledger, ledger::Price price,
                                              TimePrice by_time) {
  const OneShot<Result<std::int64_t>> known(io);
  ledger.put_price(std::move(price), [known](Result<std::int64_t> version) { known.set(std::move(version)); });
  CO_TRY(const std::int64_t version, co_await known.get());
  co_return fleet::InstancePrice{version, std::move(by_time)};
}

}  // namespace

Status check_billing(const catalog::InstanceTypes& types, const catalog::DeploymentRules& rules) {
  if (rules.billing == "hourly") return {};
  const catalog::InstanceType* const type = types.find(rules.instance_type);
  const bool has_month = type != nullptr && type->month_micros.has_value();
  const bool has_hour = type != nullptr && type->hour_micros.has_value();
  if (has_month && (rules.billing == "monthly" || has_hour)) return {};
  return make_error(Code::kInvalidArgument,
                    fmt::format("billing: {} has no {} price; give it one with [[instance]] in dormouse.toml",
                                rules.instance_type, has_month ? "hourly" : "monthly"));
}

Task<Result<Pricing>> find_pricing(asio::io_context& io, ledger::Ledger& ledger, const catalog::InstanceTypes& types,
                                   catalog::DeploymentRules rules) {
  CO_TRY_STATUS(check_billing(types, rules));
  Pricing out;
  const catalog::InstanceType* const type = types.find(rules.instance_type);
  if (type == nullptr) co_return out;
  if (rules.billing != "monthly" && type->hour_micros.has_value()) {
    const TimePrice by_time = type->hourly().value();
    ledger::Price price = price_of(*type, by_time, "hourly");
    CO_TRY(out.price, co_await version_of(io, ledger, std::move(price), by_time));
    if (type->increment > std::chrono::seconds(1)) out.increment = type->increment;
  }
  if (rules.billing == "hourly") co_return out;
  const TimePrice by_time = type->monthly().value();
  ledger::Price price = price_of(*type, by_time, "monthly");
  CO_TRY(out.base_price, co_await version_of(io, ledger, std::move(price), by_time));
  // All of them are rented, or those that always run and the first of the others.
  const std::int64_t rented = rules.billing == "monthly" ? std::max<std::int64_t>(1, rules.max_instances)
                                                         : std::max<std::int64_t>(1, rules.min_instances);
  out.base_instances = static_cast<int>(rented);
  if (rules.billing == "monthly") out.price = out.base_price;
  out.fee_price_version = out.base_price->version;
  out.month_fee = Money{by_time.micros * rented, by_time.currency};
  co_return out;
}

Month month_of(WallTime at, const TimeZone& zone) {
  const CivilTime local = zone.local(at);
  return {fmt::format("{:04}-{:02}", local.year, local.month), zone.month_begin(at)};
}

Fees::Fees(asio::io_context& io, ledger::Ledger& ledger, const Clock& clock, const Deployments& deployments,
           std::function<Month(WallTime)> month)
    : ledger_(ledger), clock_(clock), deployments_(deployments), month_(std::move(month)), timer_(io) {}

void Fees::start() {
  for (const auto& [name, deployment] : deployments_.all()) book(name, deployment.pricing);
  arm();
}

void Fees::stop() {
  timer_.cancel();
}

void Fees::arm() {
  timer_.expires_after(kFeePeriod);
  timer_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec) start();
  });
}

void Fees::book(const std::string& deployment, const Pricing& pricing) {
  if (!pricing.month_fee.has_value()) return;
  const Month month = month_(clock_.wall());
  ledger::Fee fee;
  fee.deployment = deployment;
  fee.month = month.name;
  fee.month_begin_us = month.begin.us;
  fee.price_version = pricing.fee_price_version;
  fee.micros = pricing.month_fee->micros;
  fee.currency = pricing.month_fee->currency;
  ledger_.book_fee(std::move(fee), [](const Status& status) {
    if (!status.has_value()) log_error("event=ledger_write_failed what=fee error=\"{}\"", status.error().message);
  });
}

}  // namespace dormouse::gateway
