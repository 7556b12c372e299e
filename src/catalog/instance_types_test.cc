// Goal: prices are read exactly, and what cannot be a price is refused by name.
#include "catalog/instance_types.h"

#include <gtest/gtest.h>

namespace dormouse::catalog {
namespace {

TEST(InstanceTypes, TheSeedsPricesAreBuiltIn) {
  const Result<InstanceTypes> types = InstanceTypes::built_in();
  ASSERT_TRUE(types.has_value()) << types.error().message;
  const InstanceType* const t4 = types->find("t4");
  ASSERT_NE(t4, nullptr);
  EXPECT_EQ(t4->hour_micros, 1'800'000);
  EXPECT_EQ(t4->month_micros, 300'000'000);
  EXPECT_EQ(t4->currency, "CNY");
  // 203.68 h, the notes' first row: 366.6 CNY.
  EXPECT_EQ(cost_micros(t4->hourly().value(), 203'680LL * 3'600'000'000), 366'624'000);
  EXPECT_EQ(cost_micros(t4->monthly().value(), 730LL * 3'600'000'000'000), 300'000'000);
  const InstanceType* const local = types->find("local");
  ASSERT_NE(local, nullptr);
  EXPECT_FALSE(local->hourly().has_value()) << "no price is not a price of nothing";
}

TEST(InstanceTypes, TheNextLargerIsTheCheapestThatHoldsAsMuch) {
  const InstanceTypes types = InstanceTypes::built_in().value();
  EXPECT_EQ(types.next_larger("t4")->name, "a10");
  EXPECT_EQ(types.next_larger("a10")->name, "a100");
  EXPECT_EQ(types.next_larger("a100"), nullptr);
  EXPECT_EQ(types.next_larger("local"), nullptr);
}

TEST(InstanceTypes, WhatIsNoPriceIsRefusedByName) {
  struct Case {
    const char* entry;
    const char* says;
  };
  const Case cases[] = {
      {"name = \"x\"\nhour = \"-1\"\ncurrency = \"CNY\"", "hour"},
      {"name = \"x\"\nhour = \"1.1234567\"\ncurrency = \"CNY\"", "hour"},
      {"name = \"x\"\nhour = \"1e3\"\ncurrency = \"CNY\"", "hour"},
      {"name = \"x\"\nhour = \"99999999999999999999\"\ncurrency = \"CNY\"", "hour"},
      {"name = \"x\"\nhour = 1.8\ncurrency = \"CNY\"", "prices are written"},
      {"name = \"x\"\nhour = \"1\"", "currency"},
      {"name = \"x\"\nhour = \"1\"\ncurrency = \"RMB \"", "currency"},
      {"name = \"x\"\nincrement = \"0s\"", "increment"},
      {"name = \"x\"\nprice = \"1\"", "price"},
      {"name = \"\"", "name"},
      {"name = \"x\"\n[[instance]]\nname = \"x\"", "twice"},
  };
  for (const Case& c : cases) {
    const Result<InstanceTypes> types = InstanceTypes::parse(std::string("[[instance]]\n") + c.entry, "f.toml");
    ASSERT_FALSE(types.has_value()) << c.entry;
    EXPECT_EQ(types.error().code, Code::kInvalidArgument);
    EXPECT_NE(types.error().message.find(c.says), std::string::npos) << types.error().message;
  }
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
