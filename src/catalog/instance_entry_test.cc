// Goal: prices and billing rules are read exactly, and what cannot be is refused with the entry's and the key's name.
#include "catalog/instance_entry.h"

#include <gtest/gtest.h>

#include <string>

namespace dormouse::catalog {
namespace {

Result<InstanceTypes> parse(const std::string& entry) {
  return InstanceTypes::parse("[[instance]]\n" + entry, "f.toml");
}

TEST(InstanceEntry, EveryKeyIsRead) {
  const Result<InstanceTypes> types = parse(R"(
name = "x"
title_en = "X"
title_zh = "某"
provider = "P"
size = "medium"
suits_en = "some"
suits_zh = "一些"
vram_gb = 24
ram_gb = 96
bandwidth_gbs = 936.2
fp16_tflops = 71
tokens_per_second = 93.6
speed = "measured"
currency = "USD"
hour = "1.80"
month = "300"
spot_hour = "0.5"
stopped_hour = "0"
increment = "1h"
prepaid = true
minimum = "1m"
boot_billed = false
idle_billed = false
interruptions_per_hour = 0.05
resume_failure = 0.1
source = "list"
date = "2026-05-24"
)");
  ASSERT_TRUE(types.has_value()) << types.error().message;
  InstanceType want;
  want.name = "x";
  want.title_en = "X";
  want.title_zh = "某";
  want.provider = "P";
  want.size = "medium";
  want.suits_en = "some";
  want.suits_zh = "一些";
  want.vram_gb = 24;
  want.ram_gb = 96;
  want.bandwidth_gbs = 936.2;
  want.fp16_tflops = 71;
  want.tokens_per_second = 93.6;
  want.speed_source = SpeedSource::kMeasured;
  want.currency = "USD";
  want.hour_micros = 1'800'000;
  want.month_micros = 300'000'000;
  want.spot_hour_micros = 500'000;
  want.stopped_hour_micros = 0;
  want.increment = std::chrono::hours(1);
  want.increment_kind = Increment::kPrepaid;
  want.minimum = std::chrono::minutes(1);
  want.boot = Paid::kNo;
  want.idle = Paid::kNo;
  want.interruptions_per_hour = 0.05;
  want.resume_failure = 0.1;
  want.source = "list";
  want.date = "2026-05-24";
  EXPECT_EQ(types->all(), std::vector<InstanceType>{want});
}

TEST(InstanceEntry, WhatIsNotSaidIsUnknownAndEveryHourIsPaid) {
  const Result<InstanceTypes> types = parse("name = \"x\"\nhour = \"1\"\ncurrency = \"CNY\"");
  ASSERT_TRUE(types.has_value()) << types.error().message;
  const InstanceType& type = types->all().front();
  EXPECT_FALSE(type.stopped_hour_micros.has_value());
  EXPECT_FALSE(type.spot_hour_micros.has_value());
  EXPECT_FALSE(type.fixed_month_micros.has_value());
  EXPECT_FALSE(type.interruptions_per_hour.has_value());
  EXPECT_FALSE(type.resume_failure.has_value());
  EXPECT_EQ(type.boot, Paid::kYes);
  EXPECT_EQ(type.idle, Paid::kYes);
  EXPECT_EQ(type.speed_source, SpeedSource::kAssumed);
  EXPECT_EQ(type.provenance(), "") << "the user's own entry needs none";
}

TEST(InstanceEntry, AnOwnedCardCostsItsElectricityAndItsLife) {
  const Result<InstanceTypes> types =
      parse("name = \"x\"\nbuy = \"3600\"\nlife_months = 36\nwatts = 350\nkwh = \"0.617\"\ncurrency = \"CNY\"");
  ASSERT_TRUE(types.has_value()) << types.error().message;
  EXPECT_EQ(types->all().front().fixed_month_micros, 100'000'000);
  EXPECT_EQ(types->all().front().hour_micros, 215'950);
  const Result<InstanceTypes> paid_off = parse("name = \"x\"\nwatts = 350\nkwh = \"1\"\ncurrency = \"CNY\"");
  ASSERT_TRUE(paid_off.has_value()) << paid_off.error().message;
  EXPECT_EQ(paid_off->all().front().hour_micros, 350'000);
  EXPECT_FALSE(paid_off->all().front().fixed_month_micros.has_value());
}

TEST(InstanceEntry, DatesAreOfTheCalendar) {
  for (const char* good : {"2026", "2026-05", "2026-05-24", "2024-02-29", "undated"}) {
    EXPECT_TRUE(parse(std::string("name = \"x\"\ndate = \"") + good + "\"").has_value()) << good;
  }
  for (const char* bad : {"26", "2026-", "2026-5", "2026-13", "2026-05-", "2026-05-32", "2026-02-29", "2026-05-24 ",
                          "2026/05/24", "2026--5", "20260524", "May 2026", "-026"}) {
    const Result<InstanceTypes> types = parse(std::string("name = \"x\"\ndate = \"") + bad + "\"");
    ASSERT_FALSE(types.has_value()) << bad;
    EXPECT_NE(types.error().message.find("date"), std::string::npos) << types.error().message;
  }
}

struct Case {
  const char* entry;
  const char* says;
};

void expect_refused(const Case& c) {
  const Result<InstanceTypes> types = parse(std::string("name = \"x\"\n") + c.entry);
  ASSERT_FALSE(types.has_value()) << c.entry;
  EXPECT_EQ(types.error().code, Code::kInvalidArgument);
  EXPECT_NE(types.error().message.find("'x'"), std::string::npos) << types.error().message;
  EXPECT_NE(types.error().message.find(c.says), std::string::npos) << types.error().message;
}

TEST(InstanceEntry, WhatIsNoPriceIsRefusedByName) {
  for (const Case& c :
       {Case{"hour = \"-1\"\ncurrency = \"CNY\"", "hour: '-1'"}, Case{"hour = \"\"\ncurrency = \"CNY\"", "hour: ''"},
        Case{"hour = \"1.1234567\"\ncurrency = \"CNY\"", "hour: '1.1"},
        Case{"hour = \"1e3\"\ncurrency = \"CNY\"", "hour: '1e3'"},
        Case{"hour = \"99999999999999999999\"\ncurrency = \"CNY\"", "hour: '999"},
        Case{"hour = \"10000001\"\ncurrency = \"CNY\"", "hour: "},
        Case{"month = \"10000001\"\ncurrency = \"CNY\"", "month: "},
        Case{"hour = 1.8\ncurrency = \"CNY\"", "prices are written"},
        Case{"hour = 2\ncurrency = \"CNY\"", "prices are written"}, Case{"hour = \"1\"", "currency: ''"},
        Case{"stopped_hour = \"1\"", "currency: ''"}, Case{"hour = \"1\"\ncurrency = \"RMB \"", "currency: 'RMB '"},
        Case{"currency = \"yuan\"", "currency: 'yuan'"}, Case{"spot_hour = \"1\"\ncurrency = \"CNY\"", "spot_hour: "},
        Case{"spot_hour = \"2\"\nhour = \"1\"\ncurrency = \"CNY\"", "spot_hour: "}, Case{"price = \"1\"", "price: "},
        Case{"hour = [\"1\"]", "hour: "}, Case{"hour = { a = 1 }", "hour: "},
        Case{"[[instance]]\nname = \"x\"", "twice"}}) {
    expect_refused(c);
  }
  EXPECT_FALSE(parse("name = \"\"").has_value());
  EXPECT_FALSE(parse("name = \"a b\"").has_value());
}

TEST(InstanceEntry, WhatIsNoRuleIsRefusedByName) {
  for (const Case& c : {Case{"increment = \"0s\"", "increment: "},
                        Case{"increment = \"32d\"", "increment: "},
                        Case{"increment = 60", "increment: want a text"},
                        Case{"minimum = \"soon\"", "minimum: "},
                        Case{"prepaid = true", "prepaid: needs"},
                        Case{"prepaid = \"yes\"", "prepaid: want true or false"},
                        Case{"boot_billed = 1", "boot_billed: "},
                        Case{"resume_failure = 1.01", "resume_failure: 1.01"},
                        Case{"resume_failure = -0.1", "resume_failure: -0.1"},
                        Case{"resume_failure = nan", "resume_failure: nan"},
                        Case{"interruptions_per_hour = inf", "interruptions_per_hour: inf"},
                        Case{"vram_gb = 4097", "vram_gb: 4097"},
                        Case{"vram_gb = -1", "vram_gb: -1"},
                        Case{"vram_gb = 1.5", "vram_gb: want a whole number"},
                        Case{"ram_gb = -9223372036854775808", "ram_gb: "},
                        Case{"bandwidth_gbs = \"320\"", "bandwidth_gbs: want a number"},
                        Case{"fp16_tflops = -1", "fp16_tflops: "},
                        Case{"tokens_per_second = nan", "tokens_per_second: nan"},
                        Case{"tokens_per_second = 30\nspeed = \"fast\"", "speed: 'fast'"},
                        Case{"speed = \"measured\"", "speed: "},
                        Case{"size = \"huge\"", "size: 'huge'"},
                        Case{"buy = \"1\"\ncurrency = \"CNY\"", "buy: needs life_months"},
                        Case{"life_months = 36", "life_months: needs buy"},
                        Case{"watts = 100", "watts: needs kwh"},
                        Case{"kwh = \"1\"", "kwh: needs watts"},
                        Case{"buy = \"1\"\nlife_months = 0\ncurrency = \"CNY\"", "life_months: want"},
                        Case{"buy = \"1\"\nlife_months = 36", "currency: ''"},
                        Case{"watts = 1\nkwh = \"1\"\nhour = \"1\"\ncurrency = \"CNY\"", "hour: is of a rented"}}) {
    expect_refused(c);
  }
}

}  // namespace
}  // namespace dormouse::catalog
