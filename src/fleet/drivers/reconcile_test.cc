// Goal: reconcile ends what is not ours and never what is. Method: each rule by hand, then a random walk of a provider
// that shows late and forgets, with the header's invariants checked at every step.
#include "fleet/drivers/reconcile.h"

#include <gtest/gtest.h>

#include <random>

namespace dormouse::fleet {
namespace {

using Kind = ReconcileAction::Kind;
constexpr Nanoseconds kVisible = std::chrono::seconds(60);

MonoTime at(int seconds) {
  return MonoTime{std::int64_t{seconds} * 1'000'000'000};
}

Sighting machine(const std::string& instance, const std::string& id, MachineState state = MachineState::kRunning) {
  Sighting out;
  out.instance = instance;
  out.id = id;
  out.state = state;
  return out;
}

class ReconcileTest : public ::testing::Test {
 protected:
  std::vector<ReconcileAction> observe(std::vector<Sighting> listed, int seconds) {
    return reconciler_.observe(listed, at(seconds));
  }
  Reconciler reconciler_{kVisible};
};

TEST_F(ReconcileTest, AStrangerIsEndedWhenSeenTwiceInARow) {
  EXPECT_TRUE(observe({machine("a", "1")}, 0).empty());
  EXPECT_TRUE(observe({}, 60).empty());
  EXPECT_TRUE(observe({machine("a", "1")}, 120).empty()) << "not in a row";
  const auto actions = observe({machine("a", "1")}, 180);
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_TRUE(actions[0].kind == Kind::kEndStranger);
  EXPECT_EQ(actions[0].id, "1");
  EXPECT_EQ(observe({machine("a", "1")}, 240).size(), 1U) << "again until it is gone";
}

TEST_F(ReconcileTest, AStoppedStrangerCostsNothingAndIsLeftAlone) {
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(observe({machine("a", "1", MachineState::kStopped)}, 60 * i).empty());
}

TEST_F(ReconcileTest, WhileTheIdIsOnItsWayAnyMachineOfTheInstanceIsOurs) {
  reconciler_.know("a", at(0));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(observe({machine("a", "1")}, 60 * i).empty());
}

TEST_F(ReconcileTest, ASecondMachineOfAnInstanceIsEndedAndOursIsNot) {
  reconciler_.know("a", at(0));
  reconciler_.set_id("a", "2");
  EXPECT_TRUE(observe({machine("a", "1"), machine("a", "2")}, 1).empty());
  const auto actions = observe({machine("a", "2"), machine("a", "1")}, 61);
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_TRUE(actions[0].kind == Kind::kEndDuplicate);
  EXPECT_EQ(actions[0].id, "1");
}

TEST_F(ReconcileTest, WhatWasSeenVanishesAfterTwoMissesAndOnce) {
  reconciler_.know("a", at(0));
  reconciler_.set_id("a", "1");
  EXPECT_TRUE(observe({machine("a", "1")}, 1).empty());
  EXPECT_TRUE(observe({}, 2).empty());
  EXPECT_TRUE(observe({machine("a", "1")}, 3).empty());
  EXPECT_TRUE(observe({}, 4).empty());
  const auto actions = observe({machine("a", "1", MachineState::kStopped)}, 5);
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_TRUE(actions[0].kind == Kind::kVanished);
  EXPECT_TRUE(observe({}, 6).empty());
}

TEST_F(ReconcileTest, OursThatFailedHasVanishedAndIsNoStranger) {
  reconciler_.know("a", at(0));
  reconciler_.set_id("a", "1");
  EXPECT_TRUE(observe({machine("a", "1")}, 1).empty());
  EXPECT_TRUE(observe({machine("a", "1", MachineState::kFailed)}, 2).empty());
  const auto actions = observe({machine("a", "1", MachineState::kFailed)}, 3);
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_TRUE(actions[0].kind == Kind::kVanished);
  EXPECT_TRUE(observe({machine("a", "1", MachineState::kFailed)}, 4).empty());
}

TEST_F(ReconcileTest, WhatWasNeverShownMayBeLateUntilItMustBeVisible) {
  reconciler_.know("a", at(0));
  reconciler_.set_id("a", "1");
  for (int i = 0; i < 60; i += 10) EXPECT_TRUE(observe({}, i).empty()) << i;
  EXPECT_EQ(observe({}, 60).size(), 1U);
}

// A provider with up to 6 instances of which we know some; what it made is shown after up to 60 s.
class Walk {
 public:
  explicit Walk(unsigned seed) : random_(seed) {}
  void step() {
    now_ += 1 + pick(30);
    switch (pick(6)) {
      case 0: return make();
      case 1: return strange();
      case 2: return end_one();
      case 3: return forget_one();
      default: return observe();
    }
  }
  int ended = 0;
  int vanished = 0;

 private:
  struct Real {
    Sighting shown;
    int visible_at = 0;
    bool known = false;
  };
  int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
  void make() {
    if (real_.size() >= 6) return;
    const std::string instance = "i" + std::to_string(++count_);
    const std::string id = "m" + std::to_string(count_);
    reconciler_.know(instance, at(now_));
    reconciler_.set_id(instance, id);
    real_[id] = {machine(instance, id), now_ + pick(60), true};
    known_.insert(instance);
  }
  void strange() {
    if (real_.size() >= 6) return;
    const std::string id = "s" + std::to_string(++count_);
    const std::string instance = pick(2) == 0 && !known_.empty() ? *known_.begin() : "strange" + id;
    real_[id] = {machine(instance, id), now_ + pick(60), false};
  }
  void end_one() {
    if (!real_.empty()) real_.erase(std::next(real_.begin(), pick(static_cast<int>(real_.size()))));
  }
  void forget_one() {
    if (known_.empty()) return;
    const std::string instance = *known_.begin();
    known_.erase(instance);
    gone_.erase(instance);
    reconciler_.forget(instance);
    for (auto& [id, real] : real_) real.known = real.known && real.shown.instance != instance;
  }
  void observe() {
    std::vector<Sighting> listed;
    std::set<std::string> suspects;
    for (const auto& [id, real] : real_) {
      if (now_ < real.visible_at) continue;
      listed.push_back(real.shown);
      if (!real.known) suspects.insert(id);
    }
    for (const ReconcileAction& action : reconciler_.observe(listed, at(now_))) check(action, suspects);
    suspects_ = suspects;
  }
  void check(const ReconcileAction& action, const std::set<std::string>& suspects) {
    if (action.kind == Kind::kVanished) {
      ++vanished;
      EXPECT_FALSE(real_.contains(action.id) && real_[action.id].known) << "it is there or may be late";
      EXPECT_TRUE(gone_.insert(action.instance).second) << "told twice";
      return;
    }
    ++ended;
    EXPECT_TRUE(suspects.contains(action.id)) << "ours: " << action.id;
    EXPECT_EQ(action.kind == Kind::kEndDuplicate, known_.contains(action.instance));
    EXPECT_TRUE(suspects_.contains(action.id)) << "at first sight: " << action.id;
    real_.erase(action.id);
  }

  std::mt19937 random_;
  Reconciler reconciler_{kVisible};
  std::map<std::string, Real> real_;
  std::set<std::string> known_;
  std::set<std::string> gone_;
  std::set<std::string> suspects_;  // of the observation before
  int now_ = 0;
  int count_ = 0;
};

TEST(ReconcileWalk, NeverEndsOursNeverAtFirstSight) {
  int ended = 0;
  int vanished = 0;
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Walk walk(seed);
    for (int i = 0; i < 500; ++i) walk.step();
    ended += walk.ended;
    vanished += walk.vanished;
  }
  EXPECT_GT(ended, 1000);
  EXPECT_GT(vanished, 1000);
}

}  // namespace
}  // namespace dormouse::fleet
