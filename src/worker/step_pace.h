// How long steps take on this machine with this model, learnt from the steps themselves; what follows from it for the
// next plan. Linear: a step of decodes alone, and so much more for each row of prompt beside them.
// PURE: durations come in. Owner: Generator.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "sched/batch_plan.h"

namespace dormouse::worker {

struct StepRows {
  std::int32_t prompt = 0;     // of prompts, and of what is computed again after a preemption
  std::int32_t generated = 0;  // one of each sequence that waits for its next token
  std::int32_t drafts = 0;     // guesses beside these
};

// What a plan asks of the engine. An entry of one token and its guesses behind its prompt is a generated row.
[[nodiscard]] StepRows rows_of(const sched::BatchPlan& plan);

class StepPace {
 public:
  // Fewer rows of prompt than this say nothing: the weights are read for one as for thirty, and that time is most of
  // it. It is also what every step may hold, however slow the machine, or prompts would starve.
  static constexpr std::int32_t kChunk = 32;

  void observe(const StepRows& rows, Nanoseconds duration);
  // Rows of prompt for a step with decodes in it to stay within `budget`; at least kChunk. Until something is known,
  // kChunk; then at most twice what was last tried: that a few rows cost nothing does not mean that many do.
  [[nodiscard]] std::int32_t prompt_rows_within(Nanoseconds budget) const;
  // What a slow step takes: the 99th of a hundred of the last 256, or a step full of prompt at what its rows have
  // taken, whichever is longer; 0 until a prompt has been computed. Who waits five times as long waits for nothing.
  [[nodiscard]] Nanoseconds slow_step(std::int32_t rows_max) const;
  // What one guess costs, as a part of a step without any. Until something is known, a tenth.
  [[nodiscard]] double draft_cost() const;

 private:
  std::optional<double> decode_s_;       // a step without prompts and guesses
  std::optional<double> prompt_row_s_;   // a row of prompt, beyond that
  std::optional<double> draft_row_s_;    // a guess, beyond a step of decodes
  std::int32_t last_chunk_ = 0;          // rows of prompt in the last step that had enough of them
  std::array<Nanoseconds, 256> last_{};  // durations, a ring
  std::size_t steps_ = 0;
};

}  // namespace dormouse::worker
