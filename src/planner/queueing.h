// How many instances a rate of requests needs, by queueing theory: a first guess that fleet_run.h then holds against
// the fleet's own rules. Random arrivals, exponential service, one queue for all, and nobody sleeps or wakes. PURE.
// Source: birth-death chain whose rate of ends with n in the house is mu(n) = n / S(n / instances) up to all slots and
// constant beyond; with slowdown 0 that is Erlang's C. All in doubles; no loop is longer than the slots.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "planner/traffic.h"

namespace dormouse::planner {

// A decode step with b sequences takes a + k b seconds: measured (fit_step_line in model_fit.h), or by roofline.
struct StepLine {
  double a_s = 0;
  double k_s = 0;

  [[nodiscard]] double step_s(double sequences) const { return a_s + k_s * sequences; }
  [[nodiscard]] double tokens_per_s(double sequences) const { return sequences / step_s(sequences); }
  [[nodiscard]] double slowdown() const { return k_s / (a_s + k_s); }  // Timer's
};

// What serves: S(b) = service_s (1 + slowdown (b - 1)) for each of b requests on an instance.
struct Station {
  double service_s = 0;  // one request, alone
  double slowdown = 0;   // of whole requests; of decode steps alone it is StepLine's
  int slots = 1;         // requests at once, of an instance
  int instances = 1;

  [[nodiscard]] double service_at(double batch) const { return service_s * (1 + slowdown * (batch - 1)); }
};

struct RequestShape {
  double prefill_s = 0;
  double output_tokens = 0;
};
// S(b) = prefill + output tokens (a + k b), written as above.
[[nodiscard]] Station station_of(const StepLine& line, const RequestShape& shape, int slots);

// What it can do at most: all slots taken all the time. Requests a second.
[[nodiscard]] double most_rate(const Station& station);

// Requests at once on an instance where `rate` in all arrive, on average, as if none ever waited:
// b = rate S(b) / instances. nullopt: there is no such b up to the slots.
[[nodiscard]] std::optional<double> mean_batch(const Station& station, double rate);

// Waiting for a slot: P(W > t) = share e^(-decay t). Exact for both chains.
struct Waiting {
  double share = 0;  // of requests: wait at all
  double decay = 0;  // a second, above 0

  [[nodiscard]] double mean_s() const { return share / decay; }
  [[nodiscard]] double longer_than(double seconds) const;  // this share of requests waits
  [[nodiscard]] double percentile_s(double share_below) const;
};

// nullopt: more comes than can be served (rate >= most_rate), so that the queue grows for ever.
[[nodiscard]] std::optional<Waiting> waiting(const Station& station, double rate);

// How arrivals come and what they ask for, in the hour (or another window) that has the most of them.
struct Peak {
  double rate = 0;       // a second
  double service_s = 0;  // mean
  // Squared coefficients of variation: 1 is random (Poisson, exponential), 0 regular, above 1 bursty.
  double arrivals_cv2 = 1;
  double service_cv2 = 1;
};
// `arrivals` ascending. Without any: rate 0. Fewer than three have no variation to speak of: 1.
[[nodiscard]] Peak busiest(std::span<const Arrival> arrivals, std::int64_t window_us = kHourUs);

// Allen and Cunneen's correction: waits are (Ca^2 + Cs^2) / 2 times as long.
[[nodiscard]] Waiting corrected(const Waiting& waiting, const Peak& peak);

// What a request may take at most, and what share of requests must keep to it.
struct Slo {
  enum class Of {
    kWait,     // from arrival to its beginning: the first token comes a prefill later
    kLatency,  // from arrival to its end
  };
  Of of = Of::kLatency;
  double seconds = 0;
  double share = 0.99;
};

// The fewest instances (the station's own number is not asked) that keep `slo` at the peak. nullopt: not with `most`
// either, or a single request alone already takes longer.
[[nodiscard]] std::optional<int> instances_for(const Station& station, const Peak& peak, const Slo& slo, int most);

}  // namespace dormouse::planner
