#include "worker/step_pace.h"

#include <algorithm>

namespace dormouse::worker {
namespace {

constexpr double kNewest = 0.25;

double seconds(Nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

void blend(std::optional<double>& average, double value) {
  average = average.has_value() ? *average + kNewest * (value - *average) : value;
}

// A slower step is believed at once and a faster one by a quarter: the budget is a promise to those who stream, while
// rows given away come back within a few steps.
void learn(std::optional<double>& average, double value) {
  if (average.has_value() && value <= *average)
    blend(average, value);
  else
    average = value;
}

}  // namespace

StepRows rows_of(const sched::BatchPlan& plan) {
  StepRows out;
  for (const sched::PlanEntry& entry : plan.entries) {
    const auto count = static_cast<std::int32_t>(entry.tokens.size());
    if (count == 1 + entry.draft_count && entry.start_position >= entry.prompt_length) {
      out.generated += 1;
      out.drafts += entry.draft_count;
    } else {
      out.prompt += count;
    }
  }
  return out;
}

void StepPace::observe(const StepRows& rows, Nanoseconds duration) {
  const double step_s = seconds(duration);
  last_[steps_++ % last_.size()] = duration;
  if (rows.prompt == 0 && rows.drafts == 0) {
    if (rows.generated > 0) learn(decode_s_, step_s);
    return;
  }
  if (rows.prompt == 0) {
    if (decode_s_.has_value()) blend(draft_row_s_, std::max(step_s - *decode_s_, 0.0) / rows.drafts);
    return;
  }
  if (rows.prompt < kChunk) return;
  learn(prompt_row_s_, std::max(step_s - decode_s_.value_or(0.0), 0.0) / rows.prompt);
  last_chunk_ = rows.prompt;
}

std::int32_t StepPace::prompt_rows_within(Nanoseconds budget) const {
  if (!prompt_row_s_.has_value()) return kChunk;
  const std::int32_t most = 2 * last_chunk_;
  const double room_s = seconds(budget) - decode_s_.value_or(0.0);
  if (room_s >= *prompt_row_s_ * most) return most;
  return std::max(static_cast<std::int32_t>(room_s / *prompt_row_s_), kChunk);
}

Nanoseconds StepPace::slow_step(std::int32_t rows_max) const {
  if (!prompt_row_s_.has_value()) return Nanoseconds{0};
  const std::size_t known = std::min(steps_, last_.size());
  std::array<Nanoseconds, 256> sorted = last_;
  const auto slow = sorted.begin() + static_cast<std::ptrdiff_t>((known - 1) * 99 / 100);
  std::nth_element(sorted.begin(), slow, sorted.begin() + static_cast<std::ptrdiff_t>(known));
  const std::chrono::duration<double> full(decode_s_.value_or(0.0) + *prompt_row_s_ * rows_max);
  return std::max(*slow, std::chrono::duration_cast<Nanoseconds>(full));
}

double StepPace::draft_cost() const {
  // Memory is read once for 8 rows as for one; a tenth is that and a margin. Less than the least is noise:
  // somebody has to look at a row's logits.
  constexpr double kUnknown = 0.1;
  constexpr double kLeast = 0.02;
  if (!draft_row_s_.has_value() || *decode_s_ <= 0) return kUnknown;
  return std::max(*draft_row_s_ / *decode_s_, kLeast);
}

}  // namespace dormouse::worker
