// `dormouse plan`: what it would cost, before anything is rented. Needs no server.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "cli/plan_details.h"
#include "cli/plan_json.h"
#include "cli/plan_measured.h"
#include "cli/plan_text.h"
#include "cli/table.h"
#include "cli/verbs.h"

namespace dormouse::cli {
namespace {

void fail(Context& context, const Error& error) {
  fmt::print(stderr, "{}\n", error.message);
  context.exit_code = kExitUsage;
}

// Without --on: all there are, the cheapest first, in one currency.
struct Ranked {
  std::vector<PlanView> plans;
  std::vector<std::string> left_out;  // and why
};

std::int64_t cheapest(const PlanView& view) {
  const planner::Row* const monthly = planner::find_row(view.plan, planner::Row::Kind::kMonthly);
  const std::int64_t hourly = view.plan.rows[view.plan.asked].micros;
  return monthly == nullptr ? hourly : std::min(hourly, monthly->micros);
}

Result<Ranked> rank(const Context& context, const PlanFlags& flags, const PriceList& prices) {
  Ranked out;
  PlanFlags one = flags;
  if (one.currency.empty()) one.currency = prices.rules.currency;
  for (const catalog::InstanceType& type : prices.types.all()) {
    if (!type.hour_micros.has_value()) continue;
    const Result<planner::Tariff> tariff = tariff_in(prices, type, one.currency);
    if (!tariff.has_value()) {
      out.left_out.push_back(fmt::format("{}: {}", type.name, tariff.error().message));
      continue;
    }
    Result<PlanView> view = plan_on(context, one, prices, type);
    if (!view.has_value()) return view.error();
    out.plans.push_back(*std::move(view));
  }
  std::stable_sort(out.plans.begin(), out.plans.end(),
                   [](const PlanView& a, const PlanView& b) { return cheapest(a) < cheapest(b); });
  return out;
}

// Below sixteen Qwen3-4B has little room beside its weights.
std::string vram_text(const catalog::InstanceType& type) {
  if (type.vram_gb == 0) return "–";
  return fmt::format("{} GB{}", type.vram_gb, type.vram_gb < kLeastGigabytes ? " !" : "");
}

Table ranked_table(const Ranked& ranked, Language language) {
  using Align = Table::Align;
  const bool zh = language == Language::kChinese;
  Table table(
      zh ? std::vector<std::string>{"类型", "规格", "显存", "每小时", "粗算", "按小时/月", "包月", "p99", "价格来源"}
         : std::vector<std::string>{"TYPE", "SIZE", "VRAM", "AN HOUR", "NAIVE", "BY THE HOUR", "BY THE MONTH", "P99",
                                    "PRICE FROM"},
      {Align::kLeft, Align::kLeft, Align::kRight, Align::kRight, Align::kRight, Align::kRight, Align::kRight,
       Align::kRight, Align::kLeft});
  for (const PlanView& view : ranked.plans) {
    const planner::Row& asked = view.plan.rows[view.plan.asked];
    const planner::Row* const monthly = planner::find_row(view.plan, planner::Row::Kind::kMonthly);
    const std::string size(zh ? view.type.size_zh() : std::string_view(view.type.size));
    table.add({view.type.name, size.empty() ? "–" : size, vram_text(view.type),
               money_text(view, view.plan.question.tariff.hour_micros), money_text(view, view.plan.rows[0].micros),
               money_text(view, asked.micros), monthly == nullptr ? "–" : money_text(view, monthly->micros),
               fmt::format("{:.1f} s", asked.forecast.p99_s), view.type.provenance()});
  }
  return table;
}

void show_ranked(Context& context, const PlanFlags& flags, const PriceList& prices) {
  const Result<Ranked> ranked = rank(context, flags, prices);
  if (!ranked.has_value()) return fail(context, ranked.error());
  const Table table = ranked_table(*ranked, context.language);
  if (flags.format == "csv") {
    fmt::print("{}", table.csv());
    return;
  }
  if (flags.format == "json") {
    std::string out;
    for (const PlanView& view : ranked->plans) out += (out.empty() ? "" : ",\n") + plan_json(view, std::nullopt);
    fmt::print("[{}]\n", out);
    return;
  }
  fmt::print("{}\n", flags.format == "md" ? table.markdown() : table.text());
  for (const std::string& line : ranked->left_out) {
    fmt::print("{}", wrapped(std::string(context.say("! left out: ", "! 未列入：")) + line, 100, 2) + "\n");
  }
  const auto is_small = [](const PlanView& view) {
    return view.type.vram_gb > 0 && view.type.vram_gb < kLeastGigabytes;
  };
  if (std::any_of(ranked->plans.begin(), ranked->plans.end(), is_small)) {
    fmt::print("{}\n", context.say("! less than 16 GB", "! 不足 16 GB"));
  }
  const bool has_speeds = flags.input_tokens + flags.output_tokens > 0 || !flags.trace.empty();
  fmt::print("{}\n", has_speeds
                         ? context.say("Each at its own speed; --on TYPE shows one in full.",
                                       "各按自身速度估算；用 --on 类型 查看详情。")
                         : context.say("All with the same seconds a request (tokens would tell them apart); --on TYPE "
                                       "shows one in full.",
                                       "均按相同的单次耗时估算（给出词元数则按各自速度）；用 --on 类型 查看详情。"));
}

void show(const Context& context, const PlanView& view, const std::optional<planner::Details>& details,
          const std::string& format) {
  if (format == "json") {
    fmt::print("{}\n", plan_json(view, details));
    return;
  }
  if (format == "csv") {
    fmt::print("{}", plan_csv(view));
    return;
  }
  const PlanFormat form = format == "md" ? PlanFormat::kMarkdown : PlanFormat::kTerminal;
  fmt::print("{}", plan_text(view, context.language, form));
  if (details.has_value()) fmt::print("{}", details_text(view, *details, context.language, form));
}

Result<planner::Details> details_of(const PlanFlags& flags, const PlanView& view) {
  TRY(const planner::Wishes wishes, wishes_of(flags, view));
  return planner::make_details(view.plan, wishes);
}

void plan(Context& context, const PlanFlags& flags) {
  if (flags.is_measured) return plan_measured(context, flags);
  const Result<PriceList> prices = read_prices(context, flags);
  if (!prices.has_value()) return fail(context, prices.error());
  if (flags.trace.empty() && flags.requests_per_day == 0) {
    return fail(context, make_error(Code::kInvalidArgument, "want --requests-per-day, or --trace FILE.csv"));
  }
  if (flags.on.empty()) return show_ranked(context, flags, *prices);
  const catalog::InstanceType* const type = prices->types.find(flags.on);
  if (type == nullptr) {
    std::string names;
    for (const catalog::InstanceType& known : prices->types.all()) names += (names.empty() ? "" : ", ") + known.name;
    return fail(context, make_error(Code::kInvalidArgument,
                                    fmt::format("--on: no instance type '{}'; there are: {}", flags.on, names)));
  }
  const Result<PlanView> view = plan_on(context, flags, *prices, *type);
  if (!view.has_value()) return fail(context, view.error());
  std::optional<planner::Details> details;
  if (flags.has_details) {
    Result<planner::Details> made = details_of(flags, *view);
    if (!made.has_value()) return fail(context, made.error());
    details = *std::move(made);
  }
  show(context, *view, details, flags.format);
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
  CLI::Option* const timeout = verb->add_option("--idle-timeout", flags->idle_timeout,
                                                say("before it sleeps (default 10m)", "空闲多久后休眠（默认 10m）"));
  CLI::Option* const wake = verb->add_option(
      "--wake", flags->wake, say("how long a wake takes, paid (default 30s)", "唤醒耗时，计费（默认 30s）"));
  verb->add_option("--fast-wake", flags->fast_wake,
                   say("of the row that sleeps at once (default 1s)", "“立即休眠”一行的唤醒耗时（默认 1s）"));
  verb->add_option("--trace", flags->trace,
                   say("measured requests instead: CSV with t_s,service_s or t_s,input_tokens,output_tokens",
                       "改用实测请求：CSV，列为 t_s,service_s 或 t_s,input_tokens,output_tokens"));
  CLI::Option* const measured = verb->add_option("--measured", flags->measured,
                                                 say("what a deployment was asked, from the running server's ledger",
                                                     "改用正在运行的服务账本中某个部署的实测请求"))
                                    ->expected(0, 1)
                                    ->type_name("[DEPLOYMENT]");
  verb->add_option("--days", flags->days,
                   say("of the ledger, back from now (default 30)", "账本中最近多少天（默认 30）"));
  verb->add_flag("--apply", flags->is_applied, say("change the deployment as advised", "按建议修改该部署"))
      ->needs(measured);
  verb->add_option("--tokens-per-second", flags->tokens_per_second,
                   say("of one answer, where tokens are given (default: the instance type's)",
                       "单个回答的速度，用于按词元推算（默认取实例类型的值）"));
  verb->add_option("--profile", flags->profile,
                   say("requests by the hours of a week: office, always, or a CSV with hour,requests or "
                       "weekday,hour,requests",
                       "按一周各小时分布：office、always，或 CSV（hour,requests 或 weekday,hour,requests）"));
  verb->add_option("--holes", flags->holes,
                   say("of a trace, a week without a request: refuse (default) or keep",
                       "记录中超过一周的空白：refuse（默认）或 keep"))
      ->check(CLI::IsMember({"refuse", "keep"}));
  verb->add_option("--currency", flags->currency,
                   say("what sums are told in (default: the type's own)", "金额的货币（默认取实例类型的货币）"));
  verb->add_option("--rate", flags->rates,
                   say("USD=7.10: of [prices] currency, CNY unless it says", "汇率，如 USD=7.10"));
  verb->add_option(
      "--around", flags->around,
      say("paid beside the instance: \"gateway-host=30 CNY/month\"", "实例之外的费用：“gateway-host=30 CNY/month”"));
  verb->add_option("--slots", flags->slots, say("requests at once (default 1)", "同时处理的请求数（默认 1）"));
  verb->add_option("--slowdown", flags->slowdown,
                   say("of each by one more at once, 0 to 1 (default: measured, or by roofline)",
                       "每多一个并发请求变慢的比例，0 到 1（默认取实测或估算）"));
  verb->add_flag(
      "--details", flags->has_details,
      say("also: timeouts, instances, quantisations, what it hangs on", "另外给出：休眠时间、实例数、量化、敏感度"));
  verb->add_option("--max-cold", flags->most_cold_percent,
                   say("goal: per cent of cold requests", "目标：冷请求百分比上限"));
  verb->add_option("--max-p99", flags->most_p99_s, say("goal: seconds", "目标：p99 秒数上限"));
  verb->add_option("--spike", flags->spike,
                   say("requests of the day that instances are counted for", "计算实例数所用那一天的请求数"));
  verb->add_option("--spike-hours", flags->spike_hours, say("in so many hours", "集中在几小时内"));
  verb->add_option("--instances", flags->instances, say("at most (default 4)", "最多实例数（默认 4）"));
  verb->add_option("--deferred", flags->deferred_percent,
                   say("per cent of requests that may wait", "可以延后的请求百分比"));
  verb->add_option("--deadline", flags->deadline, say("for so long (default 24h)", "最多延后多久（默认 24h）"));
  verb->add_option("--model", flags->model,
                   say("of the Qwen3 family (default qwen3-4b)", "Qwen3 系列模型（默认 qwen3-4b）"));
  verb->add_option(
      "--quant", flags->quant,
      say("f16, q8_0, q4_k_m, q2_k ... (default q4_k_m)", "量化：f16、q8_0、q4_k_m、q2_k…（默认 q4_k_m）"));
  verb->add_option("--context", flags->context,
                   say("tokens a request has room for (default 4096)", "每个请求的上下文词元数（默认 4096）"));
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
  verb->callback([&context, flags, measured, timeout, wake] {
    flags->is_measured = measured->count() > 0;
    flags->is_timeout_given = timeout->count() > 0;
    flags->is_wake_given = wake->count() > 0;
    plan(context, *flags);
  });
}

}  // namespace dormouse::cli
