// Is a deployment slower than it should be? Pure: observations and time in, a verdict out. What is measured is the
// speed of one stream, tokens over the time from its first token to its last, over a sliding window; what it is held
// against is told, or learned from the first hour awake. The rule comes from practice: where 30 tokens a second are
// right, under 20 something is wrong, perhaps a neighbour on the GPU. Answers that run together slow each other down
// without anything being wrong, but what they make together is never less than what one makes alone: an answer counts
// with its speed times the number that ran beside it. So many callers hide a slow machine rather than accuse a good
// one. Threads: one.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace dormouse::policy {

struct DegradedConfig {
  double expected = 0;  // tokens a second of one stream; 0: learned
  Nanoseconds window = std::chrono::minutes(5);
  // Slow for so long, with answers all the while, before it is said.
  Nanoseconds raise_after = std::chrono::minutes(5);
  Nanoseconds learn_for = std::chrono::hours(1);  // of time with answers in it
  double raise_below = 2.0 / 3;                   // of what is expected
  double clear_above = 0.8;
  // What a window must hold before it says anything: either is enough.
  std::int64_t least_answers = 5;
  std::int64_t least_tokens = 500;
};

class Degraded {
 public:
  explicit Degraded(DegradedConfig config) : config_(config) {}

  // What is expected may be told anew; a verdict stands until the next update.
  void expect(double tokens_per_second) { config_.expected = tokens_per_second; }

  struct Answer {
    std::int64_t tokens = 0;     // after the first
    Nanoseconds decode_time{0};  // first token to last
    std::int64_t together = 1;   // answers on its instance at once, itself among them
  };
  void observe(const Answer& answer, MonoTime now);

  enum class Change { kNone, kRaised, kCleared };
  // To be called every few seconds; says what has become of the verdict.
  Change update(MonoTime now);

  struct Verdict {
    bool is_degraded = false;
    std::optional<MonoTime> since;   // slow since; before it is raised too
    std::optional<double> measured;  // tokens a second; nullopt: too little was answered in the window
    std::optional<double> expected;  // nullopt: neither told nor learned yet
    bool is_learned = false;
  };
  [[nodiscard]] Verdict verdict() const;

 private:
  struct Seen {
    MonoTime at;
    Answer answer;
  };
  void forget_before(MonoTime time);
  void learn(MonoTime now);
  [[nodiscard]] std::optional<double> rate() const;
  [[nodiscard]] std::optional<double> lone_rate() const;
  [[nodiscard]] std::optional<double> expected() const;

  DegradedConfig config_;
  std::deque<Seen> window_;
  std::optional<double> measured_;
  std::optional<MonoTime> slow_since_;
  std::optional<MonoTime> last_update_;
  Nanoseconds learned_for_{0};
  double learned_ = 0;
  bool is_degraded_ = false;
};

}  // namespace dormouse::policy
