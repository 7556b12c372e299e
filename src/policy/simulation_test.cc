// Goal: what the autoscaler's rules do over hours, on traces: square waves of every period, a day that grows sixfold, a
// burst of minutes. Method: policy/simulation.h, requests made by hand or by a seeded random process.
#include "policy/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "policy/demand.h"

namespace dormouse::policy {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

std::vector<SimulatedRequest> evenly(Nanoseconds from, Nanoseconds to, Nanoseconds every, Nanoseconds service) {
  std::vector<SimulatedRequest> out;
  for (Nanoseconds t = from; t < to; t += every) out.push_back({.at = t, .service = service, .tokens = 100});
  return out;
}

// On for half a period, off for the other half.
std::vector<SimulatedRequest> square_wave(Nanoseconds period, Nanoseconds length, Nanoseconds every,
                                          Nanoseconds service) {
  std::vector<SimulatedRequest> out;
  for (const SimulatedRequest& r : evenly(Nanoseconds{0}, length, every, service)) {
    if (r.at % period < period / 2) out.push_back(r);
  }
  return out;
}

LifeConfig up_to(int instances) {
  LifeConfig config;
  config.max_instances = instances;
  return config;
}

Nanoseconds percentile(std::vector<Nanoseconds> values, double p) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(p * static_cast<double>(values.size() - 1))];
}

constexpr Nanoseconds kHold = minutes(5);

TEST(Demand, AveragesOverAMinuteAndOverSixSecondsTheLargerCounts) {
  Demand demand;
  MonoTime now{5'000'000'000};
  demand.set(0, now);
  now = now + minutes(2);
  demand.set(3.0, now);
  now = now + seconds(2);
  EXPECT_EQ(demand.desired(now), 1) << "3 instances' work for 2 of 6 s";
  now = now + seconds(5);
  EXPECT_EQ(demand.desired(now), 3);
  demand.set(0, now);
  now = now + seconds(10);
  EXPECT_EQ(demand.desired(now), 1) << "the minute remembers";
  EXPECT_EQ(demand.most_desired(now, kHold), 3);
  EXPECT_EQ(demand.most_desired(now, seconds(5)), 1) << "as short a memory as one likes";
  now = now + minutes(2);
  EXPECT_EQ(demand.desired(now), 0);
  EXPECT_EQ(demand.most_desired(now, kHold), 3);
  now = now + minutes(5);
  EXPECT_EQ(demand.most_desired(now, kHold), 0);
}

TEST(Demand, JumpsOfHoursAreOver) {
  Demand demand;
  MonoTime now{1};
  demand.set(2.0, now);
  now = now + hours(10'000);
  EXPECT_EQ(demand.desired(now), 2) << "it lasted all the time";
  demand.set(0, now);
  now = now + hours(10'000);
  EXPECT_EQ(demand.desired(now), 0);
  EXPECT_EQ(demand.most_desired(now, kHold), 0);
}

TEST(Simulation, OneRequestPaysItsWakeAndTheIdleTimeout) {
  const auto requests = evenly(seconds(0), seconds(1), seconds(1), seconds(2));
  const SimulationResult result = simulate(up_to(1), {.load_time = seconds(20)}, requests);
  EXPECT_EQ(result.served, 1);
  EXPECT_EQ(result.woke, 1);
  EXPECT_EQ(result.waited.at(0), seconds(20));
  EXPECT_EQ(result.up, seconds(20) + seconds(2) + minutes(10));
  EXPECT_EQ(result.busy, seconds(2));
}

// The article's sum: 800 requests of 2 s over a working day of 8 h, ten minutes' idle timeout: it never sleeps at work.
TEST(Simulation, EightHundredRequestsADayKeepItAwakeAllDay) {
  const auto requests = evenly(seconds(0), hours(8), seconds(36), seconds(2));
  ASSERT_EQ(requests.size(), 800U);
  const SimulationResult result = simulate(up_to(1), {.load_time = seconds(20)}, requests);
  EXPECT_EQ(result.starts, 1);
  EXPECT_GT(result.up, hours(8));
  EXPECT_LT(result.up, hours(8) + minutes(11));
  // 798 apart and the two that came while it loaded.
  EXPECT_GE(result.busy, seconds(2) * 799);
}

TEST(Simulation, ASquareWaveOfAnyPeriodStartsAtMostOneMoreInstanceInFiveMinutes) {
  for (const Nanoseconds period :
       {Nanoseconds(seconds(1)), Nanoseconds(seconds(2)), Nanoseconds(seconds(6)), Nanoseconds(seconds(13)),
        Nanoseconds(seconds(30)), Nanoseconds(minutes(1)), Nanoseconds(seconds(97)), Nanoseconds(minutes(2)),
        Nanoseconds(minutes(5)), Nanoseconds(minutes(7)), Nanoseconds(minutes(10))}) {
    for (const std::int64_t load_s : {1, 20, 90}) {
      const auto requests = square_wave(period, hours(3), milliseconds(250), seconds(8));
      const SimulationResult result =
          simulate(up_to(4), {.load_time = seconds(load_s), .exit_time = seconds(1), .max_sequences = 16}, requests);
      for (std::size_t i = 1; i < result.load_starts.size(); ++i) {
        EXPECT_GE(result.load_starts[i] - result.load_starts[i - 1], minutes(5)) << period.count();
      }
      EXPECT_GE(result.load_starts.size(), 1U) << "32 at once on 16 places: it must grow " << period.count();
      // Nor does it breathe with the wave: what five minutes asked for stays.
      if (period <= minutes(5)) {
        EXPECT_LE(result.starts, 6) << period.count();
      }
    }
  }
}

// A day of 800 requests with an hour at the rate of 5,000 a day, and within it a burst of five minutes that one
// instance cannot carry.
TEST(Simulation, ASixfoldSpikeIsAbsorbedAndReleased) {
  std::mt19937_64 random(7);
  std::vector<SimulatedRequest> requests;
  Nanoseconds t{0};
  while (t < hours(8)) {
    const bool is_spike = t >= hours(3) && t < hours(4);
    const bool is_burst = t >= hours(3) + minutes(20) && t < hours(3) + minutes(25);
    const double mean_s = is_burst ? 0.2 : is_spike ? 36.0 / 6.25 : 36.0;
    std::exponential_distribution<double> gap(1 / mean_s);
    t += Nanoseconds(static_cast<std::int64_t>(gap(random) * 1e9));
    requests.push_back({.at = t, .service = seconds(4), .tokens = 300});
  }
  const SimulatedWorld world{.load_time = seconds(20), .exit_time = seconds(1), .max_sequences = 16};
  const SimulationResult one = simulate(up_to(1), world, requests);
  const SimulationResult two = simulate(up_to(3), world, requests);
  EXPECT_EQ(one.most_instances, 1);
  EXPECT_GE(two.most_instances, 2);
  EXPECT_EQ(two.refused, 0);
  EXPECT_EQ(two.served, static_cast<std::int64_t>(requests.size()));
  EXPECT_LT(percentile(two.waited, 0.99), percentile(one.waited, 0.99)) << "the second instance takes the queue away";
  EXPECT_LT(two.up, one.up + minutes(25)) << "and goes again: five minutes of burst, five of memory, no more";
  EXPECT_LE(two.load_starts.size(), 2U);
}

// Two requests of 10 s, 4 s apart, at half speed beside each other (slowdown 1): 4 s alone leave 6 of the first, which
// take 12 s together with the second; that one has 4 s left by then, and the instance for itself.
TEST(Simulation, RequestsOnOneInstanceShareItsSpeed) {
  LifeConfig config = up_to(1);
  config.idle_timeout = seconds(0);
  const std::vector<SimulatedRequest> requests = {{.at = seconds(0), .service = seconds(10)},
                                                  {.at = seconds(24), .service = seconds(10)}};
  const SimulatedWorld world{.load_time = seconds(20), .max_sequences = 2, .slowdown = 1};
  const SimulationResult result = simulate(config, world, requests);
  EXPECT_EQ(result.took, (std::vector<Nanoseconds>{seconds(36), seconds(16)}));
  ASSERT_EQ(result.sessions.size(), 1U);
  EXPECT_EQ(result.sessions[0].to - result.sessions[0].from, seconds(40));
  EXPECT_EQ(result.sessions[0].waking, seconds(20));
  EXPECT_EQ(result.sessions[0].busy, seconds(20));
  EXPECT_EQ(simulate(config, {.load_time = seconds(20), .max_sequences = 2}, requests).took,
            (std::vector<Nanoseconds>{seconds(30), seconds(10)}))
      << "nothing slows down without being told to";
}

TEST(Simulation, WhatMinKeepsLastsAsLongAsTheWorldAndTheRestDoesNot) {
  LifeConfig config = up_to(2);
  config.min_instances = 1;
  config.idle_timeout = minutes(1);
  const auto requests = evenly(hours(1), hours(1) + seconds(60), seconds(1), seconds(10));
  const SimulationResult result =
      simulate(config, {.load_time = seconds(5), .max_sequences = 8, .lasts = hours(24 * 365)}, requests);
  ASSERT_EQ(result.sessions.size(), 2U);
  const SimulatedSession& first = result.sessions[0];  // of equals the oldest is idle for long enough first
  const SimulatedSession& last = result.sessions[1];
  EXPECT_GT(last.from, hours(1)) << "by load";
  EXPECT_LT(first.to, last.from + minutes(5));
  EXPECT_EQ(last.to, hours(24 * 365));
  EXPECT_EQ(result.up, last.to + (first.to - last.from)) << "one all the time, two for a while";
}

TEST(Simulation, MaxIsNeverExceededAndMinIsKept) {
  LifeConfig config = up_to(2);
  config.min_instances = 1;
  const auto requests = evenly(minutes(30), minutes(40), milliseconds(20), seconds(5));
  const SimulationResult result = simulate(config, {.load_time = seconds(5), .max_sequences = 8}, requests);
  EXPECT_EQ(result.most_instances, 2);
  EXPECT_GT(result.refused, 0) << "250 at once on 16 places: the queue is bounded";
  EXPECT_EQ(result.served + result.refused, static_cast<std::int64_t>(requests.size()));
}

}  // namespace
}  // namespace dormouse::policy
