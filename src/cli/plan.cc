// `dormouse plan`: what it would cost, before anything is rented. Needs no server.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <utility>

#include "catalog/config_file.h"
#include "cli/plan_text.h"
#include "cli/table.h"
#include "cli/verbs.h"

namespace dormouse::cli {
namespace {

struct PlanFlags {
  double requests_per_day = 0;
  double seconds_per_request = 2;
  double active_days = 25;
  double active_hours = 8;
  std::string idle_timeout = "10m";
  std::string wake = "30s";
  std::string on;
  std::string trace;
  double tokens_per_second = 0;  // 0: the instance type's
  int slots = 1;
  std::string config;
  std::string format = "table";
};

void fail(Context& context, const Error& error) {
  fmt::print(stderr, "{}\n", error.message);
  context.exit_code = kExitUsage;
}

Result<catalog::InstanceTypes> known_types(const Context& context, const PlanFlags& flags) {
  TRY(catalog::InstanceTypes types, catalog::InstanceTypes::built_in());
  const std::string path = flags.config.empty() ? context.data_dir + "/dormouse.toml" : flags.config;
  const Result<catalog::ConfigFile> config = catalog::read_config(path);
  if (!config.has_value()) {
    const bool may_be_absent = flags.config.empty() && config.error().code == Code::kNotFound;
    if (!may_be_absent) return config.error();
    return types;
  }
  for (const catalog::InstanceType& type : config->instances) types.put(type);
  return types;
}

Result<PlanQuestion> question_of(const PlanFlags& flags) {
  PlanQuestion out;
  out.traffic = {flags.requests_per_day, flags.seconds_per_request, flags.active_days, flags.active_hours};
  TRY(const std::chrono::milliseconds timeout, catalog::parse_duration(flags.idle_timeout));
  TRY(const std::chrono::milliseconds wake, catalog::parse_duration(flags.wake));
  out.timer = {std::chrono::duration<double>(timeout).count(), std::chrono::duration<double>(wake).count(),
               flags.slots};
  return out;
}

// A prompt's tokens are read together: on small cards some twenty times as fast as an answer's are made.
constexpr double kPromptSpeedup = 20;

Status add_trace(const Context& context, const PlanFlags& flags, PlanQuestion& question) {
  std::ifstream file(flags.trace, std::ios::binary);
  if (!file) return make_error(Code::kInvalidArgument, fmt::format("cannot read {}", flags.trace));
  std::stringstream text;
  text << file.rdbuf();
  const double speed = flags.tokens_per_second > 0 ? flags.tokens_per_second : question.type.tokens_per_second;
  std::optional<planner::TokenSpeeds> speeds;
  if (speed > 0) speeds = planner::TokenSpeeds{speed * kPromptSpeedup, speed};
  TRY(question.trace, planner::parse_trace(text.str(), speeds));
  if (text.str().find("service_s") < text.str().find('\n')) return {};
  question.trace_note = fmt::format(
      fmt::runtime(context.say("assumed: {:g} tokens/s of an answer, {:g} of a prompt (--tokens-per-second)",
                               "假设：回答每秒 {:g} 词元，提示词每秒 {:g} 词元（--tokens-per-second）")),
      speed, speed * kPromptSpeedup);
  return {};
}

// Without --on: all there are, the cheapest first.
void rank(Context& context, const catalog::InstanceTypes& types, const PlanQuestion& question) {
  std::vector<Plan> plans;
  for (const catalog::InstanceType& type : types.all()) {
    if (!type.hour_micros.has_value()) continue;
    PlanQuestion one = question;
    one.type = type;
    Result<Plan> plan = make_plan(std::move(one));
    if (!plan.has_value()) return fail(context, plan.error());
    plans.push_back(*std::move(plan));
  }
  const auto cheapest = [](const Plan& plan) {
    return std::min(plan.rows[plan.asked].micros, plan.prices.month_micros.value_or(INT64_MAX));
  };
  std::stable_sort(plans.begin(), plans.end(),
                   [&cheapest](const Plan& a, const Plan& b) { return cheapest(a) < cheapest(b); });
  using Align = Table::Align;
  const bool zh = context.language == Language::kChinese;
  Table table(zh ? std::vector<std::string>{"类型", "粗算", "按小时", "包月"}
                 : std::vector<std::string>{"TYPE", "NAIVE", "BY THE HOUR", "BY THE MONTH"},
              {Align::kLeft, Align::kRight, Align::kRight, Align::kRight});
  for (const Plan& plan : plans) {
    const auto money = [&plan](std::int64_t micros) { return to_display(Money{micros, plan.question.type.currency}); };
    table.add({plan.question.type.name, money(plan.rows[0].micros), money(plan.rows[plan.asked].micros),
               plan.prices.month_micros.has_value() ? money(*plan.prices.month_micros) : "–"});
  }
  fmt::print("{}\n{}\n", table.text(),
             context.say("All with the same seconds a request; --on TYPE shows one in full.",
                         "均按相同的单次耗时估算；用 --on 类型 查看详情。"));
}

void plan(Context& context, const PlanFlags& flags) {
  const Result<catalog::InstanceTypes> types = known_types(context, flags);
  if (!types.has_value()) return fail(context, types.error());
  Result<PlanQuestion> question = question_of(flags);
  if (!question.has_value()) return fail(context, question.error());
  if (flags.trace.empty() && flags.requests_per_day == 0) {
    return fail(context, make_error(Code::kInvalidArgument, "want --requests-per-day, or --trace FILE.csv"));
  }
  if (flags.slots < 1 || flags.slots > 1'024) {
    return fail(context, make_error(Code::kInvalidArgument, "--slots: want 1 to 1024"));
  }
  if (flags.on.empty() && !flags.trace.empty()) {
    return fail(context, make_error(Code::kInvalidArgument, "--trace: say on what, --on t4"));
  }
  if (flags.on.empty()) return rank(context, *types, *question);
  const catalog::InstanceType* const type = types->find(flags.on);
  if (type == nullptr) {
    std::string names;
    for (const catalog::InstanceType& known : types->all()) names += (names.empty() ? "" : ", ") + known.name;
    return fail(context, make_error(Code::kInvalidArgument,
                                    fmt::format("no instance type '{}'; there are: {}", flags.on, names)));
  }
  question->type = *type;
  if (!flags.trace.empty()) {
    const Status read = add_trace(context, flags, *question);
    if (!read.has_value()) return fail(context, read.error());
  }
  const Result<Plan> made = make_plan(*std::move(question));
  if (!made.has_value()) return fail(context, made.error());
  fmt::print("{}\n", flags.format == "json" ? plan_json(*made) : plan_table(*made, context.language));
}

}  // namespace

void add_plan(CLI::App& app, Context& context) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* verb = app.add_subcommand(
      "plan", std::string(context.say("what it would cost: by the hour or by the month", "预估成本：按小时还是包月")));
  const auto say = [&context](std::string_view en, std::string_view zh) { return std::string(context.say(en, zh)); };
  verb->add_option("--requests-per-day", flags->requests_per_day, say("of an active day", "每个活跃日的请求数"));
  verb->add_option("--seconds-per-request", flags->seconds_per_request, say("alone (default 2)", "单次耗时（默认 2）"));
  verb->add_option("--active-days", flags->active_days, say("of a month (default 25)", "每月活跃天数（默认 25）"));
  verb->add_option("--active-hours", flags->active_hours, say("of such a day (default 8)", "每天活跃小时（默认 8）"));
  verb->add_option("--idle-timeout", flags->idle_timeout,
                   say("before it sleeps (default 10m)", "空闲多久后休眠（默认 10m）"));
  verb->add_option("--wake", flags->wake,
                   say("how long a wake takes, paid (default 30s)", "唤醒耗时，计费（默认 30s）"));
  verb->add_option("--trace", flags->trace,
                   say("measured requests instead: CSV with t_s,service_s or t_s,input_tokens,output_tokens",
                       "改用实测请求：CSV，列为 t_s,service_s 或 t_s,input_tokens,output_tokens"));
  verb->add_option("--tokens-per-second", flags->tokens_per_second,
                   say("of one answer, for a trace of tokens (default: the instance type's)",
                       "单个回答的速度，用于词元记录（默认取实例类型的值）"));
  verb->add_option("--slots", flags->slots, say("requests at once (default 1)", "同时处理的请求数（默认 1）"));
  verb->add_option("--on", flags->on, say("instance type; without it all are ranked", "实例类型；不填则全部排序"));
  verb->add_option("--config", flags->config,
                   say("whose [[instance]] tables add prices (default DATA-DIR/dormouse.toml)",
                       "其中的 [[instance]] 提供价格（默认 数据目录/dormouse.toml）"));
  verb->add_option("--format", flags->format, say("table or json", "table 或 json"))
      ->check(CLI::IsMember({"table", "json"}));
  verb->footer(
      say("Example:\n  dormouse plan --requests-per-day 800 --seconds-per-request 2 --on t4\n"
          "  dormouse plan --trace requests.csv --on t4 --slots 4",
          "示例：\n  dormouse plan --requests-per-day 800 --seconds-per-request 2 --on t4"));
  verb->callback([&context, flags] { plan(context, *flags); });
}

}  // namespace dormouse::cli
