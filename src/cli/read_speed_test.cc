// Goal: what is measured of the memory is a number, and is not taken where it would push others out; a busy machine is
// called so. Method: the real memory of the machine the test runs on, without a claim how fast it is.
#include "cli/read_speed.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cli/machine.h"

namespace dormouse::cli {
namespace {

TEST(ReadSpeed, IsNotMeasuredWhereMemoryIsShort) {
  EXPECT_EQ(measure_read_speed(2, 4 * kReadBytes - 1), 0);
}

TEST(ReadSpeed, AnyNumberOfThreadsComesToAnEnd) {
  if (look_at_machine().available_bytes < 4 * kReadBytes) GTEST_SKIP() << "less than 2 GiB available";
  for (const int threads : {0, 3}) {
    const double speed = measure_read_speed(threads, 4 * kReadBytes);
    EXPECT_TRUE(std::isfinite(speed)) << threads;
    EXPECT_GT(speed, 0) << threads;
  }
}

TEST(ReadSpeed, HalfOfTheCoresTakenIsBusy) {
  EXPECT_FALSE(is_busy(0, 2));
  EXPECT_FALSE(is_busy(0.9, 2));
  EXPECT_TRUE(is_busy(1, 2));
  EXPECT_TRUE(is_busy(5.4, 2));
  EXPECT_FALSE(is_busy(5.4, 64));
  EXPECT_TRUE(is_busy(0.6, 0)) << "no machine has no core";
}

TEST(Machine, TheQuotaBoundsTheCoresThatWorkAtOnce) {
  Machine machine;
  machine.cores = 8;
  EXPECT_EQ(machine.usable_cores(), 8);
  machine.quota_cores = 2.5;
  EXPECT_EQ(machine.usable_cores(), 3);
  machine.quota_cores = 0.2;
  EXPECT_EQ(machine.usable_cores(), 1);
  machine.quota_cores = 32;
  EXPECT_EQ(machine.usable_cores(), 8);
}

}  // namespace
}  // namespace dormouse::cli
