// Goal: nobody's time is lost and nobody's is counted twice, whatever the order of coming and going.
#include "policy/busy_meter.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace dormouse::policy {
namespace {

constexpr std::int64_t kHourNs = 3'600'000'000'000;
const TimePrice kT4{1'800'000, kHourNs, "CNY"};

TEST(BusyMeter, OneAloneHasAllOfItsTime) {
  BusyMeter meter(kT4);
  const std::int64_t mark = meter.enter({5});
  const BusyMeter::Share share = meter.leave(mark, {5 + 2'000'000'000});
  EXPECT_EQ(share.time, std::chrono::seconds(2));
  EXPECT_EQ(share.micros, 1'000);  // 2 s of 1.80 an hour are a thousandth
}

TEST(BusyMeter, TwoAtOnceHaveHalfEach) {
  BusyMeter meter(std::nullopt);
  const std::int64_t first = meter.enter({0});
  const std::int64_t second = meter.enter({100});
  EXPECT_EQ(meter.leave(first, {300}).time.count(), 200);   // 100 alone, half of 200
  EXPECT_EQ(meter.leave(second, {400}).time.count(), 200);  // half of 200, 100 alone
  EXPECT_FALSE(meter.so_far(0, {400}).micros.has_value());
}

TEST(BusyMeter, SharesAddUpToTheBusyTimeAndItsPriceInEveryOrder) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const TimePrice price{std::uniform_int_distribution<std::int64_t>(1, 50'000'000)(random), kHourNs, "CNY"};
    BusyMeter meter(price);
    std::vector<std::int64_t> marks;
    std::int64_t now = 1'000;
    std::int64_t busy = 0;
    std::int64_t shared = 0;
    std::int64_t micros = 0;
    const auto leave = [&](std::size_t index) {
      const BusyMeter::Share share = meter.leave(marks[index], {now});
      EXPECT_GE(share.time.count(), 0);
      EXPECT_GE(share.micros.value(), 0);
      shared += share.time.count();
      micros += *share.micros;
      marks.erase(marks.begin() + static_cast<std::ptrdiff_t>(index));
    };
    for (int step = 0; step < 200; ++step) {
      // Often no time at all goes by: several come and go at one moment.
      const std::int64_t dt = random() % 3 == 0 ? 0 : static_cast<std::int64_t>(random() % 1'000'000'007);
      if (!marks.empty()) busy += dt;
      now += dt;
      if (marks.empty() || random() % 2 == 0) {
        marks.push_back(meter.enter({now}));
      } else {
        leave(random() % marks.size());
      }
    }
    while (!marks.empty()) leave(marks.size() - 1);
    EXPECT_EQ(shared, busy) << "seed " << seed;
    EXPECT_EQ(micros, cost_micros(price, busy)) << "seed " << seed;
  }
}

TEST(BusyMeter, AClockThatStandsOrGoesBackCostsNothing) {
  BusyMeter meter(kT4);
  const std::int64_t mark = meter.enter({1'000});
  EXPECT_EQ(meter.so_far(mark, {400}).time.count(), 0);
  EXPECT_EQ(meter.leave(mark, {900}).time.count(), 0);
}

}  // namespace
}  // namespace dormouse::policy
