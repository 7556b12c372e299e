#include "gateway/limits/keeper.h"

#include <ctime>
#include <utility>

#include "base/log.h"
#include "gateway/limits/state_file.h"

namespace dormouse::gateway {
namespace {

std::int64_t local_offset_s(WallTime now) {
  const std::time_t seconds = now.us / 1'000'000;
  std::tm parts{};
  return ::localtime_r(&seconds, &parts) == nullptr ? 0 : parts.tm_gmtoff;
}

LimitOptions with_zone(LimitOptions options) {
  if (!options.limiter.utc_offset_s) options.limiter.utc_offset_s = local_offset_s;
  return options;
}

constexpr int kWarnPercent = 80;

}  // namespace

LimitKeeper::LimitKeeper(asio::io_context& io, const Clock& clock, LimitOptions options)
    : clock_(clock),
      options_(with_zone(std::move(options))),
      limiter_(clock, options_.limiter),
      timer_(io),
      alive_(std::make_shared<LimitKeeper*>(this)) {
  if (!options_.state_path.empty()) restore();
}

LimitKeeper::~LimitKeeper() {
  *alive_ = nullptr;
}

void LimitKeeper::restore() {
  const Result<LimitState> state = load_limit_state(options_.state_path);
  if (state.has_value()) {
    limiter_.restore(state->buckets, age_of(*state, clock_.now(), clock_.wall()));
    saved_anything_ = !state->buckets.empty();
    return;
  }
  if (state.error().code != Code::kNotFound) log_warn("event=limits_forgotten why=\"{}\"", state.error().message);
}

void LimitKeeper::save() {
  if (options_.state_path.empty()) return;
  LimitState state{clock_.now(), clock_.wall(), limiter_.state()};
  // A house without limits, or an idle one, writes nothing.
  if (state.buckets.empty() && !saved_anything_) return;
  saved_anything_ = !state.buckets.empty();
  const Status saved = save_limit_state(options_.state_path, state);
  if (!saved.has_value()) log_warn("event=limits_not_saved why=\"{}\"", saved.error().message);
}

void LimitKeeper::begin() {
  arm();
}

void LimitKeeper::arm() {
  timer_.expires_after(kTick);
  timer_.async_wait([alive = alive_](const boost::system::error_code& ec) {
    if (ec || *alive == nullptr) return;
    (*alive)->tick();
    (*alive)->arm();
  });
}

void LimitKeeper::tell_budgets() {
  if (!options_.on_budget) return;
  std::map<std::pair<Holder, std::string>, int> now;
  for (BudgetUse& use : limiter_.budgets()) {
    if (use.percent < kWarnPercent) continue;
    use.percent = use.percent >= 100 ? 100 : kWarnPercent;
    const auto told = told_percent_.find({use.holder, use.name});
    if (told == told_percent_.end() || told->second < use.percent) options_.on_budget(use);
    now[{use.holder, use.name}] = use.percent;
  }
  told_percent_ = std::move(now);  // a new period, a larger budget: told anew
}

void LimitKeeper::tick() {
  save();
  tell_budgets();
  limiter_.forget_idle();
  std::vector<RefusalCount> ended = refusals_.take_ended(clock_.wall());
  if (!ended.empty() && options_.record_refusals) options_.record_refusals(std::move(ended));
}

void LimitKeeper::end() {
  timer_.cancel();
  save();
  std::vector<RefusalCount> all = refusals_.take_all();
  if (!all.empty() && options_.record_refusals) options_.record_refusals(std::move(all));
}

}  // namespace dormouse::gateway
