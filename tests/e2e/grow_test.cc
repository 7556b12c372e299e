// Goal: README's "Grow" as written: examples/grow.toml, a deployment of child processes and one of a provider that is a
// script; both serve, grow to two and back, sleep, and nothing is left. Method: nothing faked; from the source's root,
// as a reader would. (Slurm's part: slurm_test.cc.)
#include <gtest/gtest.h>

#include "e2e/grow_house.h"

namespace dormouse::e2e {
namespace {

class Grow : public GrowHouse {};

TEST_F(Grow, BothServeGrowToTwoAndBackAndSleep) {
  for (const std::string name : {"here", "rented"}) {
    EXPECT_EQ(house_->deployment(name).state, "asleep") << house_->log();
    ASSERT_EQ(ask(name), 200) << house_->log();
    ASSERT_EQ(house_->deployment(name).instances.size(), 1U);
  }
  EXPECT_EQ(machines(), 1);
  const Answer changed = house_->ask({.method = "PATCH",
                                      .target = "/admin/v1/deployments/rented",
                                      .body = R"({"min":2})",
                                      .headers = {},
                                      .on_piece = {}});
  EXPECT_EQ(changed.status, 409) << "dormouse.toml defines it: changed there";
  replace("driver = \"script\"", "driver = \"script\"\nmin = 2");
  save();
  ASSERT_TRUE(ready_instances("rented", 2)) << house_->log();
  EXPECT_EQ(ask("rented"), 200);
  replace("min = 2", "min = 0");
  replace("driver = \"script\"\nmin = 0\ninstance_type = \"small\"\nmax = 2",
          "driver = \"script\"\nmin = 0\ninstance_type = \"small\"\nmax = 1");
  save();
  ASSERT_TRUE(ready_instances("rented", 1)) << house_->log();
  EXPECT_EQ(ask("rented"), 200);
  EXPECT_EQ(verb({"sleep", "rented"}), 0);
  EXPECT_EQ(verb({"sleep", "here"}), 0);
  EXPECT_EQ(machines(), 0) << "the sleep verb returns when the provider has confirmed it";
}

}  // namespace
}  // namespace dormouse::e2e
