#include "policy/degraded.h"

#include <algorithm>

namespace dormouse::policy {
namespace {

// More would be another day's memory; a window of them at full speed is 5 minutes of 13 short answers a second.
constexpr std::size_t kMostAnswers = 4'096;
// A learned rate is the best the window has sustained, so a lucky moment must not become the standard: updates are far
// enough apart to be of different answers.
constexpr Nanoseconds kLearnStep = std::chrono::seconds(10);

double seconds(Nanoseconds d) {
  return static_cast<double>(d.count()) / 1e9;
}

}  // namespace

void Degraded::observe(const Answer& answer, MonoTime now) {
  if (answer.tokens <= 0 || answer.decode_time.count() <= 0) return;
  if (window_.size() == kMostAnswers) window_.pop_front();
  window_.push_back({now, answer});
}

void Degraded::forget_before(MonoTime time) {
  while (!window_.empty() && window_.front().at < time) window_.pop_front();
}

// Mean over tokens: all of them over all the time they took, long answers weighing as they should.
std::optional<double> Degraded::rate() const {
  double work = 0;
  double time = 0;
  std::int64_t tokens = 0;
  for (const Seen& seen : window_) {
    work += static_cast<double>(seen.answer.tokens * std::max<std::int64_t>(1, seen.answer.together));
    time += seconds(seen.answer.decode_time);
    tokens += seen.answer.tokens;
  }
  const bool is_enough =
      tokens >= config_.least_tokens || static_cast<std::int64_t>(window_.size()) >= config_.least_answers;
  if (!is_enough || time <= 0) return std::nullopt;
  return work / time;
}

// What is learned comes from answers that had their instance to themselves: what many make together is no standard
// for one.
std::optional<double> Degraded::lone_rate() const {
  double time = 0;
  std::int64_t tokens = 0;
  std::int64_t answers = 0;
  for (const Seen& seen : window_) {
    if (seen.answer.together > 1) continue;
    time += seconds(seen.answer.decode_time);
    tokens += seen.answer.tokens;
    ++answers;
  }
  if (tokens < config_.least_tokens && answers < config_.least_answers) return std::nullopt;
  return time > 0 ? std::optional<double>(static_cast<double>(tokens) / time) : std::nullopt;
}

void Degraded::learn(MonoTime now) {
  if (config_.expected > 0 || learned_for_ >= config_.learn_for) return;
  const std::optional<double> rate = lone_rate();
  if (!rate.has_value()) return;
  const Nanoseconds since = last_update_.has_value() ? now - *last_update_ : Nanoseconds{0};
  learned_for_ += std::min(since, kLearnStep);
  learned_ = std::max(learned_, *rate);
}

std::optional<double> Degraded::expected() const {
  if (config_.expected > 0) return config_.expected;
  return learned_for_ >= config_.learn_for ? std::optional<double>(learned_) : std::nullopt;
}

Degraded::Change Degraded::update(MonoTime now) {
  forget_before(now + -config_.window);
  measured_ = rate();
  learn(now);
  last_update_ = now;
  const std::optional<double> wanted = expected();
  // Silence is no verdict: one that was raised stands until answers are fast again, one that was not starts anew.
  if (!measured_.has_value() || !wanted.has_value()) {
    if (!is_degraded_) slow_since_.reset();
    return Change::kNone;
  }
  if (is_degraded_) {
    if (*measured_ < *wanted * config_.clear_above) return Change::kNone;
    is_degraded_ = false;
    slow_since_.reset();
    return Change::kCleared;
  }
  if (*measured_ >= *wanted * config_.raise_below) {
    slow_since_.reset();
    return Change::kNone;
  }
  if (!slow_since_.has_value()) slow_since_ = now;
  // By the last answer's time: what the window still holds after answers have ceased proves nothing of now.
  if (window_.back().at - *slow_since_ < config_.raise_after) return Change::kNone;
  is_degraded_ = true;
  return Change::kRaised;
}

Degraded::Verdict Degraded::verdict() const {
  return {.is_degraded = is_degraded_,
          .since = slow_since_,
          .measured = measured_,
          .expected = expected(),
          .is_learned = config_.expected <= 0 && expected().has_value()};
}

}  // namespace dormouse::policy
