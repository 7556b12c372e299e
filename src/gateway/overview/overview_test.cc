// Goal: the overview's sums, rates, reasons and events are what they say. Method: made-up fleets and ledger rows, a
// clock moved by hand; every number below is worked out beside it.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "gateway/overview/figures.h"
#include "gateway/overview/overview_wire.h"
#include "gateway/overview/status_feed.h"
#include "gateway/overview/token_rates.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

constexpr std::int64_t kHourUs = 3'600'000'000;
constexpr std::int64_t kDayUs = 24 * kHourUs;

// Of 30 days, ten and a half of them gone.
FigurePeriods periods() {
  FigurePeriods out;
  out.month_begin = {1'000 * kDayUs};
  out.month_end = {1'030 * kDayUs};
  out.day_begin = {1'010 * kDayUs};
  out.now = {1'010 * kDayUs + kDayUs / 2};
  out.recent_begin = {out.now.us - 7 * kDayUs};
  return out;
}

ledger::CostRow cost() {
  ledger::CostRow out;
  out.deployment = "chat";
  out.currency = "CNY";
  out.month_micros = 20'000'000;
  out.day_micros = 1'000'000;
  out.recent_micros = 14'000'000;
  out.fee_micros = 5'000'000;
  out.first_us = 900 * kDayUs;
  return out;
}

TEST(Figures, TheForecastGoesOnAsTheLastSevenDaysDid) {
  const HourPrice price{1'800'000, "CNY"};
  const DeploymentFigures f = figures_of(periods(), {900 * kDayUs}, price, {cost()}, nullptr);
  EXPECT_EQ(f.currency, "CNY");
  EXPECT_EQ(f.today_micros, 1'000'000);
  EXPECT_EQ(f.month_micros, 25'000'000) << "with the fee";
  // 2 a day for the 19.5 days that are left.
  EXPECT_EQ(f.forecast_micros, 25'000'000 + 39'000'000);
  // 10.5 days of 24 h at 1.80, less the time's 20.
  EXPECT_EQ(f.saved_micros, 252 * 1'800'000 - 20'000'000);
}

TEST(Figures, TheMarginIsOfWholeDaysAndOfFewThereIsNone) {
  FigurePeriods p = periods();
  for (int back = 7; back > 0; --back) p.days_us.push_back(p.day_begin.us - back * kDayUs);
  ledger::CostRow row = cost();
  row.whole_day_micros = {9, 9, 2'000'000, 2'000'000, 2'000'000, 2'000'000, 2'000'000};
  // Made two days after the first of them: five that were alike, so the forecast is certain.
  row.first_us = p.days_us[2];
  const HourPrice price{1'800'000, "CNY"};
  EXPECT_EQ(figures_of(p, {row.first_us}, price, {row}, nullptr).margin_micros, 0);
  row.first_us += 1;
  const DeploymentFigures four = figures_of(p, {row.first_us}, price, {row}, nullptr);
  EXPECT_TRUE(four.forecast_micros.has_value());
  EXPECT_EQ(four.margin_micros, std::nullopt);
  // 1 and 3 in turn: their standard deviation is 1.0690; of 14 days the sum scatters by 1.0690 sqrt(14 (1 + 14 / 7)) =
  // 6.928, and 90 % lie within 1.645 * (1 + (1.645^2 + 1) / 24) = 1.8991 of those.
  const std::vector<std::int64_t> uneven{1'000'000, 3'000'000, 1'000'000, 3'000'000, 1'000'000, 3'000'000, 1'000'000};
  EXPECT_NEAR(static_cast<double>(margin_of(uneven, 14).value()), 13.157e6, 2e3);
  EXPECT_EQ(margin_of(uneven, 0), 0) << "the month is over";
}

TEST(Figures, OfAYoungDeploymentOnlyItsOwnTimeCounts) {
  ledger::CostRow row = cost();
  row.first_us = periods().now.us - kDayUs;
  row.recent_micros = 3'000'000;
  const HourPrice price{1'800'000, "CNY"};
  const DeploymentFigures f = figures_of(periods(), {row.first_us}, price, {row}, nullptr);
  EXPECT_EQ(f.forecast_micros, 25'000'000 + 58'500'000) << "3 a day for 19.5 days";
  EXPECT_EQ(f.saved_micros, 24 * 1'800'000 - 20'000'000);
  row.first_us = periods().now.us - kHourUs / 2;
  const DeploymentFigures new_born = figures_of(periods(), {row.first_us}, price, {row}, nullptr);
  EXPECT_EQ(new_born.forecast_micros, std::nullopt) << "half an hour says nothing of a month";
  // Made anew today, it ran under its name before.
  const DeploymentFigures renewed = figures_of(periods(), periods().now, price, {cost()}, nullptr);
  EXPECT_EQ(renewed.forecast_micros, 25'000'000 + 39'000'000);
}

TEST(Figures, WithoutAPriceThereIsNoMoney) {
  ledger::UsageRow today;
  today.requests = 7;
  today.output_tokens = 90;
  today.ttft = ledger::LatencySummary{.requests = 6, .p50_us = 100, .p95_us = 900, .p99_us = 1'000};
  const DeploymentFigures f = figures_of(periods(), {0}, std::nullopt, {}, &today);
  EXPECT_EQ(f.currency, "");
  EXPECT_EQ(f.forecast_micros, std::nullopt);
  EXPECT_EQ(f.saved_micros, std::nullopt);
  EXPECT_EQ(f.requests, 7);
  EXPECT_EQ(f.output_tokens, 90);
  EXPECT_EQ(f.ttft_p50_us, 100);
  EXPECT_EQ(f.ttft_p95_us, 900);
  today.ttft->requests = 0;
  EXPECT_EQ(figures_of(periods(), {0}, std::nullopt, {}, &today).ttft_p50_us, std::nullopt);
}

TEST(Figures, OfTwoCurrenciesThePresentOneIsShown) {
  ledger::CostRow dollars = cost();
  dollars.currency = "USD";
  dollars.month_micros = 1;
  dollars.fee_micros = 0;
  EXPECT_EQ(figures_of(periods(), {0}, HourPrice{1, "USD"}, {cost(), dollars}, nullptr).month_micros, 1);
  EXPECT_EQ(figures_of(periods(), {0}, HourPrice{1, "EUR"}, {cost(), dollars}, nullptr).month_micros, 0);
  // By the month there is no price by the hour.
  const DeploymentFigures monthly = figures_of(periods(), {0}, std::nullopt, {cost()}, nullptr);
  EXPECT_EQ(monthly.currency, "CNY");
  EXPECT_EQ(monthly.saved_micros, std::nullopt);
}

TEST(Figures, PeriodsAreTheZonesOwn) {
  const TimeZone zone = TimeZone::load("Asia/Shanghai").value();
  const WallTime now = zone.first({.year = 2026, .month = 12, .day = 31, .hour = 1});
  const FigurePeriods p = periods_at(now, zone);
  EXPECT_EQ(p.month, "2026-12");
  EXPECT_EQ(zone.iso(p.day_begin), "2026-12-31T00:00:00+08:00");
  EXPECT_EQ(zone.iso(p.month_begin), "2026-12-01T00:00:00+08:00");
  EXPECT_EQ(zone.iso(p.month_end), "2027-01-01T00:00:00+08:00");
  ASSERT_EQ(p.days_us.size(), 7U);
  EXPECT_EQ(zone.iso({p.days_us.front()}), "2026-12-24T00:00:00+08:00");
  EXPECT_EQ(zone.iso({p.days_us.back()}), "2026-12-30T00:00:00+08:00");
}

std::vector<fleet::DeploymentStatus> fleet_with(std::vector<std::pair<std::string, std::uint64_t>> instances) {
  fleet::DeploymentStatus out;
  out.name = "chat";
  for (const auto& [id, tokens] : instances) {
    fleet::InstanceStatus& instance = out.instances.emplace_back();
    instance.instance_id = id;
    instance.generated_tokens = tokens;
  }
  return {out};
}

TEST(TokenRates, AreOfAllInstancesBetweenTwoLooks) {
  TokenRates rates;
  const auto at = [](int ms) { return MonoTime{1'000'000'000} + std::chrono::milliseconds(ms); };
  rates.observe(fleet_with({{"a", 1'000}}), at(0));
  EXPECT_EQ(rates.of("chat"), std::nullopt) << "one look";
  rates.observe(fleet_with({{"a", 1'030}, {"b", 10}}), at(1'000));
  EXPECT_EQ(rates.of("chat"), 40.0);
  EXPECT_EQ(rates.of("other"), std::nullopt);
  rates.observe(fleet_with({{"b", 30}}), at(3'000));
  EXPECT_EQ(rates.of("chat"), 10.0) << "one that ended is not subtracted";
  rates.observe(fleet_with({}), at(4'000));
  EXPECT_EQ(rates.of("chat"), 0.0);
  rates.observe(fleet_with({{"c", 500}}), at(60'000));
  EXPECT_EQ(rates.of("chat"), std::nullopt) << "nobody looked for a minute";
}

TEST(StatusFeed, IsNewWhereSomethingChangedButTheTimeAndLookedAtOnceASecond) {
  ManualClock clock;
  StatusView status;
  status.deployments.emplace_back().name = "chat";
  DeploymentView& chat = status.deployments[0];
  int looks = 0;
  StatusFeed feed(clock, [&] {
    ++looks;
    return status;
  });
  EXPECT_EQ(feed.look().version, 1);
  EXPECT_TRUE(feed.look().event.starts_with("event: status\ndata: {\"version\""));
  EXPECT_TRUE(feed.look().event.ends_with("}\n\n"));
  EXPECT_EQ(looks, 1) << "all who watch share one";
  const auto next = [&] {
    clock.advance(seconds(1));
    return feed.look().version;
  };
  status.uptime_s = 5;
  status.now_ms = 7;
  status.resident_bytes = 9;
  chat.in_state_s = 3;
  chat.since_ms = 2;
  chat.idle_left_s.reset();
  EXPECT_EQ(next(), 1);
  chat.idle_left_s = 60;
  EXPECT_EQ(next(), 2) << "it began to be idle";
  chat.idle_left_s = 59;
  EXPECT_EQ(next(), 2);
  chat.running = 1;
  EXPECT_EQ(next(), 3);
  EXPECT_NE(feed.look().event.find(R"("idle_left_s":5.9E1)"), std::string::npos) << feed.look().event;
  for (int i = 0; i < 59; ++i) EXPECT_EQ(next(), 3);
  EXPECT_EQ(next(), 4) << "what grows by time alone, once a minute";
}

TEST(StateReason, IsACodeAndWhatMoreIsKnown) {
  const auto reason = [](const char* state, const char* because, const char* failure) {
    DeploymentView d;
    d.state = state;
    d.awake_because = because;
    d.failure = failure;
    const StateReason out = reason_of(d);
    return out.code + "|" + out.detail;
  };
  EXPECT_EQ(reason("asleep", "", ""), "|");
  EXPECT_EQ(reason("ready", "request", ""), "request|");
  EXPECT_EQ(reason("ready", "min", "crashed: signal 9"), "min|") << "it recovered";
  EXPECT_EQ(reason("failed", "", "out_of_memory: needs 1.4 GB"), "out_of_memory|needs 1.4 GB");
  EXPECT_EQ(reason("backoff", "", "hung: signal 9"), "hung|signal 9");
  EXPECT_EQ(reason("backoff", "", "it needs 9 GB: choose a smaller one"),
            "start_failed|it needs 9 GB: choose a smaller one");
  EXPECT_EQ(reason("failed", "", ""), "start_failed|");
  EXPECT_EQ(reason("starting", "", "waits for memory that other deployments use"),
            "waits_for_memory|waits for memory that other deployments use");
}

TEST(OverviewWire, InstanceTypesSayWhatTheirFieldsSay) {
  const catalog::InstanceTypes types = catalog::InstanceTypes::built_in().value();
  const json::value root = json::parse(instance_types_json(types, {.memory_bytes = 7, .cores = 3}));
  const json::array& rows = root.at("instance_types").as_array();
  ASSERT_EQ(rows.size(), types.all().size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const catalog::InstanceType& type = types.all()[i];
    const json::object& row = rows[i].as_object();
    EXPECT_EQ(row.at("id").as_string(), type.name);
    EXPECT_EQ(row.at("title_zh").as_string(), type.title_zh);
    EXPECT_EQ(row.at("hour_micros").is_null(), !type.hour_micros.has_value()) << type.name;
    if (type.hour_micros.has_value()) {
      EXPECT_EQ(row.at("hour_micros").as_int64(), *type.hour_micros);
    }
    if (type.vram_gb > 0) {
      EXPECT_EQ(row.at("vram_bytes").as_int64(), type.vram_gb * 1'073'741'824);
    }
    EXPECT_EQ(row.at("vram_bytes").is_null(), type.vram_gb == 0) << type.name;
    const bool is_here = type.name == "local";
    EXPECT_EQ(row.at("cores").is_null(), !is_here) << type.name;
    if (is_here) {
      EXPECT_EQ(row.at("memory_bytes").as_int64(), 7);
    }
  }
  EXPECT_GT(look_at_this_machine().memory_bytes, 0);
  EXPECT_GT(look_at_this_machine().cores, 0);
}

TEST(OverviewWire, AStripIsInMilliseconds) {
  ledger::Strip strip;
  strip.pieces = {{1'000'000, 2'000'000, ledger::StripKind::kWaking}, {2'000'000, 5'000'000, ledger::StripKind::kBusy}};
  strip.requests_us = {1'500'999};
  strip.complete_since_us = 1'000'000;
  EXPECT_EQ(strip_json({"chat", 1'000'000, 9'000'000}, strip),
            R"({"from":1000,"to":9000,"complete_since":1000,"pieces":[{"from":1000,"to":2000,"kind":"waking"},)"
            R"({"from":2000,"to":5000,"kind":"busy"}],"requests":[1500]})");
}

}  // namespace
}  // namespace dormouse::gateway
