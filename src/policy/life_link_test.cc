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

TEST_F(LifeLinkTest, OneOfAnEarlierGatewayIsAsIfItsLinkWereLost) {
  send(event::TakenBack{.instance = 7, .alive = std::chrono::hours(3), .busy = seconds(5), .lost_for = seconds(6)});
  EXPECT_EQ(life_.state(), State::kReady);
  EXPECT_EQ(life_.status(clock_.now()).instances.at(0).alive, std::chrono::hours(3));
  EXPECT_EQ(life_.status(clock_.now()).instances.at(0).busy, seconds(5));
  EXPECT_TRUE(send(event::Request{1, 10, {}}).empty()) << "it waits: no start beside it, no grant before it calls";
  EXPECT_TRUE(send(event::Request{2, 10, {}}).empty());
  EXPECT_EQ(count<effect::Grant>(send(event::LinkBack{7})), 1) << "one, until it says how many it can do";
  EXPECT_EQ(count<effect::Grant>(send(event::Ready{7, 4, 0})), 1);
  EXPECT_EQ(life_.status(clock_.now()).wakes, 0U) << "nothing was woken";
  send(event::Release{1, true});
  send(event::Release{2, true});
  EXPECT_TRUE(tick_after(seconds(59)).empty()) << "its idle time begins with its return";
}

TEST_F(LifeLinkTest, OneOfAnEarlierGatewayThatNeverCallsIsReplacedWhenItsLeaseIsOver) {
  send(event::TakenBack{.instance = 7, .lost_for = seconds(6)});
  send(event::Request{1, 10, {}});
  EXPECT_TRUE(tick_after(seconds(13)).empty());
  ASSERT_EQ(count<effect::Stop>(tick_after(seconds(1))), 1) << "6 of its 20 seconds had passed before";
  EXPECT_EQ(count<effect::WriteIntent>(send(event::Exited{7, "gone"})), 0);
  const std::vector<Effect> next = tick_after(seconds(1));  // its backoff
  ASSERT_EQ(count<effect::WriteIntent>(next), 1) << "who waits is held for the replacement";
  for (const Effect& effect : next) {
    const auto* const intent = std::get_if<effect::WriteIntent>(&effect);
    if (intent != nullptr) {
      EXPECT_EQ(intent->instance, 8U);
    }
  }
}

TEST_F(LifeLinkTest, OneThatStillStartedGoesOnStarting) {
  send(event::TakenBack{.instance = 7, .reached = Phase::kRequested, .alive = seconds(30)});
  EXPECT_EQ(life_.state(), State::kStarting);
  send(event::Started{7});
  EXPECT_EQ(life_.state(), State::kLoading);
  EXPECT_TRUE(tick_after(seconds(60)).empty()) << "no lease runs: it never had a link";
  const std::vector<Effect> late = tick_after(config().load_deadline - seconds(90));
  EXPECT_EQ(count<effect::Stop>(late), 1) << "its load counts from its request";
}

TEST_F(LifeLinkTest, AWorkersOwnWordIsTheReasonNotThatItWasStoppedForIt) {
  send(event::Request{1, 10, {}});
  send(event::IntentDurable{1});
  EXPECT_EQ(count<effect::Stop>(send(event::WorkerFailed{1, event::Fault::kFailed, "no such program"})), 1);
  send(event::StartFailed{1, "stopped before it ran"});
  EXPECT_EQ(life_.status(clock_.now()).failure, "no such program");
}

}  // namespace
}  // namespace dormouse::policy
