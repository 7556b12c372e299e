#include "planner/deferred.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/nearest_rank.h"
#include "planner/fleet_run.h"

namespace dormouse::planner {
namespace {

class Gathering {
 public:
  Gathering(const DeferredRules& rules, const Timer& timer, const Tariff& tariff)
      : deadline_us_(rules.deadline_us),
        timeout_us_(to_us(timer.idle_timeout_s)),
        wake_us_(to_us(timer.wake_s)),
        slots_(static_cast<std::size_t>(timer.slots)),
        batch_share_((1 + timer.slowdown * (timer.slots - 1)) / timer.slots),
        tariff_(tariff) {}

  void add_online(const Arrival& arrival) {
    advance(arrival.at_us);
    if (!is_awake_) wake(arrival.at_us);
    std::pop_heap(slots_free_us_.begin(), slots_free_us_.end(), std::greater<>());
    const std::int64_t begin_us = std::max(arrival.at_us, slots_free_us_.back());
    const std::int64_t end_us = begin_us + arrival.service_us;
    slots_free_us_.back() = end_us;
    std::push_heap(slots_free_us_.begin(), slots_free_us_.end(), std::greater<>());
    out_.outcome.busy_us += std::max<std::int64_t>(0, end_us - std::max(begin_us, free_us_));
    free_us_ = std::max(free_us_, end_us);
    stays_until_us_ = free_us_ + timeout_us_;
    ++out_.outcome.requests;
    out_.outcome.cold_requests += arrival.at_us < ready_us_ ? 1 : 0;
    latencies_us_.push_back(end_us - arrival.at_us);
  }

  void add_deferred(const Arrival& arrival) {
    advance(arrival.at_us);
    const std::int64_t run_us = std::llround(static_cast<double>(arrival.service_us) * batch_share_);
    gathered_.push_back({arrival.at_us, run_us});
    left_us_ += run_us;
    ++out_.outcome.requests;
    ++out_.deferred;
  }

  DeferredRun finish() {
    while (is_awake_ || !gathered_.empty()) advance(is_awake_ ? sleeps_at() + 1 : wakes_at() + 1);
    Outcome& o = out_.outcome;
    o.idle_us = o.awake_us - o.busy_us - o.waking_us;
    o.paid_micros = hours_micros(tariff_, o.paid_us);
    out_.mean_s = out_.deferred > 0 ? deferred_s_ / static_cast<double>(out_.deferred) : 0;
    tell_latencies();
    return out_;
  }

 private:
  struct Job {
    std::int64_t at_us = 0;
    std::int64_t left_us = 0;
  };

  // Where gathered work goes on while it is awake.
  [[nodiscard]] std::int64_t works_from() const { return std::max(now_us_, free_us_); }
  [[nodiscard]] std::int64_t sleeps_at() const {
    return std::max(stays_until_us_, gathered_.empty() ? worked_until_us_ : works_from() + left_us_);
  }
  // Asleep, with something gathered.
  [[nodiscard]] std::int64_t wakes_at() const {
    return std::max(now_us_, gathered_.front().at_us + deadline_us_ - wake_us_ - left_us_);
  }

  void advance(std::int64_t to_us) {
    while (true) {
      if (is_awake_ && to_us <= sleeps_at()) {
        work(to_us - works_from());
        break;
      }
      if (is_awake_) {
        sleep();
      } else if (gathered_.empty() || wakes_at() >= to_us) {
        break;
      } else {
        wake(wakes_at());
        ++out_.own_wakes;
      }
    }
    now_us_ = to_us;
  }

  void wake(std::int64_t at_us) {
    is_awake_ = true;
    now_us_ = on_us_ = at_us;
    ready_us_ = free_us_ = stays_until_us_ = worked_until_us_ = at_us + wake_us_;
    slots_free_us_.assign(slots_, ready_us_);
    ++out_.outcome.wakes;
    out_.outcome.waking_us += wake_us_;
  }

  void sleep() {
    const std::int64_t off_us = sleeps_at();
    work(left_us_);
    const std::int64_t busy_us = out_.outcome.busy_us - busy_before_us_;
    is_awake_ = false;
    now_us_ = off_us;
    busy_before_us_ = out_.outcome.busy_us;
    const std::int64_t awake_us = off_us - on_us_;
    out_.outcome.awake_us += awake_us;
    const std::int64_t free_waking_us = tariff_.waking == Paid::kYes ? 0 : wake_us_;
    const std::int64_t free_idle_us = tariff_.idle == Paid::kYes ? 0 : awake_us - wake_us_ - busy_us;
    out_.outcome.paid_us += paid_us(tariff_, awake_us - free_waking_us - free_idle_us);
  }

  // So long of what is gathered, from works_from() on, as far as there is any.
  void work(std::int64_t for_us) {
    std::int64_t at_us = works_from();
    while (!gathered_.empty() && for_us >= 0) {
      Job& job = gathered_.front();
      const std::int64_t done_us = std::min(job.left_us, for_us);
      at_us += done_us;
      for_us -= done_us;
      job.left_us -= done_us;
      left_us_ -= done_us;
      out_.outcome.busy_us += done_us;
      worked_until_us_ = at_us;
      if (job.left_us > 0) return;
      const std::int64_t took_us = at_us - job.at_us;
      out_.late += took_us > deadline_us_ ? 1 : 0;
      deferred_s_ += to_seconds(took_us);
      out_.longest_s = std::max(out_.longest_s, to_seconds(took_us));
      gathered_.pop_front();
    }
  }

  void tell_latencies() {
    if (latencies_us_.empty()) return;
    std::sort(latencies_us_.begin(), latencies_us_.end());
    const auto at = [this](std::uint64_t per_mille) { return to_seconds(nearest_rank(latencies_us_, per_mille)); };
    double sum = 0;
    for (const std::int64_t latency : latencies_us_) sum += to_seconds(latency);
    Outcome& o = out_.outcome;
    o.mean_s = sum / static_cast<double>(latencies_us_.size());
    o.p50_s = at(500);
    o.p95_s = at(950);
    o.p99_s = at(990);
    o.p999_s = at(999);
  }

  const std::int64_t deadline_us_;
  const std::int64_t timeout_us_;
  const std::int64_t wake_us_;
  const std::size_t slots_;
  const double batch_share_;
  const Tariff tariff_;
  DeferredRun out_;
  std::int64_t now_us_ = 0;
  bool is_awake_ = false;
  std::int64_t on_us_ = 0;
  std::int64_t ready_us_ = 0;
  std::int64_t free_us_ = 0;          // of online requests
  std::int64_t stays_until_us_ = 0;   // for the timeout
  std::int64_t worked_until_us_ = 0;  // on what is gathered
  std::int64_t busy_before_us_ = 0;   // of the sessions before this one
  std::vector<std::int64_t> slots_free_us_;
  std::deque<Job> gathered_;  // oldest first
  std::int64_t left_us_ = 0;  // of all of them
  std::vector<std::int64_t> latencies_us_;
  double deferred_s_ = 0;
};

Status refuse(std::string message) {
  return make_error(Code::kInvalidArgument, std::move(message));
}

Status check_question(const DeferredRules& rules, const Timer& timer, const Tariff& tariff) {
  if (!(rules.share >= 0) || rules.share > 1) return refuse(fmt::format("share: {}; want 0 to 1", rules.share));
  if (rules.deadline_us < 0 || rules.deadline_us > 31 * kDayUs) {
    return refuse(fmt::format("deadline: {} s; want 0 to 31 days", to_seconds(rules.deadline_us)));
  }
  if (timer.slots < 1 || timer.slots > kMostSlots) {
    return refuse(fmt::format("slots: {}; gathered requests want a batch of 1 to {}", timer.slots, kMostSlots));
  }
  if (!(timer.slowdown >= 0) || timer.slowdown > 1) {
    return refuse(fmt::format("slowdown: {}; want 0 to 1", timer.slowdown));
  }
  for (const double time_s : {timer.idle_timeout_s, timer.wake_s}) {
    if (!(time_s >= 0) || time_s > to_seconds(kMostUs)) {
      return refuse(fmt::format("idle timeout, wake: {} s; want 0 to ten years", time_s));
    }
  }
  if (tariff.increment == Increment::kPrepaid) {
    return refuse("increment: prepaid; what gathering saves is reckoned for time paid afterwards only");
  }
  return {};
}

}  // namespace

Result<DeferredEffect> defer(const Workload& workload, const DeferredRules& rules, const Timer& timer,
                             const Tariff& tariff) {
  TRY_STATUS(check_question(rules, timer, tariff));
  TRY_STATUS(check_workload(workload));
  Gathering gathering(rules, timer, tariff);
  double before = 0;
  for (std::size_t i = 0; i < workload.arrivals.size(); ++i) {
    const double after = std::floor(static_cast<double>(i + 1) * rules.share);
    if (after > before) {
      gathering.add_deferred(workload.arrivals[i]);
    } else {
      gathering.add_online(workload.arrivals[i]);
    }
    before = after;
  }
  DeferredEffect out;
  out.gathered = gathering.finish();
  Timer alone = timer;
  alone.slowdown = 0;
  out.at_once = replay(workload.arrivals, alone, tariff);
  out.at_once_micros = month_micros(out.at_once, workload.months, tariff);
  out.gathered_micros = month_micros(out.gathered.outcome, workload.months, tariff);
  return out;
}

}  // namespace dormouse::planner
