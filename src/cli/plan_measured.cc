#include "cli/plan_measured.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "catalog/deployment_rules.h"
#include "cli/admin_client.h"
#include "cli/plan_text.h"
#include "gateway/admin/plan_wire.h"
#include "gateway/admin/query_string.h"
#include "gateway/admin_wire.h"

namespace dormouse::cli {
namespace {

using gateway::Choice;
using gateway::MeasuredPlan;
using gateway::PlanAdvice;

// The one there is, where none was named.
Result<std::string> deployment_of(Context& context, AdminClient& client, const PlanFlags& flags) {
  if (!flags.measured.empty()) return flags.measured;
  TRY(const std::string body, client.get("/admin/v1/status"));
  TRY(const gateway::StatusView status, gateway::parse_status(body));
  if (status.deployments.size() == 1) return status.deployments.front().name;
  std::string names;
  for (const gateway::DeploymentView& one : status.deployments) names += (names.empty() ? "" : ", ") + one.name;
  return make_error(Code::kInvalidArgument,
                    fmt::format(fmt::runtime(context.say("--measured: which one of {}?", "--measured：请指定 {} 之一")),
                                names.empty() ? "-" : names));
}

std::string target_of(const PlanFlags& flags, const std::string& deployment) {
  std::string out = "/admin/v1/plan?deployment=" + gateway::percent_encode(deployment);
  const auto add = [&out](const char* name, const std::string& value) {
    out += fmt::format("&{}={}", name, gateway::percent_encode(value));
  };
  add("days", std::to_string(flags.days));
  if (!flags.on.empty()) add("on", flags.on);
  if (flags.idle_timeout.has_value()) add("idle_timeout", *flags.idle_timeout);
  if (flags.wake.has_value()) add("wake", *flags.wake);
  if (flags.most_cold_percent >= 0) add("cold_share", fmt::format("{:g}", flags.most_cold_percent / 100));
  if (flags.most_p99_s >= 0) add("p99", fmt::format("{}ms", static_cast<std::int64_t>(flags.most_p99_s * 1'000)));
  return out;
}

PlanView view_of(const Context& context, const MeasuredPlan& m) {
  PlanView out;
  out.plan = m.report.plan;
  out.currency = m.report.terms.currency;
  out.type.name = m.report.terms.instance_type;
  if (const Result<catalog::InstanceTypes> types = catalog::InstanceTypes::built_in(); types.has_value()) {
    if (const catalog::InstanceType* known = types->find(out.type.name); known != nullptr) out.type = *known;
  }
  out.type.source.clear();  // the server's price, which may be its owner's
  out.type.date.clear();
  out.asked_for = fmt::format(fmt::runtime(context.say("{}: {} measured requests in {:.1f} days, up to {} at once",
                                                       "{}：实测 {} 次请求，{:.1f} 天，最多同时 {} 个")),
                              m.deployment, grouped(m.requests), m.days, m.most_at_once);
  if (m.wake.median_s > 0) {
    out.notes.push_back(fmt::format(fmt::runtime(context.say("measured: a wake takes {:.2f} s (p95 {:.2f} s, {} wakes)",
                                                             "实测：唤醒 {:.2f} 秒（p95 {:.2f} 秒，共 {} 次）")),
                                    m.wake.median_s, m.wake.p95_s, m.wake.wakes));
  }
  if (m.interval.has_value()) {
    out.notes.push_back(fmt::format(
        fmt::runtime(context.say("a month like these {} days costs {} to {}, with 90 % confidence",
                                 "按这 {} 天推算，每月费用有 90 % 的把握在 {} 到 {} 之间")),
        m.interval->days, money_text(out, m.interval->low_micros), money_text(out, m.interval->high_micros)));
  }
  if (m.is_cut) out.notes.emplace_back(context.say("only the latest requests were read", "只读取了最近的请求"));
  if (m.refused > 0) {
    out.notes.push_back(
        fmt::format(fmt::runtime(context.say("{} more were refused for want of room", "另有 {} 次因容量不足被拒绝")),
                    grouped(m.refused)));
  }
  if (m.requests > 0) out.gap_s = m.days * 86'400 / static_cast<double>(m.requests);
  return out;
}

std::string windows_text(const std::vector<std::string>& windows) {
  std::string out;
  for (const std::string& window : windows) out += (out.empty() ? "" : "; ") + window;
  return out.empty() ? "-" : out;
}

std::string verdict_text(const Context& context, const PlanAdvice& advice) {
  switch (advice.verdict) {
    case gateway::Verdict::kChange: return std::string(context.say("Change this:", "建议修改："));
    case gateway::Verdict::kBest: return std::string(context.say("As it is set is best.", "现在的设置就是最好的。"));
    case gateway::Verdict::kUnreachable:
      return std::string(context.say("No setting reaches the goal.", "没有设置能达到目标。"));
    case gateway::Verdict::kTooFewDays:
      return fmt::format(fmt::runtime(context.say("Too early for advice: {:.1f} days were measured, five are needed.",
                                                  "数据还不够：只有 {:.1f} 天，至少需要五天。")),
                         advice.days);
    case gateway::Verdict::kNoRequests:
      return std::string(context.say("Nothing was asked in that time.", "这段时间没有请求。"));
    case gateway::Verdict::kUnpriced:
      return std::string(
          context.say("No price is known of its type: give it one with [[instance]] in dormouse.toml, or --on TYPE.",
                      "不知道该类型的价格：请在 dormouse.toml 的 [[instance]] 中给出，或用 --on 类型。"));
    case gateway::Verdict::kSeveralInstances:
      return std::string(context.say("Several instances ran at a time; advice is of one so far.",
                                     "有多个实例同时运行，目前只能对单个实例给出建议。"));
  }
  return {};
}

std::string why_text(const Context& context, const gateway::Why& why) {
  const char* english = "";
  const char* chinese = "";
  double number = why.number * 100;
  switch (why.reason) {
    case gateway::Reason::kWaiting:
      english = "{:.0f} % of the time awake is waiting";
      chinese = "运行时间的 {:.0f} % 是空等";
      break;
    case gateway::Reason::kOfficeHours:
      english = "{:.0f} % of the requests lie inside that window";
      chinese = "{:.0f} % 的请求落在该时段内";
      break;
    case gateway::Reason::kGoal:
      english = "{:.1f} % of the requests are cold as it is";
      chinese = "目前 {:.1f} % 的请求是冷请求";
      break;
    case gateway::Reason::kUnusedInstances:
      english = "never more than {:.0f} were awake at once";
      chinese = "同时运行的从未超过 {:.0f} 个";
      number = why.number;
      break;
  }
  return fmt::format(fmt::runtime(context.say(english, chinese)), number);
}

// What changes, as `set` shows it.
std::string change_text(const MeasuredPlan& m) {
  std::string out;
  const auto line = [&out](const char* key, const std::string& before, const std::string& after) {
    out += fmt::format("  {:<16} {} -> {}\n", key, before.empty() ? "-" : before, after);
  };
  if (m.advice.idle_timeout.has_value()) line("idle_timeout", catalog::idle_text(m.rules), *m.advice.idle_timeout);
  if (m.advice.awake.has_value()) line("awake", windows_text(m.rules.awake), windows_text(*m.advice.awake));
  if (m.advice.max.has_value()) line("max", std::to_string(m.rules.max_instances), std::to_string(*m.advice.max));
  return out;
}

std::string advice_text(const Context& context, const PlanView& view, const MeasuredPlan& m) {
  const PlanAdvice& advice = m.advice;
  std::string out =
      std::string(context.say("Advice   ", "建议     ")) + verdict_text(context, advice) + "\n" + change_text(m);
  if (advice.verdict == gateway::Verdict::kChange && advice.now.has_value() && advice.then.has_value()) {
    const Choice& now = *advice.now;
    const Choice& then = *advice.then;
    out +=
        fmt::format(fmt::runtime(context.say(
                        "  saves {} a month ({} instead of {}); cold {:.1f} % -> {:.1f} %, p99 {:.1f} s -> {:.1f} s\n",
                        "  每月省 {}（{}，原为 {}）；冷请求 {:.1f} % -> {:.1f} %，p99 {:.1f} 秒 -> {:.1f} 秒\n")),
                    money_text(view, advice.saving_micros), money_text(view, then.micros), money_text(view, now.micros),
                    now.cold_share * 100, then.cold_share * 100, now.p99_s, then.p99_s);
  }
  for (const gateway::Why& why : advice.why) out += "  " + why_text(context, why) + "\n";
  if (advice.monthly.has_value() && advice.then.has_value() && advice.monthly->micros < advice.then->micros) {
    out += fmt::format(fmt::runtime(context.say("  by the month it would be {}\n", "  包月则为 {}\n")),
                       money_text(view, advice.monthly->micros));
  }
  return out;
}

// The last month's regret, if it was kept.
std::string hindsight_text(const Context& context, AdminClient& client, const std::string& deployment) {
  const Result<std::string> body =
      client.get("/admin/v1/advice?kind=regret&limit=1&deployment=" + gateway::percent_encode(deployment));
  if (!body.has_value()) return {};
  const Result<std::vector<ledger::AdviceRecord>> rows = gateway::parse_advice_list(*body);
  if (!rows.has_value() || rows->empty()) return {};
  const Result<gateway::Hindsight> past = gateway::parse_hindsight(rows->front().body);
  if (!past.has_value() || !past->best.has_value() || !past->paid_micros.has_value()) return {};
  const Choice& best = *past->best;
  const std::string plan =
      best.kind == Choice::Kind::kMonthly
          ? std::string(context.say("by the month", "包月"))
          : fmt::format(fmt::runtime(context.say("a timer of {:.3g} s", "休眠时间 {:.3g} 秒")), best.idle_timeout_s);
  return fmt::format(fmt::runtime(context.say("Hindsight {}: the best plan was {}: {}, you paid {}\n",
                                              "回顾 {}：最好的方案是{}：{}，实付 {}\n")),
                     past->month, plan, to_display(Money{best.micros, past->currency}),
                     to_display(Money{*past->paid_micros, past->currency}));
}

void apply(Context& context, AdminClient& client, const MeasuredPlan& m) {
  const std::string change = gateway::change_json(m.advice);
  if (change == "{}") {
    fmt::print("{}\n", context.say("nothing to change", "无需修改"));
    return;
  }
  const Result<std::string> body =
      client.patch("/admin/v1/deployments/" + gateway::percent_encode(m.deployment), change);
  if (!body.has_value()) return report_failure(context, body.error());
  const Result<gateway::DeploymentView> after = gateway::parse_deployment(*body);
  if (!after.has_value()) return report_failure(context, after.error());
  fmt::print("{}\n", context.say("changed", "已修改"));
  if (!after->defined_by.empty()) {
    fmt::print(fmt::runtime(context.say("  until the next start, which makes it anew from {}\n",
                                        "  仅到下次启动为止：届时按 {} 重新定义\n")),
               after->defined_by);
  }
}

void show(const Context& context, const MeasuredPlan& m, const std::string& format) {
  const PlanView view = view_of(context, m);
  if (format == "csv") {
    fmt::print("{}", plan_csv(view));
    return;
  }
  const PlanFormat form = format == "md" ? PlanFormat::kMarkdown : PlanFormat::kTerminal;
  if (!view.plan.rows.empty()) fmt::print("{}\n", plan_text(view, context.language, form));
  fmt::print("{}", advice_text(context, view, m));
}

}  // namespace

void plan_measured(Context& context, const PlanFlags& flags) {
  AdminClient client(context.admin_socket());
  const Result<std::string> deployment = deployment_of(context, client, flags);
  if (!deployment.has_value()) return report_failure(context, deployment.error());
  const Result<std::string> body = client.get(target_of(flags, *deployment));
  if (!body.has_value()) return report_failure(context, body.error());
  const Result<MeasuredPlan> measured = gateway::parse_measured_plan(*body);
  if (!measured.has_value()) return report_failure(context, measured.error());
  if (flags.format == "json") {
    fmt::print("{}\n", *body);
  } else {
    show(context, *measured, flags.format);
    if (flags.format != "csv") fmt::print("{}", hindsight_text(context, client, *deployment));
  }
  if (flags.is_applied) return apply(context, client, *measured);
  if (flags.format != "json" && gateway::change_json(measured->advice) != "{}") {
    fmt::print("  dormouse plan --measured {} --apply\n", *deployment);
  }
}

}  // namespace dormouse::cli
