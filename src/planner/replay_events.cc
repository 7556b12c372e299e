#include "planner/replay_events.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

namespace dormouse::planner {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

enum class State { kAsleep, kWaking, kReady };
// In the order they happen in when they fall together.
enum class Event { kEnd, kReady, kArrival, kOff, kNothing };

struct Job {
  std::int64_t at_us = 0;
  long double left_us = 0;  // of its service alone
};

class Machine {
 public:
  Machine(std::span<const Arrival> arrivals, const Timer& timer, const Tariff& tariff)
      : arrivals_(arrivals), timer_(timer), tariff_(tariff) {}

  Happened run() {
    for (;;) {
      const auto [event, at_us] = next();
      if (event == Event::kNothing) break;
      pass(at_us);
      switch (event) {
        case Event::kEnd: end_one(); break;
        case Event::kReady: state_ = State::kReady; break;
        case Event::kArrival: arrive(arrivals_[next_arrival_++]); break;
        case Event::kOff: sleep(); break;
        case Event::kNothing: break;
      }
      begin_waiting();
    }
    out_.paid_micros = static_cast<std::int64_t>(static_cast<long double>(out_.paid_us) *
                                                 static_cast<long double>(tariff_.hour_micros) / kHourUs);
    return out_;
  }

 private:
  [[nodiscard]] std::pair<Event, std::int64_t> next() const {
    std::pair<Event, std::int64_t> first = {Event::kNothing, kNever};
    const auto consider = [&](Event event, std::int64_t at_us) {
      if (at_us < first.second) first = {event, at_us};
    };
    if (!running_.empty()) consider(Event::kEnd, now_us_ + std::llround(shortest()->left_us * stretch()));
    if (state_ == State::kWaking) consider(Event::kReady, on_us_ + us(timer_.wake_s));
    if (next_arrival_ < arrivals_.size()) consider(Event::kArrival, arrivals_[next_arrival_].at_us);
    if (state_ == State::kReady && running_.empty()) consider(Event::kOff, off_us());
    return first;
  }

  static std::int64_t us(double seconds) { return std::llround(seconds * 1e6); }

  [[nodiscard]] std::vector<Job>::const_iterator shortest() const {
    return std::min_element(running_.begin(), running_.end(),
                            [](const Job& a, const Job& b) { return a.left_us < b.left_us; });
  }

  [[nodiscard]] long double stretch() const {
    if (timer_.slots == 1) return 1;
    return 1 + static_cast<long double>(timer_.slowdown) * static_cast<long double>(running_.size() - 1);
  }

  // By hand: increment after increment, until one's end will do.
  [[nodiscard]] std::int64_t off_us() const {
    const std::int64_t idle_end_us = idle_since_us_ + us(timer_.idle_timeout_s);
    if (tariff_.increment == Increment::kArrears) return idle_end_us;
    const std::int64_t from_us = tariff_.waking == Paid::kYes ? on_us_ : on_us_ + us(timer_.wake_s);
    if (tariff_.increment_us == 0) return std::max(idle_end_us, from_us + tariff_.minimum_us);
    std::int64_t end_us = from_us;
    while (end_us < idle_end_us || end_us < from_us + tariff_.minimum_us) end_us += tariff_.increment_us;
    return end_us;
  }

  // Time goes on, in the state it is in.
  void pass(std::int64_t to_us) {
    const std::int64_t passed_us = to_us - now_us_;
    if (state_ == State::kWaking) waking_us_ += passed_us;
    if (state_ == State::kReady) (running_.empty() ? idle_us_ : busy_us_) += passed_us;
    for (Job& job : running_) job.left_us -= static_cast<long double>(passed_us) / stretch();
    now_us_ = to_us;
  }

  void arrive(const Arrival& arrival) {
    if (state_ != State::kReady) ++out_.cold_requests;
    if (state_ == State::kAsleep) {
      state_ = State::kWaking;
      ++out_.wakes;
      on_us_ = now_us_;
    }
    waiting_.push_back({arrival.at_us, static_cast<long double>(arrival.service_us)});
  }

  void begin_waiting() {
    if (state_ != State::kReady) return;
    while (!waiting_.empty() && (timer_.slots == 0 || running_.size() < static_cast<std::size_t>(timer_.slots))) {
      running_.push_back(waiting_.front());
      waiting_.pop_front();
    }
  }

  // The one that ends has nothing left, and the others what they have left beyond it: an end is a whole microsecond.
  void end_one() {
    const auto done = shortest();
    const long double rest_us = done->left_us;
    out_.latencies_us.push_back(now_us_ - done->at_us);
    running_.erase(done);
    for (Job& job : running_) job.left_us -= rest_us;
    idle_since_us_ = now_us_;
  }

  void sleep() {
    state_ = State::kAsleep;
    out_.awake_us += now_us_ - on_us_;
    out_.waking_us += waking_us_;
    out_.busy_us += busy_us_;
    out_.idle_us += idle_us_;
    std::int64_t paid = busy_us_;
    if (tariff_.waking == Paid::kYes) paid += waking_us_;
    if (tariff_.idle == Paid::kYes || tariff_.increment == Increment::kPrepaid) paid += idle_us_;
    paid = std::max(paid, tariff_.minimum_us);
    if (tariff_.increment_us > 0 && paid % tariff_.increment_us != 0) {
      paid += tariff_.increment_us - paid % tariff_.increment_us;
    }
    out_.paid_us += paid;
    out_.paid_by_day[on_us_ / kDayUs] += paid;
    waking_us_ = busy_us_ = idle_us_ = 0;
  }

  const std::span<const Arrival> arrivals_;
  const Timer timer_;
  const Tariff tariff_;
  Happened out_;
  State state_ = State::kAsleep;
  std::size_t next_arrival_ = 0;
  std::int64_t now_us_ = 0;
  std::int64_t on_us_ = 0;
  std::int64_t idle_since_us_ = 0;
  std::int64_t waking_us_ = 0;  // of this session
  std::int64_t busy_us_ = 0;
  std::int64_t idle_us_ = 0;
  std::vector<Job> running_;
  std::deque<Job> waiting_;
};

}  // namespace

Happened happen(std::span<const Arrival> arrivals, const Timer& timer, const Tariff& tariff) {
  return Machine(arrivals, timer, tariff).run();
}

}  // namespace dormouse::planner
