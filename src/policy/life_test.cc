// Goal: each decision of the tree in life.cc, by table; then random walks over the invariants of life.h.
// Method: events in, effects out, a clock moved by hand. No threads, no processes.
#include "policy/life.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "policy/life_walk.h"

namespace dormouse::policy {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class LifeTest : public ::testing::Test {
 protected:
  // Sends one event; the effects are appended to all() and returned as text: "intent 1", "grant 7@1", "refuse 7 full".
  std::string send(const Event& event) {
    std::string out;
    for (const Effect& effect : life_.handle(event, {clock_.now(), random_})) {
      const std::string text = describe(effect);
      if (text.empty()) continue;
      if (!out.empty()) out += ", ";
      out += text;
    }
    return out;
  }

  static std::string describe(const Effect& effect) {
    if (const auto* e = std::get_if<effect::WriteIntent>(&effect)) {
      return fmt("intent", e->instance) + " " + std::string(to_string(e->cause));
    }
    if (const auto* e = std::get_if<effect::Start>(&effect)) return fmt("start", e->instance);
    if (const auto* e = std::get_if<effect::TellDrain>(&effect)) return fmt("drain", e->instance);
    if (const auto* e = std::get_if<effect::Stop>(&effect)) return fmt(e->kill ? "kill" : "stop", e->instance);
    if (const auto* e = std::get_if<effect::Grant>(&effect)) {
      return fmt(e->woke ? "grant-woke" : "grant", e->ticket);
    }
    if (const auto* e = std::get_if<effect::Refuse>(&effect)) {
      constexpr const char* kNames[] = {"full", "timeout", "load-failed", "ledger", "draining"};
      return fmt("refuse", e->ticket) + " " + kNames[static_cast<std::size_t>(e->reason)];
    }
    return "";  // spans are looked at where they matter
  }
  static std::string fmt(const char* word, std::uint64_t number) {
    std::string out = word;
    out.push_back(' ');
    return out.append(std::to_string(number));
  }

  std::string request(Ticket ticket, std::int64_t tokens = 10) { return send(event::Request{ticket, tokens, {}}); }
  std::string tick_after(Nanoseconds d) {
    clock_.advance(d);
    return send(event::Tick{});
  }
  InstanceId newest() const {
    const LifeStatus status = life_.status(clock_.now());
    return status.instances.empty() ? 0 : status.instances.back().id;
  }
  // From asleep to ready by way of request `ticket`; its effects at ready.
  std::string bring_up(Ticket ticket) {
    request(ticket);
    const InstanceId id = newest();
    send(event::IntentDurable{id});
    clock_.advance(std::chrono::milliseconds(50));
    send(event::Started{id});
    clock_.advance(std::chrono::milliseconds(50));
    return send(event::Ready{id});
  }
  // An instance that was brought up without bounds gets them, as if it had said so at its start.
  void life_ready_again(Ticket ticket, std::int64_t max_sequences) {
    send(event::Sleep{});
    send(event::Exited{newest(), "exit 0"});
    request(ticket);
    const InstanceId id = newest();
    send(event::IntentDurable{id});
    send(event::Started{id});
    send(event::Ready{id, max_sequences, 0});
    send(event::Release{ticket, true});
  }
  // Two instances ready, without leases and without bounds.
  void two_ready() {
    config_.max_instances = 2;
    config_.min_instances = 2;
    send(event::Configure{config_});
    for (int n = 0; n < 2; ++n) {
      const InstanceId id = newest();
      send(event::IntentDurable{id});
      send(event::Started{id});
      send(event::Ready{id, 0, 0});
    }
    config_.min_instances = 0;
    send(event::Configure{config_});
  }
  std::int64_t leases_of(InstanceId id) const {
    for (const InstanceView& view : life_.status(clock_.now()).instances) {
      if (view.id == id) return view.leases;
    }
    return -1;
  }
  // A start that ends before ready. Returns what became of those who waited.
  std::string fail_a_start(Ticket ticket) {
    request(ticket);
    const InstanceId id = newest();
    send(event::IntentDurable{id});
    return send(event::StartFailed{id, "no such file"});
  }

  ManualClock clock_;
  std::uint64_t random_ = 0;
  LifeConfig config_;
  Life life_{config_, 0, clock_.now()};
};

TEST_F(LifeTest, ARequestWakesInTheOrderIntentThenStartThenGrant) {
  EXPECT_EQ(life_.state(), State::kAsleep);
  EXPECT_FALSE(life_.next_deadline().has_value()) << "asleep costs not even a timer";
  EXPECT_EQ(request(7), "intent 1 request");
  EXPECT_EQ(send(event::IntentDurable{1}), "start 1");
  EXPECT_EQ(life_.state(), State::kStarting);
  send(event::Started{1});
  EXPECT_EQ(life_.state(), State::kLoading);
  clock_.advance(seconds(1));
  EXPECT_EQ(send(event::Ready{1}), "grant-woke 7");
  EXPECT_EQ(life_.state(), State::kReady);
  EXPECT_EQ(request(8), "grant 8");
}

TEST_F(LifeTest, ManyWaitersOneStartAllGrantedInOrder) {
  EXPECT_EQ(request(1), "intent 1 request");
  for (Ticket t = 2; t <= 5; ++t) EXPECT_EQ(request(t), "");
  send(event::IntentDurable{1});
  send(event::Started{1});
  EXPECT_EQ(send(event::Ready{1}), "grant-woke 1, grant-woke 2, grant-woke 3, grant-woke 4, grant-woke 5");
  EXPECT_EQ(life_.status(clock_.now()).leases, 5);
}

TEST_F(LifeTest, AWaiterThatLeavesDoesNotAbortTheLoad) {
  request(1);
  send(event::IntentDurable{1});
  EXPECT_EQ(send(event::Leave{1}), "");
  send(event::Started{1});
  EXPECT_EQ(send(event::Ready{1}), "");
  EXPECT_EQ(life_.state(), State::kReady);
  EXPECT_EQ(tick_after(minutes(10)), "drain 1, stop 1") << "nobody came: idle counts from ready";
}

TEST_F(LifeTest, TheQueueIsBoundedByCountTokensAndTime) {
  config_.max_waiters = 3;
  config_.max_waiting_tokens = 100;
  send(event::Configure{config_});
  request(1, 60);
  EXPECT_EQ(request(2, 41), "refuse 2 full") << "tokens";
  EXPECT_EQ(request(3, 40), "");
  EXPECT_EQ(request(4, 0), "");
  EXPECT_EQ(request(5, 0), "refuse 5 full") << "count";
  EXPECT_EQ(send(event::Request{6, 0, seconds(1)}), "refuse 6 full");
  EXPECT_EQ(tick_after(seconds(30)), "refuse 1 timeout, refuse 3 timeout, refuse 4 timeout");
  EXPECT_EQ(life_.state(), State::kStarting) << "the start goes on";
}

TEST_F(LifeTest, AShorterWaitOfTheCallersOwnIsKeptALongerOneIsNot) {
  send(event::Request{1, 0, seconds(5)});
  send(event::Request{2, 0, minutes(5)});
  EXPECT_EQ(life_.next_deadline().value(), clock_.now() + seconds(5));
  EXPECT_EQ(tick_after(seconds(5)), "refuse 1 timeout");
  EXPECT_EQ(tick_after(seconds(25)), "refuse 2 timeout");
}

TEST_F(LifeTest, IdleIsMeasuredFromTheEndOfTheLastRequest) {
  bring_up(1);
  EXPECT_FALSE(life_.next_deadline().has_value() && life_.status(clock_.now()).sleeps_at.has_value());
  clock_.advance(minutes(3));
  send(event::Stats{1, 5, 1});
  send(event::Release{1, true});
  EXPECT_EQ(life_.next_deadline().value(), clock_.now() + minutes(10));
  EXPECT_EQ(tick_after(minutes(10) - seconds(1)), "");
  EXPECT_EQ(request(2), "grant 2");
  send(event::Release{2, true});
  EXPECT_EQ(tick_after(minutes(10) - seconds(1)), "");
  EXPECT_EQ(tick_after(seconds(1)), "drain 1, stop 1");
  EXPECT_EQ(life_.state(), State::kStopping);
  EXPECT_EQ(send(event::Exited{1, "exit 0"}), "");
  EXPECT_EQ(life_.state(), State::kAsleep);
}

TEST_F(LifeTest, ARequestDuringDrainWaitsForTheExitThenStartsAgain) {
  bring_up(1);
  EXPECT_EQ(send(event::Sleep{}), "drain 1") << "a lease is out: it may finish";
  EXPECT_EQ(life_.state(), State::kDraining);
  EXPECT_EQ(request(2), "");
  EXPECT_EQ(send(event::Release{1, true}), "stop 1");
  EXPECT_EQ(request(3), "");
  EXPECT_EQ(send(event::Exited{1, "exit 0"}), "intent 2 request");
  send(event::IntentDurable{2});
  send(event::Started{2});
  EXPECT_EQ(send(event::Ready{2}), "grant-woke 2, grant-woke 3");
}

TEST_F(LifeTest, ADrainThatNeverEndsIsCutAndAnExitThatDoesNotComeIsKilled) {
  bring_up(1);
  send(event::Stats{1, 1, 1});
  send(event::Sleep{});
  std::string seen;
  for (int i = 0; i < 60 && seen.empty(); ++i) {
    send(event::Stats{1, static_cast<std::uint64_t>(i) + 2, 1});
    seen = tick_after(seconds(5));
  }
  EXPECT_EQ(seen, "kill 1");
  EXPECT_EQ(tick_after(seconds(30)), "kill 1") << "said again while it is not confirmed";
  EXPECT_EQ(send(event::Exited{1, "signal 9"}), "");
  EXPECT_EQ(life_.state(), State::kAsleep) << "the sleep verb's own doing is no failure";
}

TEST_F(LifeTest, TheWakeVerbWakesAndIdlesLikeARequest) {
  EXPECT_EQ(send(event::Wake{}), "intent 1 wake");
  send(event::IntentDurable{1});
  send(event::Started{1});
  EXPECT_EQ(send(event::Ready{1}), "");
  EXPECT_EQ(tick_after(minutes(9)), "");
  EXPECT_EQ(send(event::Wake{}), "") << "awake already: the idle time starts anew";
  EXPECT_EQ(tick_after(minutes(9)), "");
  EXPECT_EQ(tick_after(minutes(1)), "drain 1, stop 1");
}

TEST_F(LifeTest, TheSleepVerbStopsALoadNobodyWaitsFor) {
  send(event::Wake{});
  send(event::IntentDurable{1});
  EXPECT_EQ(send(event::Sleep{}), "stop 1");
  EXPECT_EQ(send(event::Exited{1, "signal 15"}), "");
  EXPECT_EQ(life_.state(), State::kAsleep);
}

TEST_F(LifeTest, TheSleepVerbOvertakesAnIntentAndNothingStarts) {
  send(event::Wake{});
  send(event::Sleep{});
  EXPECT_EQ(send(event::IntentDurable{1}), "");
  EXPECT_EQ(life_.state(), State::kAsleep);
}

TEST_F(LifeTest, MinKeepsAwakeAndComesBackAfterACrash) {
  config_.min_instances = 1;
  EXPECT_EQ(send(event::Configure{config_}), "intent 1 min");
  send(event::IntentDurable{1});
  send(event::Started{1});
  send(event::Ready{1});
  EXPECT_EQ(tick_after(std::chrono::hours(9)), "");
  EXPECT_EQ(send(event::Exited{1, "signal 11"}), "");
  EXPECT_EQ(life_.state(), State::kBackoff);
  EXPECT_EQ(tick_after(seconds(1)), "intent 2 min");
}

TEST_F(LifeTest, TheSleepVerbHoldsAgainstMinUntilSomebodyAsks) {
  config_.min_instances = 1;
  send(event::Configure{config_});
  send(event::IntentDurable{1});
  send(event::Started{1});
  send(event::Ready{1});
  EXPECT_EQ(send(event::Sleep{}), "drain 1, stop 1");
  EXPECT_EQ(send(event::Exited{1, "exit 0"}), "");
  EXPECT_EQ(tick_after(minutes(1)), "");
  EXPECT_EQ(request(1), "intent 2 request");
}

TEST_F(LifeTest, BackoffDoublesWithFullJitterAndGivesUpAfterFive) {
  for (const int limit_s : {1, 2, 4, 8}) {
    random_ = static_cast<std::uint64_t>(limit_s) * 1'000'000'000 - 1;  // the top of the range
    EXPECT_EQ(fail_a_start(1), "refuse 1 load-failed");
    EXPECT_EQ(life_.state(), State::kBackoff);
    EXPECT_EQ(life_.next_deadline().value(), clock_.now() + seconds(limit_s));
    EXPECT_EQ(request(2), "refuse 2 load-failed") << "at once, not after waiting";
    EXPECT_EQ(tick_after(seconds(limit_s)), "");
    EXPECT_EQ(life_.state(), State::kAsleep);
  }
  EXPECT_EQ(fail_a_start(1), "refuse 1 load-failed");
  EXPECT_EQ(life_.state(), State::kFailed);
  EXPECT_EQ(tick_after(std::chrono::hours(24)), "");
  EXPECT_EQ(request(2), "refuse 2 load-failed");
  EXPECT_EQ(life_.status(clock_.now()).failure, "no such file");
  EXPECT_EQ(send(event::ModelChanged{}), "");
  EXPECT_EQ(request(3), "intent 6 request") << "a changed file clears it";
}

TEST_F(LifeTest, TheWakeVerbClearsFailed) {
  for (int i = 0; i < 5; ++i) {
    fail_a_start(1);
    tick_after(minutes(2));
  }
  EXPECT_EQ(life_.state(), State::kFailed);
  EXPECT_EQ(send(event::Wake{}), "intent 6 wake");
}

TEST_F(LifeTest, TheJitterIsWithinItsLimitForAnyRandomNumber) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 1'000; ++i) {
    Life life(config_, 0, clock_.now());
    static_cast<void>(life.handle(event::Wake{}, {clock_.now(), 0}));
    static_cast<void>(life.handle(event::IntentDurable{1}, {clock_.now(), 0}));
    static_cast<void>(life.handle(event::StartFailed{1, "x"}, {clock_.now(), random()}));
    const MonoTime until = life.next_deadline().value();
    ASSERT_GT(until, clock_.now());
    ASSERT_LE(until, clock_.now() + seconds(1));
  }
}

TEST_F(LifeTest, AfterACrashRequestsWaitForTheReplacementButNotAfterASecond) {
  random_ = 500'000'000;
  bring_up(1);
  EXPECT_EQ(send(event::Exited{1, "signal 9"}), "");
  EXPECT_EQ(request(2), "") << "the retry of a request that was being served finds a place";
  EXPECT_EQ(tick_after(seconds(1)), "intent 2 request");
  send(event::IntentDurable{2});
  send(event::Started{2});
  EXPECT_EQ(send(event::Ready{2}), "grant-woke 2");
  send(event::Exited{2, "signal 9"});
  EXPECT_EQ(request(3), "refuse 3 load-failed") << "no good answer in between";
}

TEST_F(LifeTest, AGoodAnswerForgetsFailures) {
  for (int i = 0; i < 20; ++i) {
    bring_up(1);
    send(event::Release{1, true});
    EXPECT_EQ(life_.status(clock_.now()).consecutive_failures, 0);
    send(event::Exited{newest(), "signal 9"});
    tick_after(seconds(1));
  }
  EXPECT_EQ(life_.state(), State::kAsleep);
}

TEST_F(LifeTest, AGoldenMismatchKillsTheWorker) {
  bring_up(1);
  EXPECT_EQ(send(event::WorkerFailed{1, event::Fault::kGoldenMismatch, "wrong tokens"}), "kill 1");
  EXPECT_EQ(request(2), "") << "the retried request waits";
  EXPECT_EQ(send(event::Exited{1, "exit 1"}), "");
  EXPECT_EQ(life_.status(clock_.now()).failure, "wrong tokens");
  EXPECT_EQ(tick_after(seconds(1)), "intent 2 request");
}

TEST_F(LifeTest, ASilentWorkerWithWorkIsHungAfterTenSeconds) {
  bring_up(1);
  EXPECT_EQ(tick_after(seconds(9)), "");
  send(event::Stats{1, 1, 1});
  EXPECT_EQ(tick_after(seconds(9)), "");
  EXPECT_EQ(tick_after(seconds(1)), "kill 1");
  send(event::Exited{1, "signal 9"});
  EXPECT_EQ(life_.status(clock_.now()).failure, "hung: signal 9");
}

TEST_F(LifeTest, AWorkerThatTalksButDoesNotStepIsHungAfterAMinuteOrFiveOfItsLongestSteps) {
  bring_up(1);
  for (int i = 0; i < 30; ++i) {  // one step of 30 s
    EXPECT_EQ(tick_after(seconds(1)), "");
    send(event::Stats{1, i < 29 ? 0U : 1U, 1});
  }
  std::string seen;
  int stalled_s = 0;
  for (; stalled_s < 300 && seen.empty(); ++stalled_s) {
    seen = tick_after(seconds(1));
    if (seen.empty()) send(event::Stats{1, 1, 1});
  }
  EXPECT_EQ(seen, "kill 1");
  EXPECT_EQ(stalled_s, 150) << "5 x 30 s";
}

TEST_F(LifeTest, AWorkerThatKnowsItsSlowStepsIsHungAfterTenSecondsOrFiveOfThem) {
  for (const int slow_ms : {40, 4'000}) {
    SCOPED_TRACE(slow_ms);
    Life life(config_, 0, clock_.now());
    const auto handle = [&](const Event& event) { return life.handle(event, {clock_.now(), 0}); };
    handle(event::Request{1, 10, {}});
    handle(event::IntentDurable{1});
    handle(event::Started{1});
    handle(event::Ready{1});
    const event::Stats stands_still{1, 7, 1, 0, std::chrono::milliseconds(slow_ms)};
    handle(stands_still);
    int stalled_s = 0;
    for (bool killed = false; stalled_s < 300 && !killed; ++stalled_s) {
      clock_.advance(seconds(1));
      for (const Effect& effect : handle(event::Tick{}))
        killed = killed || std::holds_alternative<effect::Stop>(effect);
      if (!killed) handle(stands_still);
    }
    EXPECT_EQ(stalled_s, slow_ms == 40 ? 10 : 20);
  }
}

TEST_F(LifeTest, AnIdleOrSlowlyReadWorkerIsNotHung) {
  bring_up(1);
  send(event::Stats{1, 9, 0});  // done; the client still reads: the lease is out
  EXPECT_EQ(tick_after(std::chrono::hours(1)), "");
  send(event::Release{1, true});
  EXPECT_EQ(tick_after(minutes(9)), "");
}

// Goal: a worker is judged by what it has now. Method: a request that was done between two of its reports, of which it
// says nothing, and long after it the next one.
TEST_F(LifeTest, ARequestThatTheWorkerNeverSpokeOfIsNoHang) {
  bring_up(1);
  send(event::Stats{1, 9, 0, 0, std::chrono::milliseconds(40)});
  send(event::Release{1, true});
  request(2);
  send(event::Release{2, true});
  EXPECT_EQ(tick_after(seconds(60)), "");
  request(3);
  EXPECT_EQ(tick_after(seconds(9)), "");
  EXPECT_EQ(tick_after(seconds(1)), "kill 1") << "of a stall since the third";
}

TEST_F(LifeTest, ALoadThatNeverEndsIsKilledAndCountsAsFailed) {
  request(1);
  send(event::IntentDurable{1});
  send(event::Started{1});
  EXPECT_EQ(tick_after(seconds(30)), "refuse 1 timeout");
  EXPECT_EQ(tick_after(minutes(10)), "kill 1");
  send(event::Exited{1, "signal 9"});
  EXPECT_EQ(life_.state(), State::kBackoff);
}

TEST_F(LifeTest, ALedgerThatRefusesTheIntentRefusesTheWaitersAndStartsNothing) {
  request(1);
  EXPECT_EQ(send(event::IntentFailed{1}), "refuse 1 ledger");
  EXPECT_EQ(life_.state(), State::kAsleep);
  EXPECT_EQ(life_.status(clock_.now()).consecutive_failures, 0);
  EXPECT_EQ(request(2), "intent 2 request");
}

TEST_F(LifeTest, NewsOfAnOldInstanceChangesNothing) {
  bring_up(1);
  send(event::Release{1, true});
  tick_after(minutes(10));
  send(event::Exited{1, "exit 0"});
  bring_up(2);
  for (const Event& late : {Event(event::Exited{1, ""}), Event(event::LinkLost{1}), Event(event::Ready{1}),
                            Event(event::WorkerFailed{1, event::Fault::kFailed, ""}), Event(event::Release{1, true})}) {
    EXPECT_EQ(send(late), "");
    EXPECT_EQ(life_.state(), State::kReady);
  }
}

TEST_F(LifeTest, ReadyMayOvertakeStarted) {
  request(1);
  send(event::IntentDurable{1});
  EXPECT_EQ(send(event::Ready{1}), "grant-woke 1");
  EXPECT_EQ(send(event::Started{1}), "");
  EXPECT_EQ(life_.state(), State::kReady);
}

TEST_F(LifeTest, AChangedModelRestartsWhenIdle) {
  bring_up(1);
  EXPECT_EQ(send(event::ModelChanged{}), "");
  EXPECT_EQ(send(event::Release{1, true}), "drain 1, stop 1");
  send(event::Exited{1, "exit 0"});
  EXPECT_EQ(life_.state(), State::kAsleep);
}

TEST_F(LifeTest, ShutdownRefusesDrainsAndStaysDown) {
  config_.min_instances = 1;
  bring_up(1);
  send(event::Configure{config_});
  EXPECT_EQ(send(event::Shutdown{}), "drain 1");
  EXPECT_EQ(request(2), "refuse 2 draining");
  EXPECT_EQ(send(event::Release{1, true}), "stop 1");
  EXPECT_EQ(send(event::Exited{1, "exit 0"}), "");
  EXPECT_EQ(tick_after(minutes(1)), "");
  EXPECT_EQ(send(event::Wake{}), "");
  EXPECT_EQ(request(3), "refuse 3 draining");
}

TEST_F(LifeTest, BusyTimeIsTheUnionOfTheRequests) {
  bring_up(1);
  clock_.advance(seconds(1));
  send(event::Stats{1, 1, 1});
  request(2);
  clock_.advance(seconds(1));
  send(event::Release{1, true});
  clock_.advance(seconds(1));
  send(event::Release{2, true});
  clock_.advance(seconds(5));
  EXPECT_EQ(life_.status(clock_.now()).instances.at(0).busy, seconds(3));
}

// ---- several instances ----

TEST_F(LifeTest, LoadStartsASecondInstanceAndTheLeastLoadedIsGranted) {
  config_.max_instances = 2;
  send(event::Configure{config_});
  bring_up(1);
  send(event::Release{1, true});
  life_ready_again(1, 10);  // seven sequences are its target
  for (Ticket t = 2; t <= 11; ++t) EXPECT_EQ(request(t), "grant " + std::to_string(t));
  EXPECT_EQ(tick_after(seconds(1)), "") << "10 of 7 for one second of six is not two instances' work yet";
  std::string seen;
  int waited = 1;
  for (; waited < 20 && seen.empty(); ++waited) {
    send(event::Stats{2, static_cast<std::uint64_t>(waited), 10, 0});
    seen = tick_after(seconds(1));
  }
  EXPECT_EQ(seen, "intent 3 load");
  EXPECT_LE(waited, 7) << "the panic window sees a spike within its six seconds";
  EXPECT_EQ(request(12), "") << "no room: it waits here, not in the engine";
  send(event::IntentDurable{3});
  send(event::Started{3});
  EXPECT_EQ(send(event::Ready{3, 10, 0}), "grant 12");
  EXPECT_EQ(request(13), "grant 13");
  EXPECT_EQ(life_.status(clock_.now()).instances.at(1).leases, 2) << "the newcomer has fewer leases";
}

TEST_F(LifeTest, APromptGoesToTheInstanceThatHoldsItsBeginningUnlessThatIsFarBusier) {
  two_ready();
  constexpr std::uint64_t kPrefix = 77;
  send(event::Request{10, 1, {}, kPrefix});  // least loaded, oldest: 1
  send(event::Request{11, 1, {}, 5});        // 2
  send(event::Request{12, 1, {}, kPrefix});
  send(event::Request{13, 1, {}, kPrefix});
  EXPECT_EQ(leases_of(1), 3);
  EXPECT_EQ(leases_of(2), 1);
  send(event::Request{14, 1, {}, kPrefix});
  send(event::Request{15, 1, {}, kPrefix});
  EXPECT_EQ(leases_of(1), 4) << "two more than the other are worth it";
  EXPECT_EQ(leases_of(2), 2);
}

TEST_F(LifeTest, WhatTheLastFiveMinutesNeverAskedForIsScaledAwayAndTheLastFollowsTheIdleTimeout) {
  config_.idle_timeout = minutes(20);
  two_ready();
  EXPECT_EQ(request(50), "grant 50");
  std::string seen;
  int waited = 0;
  for (; waited < 3600 && seen.empty(); ++waited) {
    send(event::Stats{1, static_cast<std::uint64_t>(waited), 1, 0});
    send(event::Stats{2, static_cast<std::uint64_t>(waited), 1, 0});
    seen = tick_after(seconds(1));
  }
  EXPECT_EQ(seen, "drain 2, stop 2") << "the idle one; had both work, the newest";
  EXPECT_GE(waited, 300);
  EXPECT_LE(waited, 380);
  send(event::Exited{2, "exit 0"});
  send(event::Release{50, true});
  EXPECT_EQ(tick_after(minutes(20)), "drain 1, stop 1");
}

TEST_F(LifeTest, AFailedSecondStartHarmsNobodyAndBacksOff) {
  config_.max_instances = 2;
  config_.min_instances = 2;
  random_ = 999'999'999;
  bring_up(1);
  EXPECT_EQ(send(event::Configure{config_}), "intent 2 min");
  send(event::IntentDurable{2});
  EXPECT_EQ(send(event::StartFailed{2, "no card left"}), "");
  EXPECT_EQ(life_.state(), State::kReady);
  EXPECT_EQ(request(2), "grant 2");
  EXPECT_EQ(life_.status(clock_.now()).failure, "no card left");
  EXPECT_EQ(tick_after(seconds(1)), "intent 3 min");
}

TEST_F(LifeTest, ACrashOfOneTakesItsOwnLeasesOnly) {
  two_ready();
  request(20);
  request(21);
  send(event::Exited{1, "signal 9"});
  EXPECT_EQ(life_.status(clock_.now()).leases, 1);
  EXPECT_EQ(life_.state(), State::kReady);
  EXPECT_EQ(request(22), "grant 22");
  EXPECT_EQ(leases_of(2), 2);
}

TEST_F(LifeTest, ALoweredMaxDrainsAtOnceAndTheSleepVerbDrainsAll) {
  two_ready();
  config_.max_instances = 1;
  EXPECT_EQ(send(event::Configure{config_}), "drain 2, stop 2");
  send(event::Exited{2, "exit 0"});
  two_ready();
  EXPECT_EQ(send(event::Sleep{}), "drain 1, drain 3, stop 1, stop 3");
}

TEST_F(LifeTest, AWorkerOfAnotherMachineMayReturnWithinItsLease) {
  bring_up(1);
  EXPECT_EQ(send(event::LinkLost{1, event::Whereabouts::kRemote}), "");
  EXPECT_EQ(request(2), "") << "it cannot be reached: who comes waits";
  EXPECT_EQ(tick_after(seconds(20)), "") << "silence is no hang while the channel is broken";
  EXPECT_EQ(send(event::LinkBack{1}), "grant 2");
  send(event::Release{1, true});
  send(event::Release{2, true});
  send(event::LinkLost{1, event::Whereabouts::kRemote});
  EXPECT_EQ(life_.next_deadline().value(), clock_.now() + config_.lease_time_to_live);
  EXPECT_EQ(tick_after(config_.lease_time_to_live), "kill 1");
  EXPECT_EQ(send(event::LinkBack{1}), "") << "too late";
  send(event::Exited{1, "unknown"});
  EXPECT_EQ(life_.status(clock_.now()).failure, "lease_expired: unknown");
}

TEST_F(LifeTest, EvictionTakesIdleOnesOnlyAndARequestBringsThemBack) {
  bring_up(1);
  EXPECT_EQ(send(event::Evict{}), "") << "it serves";
  send(event::Release{1, true});
  EXPECT_EQ(send(event::Evict{}), "drain 1, stop 1");
  EXPECT_EQ(send(event::Exited{1, "exit 0"}), "");
  EXPECT_EQ(request(2), "intent 2 request");
}

TEST_F(LifeTest, AnIdleInstanceUsesUpWhatIsPaidWhole) {
  config_.billing_increment = std::chrono::hours(1);
  send(event::Configure{config_});
  bring_up(1);
  send(event::Release{1, true});
  EXPECT_EQ(tick_after(minutes(58)), "") << "ten idle minutes are over, the hour is not";
  EXPECT_EQ(tick_after(minutes(1)), "drain 1, stop 1");
}

TEST_F(LifeTest, AutoIdlesAsLongAsALoadTakesAndHalfAMinuteAtLeast) {
  config_.idle_auto = true;
  send(event::Configure{config_});
  bring_up(1);
  send(event::Release{1, true});
  EXPECT_EQ(tick_after(seconds(29)), "");
  EXPECT_EQ(tick_after(seconds(1)), "drain 1, stop 1");
}

TEST_F(LifeTest, AKeepAliveHoldsUntilTheNextRequestWithinItsBound) {
  struct Row {
    std::optional<Nanoseconds> wish;
    Nanoseconds sleeps_after;
  };
  config_.idle_timeout = minutes(10);
  config_.keep_alive_max = minutes(30);
  send(event::Configure{config_});
  bring_up(1);
  send(event::Release{1, true});
  Ticket ticket = 2;
  for (const Row& row : {Row{minutes(20), minutes(20)}, Row{std::nullopt, minutes(10)}, Row{minutes(3), minutes(3)},
                         Row{minutes(31), minutes(30)}, Row{Nanoseconds{-1}, minutes(30)}}) {
    send(event::Request{++ticket, 10, {}, 0, row.wish});
    send(event::Release{ticket, true});
    EXPECT_EQ(life_.status(clock_.now()).sleeps_at, clock_.now() + row.sleeps_after);
  }
  config_.keep_alive_max.reset();
  send(event::Configure{config_});
  EXPECT_EQ(life_.status(clock_.now()).sleeps_at, clock_.now() + minutes(10)) << "nobody may ask for more";
}

TEST_F(LifeTest, AKeepAliveOfZeroSleepsAfterTheLastRequestAndTheNextOneWakes) {
  bring_up(1);
  EXPECT_EQ(send(event::Request{2, 10, {}, 0, Nanoseconds{0}}), "grant 2");
  EXPECT_EQ(send(event::Release{2, true}), "") << "request 1 still runs";
  EXPECT_EQ(send(event::Release{1, true}), "drain 1, stop 1");
  send(event::Exited{1, "exit 0"});
  EXPECT_EQ(bring_up(3), "grant-woke 3");
  send(event::Release{3, true});
  EXPECT_EQ(life_.state(), State::kReady) << "its own word is no longer zero";
}

TEST_F(LifeTest, AnUnloadEndsAnIdleInstanceButNoRequestAndNoMinimum) {
  EXPECT_EQ(send(event::KeepAlive{}), "") << "asleep it wakes nothing";
  bring_up(1);
  EXPECT_EQ(send(event::KeepAlive{}), "");
  EXPECT_EQ(send(event::Release{1, true}), "drain 1, stop 1");
  send(event::Exited{1, "exit 0"});
  EXPECT_EQ(send(event::Wake{}), "intent 2 wake") << "the verb forgets a caller's wish";
  send(event::IntentDurable{2});
  send(event::Started{2});
  EXPECT_EQ(send(event::Ready{2}), "");
  config_.min_instances = 1;
  send(event::Configure{config_});
  EXPECT_EQ(send(event::KeepAlive{}), "");
  EXPECT_EQ(life_.state(), State::kReady);
}

TEST_F(LifeTest, RandomWalksKeepEveryInvariant) {
  const std::uint32_t seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  int starts = 0;
  int grants = 0;
  int crowded = 0;
  for (int walk_index = 0; walk_index < 2'000; ++walk_index) {
    LifeConfig config;
    config.max_waiters = 1 + static_cast<int>(random() % 8);
    config.max_instances = 1 + static_cast<int>(random() % 3);
    config.min_instances = static_cast<int>(random() % static_cast<unsigned>(config.max_instances + 1)) / 2;
    config.max_waiting_tokens = 3'000;
    LifeWalk walk(config);
    for (int i = 0; i < 500; ++i) {
      ASSERT_TRUE(walk.step(static_cast<std::uint8_t>(random()), static_cast<std::uint8_t>(random() >> 8)))
          << walk.broken() << " (seed " << seed << ", walk " << walk_index << ", step " << i << ")";
    }
    ASSERT_TRUE(walk.finish()) << walk.broken() << " (seed " << seed << ", walk " << walk_index << ")";
    starts += walk.starts();
    grants += walk.grants();
    crowded += walk.most_at_once() > 1 ? 1 : 0;
  }
  EXPECT_GT(starts, 10'000) << "the walks go somewhere";
  EXPECT_GT(grants, 10'000);
  EXPECT_GT(crowded, 200) << "walks with several instances at once";
}

}  // namespace
}  // namespace dormouse::policy
