// Goal: the formulas have the numbers of the cost notes (2.7) and of chains solved by hand or by brute force. Method:
// known values; a chain's product form written out with factorials; arrivals whose variation is known.
#include "planner/queueing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "planner/arrivals.h"

namespace dormouse::planner {
namespace {

TEST(Queueing, ErlangCHasTheNotesNumbers) {
  const Waiting eight = waiting({.service_s = 2, .slots = 8}, 3.5).value();
  EXPECT_NEAR(eight.share, 0.635, 0.0005);
  EXPECT_NEAR(eight.percentile_s(0.99), 8.3, 0.05);
  EXPECT_NEAR(eight.longer_than(eight.percentile_s(0.99)), 0.01, 1e-12);
  EXPECT_NEAR(eight.mean_s(), 0.635 / 0.5, 0.002);
  const Waiting ten = waiting({.service_s = 2, .slots = 10}, 3.5).value();
  EXPECT_NEAR(ten.share, 0.222, 0.0005);
  EXPECT_NEAR(ten.percentile_s(0.99), 2.07, 0.005);
  EXPECT_EQ(ten.percentile_s(0.5), 0) << "most do not wait";
}

TEST(Queueing, InstancesOfOneSlotAreSlotsOfOneInstanceWithoutSlowdown) {
  const Waiting slots = waiting({.service_s = 2, .slots = 12}, 3.5).value();
  const Waiting instances = waiting({.service_s = 2, .slots = 4, .instances = 3}, 3.5).value();
  EXPECT_DOUBLE_EQ(slots.share, instances.share);
  EXPECT_DOUBLE_EQ(slots.decay, instances.decay);
}

// pi_n by its definition, far beyond the slots, summed.
TEST(Queueing, ABatchThatSlowsDownIsTheProductForm) {
  const Station station{.service_s = 3, .slowdown = 0.12, .slots = 6};
  const double rate = 0.9 * most_rate(station);
  std::vector<double> pi{1};
  for (int n = 1; n < 5'000; ++n) {
    const int b = std::min(n, station.slots);
    pi.push_back(pi.back() * rate * (3 * (1 + 0.12 * (b - 1))) / b);
  }
  double all = 0;
  double waits = 0;
  double queue = 0;
  for (std::size_t n = 0; n < pi.size(); ++n) {
    all += pi[n];
    if (n < 6) continue;
    waits += pi[n];
    queue += pi[n] * static_cast<double>(n - 6);
  }
  const Waiting got = waiting(station, rate).value();
  EXPECT_NEAR(got.share, waits / all, 1e-9);
  EXPECT_NEAR(got.mean_s(), queue / all / rate, 1e-6) << "Little's law";
}

TEST(Queueing, TheStepLineGivesTheStation) {
  const StepLine line{.a_s = 0.02, .k_s = 0.005};
  EXPECT_DOUBLE_EQ(line.slowdown(), 0.2);
  EXPECT_DOUBLE_EQ(line.tokens_per_s(4), 100);
  const Station station = station_of(line, {.prefill_s = 0.5, .output_tokens = 100}, 8);
  for (const double b : {1.0, 3.0, 8.0}) EXPECT_NEAR(station.service_at(b), 0.5 + 100 * (0.02 + 0.005 * b), 1e-12);
  EXPECT_NEAR(most_rate(station), 8 / 6.5, 1e-12);
  // b = rate (t_pre + n_out a) / (1 - rate n_out k)
  EXPECT_NEAR(mean_batch(station, 1.0).value(), 2.5 / (1 - 0.5), 1e-12);
  EXPECT_FALSE(mean_batch(station, 1.5).has_value()) << "b = 15 of 8 slots";
  EXPECT_FALSE(mean_batch(station, 2.5).has_value()) << "longer with each that joins";
}

TEST(Queueing, MoreThanCanBeServedHasNoWait) {
  const Station one{.service_s = 2};
  EXPECT_FALSE(waiting(one, 0.5).has_value());
  EXPECT_FALSE(waiting(one, NAN).has_value());
  EXPECT_NEAR(waiting(one, 0.25)->share, 0.5, 1e-12);
  EXPECT_EQ(waiting(one, 0)->share, 0);
  // So little traffic on so many slots that the sum leaves the doubles: nobody waits.
  EXPECT_EQ(waiting({.service_s = 2, .slots = 4'096}, 1e-9)->share, 0);
}

TEST(Queueing, VariationIsMeasuredInTheBusiestHour) {
  const Traffic traffic{.requests_per_day = 20'000, .service_s = 1, .active_days = 5, .active_hours = 8};
  const Peak random = busiest(make_arrivals(traffic, Pattern::kRandom, 1, 7).arrivals);
  // 2,500 an hour on average; the busiest of a week's lies some sigmas (50) above. Cv^2 scatters by 2 / sqrt(2,500).
  EXPECT_NEAR(random.rate * 3'600, 2'650, 100);
  EXPECT_NEAR(random.arrivals_cv2, 1, 0.12);
  EXPECT_NEAR(random.service_s, 1, 1e-9);
  EXPECT_NEAR(random.service_cv2, 0, 1e-9);
  const Peak even = busiest(make_arrivals(traffic, Pattern::kEven, 1, 7).arrivals);
  EXPECT_NEAR(even.rate * 3'600, 2'500, 1);
  EXPECT_NEAR(even.arrivals_cv2, 0, 1e-6);
  // Pairs: gaps 0 and 2 g have a Cv^2 of 1; triples 0, 0, 3 g of 2.
  std::vector<Arrival> triples;
  for (std::int64_t i = 0; i < 3'000; ++i) triples.push_back({i / 3 * kSecondUs, kSecondUs});
  EXPECT_NEAR(busiest(triples).arrivals_cv2, 2, 0.01);
  EXPECT_EQ(busiest({}).rate, 0);
  EXPECT_EQ(busiest(std::span(triples).first(1)).arrivals_cv2, 1);
}

TEST(Queueing, BurstsLengthenAndRegularityShortensWaits) {
  const Waiting queue = waiting({.service_s = 2, .slots = 8}, 3.5).value();
  EXPECT_NEAR(corrected(queue, {.arrivals_cv2 = 3, .service_cv2 = 1}).mean_s(), 2 * queue.mean_s(), 1e-12);
  EXPECT_NEAR(corrected(queue, {.arrivals_cv2 = 1, .service_cv2 = 0}).mean_s(), queue.mean_s() / 2, 1e-12);
  EXPECT_EQ(corrected(queue, {.arrivals_cv2 = 0, .service_cv2 = 0}).mean_s(), 0) << "D/D/c below its rate";
}

TEST(Queueing, TheFewestInstancesKeepTheSloAndOneFewerDoesNot) {
  const Station station{.service_s = 2};
  const Peak peak{.rate = 3.5, .service_s = 2};
  EXPECT_EQ(instances_for(station, peak, {.of = Slo::Of::kWait, .seconds = 8.4}, 50), 8);
  EXPECT_EQ(instances_for(station, peak, {.of = Slo::Of::kWait, .seconds = 2.08}, 50), 10);
  EXPECT_EQ(instances_for(station, peak, {.of = Slo::Of::kWait, .seconds = 2.06}, 50), 11);
  EXPECT_EQ(instances_for(station, peak, {.of = Slo::Of::kLatency, .seconds = 4.08}, 50), 10);
  EXPECT_EQ(instances_for(station, peak, {.of = Slo::Of::kWait, .seconds = 8.4}, 7), std::nullopt)
      << "seven never catch up";
  EXPECT_EQ(instances_for(station, peak, {.of = Slo::Of::kLatency, .seconds = 1.9}, 500), std::nullopt)
      << "it takes 2 s alone";
}

}  // namespace
}  // namespace dormouse::planner
