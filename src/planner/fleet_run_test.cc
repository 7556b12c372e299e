// Goal: what the fleet's own rules make of a month is counted right: waits, refusals, hours up, money. Method: small
// fleets reckoned by hand; agreement with the exact replay where one instance is all; a processor-sharing brute force;
// the spike of the requirements, 5,000 requests of 2 s.
#include "planner/fleet_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>

#include "planner/arrivals.h"
#include "planner/replay.h"

namespace dormouse::planner {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const Tariff kT4{.hour_micros = 1'800'000, .month_micros = 300'000'000};

// Up to `most` instances of one slot, with a queue that refuses nobody.
FleetRules patient(int most) {
  FleetRules out;
  out.life.max_instances = most;
  out.life.max_waiters = 100'000;
  out.life.max_wait = hours(24);
  out.life.max_waiting_tokens = INT64_MAX / 2;
  return out;
}

Workload requests_of(int count, std::int64_t within_us, std::int64_t service_us) {
  const Traffic traffic{.requests_per_day = static_cast<double>(count),
                        .service_s = static_cast<double>(service_us) / kSecondUs,
                        .active_days = 1,
                        .active_hours = static_cast<double>(within_us) / kHourUs};
  Workload out = make_arrivals(traffic, Pattern::kRandom, 1, 11);
  out.months = 24 / kHoursOfMonth;  // one day
  return out;
}

TEST(FleetRun, OneInstanceOfOneSlotIsTheExactReplay) {
  const Traffic traffic{.requests_per_day = 800, .service_s = 2, .active_days = 5, .active_hours = 8};
  const Workload workload = make_arrivals(traffic, Pattern::kRandom, 1, 3);
  for (const double timeout_s : {30.0, 60.0, 600.0}) {
    FleetRules rules = patient(1);
    rules.life.idle_timeout = seconds(static_cast<int>(timeout_s));
    const FleetRun got = run_fleet(workload, rules, kT4).value();
    const Outcome want = replay(workload.arrivals, {.idle_timeout_s = timeout_s, .wake_s = 30}, kT4);
    EXPECT_EQ(got.served, 4'000);
    EXPECT_EQ(got.starts, want.wakes);
    EXPECT_EQ(got.cold, want.cold_requests);
    EXPECT_EQ(got.up_us, want.awake_us);
    EXPECT_EQ(got.busy_us, want.busy_us);
    EXPECT_EQ(got.waking_us, want.waking_us);
    EXPECT_EQ(got.idle_us, want.idle_us);
    EXPECT_EQ(got.paid_micros, want.paid_micros);
    EXPECT_NEAR(got.latency.mean_s, want.mean_s, 1e-6);
    EXPECT_NEAR(got.latency.p99_s, want.p99_s, 0.01 * want.p99_s);
    EXPECT_EQ(month_micros(got, workload.months, kT4), month_micros(want, workload.months, kT4));
  }
}

// Two instances kept up, four requests of 10 s at once after a minute: two each, one after the other.
TEST(FleetRun, LevelsSessionsAndMoneyAreCountedByHand) {
  Workload workload{.arrivals = std::vector<Arrival>(4, {60 * kSecondUs, 10 * kSecondUs}), .months = 1 / kHoursOfMonth};
  FleetRules rules = patient(2);
  rules.life.min_instances = 2;
  rules.world.load_time = seconds(5);
  Tariff tariff{.hour_micros = 3'600'000, .minimum_us = 0, .stopped_hour_micros = 0, .fixed_month_micros = 7};
  const FleetRun got = run_fleet(workload, rules, tariff).value();
  // The second starts when the first is ready.
  EXPECT_EQ(got.up_us, kHourUs + kHourUs - 5 * kSecondUs);
  EXPECT_EQ(got.level_us, (std::vector<std::int64_t>{kHourUs, kHourUs - 5 * kSecondUs}));
  EXPECT_EQ(got.waking_us, 10 * kSecondUs);
  EXPECT_EQ(got.busy_us, 40 * kSecondUs);
  EXPECT_EQ(got.idle_us, got.up_us - 50 * kSecondUs);
  EXPECT_EQ(got.paid_micros, 7'195'000'000 / 1'000 * 1) << "one micro-unit a millisecond";
  EXPECT_EQ(got.cold, 0);
  EXPECT_DOUBLE_EQ(got.waited.p99_s, 10);
  EXPECT_DOUBLE_EQ(got.latency.mean_s, 15);
  EXPECT_EQ(month_micros(got, workload.months, tariff), std::llround(7'195'000 * kHoursOfMonth) + 7);
  tariff.waking = Paid::kNo;
  tariff.idle = Paid::kNo;
  EXPECT_EQ(run_fleet(workload, rules, tariff)->paid_us, got.busy_us);
  tariff.increment = Increment::kPrepaid;
  EXPECT_EQ(run_fleet(workload, rules, tariff)->paid_us, got.busy_us + got.idle_us) << "it was paid before it was idle";
  tariff.increment = Increment::kArrears;
  tariff.increment_us = 60 * kSecondUs;
  EXPECT_EQ(run_fleet(workload, rules, tariff)->paid_us, 120 * kSecondUs) << "20 s each, a minute each";
}

TEST(FleetRun, WhatIsStoppedCostsItsDiskForEachInstanceThatWasNeeded) {
  Workload workload{.arrivals = std::vector<Arrival>(1, {0, 10 * kSecondUs}), .months = 1 / kHoursOfMonth};
  const FleetRun got = run_fleet(workload, patient(2), {.hour_micros = 0}).value();
  // One slot taken is above the target of 0.7: a second instance comes when the first is ready, and goes after the five
  // minutes that it is remembered.
  ASSERT_EQ(got.level_us.size(), 2U);
  EXPECT_EQ(got.level_us[0], (30 + 10 + 600) * kSecondUs);
  EXPECT_NEAR(static_cast<double>(got.level_us[1]) / kSecondUs, 300, 10);
  const double up_s = static_cast<double>(got.up_us) / kSecondUs;
  const Tariff disk{.stopped_hour_micros = 3'600};
  // In this month of one hour they are up for so long: in a whole one for 730 times as long.
  EXPECT_EQ(month_micros(got, workload.months, disk), std::llround((2 * 3'600 - up_s) * kHoursOfMonth));
}

// Requests that share an instance, by stepping a tenth of a millisecond at a time.
std::vector<double> shared_ends(const std::vector<Arrival>& arrivals, double slowdown) {
  constexpr double kStepS = 1e-4;
  std::vector<double> left;
  for (const Arrival& arrival : arrivals) left.push_back(static_cast<double>(arrival.service_us) / kSecondUs);
  std::vector<double> out(arrivals.size(), 0);
  for (double t = 0; std::any_of(out.begin(), out.end(), [](double end) { return end == 0; }); t += kStepS) {
    std::vector<std::size_t> running;
    for (std::size_t i = 0; i < left.size(); ++i) {
      if (left[i] > 0 && static_cast<double>(arrivals[i].at_us) / kSecondUs <= t) running.push_back(i);
    }
    for (const std::size_t i : running) {
      left[i] -= kStepS / (1 + slowdown * (static_cast<double>(running.size()) - 1));
      if (left[i] <= 0) out[i] = t + kStepS;
    }
  }
  return out;
}

TEST(FleetRun, RequestsBesideEachOtherSlowEachOtherDown) {
  std::mt19937_64 random(5);
  std::uniform_int_distribution<std::int64_t> at(0, 8'000'000);
  std::uniform_int_distribution<std::int64_t> service(100'000, 3'000'000);
  for (const double slowdown : {0.0, 0.1, 0.5, 1.0}) {
    Workload workload{.arrivals = {}, .months = 1 / kHoursOfMonth};
    for (int i = 0; i < 12; ++i) workload.arrivals.push_back({at(random), service(random)});
    std::sort(workload.arrivals.begin(), workload.arrivals.end(),
              [](const Arrival& a, const Arrival& b) { return a.at_us < b.at_us; });
    FleetRules rules = patient(1);
    rules.life.min_instances = 1;
    rules.world.load_time = Nanoseconds{0};
    rules.world.max_sequences = 64;
    rules.world.slowdown = slowdown;
    const FleetRun got = run_fleet(workload, rules, kT4).value();
    const std::vector<double> ends = shared_ends(workload.arrivals, slowdown);
    double mean = 0;
    double slowest = 0;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      const double took = ends[i] - static_cast<double>(workload.arrivals[i].at_us) / kSecondUs;
      mean += took / static_cast<double>(ends.size());
      slowest = std::max(slowest, took);
    }
    // Each change of the brute force's batch is late by up to a step: 24 of them.
    EXPECT_NEAR(got.latency.mean_s, mean, 24 * 1e-4) << slowdown;
    EXPECT_NEAR(got.latency.p99_s, slowest, 24 * 1e-4) << slowdown;
    EXPECT_EQ(got.waited.p99_s, 0);
  }
}

// 5,000 requests of 2 s are 10,000 s of work: 35 % of one instance's working day.
TEST(FleetRun, FiveThousandRequestsInEightHoursAreAThirdOfOneInstance) {
  const Workload day = requests_of(5'000, 8 * kHourUs, 2 * kSecondUs);
  const FleetRun got = run_fleet(day, patient(1), kT4).value();
  EXPECT_EQ(got.served, 5'000);
  EXPECT_EQ(got.starts, 1);
  EXPECT_EQ(got.busy_us, 10'000 * kSecondUs);
  EXPECT_NEAR(static_cast<double>(got.busy_us) / (8 * kHourUs), 0.347, 0.001);
  // M/D/1 at a load of 0.347: a mean wait of 0.347 x 2 / (2 x 0.653) = 0.53 s, scatter some hundredths.
  EXPECT_NEAR(got.waited.mean_s, 0.53, 0.12) << "the first minute's with it";
  EXPECT_LT(got.waited.p95_s, 4);
}

TEST(FleetRun, TheSpikeDrownsOneInstanceAndSeveralCarryIt) {
  const Workload spike = requests_of(5'000, kHourUs, 2 * kSecondUs);
  const FleetRun one = run_fleet(spike, patient(1), kT4).value();
  // 10,000 s of work in 3,600 s: the last ones wait for 6,400 s.
  EXPECT_NEAR(one.waited.p99_s, 0.99 * 6'400, 100);
  EXPECT_NEAR(static_cast<double>(one.up_us) / kSecondUs, 30 + 10'000 + 600, 5);
  FleetRules kept = patient(4);
  kept.life.min_instances = 4;
  const FleetRun four = run_fleet(spike, kept, kT4).value();
  EXPECT_LT(four.waited.p99_s, 130) << "they load one after the other, 120 s in all";
  EXPECT_LT(four.waited.p50_s, 5) << "a load of 0.69";
  EXPECT_GT(four.paid_micros, 3 * one.paid_micros) << "four up all day";
  const FleetRun scaled = run_fleet(spike, patient(4), kT4).value();
  EXPECT_EQ(scaled.most_instances, 4);
  EXPECT_LT(scaled.waited.p99_s, one.waited.p99_s / 3);
  EXPECT_LT(scaled.paid_micros, four.paid_micros / 4) << "and they go again";
  // With the queue as it comes, one instance turns most of them away.
  FleetRules usual;
  const FleetRun refusing = run_fleet(spike, usual, kT4, Slo{.seconds = 60}).value();
  EXPECT_EQ(refusing.served + refusing.refused, 5'000);
  EXPECT_NEAR(static_cast<double>(refusing.served), 1'800, 30) << "one in two seconds";
  EXPECT_LE(refusing.kept_share, static_cast<double>(refusing.served) / 5'000) << "a refused one waits for ever";
}

TEST(FleetRun, AnInstanceThatDrainsTooLongCutsWhatItRuns) {
  // A burst of long requests starts a second instance; when it is not needed any more, what runs there is too long.
  Workload workload{.arrivals = {}, .months = 24 / kHoursOfMonth};
  for (int i = 0; i < 40; ++i) workload.arrivals.push_back({0, 20 * kSecondUs});
  for (int i = 0; i < 2; ++i) workload.arrivals.push_back({100 * kSecondUs, 10 * kHourUs});
  FleetRules rules = patient(2);
  rules.world.load_time = seconds(1);
  rules.world.max_sequences = 8;
  rules.life.hang_stalled = hours(24);
  const FleetRun got = run_fleet(workload, rules, kT4, Slo{.of = Slo::Of::kWait, .seconds = 1'000, .share = 1}).value();
  EXPECT_EQ(got.cut, 1);
  EXPECT_DOUBLE_EQ(got.kept_share, 41.0 / 42) << "all began within 1,000 s; one was not finished";
}

// Whatever the rules, everybody is accounted for and so is every microsecond.
TEST(FleetRun, EveryRequestAndEveryMicrosecondIsCountedOnce) {
  constexpr std::uint64_t kSeed = 41;
  std::mt19937_64 random(kSeed);
  const auto upto = [&random](int most) { return std::uniform_int_distribution<int>(0, most)(random); };
  std::int64_t refused = 0;
  std::int64_t cut = 0;
  for (int n = 0; n < 300; ++n) {
    Workload workload{.arrivals = {}, .months = 0.01};
    for (int i = 0, count = 1 + upto(400); i < count; ++i) {
      workload.arrivals.push_back({upto(4'000) * kSecondUs, upto(60'000) * INT64_C(1'000)});
    }
    std::sort(workload.arrivals.begin(), workload.arrivals.end(),
              [](const Arrival& a, const Arrival& b) { return a.at_us < b.at_us; });
    FleetRules rules;
    rules.life.max_instances = 1 + upto(4);
    rules.life.min_instances = upto(rules.life.max_instances);
    rules.life.idle_timeout = seconds(upto(3) * 100);
    rules.life.billing_increment = minutes(upto(1) * 10);
    rules.life.scale_window = seconds(upto(300));
    rules.life.max_waiters = upto(200);
    rules.life.max_wait = seconds(upto(100));
    rules.life.drain_deadline = seconds(upto(30));
    rules.world = {.load_time = seconds(upto(40)),
                   .exit_time = seconds(upto(20)),
                   .max_sequences = upto(8),
                   .kv_tokens = 0,
                   .slowdown = upto(4) / 4.0};
    const FleetRun got = run_fleet(workload, rules, kT4).value();
    const std::string where = "case " + std::to_string(n) + " of seed " + std::to_string(kSeed);
    ASSERT_EQ(got.requests, static_cast<std::int64_t>(workload.arrivals.size())) << where;
    ASSERT_LE(got.most_instances, rules.life.max_instances) << where;
    ASSERT_GE(got.idle_us, 0) << where;
    ASSERT_EQ(got.up_us, got.busy_us + got.waking_us + got.idle_us) << where;
    ASSERT_EQ(std::accumulate(got.level_us.begin(), got.level_us.end(), INT64_C(0)), got.up_us) << where;
    ASSERT_TRUE(std::is_sorted(got.level_us.rbegin(), got.level_us.rend())) << where;
    ASSERT_LE(got.cut, got.served) << where;
    refused += got.refused;
    cut += got.cut;
  }
  EXPECT_GT(refused, 1'000) << "the cases reach what they are for";
  EXPECT_GT(cut, 20);
}

TEST(SizeFor, TheAnswerKeepsTheSloAndEachSmallerNumberDoesNot) {
  const Workload spike = requests_of(5'000, kHourUs, 2 * kSecondUs);
  const Slo slo{.of = Slo::Of::kWait, .seconds = 10, .share = 0.95};
  FleetRules rules = patient(1);
  rules.world.load_time = seconds(1);
  const FleetAnswer got = size_for(spike, rules, kT4, slo, Kept::kAlways, 16).value();
  ASSERT_TRUE(got.instances.has_value());
  ASSERT_EQ(got.rows.size(), 16U);
  for (const FleetRow& row : got.rows) EXPECT_EQ(row.keeps, row.instances >= *got.instances) << row.instances;
  // 2.78 instances' worth of work; three are 93 % busy. Queueing says the same without a simulation.
  EXPECT_EQ(got.instances, 4);
  EXPECT_EQ(got.guess, 4);
  EXPECT_GT(got.rows[0].run.waited.p99_s, got.rows[3].run.waited.p99_s);
  EXPECT_LT(got.rows[0].micros, got.rows[3].micros);
}

TEST(SizeFor, AnAutoscalerThatComesTooLateIsToldSo) {
  const Workload spike = requests_of(5'000, kHourUs, 2 * kSecondUs);
  const Slo slo{.of = Slo::Of::kWait, .seconds = 5};
  const FleetAnswer got = size_for(spike, patient(1), kT4, slo, Kept::kByLoad, 8).value();
  EXPECT_EQ(got.instances, std::nullopt) << "one more in five minutes: the first ones' queue is there by then";
  EXPECT_TRUE(got.guess.has_value()) << "which queueing does not know";
  EXPECT_GE(got.rows.size(), 4U);
}

TEST(FleetRun, NonsenseIsRefusedByItsName) {
  const Workload good{.arrivals = std::vector<Arrival>(2, {kSecondUs, kSecondUs}), .months = 1};
  const auto error = [](Workload workload, FleetRules rules, std::optional<Slo> slo = {}) {
    const Result<FleetRun> got = run_fleet(workload, rules, kT4, slo);
    return got.has_value() ? std::string() : got.error().message;
  };
  EXPECT_EQ(error(good, patient(1)), "");
  const auto has = [](const std::string& message, std::string_view part) {
    return message.find(part) != std::string::npos;
  };
  EXPECT_PRED2(has, error({}, patient(1)), "no request");
  Workload bad = good;
  bad.arrivals[1].at_us = 0;
  EXPECT_PRED2(has, error(bad, patient(1)), "request 2");
  bad = good;
  bad.arrivals[1].at_us = INT64_MAX;
  EXPECT_PRED2(has, error(bad, patient(1)), "request 2");
  bad = good;
  bad.arrivals[0].service_us = -1;
  EXPECT_PRED2(has, error(bad, patient(1)), "request 1");
  bad = good;
  bad.months = NAN;
  EXPECT_PRED2(has, error(bad, patient(1)), "months");
  bad = good;
  bad.output_tokens = INT64_MAX;
  EXPECT_PRED2(has, error(bad, patient(1)), "tokens");
  EXPECT_PRED2(has, error(good, patient(0)), "max_instances");
  FleetRules rules = patient(1);
  rules.life.min_instances = 2;
  EXPECT_PRED2(has, error(good, rules), "min_instances");
  rules = patient(1);
  rules.world.slowdown = NAN;
  EXPECT_PRED2(has, error(good, rules), "slowdown");
  rules = patient(1);
  rules.life.idle_timeout = hours(24 * 366);
  EXPECT_PRED2(has, error(good, rules), "idle_timeout");
  rules = patient(1);
  rules.world.load_time = minutes(10);
  EXPECT_PRED2(has, error(good, rules), "load_deadline");
  rules = patient(1);
  rules.world.exit_time = seconds(30);
  EXPECT_PRED2(has, error(good, rules), "exit_deadline");
  rules = patient(1);
  rules.life.hang_silent = Nanoseconds{0};
  EXPECT_PRED2(has, error(good, rules), "hang_silent");
  EXPECT_PRED2(has, error(good, patient(1), Slo{.seconds = -1}), "slo");
  EXPECT_PRED2(has, error(good, patient(1), Slo{.seconds = 1, .share = 1.5}), "slo");
  EXPECT_FALSE(size_for(good, patient(1), kT4, Slo{.seconds = 1}, Kept::kByLoad, 0).has_value());
}

}  // namespace
}  // namespace dormouse::planner
