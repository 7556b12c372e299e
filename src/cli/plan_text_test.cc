// Goal: `dormouse plan` gives the seed's example the checked answer in both languages and in every form, and refuses
// what cannot be, naming the switch.
#include "cli/plan_text.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>

#include "cli/plan_json.h"

namespace dormouse::cli {
namespace {

PlanFlags seed() {
  PlanFlags out;
  out.requests_per_day = 800;
  out.on = "t4";
  return out;
}

Result<PlanView> plan_of(const PlanFlags& flags) {
  const Context context;
  const PriceList prices = read_prices(context, flags).value();
  return plan_on(context, flags, prices, *prices.types.find(flags.on));
}

void expect_parts(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

// Lines broken for the reader are no different words.
std::string joined(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool is_blank = c == '\n' || c == ' ';
    if (!is_blank || out.empty() || out.back() != ' ') out += is_blank ? ' ' : c;
  }
  return out;
}

TEST(PlanText, TheSeedsExampleIsNotTwentyYuan) {
  const Result<PlanView> view = plan_of(seed());
  ASSERT_TRUE(view.has_value()) << view.error().message;
  expect_parts(joined(plan_text(*view, Language::kEnglish, PlanFormat::kTerminal)),
               {"¥20.00", "15 times cheaper", "¥366.6", "¥300.00", "By the month", "203.7", "1.5 % (11.1 of 730 h)",
                "22.8 %", "12000 requests a day", "with this timer it is 83", "under 57 s", "check this price"});
  expect_parts(plan_text(*view, Language::kChinese, PlanFormat::kTerminal),
               {"粗算", "包月更省", "空等", "空闲 10 分钟后休眠"});
  expect_parts(plan_text(*view, Language::kEnglish, PlanFormat::kMarkdown),
               {"| naive estimate |", "---:|", "**Verdict** "});
}

TEST(PlanText, WhatAScheduleSavesIsNotEnough) {
  PlanFlags flags = seed();
  flags.active_hours = 9;
  const PlanWords words = plan_words(plan_of(flags).value(), Language::kEnglish);
  expect_parts(words.change, {"sleeps 15 h on each active day saves 375 h = ¥675.00", "¥8100.00 a year",
                              "225 h left cost ¥405.00", "still more than the month's ¥300.00"});
}

TEST(PlanText, TokensTakeWhatTheySpeedSays) {
  PlanFlags flags = seed();
  flags.output_tokens = 100;
  flags.tokens_per_second = 32.5;
  const PlanView view = plan_of(flags).value();
  EXPECT_NEAR(view.plan.question.traffic->service_s, 3.08, 0.005);
  EXPECT_NEAR(view.plan.rows[0].forecast.busy_s / 3'600, 17.1, 0.05);
  EXPECT_NEAR(static_cast<double>(view.plan.rows[0].micros) / 1e6, 30.8, 0.05);
  EXPECT_EQ(view.notes.size(), 1U) << "the speed was assumed, and is said";
}

TEST(PlanText, AShortTimerMakesTheHourWin) {
  PlanFlags flags = seed();
  flags.idle_timeout = "30s";
  const PlanView view = plan_of(flags).value();
  EXPECT_LT(view.plan.rows[view.plan.asked].micros, 300'000'000);
  expect_parts(plan_words(view, Language::kEnglish).verdict, {"By the hour"});
}

TEST(PlanText, WithoutAMonthlyPriceThereIsNoBreakEven) {
  PlanFlags flags = seed();
  flags.on = "a10";
  const PlanView view = plan_of(flags).value();
  EXPECT_FALSE(view.plan.break_even_hours.has_value());
  EXPECT_EQ(planner::find_row(view.plan, planner::Row::Kind::kMonthly), nullptr);
  expect_parts(plan_words(view, Language::kEnglish).verdict, {"no monthly price"});
}

TEST(PlanText, AMeasuredTraceIsReplayedAsItWas) {
  // 10 days, 100 requests of 3 s each, every 5 minutes: with a timer of a minute each wakes it anew, and keeps it awake
  // for 30 + 3 + 60 s.
  const std::string path = testing::TempDir() + "/plan_text_trace.csv";
  std::ofstream file(path);
  file << "t_s,service_s\n";
  for (int day = 0; day < 10; ++day) {
    for (int i = 0; i < 100; ++i) file << day * 86'400 + i * 300 << ",3\n";
  }
  file.close();
  PlanFlags flags;
  flags.on = "t4";
  flags.trace = path;
  flags.idle_timeout = "60s";
  const Result<PlanView> view = plan_of(flags);
  ASSERT_TRUE(view.has_value()) << view.error().message;
  const double months = 10 / (730.0 / 24);
  EXPECT_NEAR(view->plan.rows[view->plan.asked].forecast.awake_s * months, 1'000 * 93, 1);
  EXPECT_NEAR(view->plan.rows[0].forecast.busy_s * months, 3'000, 1);
  EXPECT_FALSE(view->plan.hourly_wins_below_s.has_value()) << "a formula of random arrivals says nothing of these";
  expect_parts(plan_text(*view, Language::kEnglish, PlanFormat::kTerminal), {"1,000 measured requests in 10 day(s)"});
}

TEST(PlanText, EveryFormHasTheSameNumbers) {
  const PlanView view = plan_of(seed()).value();
  const boost::json::object got = boost::json::parse(plan_json(view, std::nullopt)).as_object().at("plan").as_object();
  const boost::json::array& rows = got.at("rows").as_array();
  ASSERT_EQ(rows.size(), view.plan.rows.size());
  EXPECT_EQ(rows[1].at("micros").to_number<std::int64_t>(), view.plan.rows[1].micros);
  const double parts = rows[1].at("busy_s").to_number<double>() + rows[1].at("waking_s").to_number<double>() +
                       rows[1].at("idle_s").to_number<double>();
  EXPECT_NEAR(parts, rows[1].at("awake_s").to_number<double>(), 1);
  EXPECT_EQ(got.at("currency"), "CNY");
  const std::string csv = plan_csv(view);
  expect_parts(csv,
               {"kind,idle_timeout_s", "\r\nnaive,,,11.1111,11.1111,", ",20.000000,CNY,", "\r\ntimer,600,30,203.6"});
}

TEST(PlanText, WhatCannotBeIsRefusedByItsSwitch) {
  struct Case {
    const char* says;
    void (*spoil)(PlanFlags& flags);
  };
  const Case cases[] = {
      {"requests per day", [](PlanFlags& f) { f.requests_per_day = -1; }},
      {"requests per day", [](PlanFlags& f) { f.requests_per_day = NAN; }},
      {"more than 10,000,000", [](PlanFlags& f) { f.requests_per_day = 1e9; }},
      {"seconds per request", [](PlanFlags& f) { f.seconds_per_request = -2; }},
      {"milliseconds?", [](PlanFlags& f) { f.seconds_per_request = 200'000; }},
      {"active days", [](PlanFlags& f) { f.active_days = 32; }},
      {"active hours", [](PlanFlags& f) { f.active_hours = 25; }},
      {"active hours", [](PlanFlags& f) { f.active_hours = -1; }},
      {"do not fit", [](PlanFlags& f) { f.requests_per_day = 20'000; }},
      {"--idle-timeout", [](PlanFlags& f) { f.idle_timeout = "soon"; }},
      {"--wake", [](PlanFlags& f) { f.wake = "-3s"; }},
      {"slots", [](PlanFlags& f) { f.slots = -1; }},
      {"more than the context", [](PlanFlags& f) { f.output_tokens = 50'000; }},
      {"give one", [](PlanFlags& f) { f.output_tokens = 100, f.seconds_per_request = 2; }},
      {"no price by the hour", [](PlanFlags& f) { f.on = "local"; }},
      {"--trace: cannot read", [](PlanFlags& f) { f.trace = "/nonexistent.csv"; }},
  };
  for (const Case& c : cases) {
    PlanFlags flags = seed();
    c.spoil(flags);
    const Result<PlanView> view = plan_of(flags);
    ASSERT_FALSE(view.has_value()) << c.says;
    EXPECT_EQ(view.error().code, Code::kInvalidArgument);
    EXPECT_NE(view.error().message.find(c.says), std::string::npos) << view.error().message;
  }
}

TEST(Wrapped, LinesBreakAtBlanksAndBetweenWideCharacters) {
  EXPECT_EQ(wrapped("one two three", 7, 2), "one two\n  three");
  EXPECT_EQ(wrapped("按小时更省。", 8, 0), "按小时更\n省。");
  EXPECT_EQ(wrapped("按小时，更省", 6, 1), "按小\n 时，\n 更省") << "never before a comma";
}

}  // namespace
}  // namespace dormouse::cli
