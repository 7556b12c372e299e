// `dormouse plan`: what it would cost, before anything is rented. Needs no server.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "cli/plan_json.h"
#include "cli/plan_text.h"
#include "cli/table.h"
#include "cli/verbs.h"

namespace dormouse::cli {
namespace {

void fail(Context& context, const Error& error) {
  fmt::print(stderr, "{}\n", error.message);
  context.exit_code = kExitUsage;
}

// Without --on: all there are, the cheapest first.
void rank(Context& context, const catalog::InstanceTypes& types, const PlanFlags& flags) {
  std::vector<PlanView> plans;
  for (const catalog::InstanceType& type : types.all()) {
    if (!type.hour_micros.has_value()) continue;
    Result<PlanView> view = plan_on(context, flags, type);
    if (!view.has_value()) return fail(context, view.error());
    plans.push_back(*std::move(view));
  }
  const auto cheapest = [](const PlanView& view) {
    return std::min(view.plan.rows[view.plan.asked].micros, view.plan.question.tariff.month_micros.value_or(INT64_MAX));
  };
  std::stable_sort(plans.begin(), plans.end(),
                   [&cheapest](const PlanView& a, const PlanView& b) { return cheapest(a) < cheapest(b); });
  using Align = Table::Align;
  const bool zh = context.language == Language::kChinese;
  Table table(zh ? std::vector<std::string>{"类型", "粗算", "按小时", "包月"}
                 : std::vector<std::string>{"TYPE", "NAIVE", "BY THE HOUR", "BY THE MONTH"},
              {Align::kLeft, Align::kRight, Align::kRight, Align::kRight});
  for (const PlanView& view : plans) {
    const std::optional<std::int64_t> month = view.plan.question.tariff.month_micros;
    table.add({view.type.name, money_text(view, view.plan.rows[0].micros),
               money_text(view, view.plan.rows[view.plan.asked].micros),
               month.has_value() ? money_text(view, *month) : "–"});
  }
  fmt::print("{}\n{}\n", table.text(),
             context.say("All with the same seconds a request; --on TYPE shows one in full.",
                         "均按相同的单次耗时估算；用 --on 类型 查看详情。"));
}

void show(const Context& context, const PlanView& view, const std::string& format) {
  if (format == "json") {
    fmt::print("{}\n", plan_json(view));
  } else if (format == "csv") {
    fmt::print("{}", plan_csv(view));
  } else {
    fmt::print("{}", plan_text(view, context.language, format == "md" ? PlanFormat::kMarkdown : PlanFormat::kTerminal));
  }
}

void plan(Context& context, const PlanFlags& flags) {
  const Result<catalog::InstanceTypes> types = known_types(context, flags.config);
  if (!types.has_value()) return fail(context, types.error());
  if (flags.trace.empty() && flags.requests_per_day == 0) {
    return fail(context, make_error(Code::kInvalidArgument, "want --requests-per-day, or --trace FILE.csv"));
  }
  if (flags.on.empty() && !flags.trace.empty()) {
    return fail(context, make_error(Code::kInvalidArgument, "--trace: say on what, --on t4"));
  }
  if (flags.on.empty()) return rank(context, *types, flags);
  const catalog::InstanceType* const type = types->find(flags.on);
  if (type == nullptr) {
    std::string names;
    for (const catalog::InstanceType& known : types->all()) names += (names.empty() ? "" : ", ") + known.name;
    return fail(context, make_error(Code::kInvalidArgument,
                                    fmt::format("no instance type '{}'; there are: {}", flags.on, names)));
  }
  const Result<PlanView> view = plan_on(context, flags, *type);
  if (!view.has_value()) return fail(context, view.error());
  show(context, *view, flags.format);
}

}  // namespace

void add_plan(CLI::App& app, Context& context) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* verb = app.add_subcommand(
      "plan", std::string(context.say("what it would cost: by the hour or by the month", "预估成本：按小时还是包月")));
  const auto say = [&context](std::string_view en, std::string_view zh) { return std::string(context.say(en, zh)); };
  verb->add_option("--requests-per-day", flags->requests_per_day, say("of an active day", "每个活跃日的请求数"));
  verb->add_option("--seconds-per-request", flags->seconds_per_request,
                   say("alone (default 2, or from the tokens)", "单次耗时（默认 2，或由词元数推算）"));
  verb->add_option("--input-tokens", flags->input_tokens, say("of one request", "单次请求的输入词元"));
  verb->add_option("--output-tokens", flags->output_tokens, say("of one answer", "单次回答的词元"));
  verb->add_option("--active-days", flags->active_days, say("of a month (default 25)", "每月活跃天数（默认 25）"));
  verb->add_option("--active-hours", flags->active_hours, say("of such a day (default 8)", "每天活跃小时（默认 8）"));
  verb->add_option("--idle-timeout", flags->idle_timeout,
                   say("before it sleeps (default 10m)", "空闲多久后休眠（默认 10m）"));
  verb->add_option("--wake", flags->wake,
                   say("how long a wake takes, paid (default 30s)", "唤醒耗时，计费（默认 30s）"));
  verb->add_option("--fast-wake", flags->fast_wake,
                   say("of the row that sleeps at once (default 1s)", "“立即休眠”一行的唤醒耗时（默认 1s）"));
  verb->add_option("--trace", flags->trace,
                   say("measured requests instead: CSV with t_s,service_s or t_s,input_tokens,output_tokens",
                       "改用实测请求：CSV，列为 t_s,service_s 或 t_s,input_tokens,output_tokens"));
  verb->add_option("--tokens-per-second", flags->tokens_per_second,
                   say("of one answer, where tokens are given (default: the instance type's)",
                       "单个回答的速度，用于按词元推算（默认取实例类型的值）"));
  verb->add_option("--slots", flags->slots, say("requests at once (default 1)", "同时处理的请求数（默认 1）"));
  verb->add_option("--on", flags->on, say("instance type; without it all are ranked", "实例类型；不填则全部排序"));
  verb->add_option("--config", flags->config,
                   say("whose [[instance]] tables add prices (default DATA-DIR/dormouse.toml)",
                       "其中的 [[instance]] 提供价格（默认 数据目录/dormouse.toml）"));
  verb->add_option("--format", flags->format, say("table, json, csv or md", "table、json、csv 或 md"))
      ->check(CLI::IsMember({"table", "json", "csv", "md"}));
  verb->footer(
      say("Example:\n  dormouse plan --requests-per-day 800 --seconds-per-request 2 --on t4\n"
          "  dormouse plan --trace requests.csv --on t4 --slots 4",
          "示例：\n  dormouse plan --requests-per-day 800 --seconds-per-request 2 --on t4"));
  verb->callback([&context, flags] { plan(context, *flags); });
}

}  // namespace dormouse::cli
