// What stands behind a plan: which timeout is best, how sure the bill is, how many instances a day's spike wants, what
// of the model fits and what its tokens cost, what it all hangs on. PURE. Cost: most of a second for a million replayed
// requests.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "planner/autoscalers.h"
#include "planner/deferred.h"
#include "planner/fleet_run.h"
#include "planner/interval.h"
#include "planner/mix.h"
#include "planner/model_fit.h"
#include "planner/plan.h"
#include "planner/search.h"
#include "planner/sensitivity.h"
#include "planner/speeds.h"

namespace dormouse::planner {

// The day that sizing is about: so many random requests in so many hours.
struct Spike {
  double requests = 0;
  double hours = 0;
};

struct ModelWish {
  ModelShape shape;
  Quant quant = Quant::kQ4_K_M;  // what the plan's seconds are of
  Card card;
  Wanted wanted;
  std::optional<Speeds> speeds;  // of `quant`, measured or listed; nullopt: by roofline as the others
};

struct Wishes {
  Goal goal;
  std::optional<Spike> spike;  // nullopt: the workload's fullest day
  int most_instances = 4;
  std::optional<DeferredRules> deferred;
  std::optional<ModelWish> model;  // nullopt: nothing is known of the card
};

struct QuantRow {
  Fit fit;
  std::optional<Speeds> speeds;  // nullopt: it does not fit, or nothing is known of the card's speed
  TokenPrices prices;            // of output tokens; busy and real of the asked quantisation only
};

// The same day under somebody else's rules (autoscalers.h), up to as many instances.
struct OtherScaler {
  Scaler scaler = Scaler::kKnative;
  FleetRun run;
};

struct Sizing {
  std::int64_t requests = 0;        // of the day
  double hours = 0;                 // in which they come
  double load = 0;                  // of one instance's slots in these hours; above 1 it does not catch up in them
  std::vector<FleetRow> rows;       // of up to 1, 2, ... instances as the load asks; `micros` is what that day costs
  std::vector<OtherScaler> others;  // empty where a batch slows down, which theirs do not know
  bool has_goal = false;            // FleetRow::keeps is of the goal's p99
  std::optional<int> guess;         // then: what queueing alone says of the fullest hour; it knows no sleep and no wake
};

struct Details {
  TimeoutSearch search;
  std::optional<Interval> interval;  // of the asked timer's bill; of measured requests only
  Sizing sizing;
  std::vector<QuantRow> quants;            // empty: no model was asked about
  std::vector<double> level_hours;         // a month, of instance 1, 2, ...
  std::optional<Reservation> reservation;  // where one is busy half of that day, and a second one needed
  std::optional<Sensitivity> sensitivity;  // where formulas hold
  std::optional<DeferredEffect> deferred;
};

// Of the asked timer's bill, from the whole days of measured requests: the first and the last are left out, as nobody
// knows how much of them was measured. nullopt: too few.
[[nodiscard]] std::optional<Interval> interval_of(const Question& question);

// Errors: kInvalidArgument, kTooLarge: naming the field, as those of the parts.
[[nodiscard]] Result<Details> make_details(const Plan& plan, const Wishes& wishes);

}  // namespace dormouse::planner
