// How fast a model answers, and what a million tokens cost: a measured curve's step line, a roofline's where nothing
// was measured, a listed figure's; each says which it is. PURE.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "planner/model_fit.h"
#include "planner/queueing.h"

namespace dormouse::planner {

enum class SpeedBasis {
  kMeasured,  // a load test's
  kRoofline,  // from bytes and operations, at assumed shares of the card's data sheet
  kListed,    // one figure of a price list, for one request at a time; it says nothing of a batch
};

struct Speeds {
  StepLine line;                    // seconds of a decode step
  double prefill_tokens_per_s = 0;  // 0: not known
  SpeedBasis basis = SpeedBasis::kListed;
  bool is_of_batch = false;  // the line holds for several at once; else only its speed alone is known
};

// Of the data sheet's figures. Assumed: 0.7 of the bandwidth is what good kernels reach with one stream on small cards
// (58 to 84 % on a T4 to an RTX 4090), 0.4 of the dense 16-bit rate what prefill does. Large cards are further away:
// our own engine has 39 % on an H200 with one stream and 10 to 16 % of the roofline with 64 to 256
// (docs/performance.md). What was measured goes before this.
inline constexpr double kBandwidthShare = 0.7;
inline constexpr double kFlopsShare = 0.4;

struct Card {
  std::int64_t vram_bytes = 0;
  double bandwidth = 0;  // bytes a second
  double flops = 0;      // dense, 16 bits, a second
};

// A step with b sequences reads the weights or computes b tokens, whichever takes longer, and reads the keys and values
// of b contexts. The line goes through it at one and at `wanted.sequences`; between them, as it is convex, the line is
// above it. Errors: kInvalidArgument, kTooLarge: fits' and a card without bandwidth or operations.
[[nodiscard]] Result<Speeds> roofline(const ModelShape& shape, Quant quant, const Card& card, const Wanted& wanted);

// Errors: kInvalidArgument: not above 0.
[[nodiscard]] Result<Speeds> listed(double tokens_per_s);

// A point of a load test: so many requests at once made so many tokens a second, together.
struct BatchPoint {
  double concurrency = 0;
  double tokens_per_s = 0;
};

struct LineFit {
  StepLine line;
  double worst_error = 0;  // of a point's tokens a second, as a share of it: how far from a line the points are
};

// Least squares of the step's seconds, concurrency / (tokens a second), with neither a nor k below zero. Points of one
// concurrency leave k unknown. Errors: kInvalidArgument naming the point: fewer than two concurrencies, none or absurd
// figures, a step that takes less than nine tenths of a smaller batch's (no machine gets faster by more work).
[[nodiscard]] Result<LineFit> fit_step_line(std::span<const BatchPoint> points);

// Three prices of a million tokens, in micro-units; each nullopt without what it needs, or beyond an int64.
struct TokenPrices {
  std::optional<std::int64_t> capacity{};  // as if it were always full: what comparisons quote
  std::optional<std::int64_t> busy{};      // of the time it worked
  std::optional<std::int64_t> real{};      // of the bill, with waking and idling
};
struct TokenUse {
  std::int64_t hour_micros = 0;
  double tokens_per_s_full = 0;  // with all slots taken; 0: not known
  double busy_h = 0;
  std::int64_t tokens = 0;  // of that time and bill, input and output together, or output alone: as the caller says
  std::int64_t bill_micros = 0;
};
[[nodiscard]] TokenPrices token_prices(const TokenUse& use);

}  // namespace dormouse::planner
