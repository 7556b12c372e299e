#include "gateway/plan_service.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "gateway/one_shot.h"
#include "gateway/tariff_of.h"
#include "planner/details.h"

namespace dormouse::gateway {
namespace {

Error closing() {
  return make_error(Code::kCancelled, "plan: closing");
}

// One of those that wait, while it is there.
class Place {
 public:
  explicit Place(std::shared_ptr<int> taken) : taken_(std::move(taken)) { ++*taken_; }
  ~Place() { --*taken_; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  std::shared_ptr<int> taken_;
};

// The planner speaks of "requests per day: ..."; a parameter has a name without spaces.
Error as_parameter(Error error) {
  if (error.code != Code::kInvalidArgument) return error;
  const std::size_t colon = error.message.find(": ");
  if (colon == std::string::npos) return error;
  std::replace(error.message.begin(), error.message.begin() + static_cast<std::ptrdiff_t>(colon), ' ', '_');
  return error;
}

Result<planner::Plan> replay_plan(const MeasuredPeriod& period, const PlanWish& wish) {
  planner::Question question;
  question.timer = timer_of(period);
  question.timer.idle_timeout_s = wish.idle_timeout_s.value_or(question.timer.idle_timeout_s);
  question.tariff = tariff_of(period.type);
  question.workload = workload_of(period);
  return planner::make_plan(std::move(question));
}

Result<MeasuredPlan> plan_of(const MeasuredPeriod& period, const PlanWish& wish, const std::stop_token& stop) {
  if (period.workload.requests.empty()) {
    return make_error(Code::kInvalidArgument, "days: no request of this deployment was settled in them");
  }
  if (!period.type.hour_micros.has_value()) {
    return make_error(Code::kInvalidArgument, "on: " + period.type.name +
                                                  " has no price by the hour; name a type that has one, or give it one "
                                                  "with [[instance]] in dormouse.toml");
  }
  Result<planner::Plan> plan = replay_plan(period, wish);
  if (!plan.has_value()) return as_parameter(std::move(plan).error());
  MeasuredPlan out;
  out.interval = planner::interval_of(plan->question);
  plan->question.workload.arrivals = {};  // the answer has none
  out.report = {*std::move(plan), {period.type.name, period.type.currency}};
  TRY(out.advice, advise(period, wish.goal, stop));
  out.deployment = period.deployment;
  out.time_zone = period.zone.name();
  out.begin_us = period.begin_us;
  out.end_us = period.end_us;
  out.days = period.days();
  out.requests = static_cast<std::int64_t>(period.workload.requests.size());
  out.input_tokens = period.workload.input_tokens;
  out.output_tokens = period.workload.output_tokens;
  out.refused = period.workload.refused;
  out.most_at_once = period.workload.most_at_once;
  out.most_instances = period.workload.most_instances;
  out.is_cut = period.workload.is_cut;
  out.wake = wake_of(period.workload);
  out.rules = period.rules;
  return out;
}

}  // namespace

PlanService::PlanService(asio::io_context& io, ledger::Ledger& ledger, const catalog::InstanceTypes& types)
    : io_(io), ledger_(ledger), types_(types), turns_(io) {}

PlanService::~PlanService() {
  stop();
  if (worker_.has_value()) worker_->join();
}

void PlanService::stop() {
  stop_.request_stop();
}

catalog::InstanceType PlanService::type_of(const catalog::DeploymentRules& rules) const {
  const catalog::InstanceType* const known = types_.find(rules.instance_type);
  if (known != nullptr) return *known;
  catalog::InstanceType out;
  out.name = rules.instance_type;
  return out;
}

MeasuredPeriod& PlanService::Material::whole() {
  std::reverse(days.begin(), days.end());
  period.workload = join(std::move(days));
  return period;
}

// Day by day from the end: a question of the ledger's reader is short, and of too many requests the latest are there.
Task<Result<std::shared_ptr<PlanService::Material>>> PlanService::read(PlanWish wish) {
  auto out = std::make_shared<Material>();
  MeasuredPeriod& period = out->period;
  period.deployment = wish.deployment.name;
  period.zone = wish.zone;
  period.begin_us = wish.begin_us;
  period.end_us = wish.end_us;
  period.rules = wish.deployment.rules;
  period.type = wish.type;
  period.wake_s = wish.wake_s;
  std::int64_t room = kMostMeasuredRequests;
  for (std::int64_t end_us = wish.end_us; end_us > period.begin_us;) {
    if (stop_.stop_requested()) co_return closing();
    const ledger::WorkloadQuery query{period.deployment, std::max(period.begin_us, end_us - planner::kDayUs), end_us,
                                      room};
    const OneShot<Result<ledger::MeasuredWorkload>> answer(io_);
    ledger_.workload(query, [answer](Result<ledger::MeasuredWorkload> got) { answer.set(std::move(got)); });
    CO_TRY(ledger::MeasuredWorkload day, co_await answer.get());
    end_us = query.begin_us;
    period.begin_us = std::min(std::max({period.begin_us, day.made_us, day.complete_since_us}), period.end_us);
    room -= static_cast<std::int64_t>(day.requests.size());
    const bool is_cut = day.is_cut;
    if (is_cut && !day.requests.empty()) period.begin_us = day.requests.front().at_us;
    if (is_cut && day.requests.empty()) period.begin_us = query.end_us;
    out->days.push_back(std::move(day));
    if (is_cut) break;
  }
  co_return out;
}

template <typename T>
Task<Result<T>> PlanService::work(std::function<Result<T>(const std::stop_token&)> job) {
  OneShot<std::shared_ptr<Result<T>>> done(io_);
  asio::io_context& io = io_;
  if (!worker_.has_value()) worker_.emplace(1);
  asio::post(*worker_, [job = std::move(job), done, stop = stop_.get_token(), &io]() mutable {
    auto result = std::make_shared<Result<T>>(stop.stop_requested() ? Result<T>(closing()) : job(stop));
    job = {};  // millions of requests, freed here and not on the loop
    asio::post(io, [done = std::move(done), result = std::move(result)] { done.set(result); });
  });
  const std::shared_ptr<Result<T>> result = co_await done.get();
  co_return std::move(*result);
}

Task<Result<MeasuredPlan>> PlanService::measured(PlanWish wish) {
  if (*pending_ >= kMostPlansAtOnce) co_return make_error(Code::kOverloaded, "plan: too many at once");
  const Place place(pending_);
  const Turns::Turn turn = co_await turns_.take();
  CO_TRY(const std::shared_ptr<Material> material, co_await read(wish));
  std::function<Result<MeasuredPlan>(const std::stop_token&)> job = [material, wish](const std::stop_token& stop) {
    return plan_of(material->whole(), wish, stop);
  };
  co_return co_await work(std::move(job));
}

Task<Result<PlanReport>> PlanService::assumed(planner::Question question, PlanTerms terms) {
  if (*pending_ >= kMostPlansAtOnce) co_return make_error(Code::kOverloaded, "plan: too many at once");
  const Place place(pending_);
  const Turns::Turn turn = co_await turns_.take();
  std::function<Result<PlanReport>(const std::stop_token&)> job =
      [question = std::move(question), terms = std::move(terms)](const std::stop_token&) -> Result<PlanReport> {
    Result<planner::Plan> plan = planner::make_plan(question);
    if (!plan.has_value()) return as_parameter(std::move(plan).error());
    plan->question.workload.arrivals = {};
    return PlanReport{*std::move(plan), terms};
  };
  co_return co_await work(std::move(job));
}

Task<Result<Dated<PlanAdvice>>> PlanService::advice(PlanWish wish) {
  const Turns::Turn turn = co_await turns_.take();
  CO_TRY(const std::shared_ptr<Material> material, co_await read(wish));
  std::function<Result<Dated<PlanAdvice>>(const std::stop_token&)> job =
      [material, goal = wish.goal](const std::stop_token& stop) -> Result<Dated<PlanAdvice>> {
    const MeasuredPeriod& period = material->whole();
    TRY(PlanAdvice advice, advise(period, goal, stop));
    return Dated<PlanAdvice>{std::move(advice), period.begin_us, period.workload.made_us};
  };
  co_return co_await work(std::move(job));
}

Task<Result<Dated<Hindsight>>> PlanService::hindsight(PlanWish wish, std::int64_t year, int month) {
  const Turns::Turn turn = co_await turns_.take();
  const ledger::BillQuery query{year, month, wish.zone, wish.deployment.name};
  const OneShot<Result<ledger::Bill>> answer(io_);
  ledger_.bill(query, [answer](Result<ledger::Bill> got) { answer.set(std::move(got)); });
  CO_TRY(ledger::Bill bill, co_await answer.get());
  CO_TRY(const std::shared_ptr<Material> material, co_await read(wish));
  std::function<Result<Dated<Hindsight>>(const std::stop_token&)> job =
      [material, bill = std::move(bill)](const std::stop_token& stop) -> Result<Dated<Hindsight>> {
    const MeasuredPeriod& period = material->whole();
    TRY(Hindsight hindsight, look_back(period, bill, stop));
    return Dated<Hindsight>{std::move(hindsight), period.begin_us, period.workload.made_us};
  };
  co_return co_await work(std::move(job));
}

}  // namespace dormouse::gateway
