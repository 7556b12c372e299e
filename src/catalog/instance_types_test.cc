// Goal: the built-in list says what its sources say, each with its currency, source and date, and the list finds what
// it is asked for. The entries' reading is instance_entry_test's.
#include "catalog/instance_types.h"

#include <gtest/gtest.h>

#include <set>

#include "catalog/currency_rates.h"

namespace dormouse::catalog {
namespace {

constexpr std::int64_t kHourNs = 3'600'000'000'000;

TEST(InstanceTypes, TheSeedsPricesAreBuiltIn) {
  const Result<InstanceTypes> types = InstanceTypes::built_in();
  ASSERT_TRUE(types.has_value()) << types.error().message;
  const InstanceType* const t4 = types->find("t4");
  ASSERT_NE(t4, nullptr);
  EXPECT_EQ(t4->hour_micros, 1'800'000);
  EXPECT_EQ(t4->month_micros, 300'000'000);
  EXPECT_EQ(t4->currency, "CNY");
  EXPECT_EQ(t4->provenance(), "CSDN 星图, 2026-01-15");
  EXPECT_EQ(t4->size_zh(), "小型");
  // 203.68 h, the notes' first row: 366.6 CNY.
  EXPECT_EQ(cost_micros(t4->hourly().value(), 203'680LL * 3'600'000'000), 366'624'000);
  EXPECT_EQ(cost_micros(t4->monthly().value(), 730 * kHourNs), 300'000'000);
  EXPECT_EQ(types->find("a10")->hour_micros, 3'500'000);
  EXPECT_EQ(types->find("a100")->hour_micros, 12'000'000);
  const InstanceType* const local = types->find("local");
  ASSERT_NE(local, nullptr);
  EXPECT_FALSE(local->hourly().has_value()) << "no price is not a price of nothing";
}

// One row of each source, as that source writes it.
TEST(InstanceTypes, EverySourceIsReadAsItIsWritten) {
  const InstanceTypes types = InstanceTypes::built_in().value();
  const InstanceType& tencent = *types.find("tencent-a100");  // GT4.4XLARGE96: 13748 a month, 28.64 an hour
  EXPECT_EQ(tencent.hour_micros, 28'640'000);
  EXPECT_EQ(tencent.month_micros, 13'748'000'000);
  EXPECT_EQ(tencent.ram_gb, 96);
  EXPECT_EQ(tencent.stopped_hour_micros, 0);
  const InstanceType& runpod = *types.find("runpod-4090");  // 0.00031 USD a second
  EXPECT_EQ(runpod.hour_micros, 310 * 3'600);
  EXPECT_EQ(runpod.increment, std::chrono::seconds(1));
  EXPECT_EQ(runpod.boot, Paid::kYes);
  EXPECT_EQ(runpod.idle, Paid::kYes);
  const InstanceType& aws = *types.find("aws-t4");  // g4dn.xlarge, us-east-1: 0.526, spot 0.1845 to 0.2010
  EXPECT_EQ(aws.hour_micros, 526'000);
  EXPECT_EQ(aws.spot_hour_micros, 201'000);
  EXPECT_EQ(aws.minimum, std::chrono::minutes(1));
  EXPECT_FALSE(aws.interruptions_per_hour.has_value()) << "the list has none";
  const InstanceType& chenjian = *types.find("chenjian-a800");
  EXPECT_EQ(chenjian.increment, std::chrono::hours(1));
  EXPECT_EQ(chenjian.increment_kind, Increment::kPrepaid);
  EXPECT_EQ(types.find("modal-a100")->hour_micros, 2'100'000);
  EXPECT_EQ(types.find("matpool-t4")->hour_micros, 1'350'000);
  const InstanceType& owned = *types.find("rtx4090-own");  // 12,999 / 36; 0.45 kW x 0.60
  EXPECT_EQ(owned.fixed_month_micros, 361'083'333);
  EXPECT_EQ(owned.hour_micros, 270'000);
}

TEST(InstanceTypes, EveryPriceHasItsCurrencySourceAndDate) {
  const InstanceTypes types = InstanceTypes::built_in().value();
  std::set<std::string> currencies;
  for (const InstanceType& type : types.all()) {
    SCOPED_TRACE(type.name);
    EXPECT_FALSE(type.title_en.empty() || type.title_zh.empty());
    const bool has_price =
        type.hour_micros.has_value() || type.month_micros.has_value() || type.fixed_month_micros.has_value();
    EXPECT_EQ(has_price, type.name != "local");
    if (!has_price) continue;
    EXPECT_TRUE(is_currency(type.currency));
    EXPECT_FALSE(type.source.empty() || type.date.empty());
    EXPECT_FALSE(type.size.empty() || type.suits_en.empty() || type.suits_zh.empty());
    EXPECT_GT(type.hour_micros.value_or(0), 0);
    EXPECT_NE(type.month_micros, 0);
    EXPECT_GT(type.vram_gb, 0);
    EXPECT_GT(type.fp16_tflops, 0);
    EXPECT_EQ(type.provider.empty(), type.fixed_month_micros.has_value());
    EXPECT_LT(type.spot_hour_micros.value_or(0), *type.hour_micros);
    currencies.insert(type.currency);
  }
  EXPECT_EQ(currencies, (std::set<std::string>{"CNY", "USD"}));
}

TEST(InstanceTypes, SpeedsAreTheSeedsMeasuredOrATenthOfTheBandwidth) {
  const InstanceTypes types = InstanceTypes::built_in().value();
  int measured = 0;
  for (const InstanceType& type : types.all()) {
    if (type.bandwidth_gbs == 0) continue;
    SCOPED_TRACE(type.name);
    constexpr double kModelGb = 2.5;
    EXPECT_LT(type.tokens_per_second * kModelGb, type.bandwidth_gbs) << "no card reads its weights faster";
    measured += static_cast<int>(type.speed_source == SpeedSource::kMeasured);
    if (type.speed_source == SpeedSource::kMeasured || type.provider == "CSDN 星图") continue;
    EXPECT_DOUBLE_EQ(type.tokens_per_second, type.bandwidth_gbs / 10);
  }
  EXPECT_EQ(measured, 1);
}

TEST(InstanceTypes, APriceInAnotherCurrencyIsTheOneKnownByHand) {
  const InstanceTypes types = InstanceTypes::built_in().value();
  const CurrencyRates rates = CurrencyRates::parse({"USD=7.10"}).value();
  const InstanceType& aws = *types.find("aws-t4");
  EXPECT_EQ(rates.convert(*aws.hour_micros, aws.currency, "CNY").value(), 3'734'600);  // 0.526 x 7.10
}

TEST(InstanceTypes, TheNextLargerIsTheCheapestOfTheSameListThatHoldsAsMuch) {
  const InstanceTypes types = InstanceTypes::built_in().value();
  EXPECT_EQ(types.next_larger("t4")->name, "a10");
  EXPECT_EQ(types.next_larger("a10")->name, "a100");
  EXPECT_EQ(types.next_larger("a100"), nullptr);
  EXPECT_EQ(types.next_larger("local"), nullptr);
  EXPECT_EQ(types.next_larger("aws-t4")->name, "aws-l4");
  EXPECT_EQ(types.next_larger("tencent-t4")->name, "tencent-a100");
  EXPECT_EQ(types.next_larger("lambda-h100"), nullptr);
  EXPECT_EQ(types.next_larger("rtx3060-own"), nullptr) << "a larger card would have to be bought";
}

TEST(InstanceTypes, EntriesWithoutAProviderAreComparedAmongThemselves) {
  InstanceTypes types = InstanceTypes::built_in().value();
  InstanceType mine;
  mine.name = "mine";
  mine.currency = "CNY";
  mine.hour_micros = 100'000;
  types.put(mine);
  EXPECT_EQ(types.next_larger("mine"), nullptr) << "neither another list's nor a card of one's own";
  mine.name = "mine-too";
  mine.hour_micros = 200'000;
  types.put(mine);
  EXPECT_EQ(types.next_larger("mine")->name, "mine-too");
  mine.currency = "USD";
  types.put(mine);
  EXPECT_EQ(types.next_larger("mine"), nullptr) << "two currencies";
}

TEST(InstanceTypes, AUsersEntryReplacesOneOfItsName) {
  InstanceTypes types = InstanceTypes::built_in().value();
  const std::size_t count = types.all().size();
  InstanceType mine;
  mine.name = "t4";
  mine.hour_micros = 990'000;
  mine.currency = "USD";
  types.put(mine);
  EXPECT_EQ(types.all().size(), count);
  EXPECT_EQ(types.find("t4")->currency, "USD");
}

}  // namespace
}  // namespace dormouse::catalog
