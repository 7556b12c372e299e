// What a deployment did today and costs this month, for whoever looks at the overview: sums of the ledger, kept for
// seconds, so that many who look cost what one does. Wakes nothing. Owner: the gateway. Threads: the loop's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/time_zone.h"
#include "gateway/advice.h"
#include "gateway/overview/deployment_figures.h"
#include "gateway/services.h"
#include "ledger/report_records.h"

namespace dormouse::gateway {

// What the sums are of.
struct FigurePeriods {
  WallTime now;
  WallTime day_begin;
  WallTime month_begin;
  WallTime month_end;
  std::string month;                       // "2026-11"
  WallTime recent_begin;                   // seven days before now
  std::vector<std::int64_t> days_us = {};  // where the seven days before today begin, in order
};
[[nodiscard]] FigurePeriods periods_at(WallTime now, const TimeZone& zone);

// How far what `left_days` days cost may be from what days like these say, 90 %. nullopt: fewer than five. A normal
// law's: the days' own scatter, and that their mean is known from so few of them. Days that differ by weekday make it
// wide, never narrow. Pure.
[[nodiscard]] std::optional<std::int64_t> margin_of(std::span<const std::int64_t> day_micros, double left_days);

// Of one deployment, made at `created`. `price`: an instance's hour now. Pure.
[[nodiscard]] DeploymentFigures figures_of(const FigurePeriods& periods, WallTime created,
                                           const std::optional<HourPrice>& price,
                                           const std::vector<ledger::CostRow>& costs, const ledger::UsageRow* today);

class Figures {
 public:
  using PriceOf = std::function<std::optional<HourPrice>(const Deployment&)>;
  Figures(Services services, TimeZone zone, PriceOf price);

  // Asks the ledger where what is known is older than ten seconds (or twenty times what the last question took), and
  // waits half a second for it at most.
  Task<void> refresh();
  // The same without waiting.
  void ask();
  // nullopt: nothing is known yet.
  [[nodiscard]] std::optional<DeploymentFigures> of(const Deployment& deployment) const;

 private:
  struct Known {
    FigurePeriods periods;
    std::map<std::string, std::vector<ledger::CostRow>> costs;
    std::map<std::string, ledger::UsageRow> today;
  };
  void ask_usage(std::shared_ptr<Known> known);
  void take(Known known);
  void give_up();

  Services services_;
  const TimeZone zone_;
  const PriceOf price_;
  std::optional<Known> known_;
  bool is_asking_ = false;
  MonoTime asked_;
  MonoTime next_;  // not asked again before
  asio::steady_timer answered_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace dormouse::gateway
