// Charges in the columns of FOCUS 1.2: all mandatory ones, the conditional ones that apply, and our own (x_...).
#include <fmt/format.h>

#include <array>

#include "base/money.h"
#include "gateway/admin/csv.h"
#include "gateway/admin/report_wire.h"

namespace dormouse::gateway {
namespace {

using Kind = ledger::FocusCharge::Kind;
constexpr std::int64_t kHourUs = 3'600'000'000;

constexpr std::array kColumns = {"BilledCost",
                                 "BillingAccountId",
                                 "BillingAccountName",
                                 "BillingCurrency",
                                 "BillingPeriodEnd",
                                 "BillingPeriodStart",
                                 "ChargeCategory",
                                 "ChargeClass",
                                 "ChargeDescription",
                                 "ChargeFrequency",
                                 "ChargePeriodEnd",
                                 "ChargePeriodStart",
                                 "CommitmentDiscountCategory",
                                 "CommitmentDiscountId",
                                 "CommitmentDiscountStatus",
                                 "ConsumedQuantity",
                                 "ConsumedUnit",
                                 "ContractedCost",
                                 "EffectiveCost",
                                 "InvoiceIssuerName",
                                 "ListCost",
                                 "ListUnitPrice",
                                 "PricingCategory",
                                 "PricingQuantity",
                                 "PricingUnit",
                                 "ProviderName",
                                 "PublisherName",
                                 "ResourceId",
                                 "ResourceName",
                                 "ResourceType",
                                 "ServiceCategory",
                                 "ServiceName",
                                 "SkuId",
                                 "SkuPriceId",
                                 "x_BusySeconds",
                                 "x_WakingSeconds",
                                 "x_IdleSeconds",
                                 "x_IdleTimeoutSeconds",
                                 "x_Deployment",
                                 "x_Image"};

std::string utc(std::int64_t us) {
  const CivilTime t = TimeZone().local({us});
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", t.year, t.month, t.day, t.hour, t.minute, t.second);
}

std::string description(const ledger::FocusCharge& c) {
  switch (c.kind) {
    case Kind::kUsage: return fmt::format("{} awake for {}", c.price.instance_type, c.deployment);
    case Kind::kFee: return fmt::format("{} by the month for {}", c.price.instance_type, c.deployment);
    case Kind::kUnusedFee: return fmt::format("{} by the month for {}, not used", c.price.instance_type, c.deployment);
  }
  return {};
}

// "", or of a fee and of what it paid for: which month's fee of which deployment.
std::string commitment(const ledger::FocusCharge& c, const ledger::Bill& bill) {
  return c.price.billing == "monthly" ? fmt::format("{}/{}", c.deployment, bill.month) : std::string();
}

void quantity_cells(Csv& csv, const ledger::FocusCharge& c) {
  // PricingQuantity, PricingUnit
  if (c.kind == Kind::kFee) {
    csv.micros(1'000'000).text("Months");
  } else {
    csv.micros(proportion(1'000'000, c.paid_us, kHourUs)).text("Hours");
  }
}

void write(Csv& csv, const ledger::FocusCharge& c, const ledger::Bill& bill) {
  const bool usage = c.kind == Kind::kUsage;
  const bool monthly = c.price.billing == "monthly";
  // What the list says: of a fee the fee, of usage what its time is worth.
  const std::int64_t list_micros = c.kind == Kind::kFee ? c.billed_micros : c.effective_micros;
  csv.micros(c.billed_micros).text("dormouse").text("Dormouse").text(c.price.currency);
  csv.text(utc(bill.end_us)).text(utc(bill.begin_us)).text(c.kind == Kind::kFee ? "Purchase" : "Usage").empty();
  csv.text(description(c)).text(c.kind == Kind::kFee ? "Recurring" : "Usage-Based");
  csv.text(utc(c.end_us)).text(utc(c.begin_us));
  const std::string discount = commitment(c, bill);
  csv.text(monthly ? "Spend" : "").text(discount);
  csv.text(!monthly || c.kind == Kind::kFee ? "" : usage ? "Used" : "Unused");
  if (usage) {
    csv.micros(c.awake_us).text("Seconds");
  } else {
    csv.empty().empty();
  }
  csv.micros(list_micros).micros(c.effective_micros).text("Dormouse").micros(list_micros);
  const std::int64_t unit_us = c.kind == Kind::kFee ? c.price.period_us : kHourUs;
  csv.micros(proportion(c.price.period_micros, unit_us, c.price.period_us)).text(monthly ? "Committed" : "Standard");
  quantity_cells(csv, c);
  csv.text("Dormouse").text("Dormouse");
  csv.text(usage ? std::string_view(c.instance_id) : std::string_view(discount)).text(c.deployment);
  csv.text("Inference instance").text("AI and Machine Learning").text("Dormouse");
  csv.text(fmt::format("{}-{}", c.price.instance_type, c.price.billing)).text(fmt::format("{}", c.price.version));
  if (usage) {
    csv.micros(c.busy_us).micros(c.waking_us).micros(c.awake_us - c.waking_us - c.busy_us);
  } else {
    csv.empty().empty().empty();
  }
  csv.micros(c.idle_timeout_ms * 1000).text(c.deployment).text(c.image).end_row();
}

}  // namespace

std::string focus_csv(const std::vector<ledger::FocusCharge>& charges, const ledger::Bill& bill) {
  Csv csv;
  for (const char* name : kColumns) csv.text(name);
  csv.end_row();
  for (const ledger::FocusCharge& charge : charges) write(csv, charge, bill);
  return csv.str();
}

}  // namespace dormouse::gateway
