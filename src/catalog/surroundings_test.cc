// Goal: what is paid beside the instances is added up in one currency, or refused with its text.
#include "catalog/surroundings.h"

#include <gtest/gtest.h>

#include <limits>

namespace dormouse::catalog {
namespace {

TEST(Surroundings, AreReadByTheMonthAndByTheHour) {
  EXPECT_EQ(parse_surrounding("gateway-host=30 CNY/month").value(), (Surrounding{"gateway-host", 30'000'000, "CNY"}));
  EXPECT_EQ(parse_surrounding("disk = 0.05USD / hour").value(), (Surrounding{"disk", 36'500'000, "USD"}));  // x 730
  EXPECT_EQ(parse_surrounding("公网 IP=12.5/month").value(), (Surrounding{"公网 IP", 12'500'000, "CNY"}));
  EXPECT_EQ(parse_surrounding("ip=4/month", "USD").value().currency, "USD");
  EXPECT_EQ(parse_surrounding("free=0/month").value().month_micros, 0) << "said, so not silent";
}

TEST(Surroundings, WhatIsNoneIsRefusedWithItsText) {
  for (const char* bad : {"",
                          "disk",
                          "disk=",
                          "disk=5",
                          "disk=5 CNY",
                          "disk=5 CNY/",
                          "disk=5 CNY/day",
                          "disk=CNY/month",
                          "disk=-5/month",
                          "disk=5 yuan/month",
                          "disk=5 CNY 3/month",
                          "disk=1.1234567/month",
                          "=5 CNY/month",
                          " =5 CNY/month",
                          "a\nb=5/month",
                          "a/month=5",
                          "disk=10000001/month",
                          "disk=20000/hour",
                          "disk=9223372036854/hour",
                          "disk=1e3/month",
                          "a-name-that-is-longer-than-sixty-three-bytes-and-so-is-no-name-at-all=5/month"}) {
    const Result<Surrounding> item = parse_surrounding(bad);
    ASSERT_FALSE(item.has_value()) << bad;
    EXPECT_EQ(item.error().code, Code::kInvalidArgument);
    EXPECT_EQ(item.error().message.find(std::string("'") + bad + "'"), 0U) << item.error().message;
  }
}

TEST(Surroundings, AreSummedInOneCurrencyOrNotAtAll) {
  const std::vector<Surrounding> list{{"gateway-host", 30'000'000, "CNY"}, {"disk", 10'000'000, "USD"}};
  const CurrencyRates rates = CurrencyRates::parse({"USD=7.10"}).value();
  EXPECT_EQ(sum_surroundings(list, "CNY", rates).value(), 101'000'000);
  EXPECT_EQ(sum_surroundings({}, "CNY", CurrencyRates()).value(), 0);
  const Result<std::int64_t> unknown = sum_surroundings(list, "CNY", CurrencyRates());
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, Code::kInvalidArgument);
  EXPECT_EQ(unknown.error().message.find("disk: no rate from USD to CNY"), 0U) << unknown.error().message;
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(sum_surroundings({{"a", most, "CNY"}, {"b", 1, "CNY"}}, "CNY", rates).error().code, Code::kTooLarge);
}

}  // namespace
}  // namespace dormouse::catalog
