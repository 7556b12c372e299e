// Goal: what the admin API says of a month that is in the ledger, and of assumptions; every wrong parameter is named.
// Method: the whole gateway without sockets (plan_fixture.h); a month whose bill can be counted by hand.
#include <boost/json.hpp>

#include "gateway/plan_fixture.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

class PlanApiTest : public PlanFixture {
 protected:
  MeasuredPlan plan(const std::string& query) {
    const http::Response got = ask("GET", "/admin/v1/plan", query);
    EXPECT_EQ(got.status, 200) << got.body;
    return parse_measured_plan(got.body).value();
  }
  // The parameter that a refusal names.
  static std::string named(const http::Response& response) {
    EXPECT_EQ(response.status, 400) << response.body;
    const json::value error = json::parse(response.body).at("error");
    return error.at("param").is_string() ? std::string(error.at("param").as_string()) : std::string();
  }
};

TEST_F(PlanApiTest, AMeasuredPlanIsTheMonthReplayed) {
  write_days("chat", 1, 30);
  open(moment(12, 1));
  const MeasuredPlan got = plan("deployment=chat");
  EXPECT_EQ(got.deployment, "chat");
  EXPECT_EQ(got.time_zone, "Asia/Shanghai");
  EXPECT_EQ(got.requests, 1'200);
  EXPECT_EQ(got.input_tokens, 36'000);
  EXPECT_EQ(got.output_tokens, 48'000);
  EXPECT_NEAR(got.days, 30, 1e-6);
  EXPECT_EQ(got.most_at_once, 1);
  EXPECT_EQ(got.most_instances, 1);
  EXPECT_EQ(got.wake.wakes, 120);
  EXPECT_DOUBLE_EQ(got.wake.median_s, 10);
  EXPECT_FALSE(got.is_cut);
  EXPECT_EQ(got.report.terms.currency, "CNY");
  EXPECT_EQ(got.report.terms.instance_type, "t4");
  const planner::Plan& p = got.report.plan;
  EXPECT_EQ(p.question.tariff.month_micros, 300'000'000);
  EXPECT_DOUBLE_EQ(p.question.timer.wake_s, 10);
  const planner::Row& asked = p.rows.at(p.asked);
  EXPECT_DOUBLE_EQ(asked.timer.idle_timeout_s, 600);
  // 120 sessions of 782 s at 500 micro-units a second, as a month of 730 hours.
  EXPECT_NEAR(static_cast<double>(asked.micros), 120 * 782 * 500 * 730.0 / 720, 5);
  EXPECT_NEAR(asked.forecast.awake_s, 120 * 782 * 730.0 / 720, 0.01);
  EXPECT_NEAR(asked.forecast.cold_share, 0.1, 1e-9);
  EXPECT_EQ(got.advice.idle_timeout, "20s");
  const MeasuredPlan shorter = plan("deployment=chat&idle_timeout=60s&wake=5s&days=10&on=a10");
  const planner::Row& minute = shorter.report.plan.rows.at(shorter.report.plan.asked);
  EXPECT_EQ(shorter.requests, 400);
  EXPECT_DOUBLE_EQ(minute.timer.idle_timeout_s, 60);
  EXPECT_DOUBLE_EQ(minute.timer.wake_s, 5);
  // The first request of a session waits 5 s and ends at 7 s; the last ends at 182 s as before.
  EXPECT_NEAR(static_cast<double>(minute.micros), 40 * 242 * 3.5e6 / 3'600 * 730 / 240, 5);
  EXPECT_EQ(shorter.report.terms.instance_type, "a10");
}

TEST_F(PlanApiTest, ItsChangeIsWhatPatchTakes) {
  write_days("chat", 1, 30);
  open(moment(12, 1));
  const http::Response got = ask("GET", "/admin/v1/plan", "deployment=chat");
  const std::string change = json::serialize(json::parse(got.body).at("advice").at("change"));
  EXPECT_EQ(change, R"({"idle_timeout":"20s"})");
  const http::Response patched = ask("PATCH", "/admin/v1/deployments/chat", "", change);
  ASSERT_EQ(patched.status, 200) << patched.body;
  EXPECT_EQ(book_.find("chat")->rules.idle_timeout, std::chrono::seconds(20));
  EXPECT_EQ(plan("deployment=chat").advice.verdict, Verdict::kBest) << "taken, it is not given again";
  PlanAdvice all;
  all.idle_timeout = "7500ms";
  all.max = 2;
  all.awake = std::vector<std::string>{"Mon-Fri 08:59-17:00 +08:00"};
  ASSERT_EQ(ask("PATCH", "/admin/v1/deployments/chat", "", change_json(all)).status, 200);
  EXPECT_EQ(book_.find("chat")->rules.max_instances, 2);
  EXPECT_EQ(book_.find("chat")->rules.awake, *all.awake);
}

TEST_F(PlanApiTest, AWrongParameterIsNamed) {
  write_days("chat", 1, 1);
  open(moment(11, 2));
  const auto refused = [&](const std::string& query) { return named(ask("GET", "/admin/v1/plan", query)); };
  EXPECT_EQ(refused(""), "deployment");
  for (const auto& [parameter, value] : std::vector<std::pair<std::string, const char*>>{{"days", "0"},
                                                                                         {"days", "367"},
                                                                                         {"days", "ten"},
                                                                                         {"on", "h9000"},
                                                                                         {"idle_timeout", "soon"},
                                                                                         {"wake", "-1s"},
                                                                                         {"wake", "3d"},
                                                                                         {"time_zone", "Mars/Base"},
                                                                                         {"cold_share", "1.5"},
                                                                                         {"cold_share", "nan"},
                                                                                         {"p99", "fast"}}) {
    EXPECT_EQ(refused("deployment=chat&" + parameter + "=" + value), parameter) << value;
  }
  EXPECT_EQ(refused("deployment=chat&on=local"), "on") << "this machine has no price";
  EXPECT_EQ(ask("GET", "/admin/v1/plan", "deployment=nobody").status, 404);
  EXPECT_EQ(plan("deployment=chat").advice.verdict, Verdict::kTooFewDays);
  clock_.set(moment(12, 25));
  EXPECT_EQ(refused("deployment=chat&days=1"), "days") << "nothing came in it";
  EXPECT_EQ(named(ask("GET", "/admin/v1/advice", "limit=0")), "limit");
  EXPECT_EQ(named(ask("GET", "/admin/v1/advice", "kind=daily")), "kind");
}

TEST_F(PlanApiTest, AssumptionsAreAnsweredAlike) {
  open(moment(12, 1));
  const http::Response got =
      ask("POST", "/admin/v1/plan", "",
          R"({"requests_per_day":800,"seconds_per_request":2,"active_days":25,"active_hours":8,"idle_timeout":"10m",)"
          R"("wake":30,"instance_type":"t4"})");
  ASSERT_EQ(got.status, 200) << got.body;
  const PlanReport report = parse_measured_plan(got.body).value().report;
  EXPECT_DOUBLE_EQ(report.plan.question.traffic->requests_per_day, 800);
  // docs/cost_model.md: 203.7 hours of 1.80 CNY, against 300 a month.
  EXPECT_NEAR(report.plan.rows.at(report.plan.asked).forecast.awake_s / 3'600, 203.7, 0.2);
  EXPECT_NEAR(static_cast<double>(report.plan.rows.at(report.plan.asked).micros), 366.6e6, 0.4e6);
  for (const auto& [parameter, body] : std::vector<std::pair<const char*, const char*>>{
           {"requests_per_day", R"({"instance_type":"t4"})"},
           {"requests_per_day", R"({"requests_per_day":"many","instance_type":"t4"})"},
           {"requests_per_day", R"({"requests_per_day":100000,"instance_type":"t4"})"},
           {"seconds_per_request", R"({"requests_per_day":8,"seconds_per_request":0,"instance_type":"t4"})"},
           {"active_days", R"({"requests_per_day":8,"active_days":32,"instance_type":"t4"})"},
           {"active_hours", R"({"requests_per_day":8,"active_hours":25,"instance_type":"t4"})"},
           {"idle_timeout", R"({"requests_per_day":8,"idle_timeout":"x","instance_type":"t4"})"},
           {"wake", R"({"requests_per_day":8,"wake":-1,"instance_type":"t4"})"},
           {"slots", R"({"requests_per_day":8,"slots":0,"instance_type":"t4"})"},
           {"instance_type", R"({"requests_per_day":8})"},
           {"instance_type", R"({"requests_per_day":8,"instance_type":"local"})"},
           {"requestsPerDay", R"({"requestsPerDay":8,"instance_type":"t4"})"}}) {
    EXPECT_EQ(named(ask("POST", "/admin/v1/plan", "", body)), parameter) << body;
  }
  // One at a time, 15,000 requests of two seconds a day do not fit into eight hours.
  const http::Response full =
      ask("POST", "/admin/v1/plan", "", R"({"requests_per_day":15000,"active_days":20,"instance_type":"t4"})");
  EXPECT_EQ(full.status, 400);
  EXPECT_NE(full.body.find("slots"), std::string::npos) << full.body;
}

}  // namespace
}  // namespace dormouse::gateway
