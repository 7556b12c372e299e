#include "gateway/overview/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cmath>
#include <utility>

#include "base/money.h"
#include "gateway/deployments.h"
#include "planner/interval.h"
#include "planner/traffic.h"

namespace dormouse::gateway {
namespace {

using planner::kDayUs;
using planner::kHourUs;

constexpr int kRecentDays = 7;
constexpr std::int64_t kRecentUs = kRecentDays * kDayUs;
constexpr double kNormal95 = 1.645;
constexpr Nanoseconds kKept = std::chrono::seconds(10);
// The ledger's reader answers one at a time: questions of ours take 5 % of it at most.
constexpr int kRest = 20;
constexpr std::chrono::milliseconds kLongestWait{500};

// The row of the currency it is priced in now; else the only one there is.
const ledger::CostRow* row_of(const std::vector<ledger::CostRow>& costs, const std::optional<HourPrice>& price) {
  const auto found = std::find_if(costs.begin(), costs.end(), [&price](const ledger::CostRow& row) {
    return price.has_value() && row.currency == price->currency;
  });
  if (found != costs.end()) return &*found;
  return price.has_value() || costs.empty() ? nullptr : &costs.front();
}

// The whole days that lie after its beginning.
std::span<const std::int64_t> days_since(const FigurePeriods& periods, const ledger::CostRow& row,
                                         std::int64_t began_us) {
  const std::span<const std::int64_t> all(row.whole_day_micros);
  const auto first = std::lower_bound(periods.days_us.begin(), periods.days_us.end(), began_us);
  const auto before = static_cast<std::size_t>(first - periods.days_us.begin());
  return all.subspan(std::min(before, all.size()));
}

}  // namespace

FigurePeriods periods_at(WallTime now, const TimeZone& zone) {
  FigurePeriods out;
  out.now = now;
  out.day_begin = zone.day_begin(now);
  out.month_begin = zone.month_begin(now);
  const CivilTime at = zone.local(now);
  out.month = fmt::format("{:04}-{:02}", at.year, at.month);
  out.month_end = zone.first({.year = at.year, .month = at.month + 1});
  out.recent_begin = {std::max<std::int64_t>(0, now.us - kRecentUs)};
  for (int back = kRecentDays; back > 0; --back) {
    const CivilTime date = date_of(days_of(at.year, at.month, at.day) - back);
    out.days_us.push_back(zone.first(date).us);
  }
  return out;
}

std::optional<std::int64_t> margin_of(std::span<const std::int64_t> day_micros, double left_days) {
  if (day_micros.size() < planner::kFewestDays) return std::nullopt;
  const auto count = static_cast<double>(day_micros.size());
  double mean = 0;
  for (const std::int64_t micros : day_micros) mean += static_cast<double>(micros) / count;
  double variance = 0;
  for (const std::int64_t micros : day_micros) {
    const double off = static_cast<double>(micros) - mean;
    variance += off * off / (count - 1);
  }
  // Of few days the scatter itself is not well known: Student's t against the normal law, first term.
  const double wider = 1 + (kNormal95 * kNormal95 + 1) / (4 * (count - 1));
  return std::llround(kNormal95 * wider * std::sqrt(variance * left_days * (1 + left_days / count)));
}

DeploymentFigures figures_of(const FigurePeriods& periods, WallTime created, const std::optional<HourPrice>& price,
                             const std::vector<ledger::CostRow>& costs, const ledger::UsageRow* today) {
  DeploymentFigures out;
  if (today != nullptr) {
    out.requests = today->requests;
    out.output_tokens = today->output_tokens;
    if (today->ttft.has_value() && today->ttft->requests > 0) {
      out.ttft_p50_us = today->ttft->p50_us;
      out.ttft_p95_us = today->ttft->p95_us;
    }
  }
  const ledger::CostRow none;
  const ledger::CostRow* const found = row_of(costs, price);
  const ledger::CostRow& row = found == nullptr ? none : *found;
  out.currency = price.has_value() ? price->currency : row.currency;
  if (out.currency.empty()) return out;
  out.today_micros = row.day_micros;
  out.month_micros = row.month_micros + row.fee_micros;
  // One that was made anew under its old name began when the first one ran.
  const std::int64_t began_us = row.first_us > 0 ? std::min(row.first_us, created.us) : created.us;
  const std::int64_t known_us = periods.now.us - std::max(periods.recent_begin.us, began_us);
  const std::int64_t left_us = std::max<std::int64_t>(0, periods.month_end.us - periods.now.us);
  if (known_us >= kHourUs) {
    out.forecast_micros = out.month_micros + proportion(row.recent_micros, left_us, known_us);
    out.margin_micros = margin_of(days_since(periods, row, began_us), static_cast<double>(left_us) / kDayUs);
  }
  if (!price.has_value()) return out;
  const std::int64_t could_us = periods.now.us - std::max(periods.month_begin.us, began_us);
  if (could_us > 0) out.saved_micros = proportion(price->micros, could_us, kHourUs) - row.month_micros;
  return out;
}

Figures::Figures(Services services, TimeZone zone, PriceOf price)
    : services_(services), zone_(std::move(zone)), price_(std::move(price)), answered_(services.io) {}

void Figures::ask() {
  const MonoTime now = services_.clock.now();
  if (is_asking_ || now < next_) return;
  is_asking_ = true;
  answered_.expires_after(kLongestWait);
  asked_ = now;
  auto known = std::make_shared<Known>();
  known->periods = periods_at(services_.clock.wall(), zone_);
  const FigurePeriods& p = known->periods;
  ledger::CostQuery query{p.month, p.month_begin.us, p.day_begin.us, p.recent_begin.us, p.now.us, p.days_us};
  std::weak_ptr<int> alive = alive_;
  asio::io_context& io = services_.io;
  // The ledger may answer on a thread of its own.
  services_.ledger.costs(std::move(query), [this, alive, &io, known](auto answer) {
    asio::post(io, [this, alive, known, answer = std::move(answer)] {
      if (alive.expired()) return;
      if (!answer.has_value()) return give_up();
      for (const ledger::CostRow& row : *answer) known->costs[row.deployment].push_back(row);
      ask_usage(known);
    });
  });
}

void Figures::ask_usage(std::shared_ptr<Known> known) {
  ledger::UsageQuery query;
  query.by = ledger::UsageBy::kDeployment;
  query.begin_us = known->periods.day_begin.us;
  std::weak_ptr<int> alive = alive_;
  asio::io_context& io = services_.io;
  services_.ledger.usage(std::move(query), [this, alive, &io, known](auto answer) {
    asio::post(io, [this, alive, known, answer = std::move(answer)] {
      if (alive.expired()) return;
      if (!answer.has_value()) return give_up();
      for (const ledger::UsageRow& row : answer->rows) known->today[row.deployment] = row;
      take(std::move(*known));
    });
  });
}

void Figures::take(Known known) {
  known_ = std::move(known);
  give_up();
}

// What was known stays, and is asked again when its time has come.
void Figures::give_up() {
  is_asking_ = false;
  const MonoTime now = services_.clock.now();
  next_ = now + std::max(kKept, kRest * (now - asked_));
  answered_.cancel();
}

Task<void> Figures::refresh() {
  ask();
  if (!is_asking_) co_return;
  [[maybe_unused]] const auto [ec] = co_await answered_.async_wait(kTuple);
}

std::optional<DeploymentFigures> Figures::of(const Deployment& deployment) const {
  if (!known_.has_value()) return std::nullopt;
  const auto costs = known_->costs.find(deployment.name);
  const auto today = known_->today.find(deployment.name);
  const std::vector<ledger::CostRow> none;
  return figures_of(known_->periods, {deployment.created * 1'000'000}, price_(deployment),
                    costs == known_->costs.end() ? none : costs->second,
                    today == known_->today.end() ? nullptr : &today->second);
}

}  // namespace dormouse::gateway
