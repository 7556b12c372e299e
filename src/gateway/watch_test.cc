// Goal: a slow deployment is noticed, said once, and forgotten when it is fast again; one that has given up and one
// that is back are told of. Method: a real supervisor with a driver in this process, a clock moved by hand, invented
// calls.
#include "gateway/watch.h"

#include <gtest/gtest.h>

#include "fleet/supervisor_fixture.h"
#include "gateway/metrics.h"
#include "gateway/still_exchange.h"

namespace dormouse::gateway {
namespace {

using std::chrono::seconds;

class WatchTest : public fleet::FleetFixture {
 protected:
  void SetUp() override {
    FleetFixture::SetUp();
    make_supervisor(clock_, "process", driver_);
    fleet::DeploymentSpec spec;
    spec.name = "m";
    ASSERT_TRUE(supervisor_->put(spec).has_value());
    Deployment deployment;
    deployment.name = "m";
    deployment.image = "qwen3-4b:q4_k_m";
    deployment.rules.instance_type = "t4";
    deployments_.put(deployment);
    WatchOptions options;
    options.sources = {.proc = directory_ + "/none", .cgroup = directory_ + "/none", .nvml = "no-such-library.so"};
    options.raise = [this](const Alert& alert) { alerts_.push_back(alert); };
    advisor_.emplace(types_);
    options.advisor = &*advisor_;
    const Services services{io_, clock_, *supervisor_, *ledger_, client_, metrics_, deployments_};
    watch_ = std::make_unique<Watch>(services, std::move(options));
  }
  void TearDown() override {
    watch_.reset();
    FleetFixture::TearDown();
  }
  // Answers of 100 tokens at so many a second, one every ten seconds.
  void answer(double tokens_per_second, seconds time) {
    for (seconds passed{0}; passed < time; passed += seconds(10)) {
      StillExchange exchange;
      Call call(exchange);
      call.deployment = "m";
      call.status = 200;
      call.completion_tokens = 101;
      call.decode_time = Nanoseconds(static_cast<std::int64_t>(100 / tokens_per_second * 1e9));
      clock_.advance(seconds(10));
      metrics_.count_request(call, seconds(1));
      watch_->look();
    }
  }

  ManualClock clock_;
  fleet::FakeDriver driver_;
  http::Client client_{io_};
  Metrics metrics_;
  Deployments deployments_;
  const catalog::InstanceTypes types_ = catalog::InstanceTypes::built_in().value();
  std::optional<Advisor> advisor_;
  std::vector<Alert> alerts_;
  std::unique_ptr<Watch> watch_;
};

TEST_F(WatchTest, ASlowDeploymentIsSaidOnceWithTheNextTypeAndItsPrice) {
  EXPECT_FALSE(watch_->speed_of("m").expected.has_value()) << "nothing was asked of it yet";
  answer(30, seconds(600));
  EXPECT_EQ(watch_->speed_of("m").expected, 30.0) << "what a t4 makes of a 4B model";
  EXPECT_FALSE(watch_->speed_of("m").is_degraded);
  answer(12, seconds(900));
  const SpeedView slow = watch_->speed_of("m");
  EXPECT_TRUE(slow.is_degraded);
  EXPECT_NEAR(*slow.measured, 12, 0.01);
  EXPECT_GE(slow.since_s, 300);
  EXPECT_EQ(slow.next_type, "a10");
  EXPECT_EQ(slow.next_price, "¥3.50/h");
  ASSERT_EQ(alerts_.size(), 1U);
  EXPECT_EQ(alerts_[0].event, AlertEvent::kDegraded);
  EXPECT_NE(alerts_[0].text_en.find("consider a10 at ¥3.50/h"), std::string::npos) << alerts_[0].text_en;
  answer(30, seconds(600));
  EXPECT_FALSE(watch_->speed_of("m").is_degraded);
  ASSERT_EQ(alerts_.size(), 2U);
  EXPECT_TRUE(alerts_[1].is_over);
}

TEST_F(WatchTest, WhatItsRulesExpectWinsAndAnotherModelIsJudgedAnew) {
  Deployment changed = *deployments_.find("m");
  changed.rules.expected_tokens_per_second = 10;
  deployments_.put(changed);
  answer(12, seconds(1'200));
  EXPECT_EQ(watch_->speed_of("m").expected, 10.0);
  EXPECT_TRUE(alerts_.empty());
  changed.model_path = "/another.gguf";
  deployments_.put(changed);
  answer(12, seconds(10));
  EXPECT_FALSE(watch_->speed_of("m").measured.has_value()) << "what the old model did says nothing";
}

TEST_F(WatchTest, AModelOfAnotherSizeIsNotHeldToTheTypesSpeed) {
  Deployment changed = *deployments_.find("m");
  changed.image = "qwen3-32b:q4_k_m";
  deployments_.put(changed);
  answer(5, seconds(1'200));
  EXPECT_FALSE(watch_->speed_of("m").expected.has_value());
  EXPECT_TRUE(alerts_.empty());
  EXPECT_EQ(watch_->advice_for(changed).price->micros, 1'800'000);
  EXPECT_NEAR(*watch_->advice_for(changed).break_even_hours, 300 / 1.8, 1e-9);
}

TEST_F(WatchTest, GivingUpAndComingBackAreTold) {
  std::vector<std::string> to_fail;
  driver_.on_start = [&to_fail](const fleet::StartSpec& spec) { to_fail.push_back(spec.instance_id); };
  const auto is_failed = [this] { return status().state == "failed"; };
  fleet::DeploymentSpec spec;
  spec.name = "m";
  spec.min_instances = 1;  // it is started again by itself
  ASSERT_TRUE(supervisor_->put(spec).has_value());
  for (int tries = 0; tries < 50 && !is_failed(); ++tries) {
    fleet::run_until(
        io_, [&to_fail] { return !to_fail.empty(); }, std::chrono::milliseconds(200));
    for (const std::string& id : std::exchange(to_fail, {})) {
      driver_.events().on_start_failed(id, make_error(Code::kInternal, "/secret/path is broken"));
    }
    clock_.advance(std::chrono::minutes(2));
    supervisor_->tick();
    watch_->look();
  }
  ASSERT_TRUE(is_failed()) << status().state;
  watch_->look();
  watch_->look();
  ASSERT_EQ(alerts_.size(), 1U) << "once";
  EXPECT_EQ(alerts_[0].event, AlertEvent::kFailed);
  EXPECT_EQ(alerts_[0].text_en.find("secret"), std::string::npos) << "the reason stays here";
}

TEST_F(WatchTest, HoursNearAMonthsRentAreToldOnceAMonth) {
  // A t4 costs 300 a month or 1.80 an hour: 166.7 hours. 80 % of them are 133.3.
  const auto awake = [this](const std::string& id, std::uint64_t epoch, std::chrono::hours hours) {
    ledger::StartIntent intent;
    intent.instance_id = id;
    intent.deployment = "m";
    intent.driver = "process";
    intent.lease_sha256 = std::string(64, 'a');
    intent.epoch = epoch;
    intent.cause = "request";
    ledger_->record_intent(intent, [](const Status& status) { EXPECT_TRUE(status.has_value()); });
    const std::int64_t us = std::chrono::duration_cast<std::chrono::microseconds>(hours).count();
    ledger_->record_span({id, ledger::SpanPhase::kRequested, 0, ""}, [](const Status&) {});
    ledger_->record_span({id, ledger::SpanPhase::kReady, 1'000, ""}, [](const Status&) {});
    ledger_->record_progress({{id, us, 0}}, [](const Status&) {});
    ledger_->record_span({id, ledger::SpanPhase::kDown, us, "idle_timeout"}, [](const Status&) {});
    std::promise<void> done;
    ledger_->record_progress({}, [&done](const Status&) { done.set_value(); });
    done.get_future().get();
  };
  // The ledger's spans are of the real month: the watch must think it is that month too.
  clock_.jump_wall(ledger_clock_.wall().us - clock_.wall().us);
  const auto look_again = [this] {
    clock_.advance(std::chrono::minutes(61));
    clock_.jump_wall(ledger_clock_.wall().us - clock_.wall().us);
    watch_->look();
    fleet::run_until(
        io_, [] { return false; }, std::chrono::milliseconds(200));
  };
  awake("i1", 1, std::chrono::hours(130));
  look_again();
  EXPECT_TRUE(alerts_.empty()) << "130 are not near 166.7";
  awake("i2", 2, std::chrono::hours(5));
  look_again();
  look_again();
  ASSERT_EQ(alerts_.size(), 1U);
  EXPECT_EQ(alerts_[0].event, AlertEvent::kBreakEven);
  EXPECT_NE(alerts_[0].text_en.find("135 h this month; from 167 h"), std::string::npos) << alerts_[0].text_en;
}

TEST_F(WatchTest, ARemovedDeploymentIsForgotten) {
  answer(12, seconds(100));
  EXPECT_TRUE(watch_->speed_of("m").measured.has_value());
  deployments_.remove("m");
  watch_->look();
  EXPECT_FALSE(watch_->speed_of("m").measured.has_value());
}

}  // namespace
}  // namespace dormouse::gateway
