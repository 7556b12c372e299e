// Goal: advice and regret come when they are due, once, with the numbers of the ledger, whatever was stopped in
// between. Method: plan_fixture.h; November 2026, whose first is a Sunday and whose 30th a Monday.
#include "gateway/advice_task.h"

#include "gateway/plan_fixture.h"

namespace dormouse::gateway {
namespace {

class AdviceTaskTest : public PlanFixture {
 protected:
  // As after a start: a task that knows of nothing done.
  Status run_due() {
    AdviceTask task(io_, clock_, *ledger_, book_, *plans_, {.zone = zone_});
    return run(task.run_due());
  }
  std::vector<ledger::AdviceRecord> kept(const std::string& query = "") {
    const http::Response got = ask("GET", "/admin/v1/advice", query);
    EXPECT_EQ(got.status, 200) << got.body;
    return parse_advice_list(got.body).value();
  }
};

TEST_F(AdviceTaskTest, MondayAtFourAndTheFirstAtFour) {
  write_days("chat", 1, 30);
  open(moment(11, 30, 3, 59));
  ASSERT_TRUE(run_due().has_value());
  ASSERT_EQ(kept().size(), 1U) << "of the week before";
  EXPECT_EQ(kept()[0].period_end_us, moment(11, 23));
  clock_.set(moment(11, 30, 4));
  ASSERT_TRUE(run_due().has_value());
  ASSERT_EQ(kept().size(), 2U);
  const ledger::AdviceRecord weekly = kept()[0];
  EXPECT_EQ(weekly.kind, ledger::AdviceKind::kWeekly);
  EXPECT_EQ(weekly.deployment, "chat");
  EXPECT_EQ(weekly.period_begin_us, moment(11, 1)) << "it was made then, not 30 days before";
  EXPECT_EQ(weekly.period_end_us, moment(11, 30));
  // Four sessions a day of 782 s, or of 202 s with a timeout of 20 s; a month has 730 / 24 days.
  EXPECT_NEAR(static_cast<double>(weekly.paid_micros.value()), 4 * 782 * 500 * 730.0 / 24, 2);
  EXPECT_NEAR(static_cast<double>(weekly.best_micros.value()), 4 * 202 * 500 * 730.0 / 24, 2);
  EXPECT_EQ(weekly.currency, "CNY");
  const PlanAdvice advice = parse_advice(weekly.body).value();
  EXPECT_EQ(advice.idle_timeout, "20s");
  EXPECT_EQ(advice.requests, 29 * 40);
  clock_.set(moment(12, 1, 3, 59));
  ASSERT_TRUE(run_due().has_value());
  EXPECT_EQ(kept("kind=regret").size(), 0U);
  clock_.set(moment(12, 1, 4));
  ASSERT_TRUE(run_due().has_value());
  ASSERT_EQ(kept("kind=regret").size(), 1U);
  const ledger::AdviceRecord regret = kept("kind=regret")[0];
  EXPECT_EQ(regret.period_begin_us, moment(11, 1));
  EXPECT_EQ(regret.period_end_us, moment(12, 1));
  EXPECT_EQ(regret.paid_micros, 120 * 782 * 500) << "46.92 CNY, by the bill";
  EXPECT_EQ(regret.best_micros, 120 * 202 * 500);
  EXPECT_EQ(parse_hindsight(regret.body)->month, "2026-11");
  EXPECT_TRUE(driver_.starts.empty()) << "nothing was woken";
}

TEST_F(AdviceTaskTest, WhatWasMissedIsCaughtUpWithAndNothingIsMadeTwice) {
  write_days("chat", 1, 30);
  open(moment(12, 5, 12));  // a Saturday: Monday and the first passed unseen
  ASSERT_TRUE(run_due().has_value());
  const std::vector<ledger::AdviceRecord> first = kept();
  ASSERT_EQ(first.size(), 2U);
  clock_.set(moment(12, 5, 13));
  ASSERT_TRUE(run_due().has_value());
  const std::vector<ledger::AdviceRecord> second = kept();
  ASSERT_EQ(second.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(second[i].at_us, first[i].at_us);
  EXPECT_EQ(kept("deployment=other").size(), 0U);
  EXPECT_EQ(kept("limit=1").size(), 1U);
}

TEST_F(AdviceTaskTest, WithoutAPriceOrWithTooFewDaysItSaysSo) {
  write_deployment("mine", moment(11, 1));
  write_days("mine", 1, 28, Priced::kNo);
  write_deployment("young", moment(11, 29));
  write_session("young", moment(11, 29, 2), Priced::kYes);
  open(moment(12, 1, 4));
  deploy("mine", "local");
  deploy("young", "t4");
  ASSERT_TRUE(run_due().has_value());
  for (const ledger::AdviceRecord& row : kept("deployment=mine")) {
    EXPECT_NE(row.body.find(R"("verdict":"unpriced")"), std::string::npos) << row.body;
    EXPECT_FALSE(row.paid_micros.has_value()) << "not known is not nothing";
    EXPECT_FALSE(row.best_micros.has_value());
  }
  EXPECT_EQ(kept("deployment=mine").size(), 2U);
  ASSERT_EQ(kept("deployment=young&kind=weekly").size(), 1U);
  EXPECT_EQ(parse_advice(kept("deployment=young&kind=weekly")[0].body)->verdict, Verdict::kTooFewDays);
  // Its month was two days old, and is known whole: 0.391 CNY of one session, or a timeout of 20 s.
  const ledger::AdviceRecord regret = kept("deployment=young&kind=regret")[0];
  EXPECT_EQ(regret.paid_micros, 391'000);
  EXPECT_EQ(regret.best_micros, 202 * 500);
}

TEST_F(AdviceTaskTest, OneThatWasNotThereYetHasNoAdvice) {
  open(moment(12, 1));
  deploy("new", "t4");
  clock_.set(moment(12, 1, 4));
  ASSERT_TRUE(run_due().has_value());
  EXPECT_TRUE(kept("deployment=new").empty());
}

}  // namespace
}  // namespace dormouse::gateway
