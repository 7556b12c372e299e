// Goal: what the loss of a remote instance's link means (invariant 6 of life.h). Method: as life_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <variant>
#include <vector>

#include "policy/life.h"

namespace dormouse::policy {
namespace {

using std::chrono::seconds;

class LifeLinkTest : public ::testing::Test {
 protected:
  std::vector<Effect> send(const Event& event) { return life_.handle(event, {clock_.now(), 0}); }
  std::vector<Effect> tick_after(Nanoseconds d) {
    clock_.advance(d);
    return send(event::Tick{});
  }
  std::vector<Effect> lose() { return send(event::LinkLost{1, event::Whereabouts::kRemote}); }
  template <typename E>
  static int count(const std::vector<Effect>& effects) {
    return static_cast<int>(
        std::count_if(effects.begin(), effects.end(), [](const Effect& e) { return std::holds_alternative<E>(e); }));
  }
  void load(Ticket ticket) {
    send(event::Request{ticket, 10, {}});
    send(event::IntentDurable{1});
    send(event::Started{1});
  }
  void bring_up(Ticket ticket) {
    load(ticket);
    send(event::Ready{1});
  }
  static LifeConfig config() {
    LifeConfig config;
    config.lease_time_to_live = seconds(20);
    config.max_wait = seconds(60);
    return config;
  }

  ManualClock clock_;
  Life life_{config(), 0, clock_.now()};
};

TEST_F(LifeLinkTest, ALocalLinksEndIsADeath) {
  bring_up(1);
  EXPECT_EQ(count<effect::Stop>(send(event::LinkLost{1})), 1);
}

TEST_F(LifeLinkTest, ARemoteOneIsGivenItsLeaseAndNothingNew) {
  bring_up(1);
  EXPECT_TRUE(lose().empty());
  EXPECT_TRUE(send(event::Request{2, 10, {}}).empty()) << "it waits, it is not granted";
  EXPECT_EQ(life_.status(clock_.now()).waiting, 1);
  EXPECT_EQ(life_.status(clock_.now()).leases, 1) << "what runs, runs";
  const std::vector<Effect> back = send(event::LinkBack{1});
  EXPECT_EQ(count<effect::Grant>(back), 1);
  EXPECT_FALSE(std::get<effect::Grant>(back.at(0)).instance != 1);
  EXPECT_TRUE(tick_after(seconds(9)).empty()) << "nor is the silence held against it";
}

TEST_F(LifeLinkTest, ItsLeaseRunsFromTheFirstLossAndEndsItOnce) {
  bring_up(1);
  lose();
  ASSERT_EQ(life_.next_deadline(), clock_.now() + seconds(20));
  EXPECT_TRUE(tick_after(seconds(19)).empty()) << "no hang either: nobody can hear it";
  lose();
  const std::vector<Effect> over = tick_after(seconds(1));
  ASSERT_EQ(count<effect::Stop>(over), 1);
  for (const Effect& effect : over) {
    const auto* const span = std::get_if<effect::Span>(&effect);
    if (span != nullptr) {
      EXPECT_EQ(span->reason, "lease_expired");
    }
  }
  EXPECT_TRUE(send(event::LinkBack{1}).empty()) << "too late";
  EXPECT_EQ(life_.state(), State::kStopping);
  const std::vector<Effect> gone = send(event::Exited{1, "exit 0"});
  EXPECT_EQ(count<effect::WriteIntent>(gone), 0) << "nobody waits";
  EXPECT_EQ(life_.state(), State::kBackoff);
}

TEST_F(LifeLinkTest, OneThatEndedItselfOutOfReachEndedOfItsLease) {
  bring_up(1);
  lose();
  const std::vector<Effect> gone = send(event::Exited{1, "exit 0"});
  ASSERT_EQ(count<effect::Span>(gone), 1);
  EXPECT_EQ(std::get<effect::Span>(gone.at(0)).reason, "lease_expired");
}

TEST_F(LifeLinkTest, ItIsNotPutToSleepForIdlenessOutOfReach) {
  bring_up(1);
  send(event::Release{1, true});
  clock_.advance(std::chrono::minutes(10) - seconds(5));
  lose();
  EXPECT_TRUE(tick_after(seconds(10)).empty());
  send(event::LinkBack{1});
  EXPECT_EQ(life_.state(), State::kReady) << "idle time counts from its return";
}

TEST_F(LifeLinkTest, OneThatLoadsMayComeBackToo) {
  load(1);
  lose();
  EXPECT_TRUE(tick_after(seconds(10)).empty());
  send(event::LinkBack{1});
  EXPECT_EQ(count<effect::Grant>(send(event::Ready{1})), 1);
}

TEST_F(LifeLinkTest, OneThatLoadsAndDoesNotComeBackHasFailed) {
  load(1);
  lose();
  EXPECT_EQ(count<effect::Stop>(tick_after(seconds(20))), 1);
  EXPECT_EQ(count<effect::Refuse>(send(event::Exited{1, "exit 0"})), 1);
}

TEST_F(LifeLinkTest, TheSleepVerbAndADrainDoNotWaitForTheLink) {
  bring_up(1);
  lose();
  send(event::Sleep{});
  EXPECT_EQ(life_.state(), State::kDraining) << "its request may still come to an end";
  EXPECT_EQ(count<effect::Stop>(send(event::Release{1, true})), 1);
}

}  // namespace
}  // namespace dormouse::policy
