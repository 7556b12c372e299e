// Goal: conversions are exact to the micro-unit, and nothing is converted by a rate that nobody gave. Method: values
// known by hand.
#include "catalog/currency_rates.h"

#include <gtest/gtest.h>

#include <limits>

namespace dormouse::catalog {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

TEST(CurrencyRates, ConvertsToTheBaseBackAndAcross) {
  const CurrencyRates rates = CurrencyRates::parse({"USD=7.10", "EUR=7.81", "JPY=0.05"}).value();
  EXPECT_EQ(rates.base(), "CNY");
  EXPECT_EQ(rates.convert(1'000'000, "USD", "CNY").value(), 7'100'000);
  EXPECT_EQ(rates.convert(7'100'000, "CNY", "USD").value(), 1'000'000);
  EXPECT_EQ(rates.convert(1'000'000, "EUR", "USD").value(), 1'100'000);
  EXPECT_EQ(rates.convert(1'000'000, "USD", "JPY").value(), 142'000'000);
  EXPECT_EQ(rates.convert(1'000'000, "CNY", "USD").value(), 140'845);  // 1 / 7.1 = 0.14084507
  EXPECT_EQ(rates.convert(-1'000'000, "CNY", "USD").value(), -140'845);
  EXPECT_EQ(rates.convert(kMost, "USD", "USD").value(), kMost);
  EXPECT_EQ(rates.convert(5, "XYZ", "XYZ").value(), 5) << "of itself, everything is worth 1";
  EXPECT_EQ(CurrencyRates::parse({"CNY=0.14"}, "USD")->convert(300'000'000, "CNY", "USD").value(), 42'000'000);
}

TEST(CurrencyRates, RoundsHalfToEvenOnce) {
  const CurrencyRates rates = CurrencyRates::parse({"AAA=0.5", "BBB=1.5", "CNY=1"}).value();
  for (const auto& [from, to] : {std::pair{1, 0}, {2, 1}, {3, 2}, {5, 2}, {7, 4}, {-1, 0}, {-3, -2}, {-5, -2}}) {
    EXPECT_EQ(rates.convert(from, "AAA", "CNY").value(), to) << from;
  }
  EXPECT_EQ(rates.convert(5, "AAA", "BBB").value(), 2);  // 5 x 0.5 / 1.5 = 1.67; by way of 2 CNY it would be 1
}

TEST(CurrencyRates, WhatNobodyGaveIsAnErrorThatSaysHowToGiveIt) {
  const CurrencyRates rates = CurrencyRates::parse({"USD=7.10"}).value();
  const Result<std::int64_t> unknown = CurrencyRates().convert(1, "USD", "CNY");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, Code::kInvalidArgument);
  EXPECT_EQ(
      unknown.error().message,
      "no rate from USD to CNY: give one, --rate USD=RATE or rates = [\"USD=RATE\"] in [prices] of dormouse.toml, "
      "where one USD is RATE CNY");
  EXPECT_NE(rates.convert(1, "USD", "EUR").error().message.find("--rate EUR=RATE"), std::string::npos);
  EXPECT_NE(rates.convert(1, "EUR", "USD").error().message.find("--rate EUR=RATE"), std::string::npos);
  EXPECT_EQ(rates.convert(1, "", "CNY").error().code, Code::kInvalidArgument);
  EXPECT_EQ(rates.convert(1, "", "").error().code, Code::kInvalidArgument);
}

TEST(CurrencyRates, WhatDoesNotFitIsAnErrorOnBothSides) {
  const CurrencyRates rates = CurrencyRates::parse({"AAA=1000000000", "BBB=0.000001"}).value();
  EXPECT_EQ(rates.convert(kMost, "AAA", "BBB").error().code, Code::kTooLarge);
  EXPECT_EQ(rates.convert(std::numeric_limits<std::int64_t>::min(), "AAA", "BBB").error().code, Code::kTooLarge);
  EXPECT_EQ(rates.convert(kMost, "BBB", "AAA").value(), 9'223);  // 9.22e18 x 1e-15
}

TEST(CurrencyRates, WhatIsNoRateIsRefusedWithItsText) {
  for (const char* bad : {"", "USD", "USD=", "=7.1", "usd=7.1", "USDT=7.1", "USD=0", "USD=0.0000001", "USD=-7.1",
                          "USD=nan", "USD=7,1", "USD=1e1", "USD =7.1", "USD=7.1=2", "USD=1000000001", "CNY=2"}) {
    const Result<CurrencyRates> rates = CurrencyRates::parse({bad});
    ASSERT_FALSE(rates.has_value()) << bad;
    EXPECT_EQ(rates.error().code, Code::kInvalidArgument);
    EXPECT_NE(rates.error().message.find(std::string("'") + bad + "'"), std::string::npos) << rates.error().message;
  }
  EXPECT_FALSE(CurrencyRates::parse({"USD=7.10", "USD=7.10"}).has_value());
  EXPECT_FALSE(CurrencyRates::parse({}, "yuan").has_value());
  EXPECT_FALSE(CurrencyRates::parse({}, "").has_value());
}

TEST(CurrencyRates, WhatTheCommandLineSaysWins) {
  const CurrencyRates file = CurrencyRates::parse({"USD=7.10", "EUR=7.81"}).value();
  const CurrencyRates both = file.with({"USD=7.00"}).value();
  EXPECT_EQ(both.convert(1'000'000, "USD", "CNY").value(), 7'000'000);
  EXPECT_EQ(both.convert(1'000'000, "EUR", "CNY").value(), 7'810'000);
  EXPECT_FALSE(file.with({"USD=0"}).has_value());
  EXPECT_FALSE(file.with({"USD=7", "USD=8"}).has_value());
}

}  // namespace
}  // namespace dormouse::catalog
