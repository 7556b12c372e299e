#include "gateway/advice_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "gateway/one_shot.h"

namespace dormouse::gateway {
namespace {

// How late it may be; nothing is read while nothing is due.
constexpr std::chrono::minutes kPeriod{10};
constexpr int kHour = 4;
constexpr std::int64_t kHourUs = 3'600'000'000;

}  // namespace

AdviceTask::AdviceTask(asio::io_context& io, const Clock& clock, ledger::Ledger& ledger, const Deployments& deployments,
                       PlanService& plans, Options options)
    : io_(io),
      timer_(io),
      clock_(clock),
      ledger_(ledger),
      deployments_(deployments),
      plans_(plans),
      options_(std::move(options)),
      alive_(std::make_shared<bool>(true)) {}

void AdviceTask::start() {
  wait(options_.first_after);
}

void AdviceTask::stop() {
  *alive_ = false;
  timer_.cancel();
}

void AdviceTask::wait(std::chrono::milliseconds how_long) {
  timer_.expires_after(how_long);
  timer_.async_wait([this, alive = alive_](boost::system::error_code ec) {
    if (!ec && *alive) asio::co_spawn(io_, look(), asio::detached);
  });
}

Task<void> AdviceTask::look() {
  const std::shared_ptr<bool> alive = alive_;
  const Status status = co_await run_due();
  if (!*alive) co_return;
  if (!status.has_value()) log_warn("event=advice_failed error=\"{}\"", status.error().message);
  wait(kPeriod);
}

// At four, when hardly anybody asks; what a day began with belongs to the day.
AdviceTask::Due AdviceTask::due_at(WallTime now) const {
  const TimeZone& zone = options_.zone;
  const CivilTime at = zone.local({now.us - kHour * kHourUs});
  const int monday = at.day - weekday_of(at);
  const auto day = [&](int of_month) {
    // first() takes days past a month's end, not before its beginning.
    const CivilTime date = date_of(days_of(at.year, at.month, 1) + of_month - 1);
    return zone.first(date).us;
  };
  const CivilTime last = date_of(days_of(at.year, at.month, 1) - 1);
  return {day(monday - kAdviceDays), day(monday), zone.first({.year = last.year, .month = last.month}).us, day(1)};
}

Task<Status> AdviceTask::run_due() {
  const std::shared_ptr<bool> alive = alive_;
  const Due due = due_at(clock_.wall());
  if (due == done_) co_return Status();
  std::vector<Deployment> deployments;
  for (const auto& [name, deployment] : deployments_.all()) deployments.push_back(deployment);
  Status out;
  for (const Deployment& deployment : deployments) {
    const Status weekly = co_await make_weekly(deployment, due);
    if (!*alive) co_return make_error(Code::kCancelled, "advice: closing");
    const Status regret = co_await make_regret(deployment, due);
    if (!*alive) co_return make_error(Code::kCancelled, "advice: closing");
    for (const Status& status : {weekly, regret}) {
      if (!status.has_value() && out.has_value()) out = status;
    }
  }
  if (out.has_value()) done_ = due;
  co_return out;
}

Task<Result<bool>> AdviceTask::is_made(ledger::AdviceQuery query, std::int64_t period_end_us) {
  query.max_rows = 1;
  const OneShot<Result<std::vector<ledger::AdviceRecord>>> answer(io_);
  ledger_.advice(query, [answer](Result<std::vector<ledger::AdviceRecord>> got) { answer.set(std::move(got)); });
  CO_TRY(const std::vector<ledger::AdviceRecord> newest, co_await answer.get());
  co_return !newest.empty() && newest.front().period_end_us >= period_end_us;
}

Task<Status> AdviceTask::keep(ledger::AdviceRecord record) {
  log_info("event=advice deployment={} kind={}", record.deployment,
           record.kind == ledger::AdviceKind::kRegret ? "regret" : "weekly");
  const OneShot<Status> written(io_);
  ledger_.put_advice(std::move(record), [written](Status status) { written.set(std::move(status)); });
  co_return co_await written.get();
}

Task<Status> AdviceTask::make_weekly(Deployment deployment, Due due) {
  const ledger::AdviceQuery query{deployment.name, ledger::AdviceKind::kWeekly};
  CO_TRY(const bool made, co_await is_made(query, due.week_end_us));
  if (made) co_return Status();
  PlanWish wish{deployment, options_.zone, due.week_begin_us, due.week_end_us, plans_.type_of(deployment.rules)};
  CO_TRY(const Dated<PlanAdvice> found, co_await plans_.advice(std::move(wish)));
  if (found.made_us >= due.week_end_us) co_return Status();  // it was not there yet
  ledger::AdviceRecord record;
  record.deployment = deployment.name;
  record.kind = ledger::AdviceKind::kWeekly;
  record.period_begin_us = std::min(found.begin_us, due.week_end_us - 1);
  record.period_end_us = due.week_end_us;
  record.body = to_json(found.value);
  if (found.value.now.has_value()) {
    record.paid_micros = found.value.now->micros;
    record.best_micros = found.value.then->micros;
    record.currency = found.value.currency;
  }
  co_return co_await keep(std::move(record));
}

Task<Status> AdviceTask::make_regret(Deployment deployment, Due due) {
  const ledger::AdviceQuery query{deployment.name, ledger::AdviceKind::kRegret};
  CO_TRY(const bool made, co_await is_made(query, due.month_end_us));
  if (made) co_return Status();
  PlanWish wish{deployment, options_.zone, due.month_begin_us, due.month_end_us, plans_.type_of(deployment.rules)};
  const CivilTime month = options_.zone.local({due.month_begin_us});
  CO_TRY(const Dated<Hindsight> found, co_await plans_.hindsight(std::move(wish), month.year, month.month));
  if (found.made_us >= due.month_end_us) co_return Status();
  ledger::AdviceRecord record;
  record.deployment = deployment.name;
  record.kind = ledger::AdviceKind::kRegret;
  record.period_begin_us = due.month_begin_us;
  record.period_end_us = due.month_end_us;
  record.body = to_json(found.value);
  record.paid_micros = found.value.paid_micros;
  if (found.value.best.has_value()) record.best_micros = found.value.best->micros;
  if (record.paid_micros.has_value() || record.best_micros.has_value()) record.currency = found.value.currency;
  co_return co_await keep(std::move(record));
}

}  // namespace dormouse::gateway
