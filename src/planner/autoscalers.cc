#include "planner/autoscalers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <deque>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

namespace dormouse::planner {
namespace {

constexpr double kTargetShare = 0.7;
constexpr std::int64_t kNever = INT64_MAX;

// What a rule may look at.
struct Load {
  std::int64_t now_us = 0;
  double stable = 0;         // concurrency over 60 s
  double panic = 0;          // over 6 s
  double arrivals = 0;       // of the last 60 s
  std::int64_t at_once = 0;  // concurrency now
  int ready = 0;
  int up = 0;  // ready or on their way
};

// Concurrency and arrivals of the last minute, second by second.
class Minute {
 public:
  void move(std::int64_t to_us, std::int64_t concurrency) {
    at_us_ = std::max(at_us_, to_us - kSeconds * kSecondUs);  // what is older is forgotten anyway
    while (at_us_ < to_us) {
      const std::int64_t end_us = std::min(to_us, (at_us_ / kSecondUs + 1) * kSecondUs);
      at(at_us_).area += static_cast<double>((end_us - at_us_) * concurrency) / static_cast<double>(kSecondUs);
      at_us_ = end_us;
    }
  }
  void arrive() { at(at_us_).arrivals += 1; }
  [[nodiscard]] Load over() const {
    Load out;
    const std::int64_t last = std::max<std::int64_t>(0, at_us_ - 1) / kSecondUs;
    for (const Second& second : seconds_) {
      const std::int64_t age = last - second.number;
      if (second.number < 0 || age >= kSeconds) continue;
      out.stable += second.area / kSeconds;
      out.arrivals += second.arrivals;
      if (age < kPanicSeconds) out.panic += second.area / kPanicSeconds;
    }
    return out;
  }

 private:
  static constexpr std::int64_t kSeconds = 60;
  static constexpr std::int64_t kPanicSeconds = 6;
  struct Second {
    std::int64_t number = -1;
    double area = 0;
    double arrivals = 0;
  };
  Second& at(std::int64_t us) {
    const std::int64_t number = us / kSecondUs;
    Second& out = seconds_[static_cast<std::size_t>(number % kSeconds)];
    if (out.number != number) out = {.number = number};
    return out;
  }
  std::array<Second, kSeconds> seconds_{};
  std::int64_t at_us_ = 0;
};

int whole(double instances) {
  return static_cast<int>(std::ceil(std::min(instances, 1.0 * kMostInstances) - 1e-9));
}

class Knative {
 public:
  explicit Knative(double target) : target_(target) {}
  [[nodiscard]] static std::int64_t tick_us(const Load& /*load*/) { return 2 * kSecondUs; }

  int desired(const Load& load) {
    constexpr std::int64_t kStableUs = 60 * kSecondUs;
    constexpr std::int64_t kGraceUs = 30 * kSecondUs;
    constexpr double kPanicRatio = 2;
    const int ready = std::max(1, load.ready);
    const int stable = std::max(whole(load.stable / target_), ready / 2);
    const int panic = std::max(whole(load.panic / target_), ready / 2);
    if (panic >= kPanicRatio * ready) {
      panicked_at_us_ = load.now_us;
    } else if (panicked_at_us_ != kNever && panicked_at_us_ + kStableUs < load.now_us) {
      panicked_at_us_ = kNever;
      most_in_panic_ = 0;
    }
    int out = stable;
    if (panicked_at_us_ != kNever) out = most_in_panic_ = std::max({most_in_panic_, stable, panic});
    if (out > 0) {
      zero_since_us_ = kNever;
      return out;
    }
    zero_since_us_ = std::min(zero_since_us_, load.now_us);
    return load.now_us >= zero_since_us_ + kGraceUs ? 0 : std::min(1, load.up);
  }

 private:
  double target_;
  std::int64_t panicked_at_us_ = kNever;
  int most_in_panic_ = 0;
  std::int64_t zero_since_us_ = kNever;
};

class Hpa {
 public:
  explicit Hpa(double target) : target_(target) {}
  [[nodiscard]] static std::int64_t tick_us(const Load& /*load*/) { return 15 * kSecondUs; }

  int desired(const Load& load) {
    constexpr double kTolerance = 0.1;
    constexpr std::int64_t kStabilisationUs = 300 * kSecondUs;
    const int current = std::max(1, load.up);
    const double ratio = static_cast<double>(load.at_once) / (current * target_);
    int out = std::abs(ratio - 1) <= kTolerance ? current : std::max(1, whole(current * ratio));
    out = std::min(out, current + std::max(current, 4));
    wishes_.emplace_back(load.now_us, out);
    while (wishes_.front().first < load.now_us - kStabilisationUs) wishes_.pop_front();
    if (out >= current) return out;
    for (const auto& [at_us, wish] : wishes_) out = std::max(out, wish);
    return std::min(out, current);
  }

 private:
  double target_;
  std::deque<std::pair<std::int64_t, int>> wishes_;
};

class SkyServe {
 public:
  // Requests a second of one instance.
  explicit SkyServe(double target) : target_(target) {}
  [[nodiscard]] static std::int64_t tick_us(const Load& load) { return (load.up == 0 ? 5 : 20) * kSecondUs; }

  int desired(const Load& load) {
    constexpr int kUp = 15;
    constexpr int kDown = 60;
    const int wish = whole(load.arrivals / 60 / target_);
    above_ = wish > load.up ? above_ + 1 : 0;
    below_ = wish < load.up ? below_ + 1 : 0;
    if (load.up > 0 && above_ < kUp && below_ < kDown) return load.up;
    above_ = below_ = 0;
    return wish;
  }

 private:
  double target_;
  int above_ = 0;
  int below_ = 0;
};

template <typename Rule>
class ScaledFleet {
 public:
  ScaledFleet(const Workload& workload, const ScalerRules& rules, Rule rule)
      : workload_(workload), rules_(rules), rule_(std::move(rule)) {
    want(rules.min_instances);
  }

  policy::SimulationResult run(std::int64_t lasts_us) {
    while (next_ < workload_.arrivals.size() || !queue_.empty() || !ends_.empty() || up() > rules_.min_instances) {
      advance();
    }
    minute_to(std::max(now_us_, lasts_us));
    for (const Instance& instance : instances_) close(instance);
    return std::move(out_);
  }

 private:
  struct Instance {
    std::int64_t id = 0;
    std::int64_t from_us = 0;
    std::int64_t ready_us = 0;
    int running = 0;
    bool drains = false;
    std::int64_t busy_since_us = 0;
    std::int64_t busy_us = 0;
  };
  struct End {
    std::int64_t at_us = 0;
    std::int64_t instance = 0;
    std::size_t request = 0;
    bool operator>(const End& other) const {
      return at_us != other.at_us ? at_us > other.at_us : request > other.request;
    }
  };

  [[nodiscard]] int up() const {
    return static_cast<int>(
        std::count_if(instances_.begin(), instances_.end(), [](const Instance& i) { return !i.drains; }));
  }
  [[nodiscard]] bool is_ready(const Instance& i) const { return !i.drains && i.ready_us <= now_us_; }
  [[nodiscard]] Load load() const {
    Load out = minute_.over();
    out.now_us = now_us_;
    out.at_once = static_cast<std::int64_t>(queue_.size() + ends_.size());
    out.up = up();
    out.ready = static_cast<int>(
        std::count_if(instances_.begin(), instances_.end(), [this](const Instance& i) { return is_ready(i); }));
    return out;
  }
  void minute_to(std::int64_t us) {
    minute_.move(us, static_cast<std::int64_t>(queue_.size() + ends_.size()));
    now_us_ = us;
  }

  void advance() {
    const std::int64_t end_us = ends_.empty() ? kNever : ends_.top().at_us;
    const std::int64_t request_us = next_ < workload_.arrivals.size() ? workload_.arrivals[next_].at_us : kNever;
    std::int64_t ready_us = kNever;
    for (const Instance& i : instances_) {
      if (i.ready_us > now_us_) ready_us = std::min(ready_us, i.ready_us);
    }
    // With nothing up and nobody there, a tick changes nothing until somebody comes.
    const bool is_quiet = instances_.empty() && queue_.empty();
    const std::int64_t tick_us = is_quiet ? kNever : tick_us_;
    minute_to(std::max(now_us_, std::min({end_us, request_us, ready_us, tick_us})));
    if (end_us <= now_us_) {
      end_one();
    } else if (request_us <= now_us_) {
      arrive(is_quiet);
    } else if (tick_us <= now_us_) {
      tick();
    }
    dispatch();
  }

  void arrive(bool was_quiet) {
    const auto is_ready_one = [this](const Instance& i) { return is_ready(i); };
    out_.woke += std::any_of(instances_.begin(), instances_.end(), is_ready_one) ? 0 : 1;
    minute_.arrive();
    queue_.push_back(next_++);
    if (was_quiet) tick_us_ = now_us_ + Rule::tick_us(load());
    if (was_quiet && rules_.scaler == Scaler::kKnative) want(1);
  }

  void tick() {
    want(std::clamp(rule_.desired(load()), rules_.min_instances, rules_.max_instances));
    tick_us_ = now_us_ + Rule::tick_us(load());
  }

  // What loads goes first, then what has the fewest requests; of equals the newest.
  void want(int wanted) {
    for (int n = up(); n < std::min(wanted, rules_.max_instances); ++n) {
      instances_.push_back({.id = ++out_.starts, .from_us = now_us_, .ready_us = now_us_ + rules_.wake_us});
    }
    out_.most_instances = std::max(out_.most_instances, static_cast<int>(instances_.size()));
    for (int n = up(); n > wanted; --n) {
      Instance* least = nullptr;
      const auto rank = [this](const Instance& i) { return std::pair(is_ready(i), i.running); };
      for (Instance& i : instances_) {
        if (!i.drains && (least == nullptr || rank(i) <= rank(*least))) least = &i;
      }
      least->drains = true;
    }
    leave();
  }

  void leave() {
    std::erase_if(instances_, [this](const Instance& i) {
      if (!i.drains || i.running > 0) return false;
      close(i);
      return true;
    });
  }

  void dispatch() {
    while (!queue_.empty()) {
      Instance* least = nullptr;
      for (Instance& i : instances_) {
        if (is_ready(i) && i.running < rules_.slots && (least == nullptr || i.running < least->running)) least = &i;
      }
      if (least == nullptr) return;
      const std::size_t request = queue_.front();
      queue_.pop_front();
      if (least->running++ == 0) least->busy_since_us = now_us_;
      const Arrival& arrival = workload_.arrivals[request];
      out_.waited.push_back(std::chrono::microseconds(now_us_ - arrival.at_us));
      ++out_.served;
      ends_.push({now_us_ + arrival.service_us, least->id, request});
    }
  }

  void end_one() {
    const End end = ends_.top();
    ends_.pop();
    Instance& instance =
        *std::find_if(instances_.begin(), instances_.end(), [&end](const Instance& i) { return i.id == end.instance; });
    if (--instance.running == 0) instance.busy_us += now_us_ - instance.busy_since_us;
    out_.took.push_back(std::chrono::microseconds(now_us_ - workload_.arrivals[end.request].at_us));
    leave();
  }

  void close(const Instance& i) {
    out_.sessions.push_back({.from = std::chrono::microseconds(i.from_us),
                             .to = std::chrono::microseconds(now_us_),
                             .waking = std::chrono::microseconds(std::min(i.ready_us, now_us_) - i.from_us),
                             .busy = std::chrono::microseconds(i.busy_us)});
  }

  const Workload& workload_;
  const ScalerRules rules_;
  Rule rule_;
  std::int64_t now_us_ = 0;
  std::int64_t tick_us_ = 0;
  std::size_t next_ = 0;
  std::deque<std::size_t> queue_;  // of requests
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  std::vector<Instance> instances_;  // oldest first
  Minute minute_;
  policy::SimulationResult out_;
};

Status check_rules(const Workload& workload, const ScalerRules& rules) {
  const auto refuse = [](std::string message) { return make_error(Code::kInvalidArgument, std::move(message)); };
  if (workload.arrivals.empty()) return refuse("workload: no request: a fleet of nothing needs no plan");
  if (rules.max_instances < 1 || rules.max_instances > kMostInstances) {
    return refuse(fmt::format("max_instances: {}; want 1 to {}", rules.max_instances, kMostInstances));
  }
  if (rules.min_instances < 0 || rules.min_instances > rules.max_instances) {
    return refuse(
        fmt::format("min_instances: {}; want 0 to max_instances, {}", rules.min_instances, rules.max_instances));
  }
  if (rules.slots < 1 || rules.slots > kMostSlots) {
    return refuse(fmt::format("slots: {}; want 1 to {}", rules.slots, kMostSlots));
  }
  if (rules.wake_us >= 0 && rules.wake_us <= kDayUs) return {};
  return refuse(fmt::format("wake: {} us; want 0 to a day", rules.wake_us));
}

double mean_service_s(const Workload& workload) {
  double sum = 0;
  for (const Arrival& arrival : workload.arrivals) sum += static_cast<double>(arrival.service_us) / kSecondUs;
  return std::max(1e-6, sum / static_cast<double>(workload.arrivals.size()));
}

}  // namespace

Result<FleetRun> run_scaler(const Workload& workload, const ScalerRules& rules, const Tariff& tariff,
                            const std::optional<Slo>& slo) {
  TRY_STATUS(check_workload(workload));
  TRY_STATUS(check_rules(workload, rules));
  const std::int64_t lasts_us = std::llround(workload.months * kHoursOfMonth * static_cast<double>(kHourUs));
  const double target = kTargetShare * rules.slots;
  switch (rules.scaler) {
    case Scaler::kKnative: return counted(ScaledFleet(workload, rules, Knative(target)).run(lasts_us), tariff, slo);
    case Scaler::kHpa: {
      ScalerRules kept = rules;
      kept.min_instances = std::max(1, rules.min_instances);
      return counted(ScaledFleet(workload, kept, Hpa(target)).run(lasts_us), tariff, slo);
    }
    case Scaler::kSkyServe: {
      const double rate = target / mean_service_s(workload);
      return counted(ScaledFleet(workload, rules, SkyServe(rate)).run(lasts_us), tariff, slo);
    }
  }
  return make_error(Code::kInvalidArgument, "scaler: none of those there are");
}

}  // namespace dormouse::planner
