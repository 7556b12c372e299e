// Goal: a gateway that dies without a word takes back the workers it had on other machines when it starts again: the
// same process answers, nothing is started or billed twice; and what it may not take back is ended. Method: the real
// programs and the script that rents (examples/this-machine.sh); the gateway is killed with SIGKILL.
#include <gtest/gtest.h>

#include <csignal>

#include "e2e/grow_house.h"

namespace dormouse::e2e {
namespace {

class TakeBack : public GrowHouse {
 protected:
  // Serves once; what then runs.
  gateway::InstanceView serve() {
    EXPECT_EQ(ask("rented"), 200) << house_->log();
    const gateway::DeploymentView seen = house_->deployment("rented");
    EXPECT_EQ(seen.instances.size(), 1U);
    return seen.instances.empty() ? gateway::InstanceView{} : seen.instances.front();
  }
  // With the file as it is now.
  void crash_and_start() {
    house_->signal(SIGKILL);
    ASSERT_TRUE(house_->wait_exit(kPatience).has_value());
    save();
    ASSERT_TRUE(house_->restart()) << house_->log();
  }
  std::int64_t wakes_on_the_bill() {
    const auto usage = gateway::parse_usage(house_->get("/admin/v1/usage?by=deployment").body);
    std::int64_t wakes = 0;
    if (!usage.has_value()) return -1;
    for (const ledger::UsageRow& row : usage->report.rows) wakes += row.deployment == "rented" ? row.wakes : 0;
    return wakes;
  }
};

TEST_F(TakeBack, TheSameWorkerAnswersTheRestartedGatewayAndNothingIsStartedOrBilledTwice) {
  const gateway::InstanceView before = serve();
  crash_and_start();
  EXPECT_EQ(machines(), 1) << "it runs on while nobody watches";
  const gateway::InstanceView after = serve();
  EXPECT_EQ(after.pid, before.pid);
  EXPECT_EQ(after.instance_id, before.instance_id);
  EXPECT_EQ(after.state, "ready");
  EXPECT_EQ(machines(), 1);
  EXPECT_EQ(wakes_on_the_bill(), 1);
  crash_and_start();  // and once more, without a request in between
  ASSERT_TRUE(ready_instances("rented", 1)) << house_->log();
  EXPECT_EQ(serve().pid, before.pid);
  EXPECT_EQ(wakes_on_the_bill(), 1);
  EXPECT_EQ(verb({"sleep", "rented"}), 0) << "and it is ours to end";
  EXPECT_EQ(machines(), 0);
  EXPECT_NE(serve().instance_id, before.instance_id) << "the next one is a new one";
  EXPECT_EQ(wakes_on_the_bill(), 2);
}

TEST_F(TakeBack, AWorkerWhoseDeploymentIsGoneIsEnded) {
  const gateway::InstanceView before = serve();
  replace("name = \"rented\"", "name = \"other\"");
  crash_and_start();
  EXPECT_TRUE(house_->eventually(kPatience, [this] { return machines() == 0; })) << house_->log();
  EXPECT_TRUE(process_gone(static_cast<pid_t>(before.pid), kPatience));
}

TEST_F(TakeBack, AWorkerOfAChangedDeploymentIsReplaced) {
  const gateway::InstanceView before = serve();
  replace("driver = \"script\"", "driver = \"script\"\nmax_sequences = 3");
  crash_and_start();
  const gateway::InstanceView after = serve();
  EXPECT_NE(after.pid, before.pid);
  EXPECT_NE(after.instance_id, before.instance_id);
  EXPECT_TRUE(house_->eventually(kPatience, [this] { return machines() == 1; })) << house_->log();
  EXPECT_TRUE(process_gone(static_cast<pid_t>(before.pid), kPatience));
}

TEST_F(TakeBack, AWorkerThatDiedMeanwhileIsReplaced) {
  const gateway::InstanceView before = serve();
  ASSERT_GT(before.pid, 1);
  house_->signal(SIGKILL);
  ASSERT_EQ(::kill(static_cast<pid_t>(before.pid), SIGKILL), 0);
  crash_and_start();
  const gateway::InstanceView after = serve();
  EXPECT_NE(after.pid, before.pid);
  EXPECT_NE(after.instance_id, before.instance_id);
  EXPECT_EQ(wakes_on_the_bill(), 2);
}

class TakeBackShortLease : public TakeBack {
 protected:
  void arrange() override { replace("driver = \"script\"", "driver = \"script\"\nlease_ttl = \"2s\""); }
};

TEST_F(TakeBackShortLease, AWorkerWhoseGatewayStaysAwayEndsItselfWhenItsLeaseIsOver) {
  const gateway::InstanceView before = serve();
  house_->signal(SIGKILL);
  EXPECT_TRUE(process_gone(static_cast<pid_t>(before.pid), std::chrono::seconds(30))) << "by default it has 120";
  crash_and_start();
  EXPECT_NE(serve().instance_id, before.instance_id);
}

}  // namespace
}  // namespace dormouse::e2e
