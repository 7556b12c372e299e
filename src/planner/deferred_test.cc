// Goal: what gathering saves is what its rules say. Method: a second simulation that knows no formula and steps through
// each microsecond, on a thousand small random cases; the replay where nothing waits; sums by hand.
#include "planner/deferred.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <random>
#include <string>

#include "planner/arrivals.h"

namespace dormouse::planner {
namespace {

const Tariff kT4{.hour_micros = 1'800'000};

struct Counted {
  std::int64_t awake = 0;
  std::int64_t busy = 0;
  std::int64_t waking = 0;
  std::int64_t paid = 0;
  std::int64_t wakes = 0;
  std::int64_t own_wakes = 0;
  std::int64_t cold = 0;
  std::int64_t late = 0;
  std::int64_t online_us = 0;    // sum of latencies
  std::int64_t gathered_us = 0;  // likewise
};

struct Question {
  std::vector<Arrival> arrivals;
  std::vector<bool> waits;
  std::int64_t deadline;
  std::int64_t timeout;
  std::int64_t wake;
  std::size_t slots;
};

// One microsecond after the other; `slots` divides each service time of a gathered request.
class Steps {
 public:
  explicit Steps(const Question& question) : q_(question) {}

  Counted run(const Tariff& tariff) {
    for (std::int64_t t = 0; next_ < q_.arrivals.size() || awake_ || !gathered_.empty(); ++t) {
      arrive(t);
      begin_online(t);
      if (awake_ && t >= stays_until_ && running_.empty() && queue_.empty() && gathered_.empty()) sleep(tariff);
      if (!awake_ && !gathered_.empty() && t + q_.wake + left() >= gathered_.front().at_us + q_.deadline) {
        wake(t);
        ++out_.own_wakes;
      }
      if (awake_) step(t);
    }
    return out_;
  }

 private:
  [[nodiscard]] std::int64_t left() const {
    std::int64_t out = 0;
    for (const Arrival& job : gathered_) out += job.service_us;
    return out;
  }
  void arrive(std::int64_t t) {
    for (; next_ < q_.arrivals.size() && q_.arrivals[next_].at_us == t; ++next_) {
      Arrival arrival = q_.arrivals[next_];
      if (q_.waits[next_]) {
        arrival.service_us /= static_cast<std::int64_t>(q_.slots);
        gathered_.push_back(arrival);
        continue;
      }
      if (!awake_) wake(t);
      out_.cold += t < ready_ ? 1 : 0;
      queue_.push_back(arrival);
    }
  }
  void wake(std::int64_t t) {
    awake_ = true;
    ready_ = stays_until_ = t + q_.wake;
    session_ = idle_ = 0;
    ++out_.wakes;
  }
  void begin_online(std::int64_t t) {
    if (!awake_ || t < ready_) return;
    while (!queue_.empty() && running_.size() < q_.slots) {
      running_.push_back(queue_.front());
      queue_.pop_front();
    }
  }
  void step(std::int64_t t) {
    ++out_.awake;
    ++session_;
    if (t < ready_) {
      ++out_.waking;
      return;
    }
    if (!running_.empty()) {
      ++out_.busy;
      for (Arrival& one : running_) {
        if (--one.service_us > 0) continue;
        out_.online_us += t + 1 - one.at_us;
        stays_until_ = t + 1 + q_.timeout;
      }
      std::erase_if(running_, [](const Arrival& one) { return one.service_us == 0; });
    } else if (!gathered_.empty()) {
      ++out_.busy;
      if (--gathered_.front().service_us > 0) return;
      const std::int64_t took = t + 1 - gathered_.front().at_us;
      out_.gathered_us += took;
      out_.late += took > q_.deadline ? 1 : 0;
      gathered_.pop_front();
    } else {
      ++idle_;
    }
  }
  void sleep(const Tariff& tariff) {
    awake_ = false;
    const std::int64_t free = (tariff.waking == Paid::kNo ? q_.wake : 0) + (tariff.idle == Paid::kNo ? idle_ : 0);
    out_.paid += paid_us(tariff, session_ - free);
  }

  const Question& q_;
  Counted out_;
  std::size_t next_ = 0;
  bool awake_ = false;
  std::int64_t ready_ = 0;
  std::int64_t stays_until_ = 0;
  std::int64_t session_ = 0;
  std::int64_t idle_ = 0;
  std::deque<Arrival> queue_;
  std::vector<Arrival> running_;
  std::deque<Arrival> gathered_;
};

TEST(Deferred, IsWhatSteppingThroughEachMicrosecondSays) {
  constexpr std::uint64_t kSeed = 20'261'126;
  std::mt19937_64 random(kSeed);
  const auto upto = [&random](std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(0, most)(random);
  };
  std::int64_t own_wakes = 0;
  std::int64_t late = 0;
  for (int n = 0; n < 1'000; ++n) {
    Question q{.arrivals = {},
               .waits = {},
               .deadline = upto(120),
               .timeout = upto(20),
               .wake = upto(8),
               .slots = static_cast<std::size_t>(1 + n % 3)};
    const auto slots = static_cast<std::int64_t>(q.slots);
    const std::int64_t span = 50 + upto(400);
    for (std::int64_t i = 0, count = upto(30); i < count; ++i) {
      q.arrivals.push_back({upto(span), slots * (1 + upto(5))});
    }
    std::sort(q.arrivals.begin(), q.arrivals.end(),
              [](const Arrival& a, const Arrival& b) { return a.at_us < b.at_us; });
    const DeferredRules rules{.share = static_cast<double>(upto(4)) / 4, .deadline_us = q.deadline};
    for (std::size_t i = 0; i < q.arrivals.size(); ++i) {
      q.waits.push_back(std::floor(static_cast<double>(i + 1) * rules.share) >
                        std::floor(static_cast<double>(i) * rules.share));
    }
    Tariff tariff{.hour_micros = kHourUs, .increment_us = upto(1) * 10, .minimum_us = upto(1) * 15};
    tariff.waking = upto(1) == 0 ? Paid::kYes : Paid::kNo;
    tariff.idle = upto(1) == 0 ? Paid::kYes : Paid::kNo;
    const Timer timer{.idle_timeout_s = static_cast<double>(q.timeout) / kSecondUs,
                      .wake_s = static_cast<double>(q.wake) / kSecondUs,
                      .slots = static_cast<int>(q.slots)};
    const DeferredRun got = defer({.arrivals = q.arrivals}, rules, timer, tariff)->gathered;
    const Counted want = Steps(q).run(tariff);
    const std::string where = "case " + std::to_string(n) + " of seed " + std::to_string(kSeed);
    ASSERT_EQ(got.outcome.awake_us, want.awake) << where;
    ASSERT_EQ(got.outcome.busy_us, want.busy) << where;
    ASSERT_EQ(got.outcome.waking_us, want.waking) << where;
    ASSERT_EQ(got.outcome.paid_us, want.paid) << where;
    ASSERT_EQ(got.outcome.paid_micros, want.paid) << where << ": a micro-unit a microsecond";
    ASSERT_EQ(got.outcome.wakes, want.wakes) << where;
    ASSERT_EQ(got.own_wakes, want.own_wakes) << where;
    ASSERT_EQ(got.outcome.cold_requests, want.cold) << where;
    ASSERT_EQ(got.late, want.late) << where;
    const auto online = static_cast<double>(got.outcome.requests - got.deferred);
    ASSERT_NEAR(got.outcome.mean_s * online * kSecondUs, static_cast<double>(want.online_us), 1e-3) << where;
    ASSERT_NEAR(got.mean_s * static_cast<double>(got.deferred) * kSecondUs, static_cast<double>(want.gathered_us), 1e-3)
        << where;
    own_wakes += got.own_wakes;
    late += got.late;
  }
  EXPECT_GT(own_wakes, 500) << "the cases reach what they are for";
  EXPECT_GT(late, 500);
}

TEST(Deferred, WithNothingToWaitItIsTheReplay) {
  const Traffic traffic{.requests_per_day = 800, .service_s = 2, .active_days = 5, .active_hours = 8};
  const Workload workload = make_arrivals(traffic, Pattern::kRandom, 1, 3);
  const DeferredEffect got = defer(workload, {.share = 0}, {.idle_timeout_s = 60, .slots = 2}, kT4).value();
  EXPECT_EQ(got.gathered.outcome.awake_us, got.at_once.awake_us);
  EXPECT_EQ(got.gathered.outcome.busy_us, got.at_once.busy_us);
  EXPECT_EQ(got.gathered.outcome.wakes, got.at_once.wakes);
  EXPECT_EQ(got.gathered.outcome.cold_requests, got.at_once.cold_requests);
  EXPECT_EQ(got.gathered_micros, got.at_once_micros);
  EXPECT_NEAR(got.gathered.outcome.mean_s, got.at_once.mean_s, 1e-9);
}

// Five days of 800 requests, all of which may wait a day: the first is gathered at 0 h; a day later the 800 of the day
// before and the first of the next are done in one run.
TEST(Deferred, ADayThatMayWaitIsOneWakeADay) {
  const Traffic traffic{.requests_per_day = 800, .service_s = 2, .active_days = 5, .active_hours = 8};
  const Workload workload = make_arrivals(traffic, Pattern::kEven, 1, 3);
  const Timer timer{.idle_timeout_s = 60, .wake_s = 30};
  const DeferredEffect got = defer(workload, {.share = 1, .deadline_us = kDayUs}, timer, kT4).value();
  EXPECT_EQ(got.gathered.own_wakes, 5);
  EXPECT_EQ(got.gathered.late, 0);
  EXPECT_EQ(got.gathered.outcome.awake_us, (5 * 30 + 4'000 * 2) * kSecondUs);
  EXPECT_EQ(got.gathered.outcome.idle_us, 0);
  EXPECT_LE(got.gathered.longest_s, 86'400);
  EXPECT_LT(got.gathered_micros, got.at_once_micros / 15) << "the popular sum is right for this one";
  // In batches of eight of which each runs at 1 / 1.7 of its speed: 8 / 1.7 times as fast.
  const Timer batch{.idle_timeout_s = 60, .wake_s = 30, .slots = 8, .slowdown = 0.1};
  const DeferredRun fast = defer(workload, {.share = 1, .deadline_us = kDayUs}, batch, kT4)->gathered;
  EXPECT_EQ(fast.outcome.busy_us, 4'000 * (2 * kSecondUs * 17 / 80));
}

TEST(Deferred, NonsenseIsRefusedByItsName) {
  const Workload good{.arrivals = {{0, 1}, {5, 1}}};
  const auto error = [](const Workload& workload, const DeferredRules& rules, const Timer& timer,
                        const Tariff& tariff) {
    const Result<DeferredEffect> got = defer(workload, rules, timer, tariff);
    return got.has_value() ? std::string() : got.error().message;
  };
  const auto has = [](const std::string& message, std::string_view part) {
    return message.find(part) != std::string::npos;
  };
  EXPECT_EQ(error(good, {.share = 0.5}, {}, kT4), "");
  EXPECT_EQ(error({}, {.share = 0.5}, {}, kT4), "") << "nothing asked, nothing paid";
  EXPECT_PRED2(has, error(good, {.share = 1.5}, {}, kT4), "share");
  EXPECT_PRED2(has, error(good, {.share = std::nan("")}, {}, kT4), "share");
  EXPECT_PRED2(has, error(good, {.deadline_us = -1}, {}, kT4), "deadline");
  EXPECT_PRED2(has, error(good, {.deadline_us = INT64_MAX}, {}, kT4), "deadline");
  EXPECT_PRED2(has, error(good, {}, {.slots = 0}, kT4), "slots");
  EXPECT_PRED2(has, error(good, {}, {.slowdown = -1}, kT4), "slowdown");
  EXPECT_PRED2(has, error(good, {}, {.idle_timeout_s = 1e300}, kT4), "timeout");
  EXPECT_PRED2(has, error(good, {}, {.wake_s = std::nan("")}, kT4), "wake");
  Tariff prepaid = kT4;
  prepaid.increment = Increment::kPrepaid;
  EXPECT_PRED2(has, error(good, {}, {}, prepaid), "prepaid");
  EXPECT_PRED2(has, error({.arrivals = {{5, 1}, {0, 1}}}, {}, {}, kT4), "order");
  EXPECT_PRED2(has, error({.arrivals = {{5, INT64_MAX}}}, {}, {}, kT4), "day");
  EXPECT_PRED2(has, error({.arrivals = {{5, 1}}, .months = 0}, {}, {}, kT4), "months");
}

}  // namespace
}  // namespace dormouse::planner
