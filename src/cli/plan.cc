// `dormouse plan`: what it would cost, before anything is rented. Needs no server.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "cli/plan_details.h"
#include "cli/plan_flags.h"
#include "cli/plan_json.h"
#include "cli/plan_measured.h"
#include "cli/plan_text.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "planner/mix.h"

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

// What one type cannot do leaves it out. Errors: the last of those, where none is left.
Result<Ranked> rank(const Context& context, const PlanFlags& flags, const PriceList& prices) {
  Ranked out;
  Error last = make_error(Code::kInvalidArgument, "there is no instance type with a price by the hour");
  PlanFlags one = flags;
  if (one.currency.empty()) one.currency = prices.rules.currency;
  for (const catalog::InstanceType& type : prices.types.all()) {
    if (!type.hour_micros.has_value()) continue;
    Result<PlanView> view = plan_on(context, one, prices, type);
    if (!view.has_value()) {
      out.left_out.push_back(fmt::format("{}: {}", type.name, view.error().message));
      last = view.error();
      continue;
    }
    out.plans.push_back(*std::move(view));
  }
  if (out.plans.empty()) return last;
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

// Of the cheapest ones to rent, base and burst may be different types. What one bought is paid whatever runs: no part.
std::string mix_text(const Context& context, const Ranked& ranked) {
  std::vector<planner::Offer> offers;
  std::vector<const PlanView*> views;
  const auto service_us = [](const PlanView& view) {
    return static_cast<double>(view.plan.question.workload.arrivals.front().service_us);
  };
  for (const PlanView& view : ranked.plans) {
    if (offers.size() == planner::kMostOffers) break;
    if (view.type.fixed_month_micros.has_value()) continue;
    views.push_back(&view);
    const planner::Question& question = view.plan.question;
    const double speed = service_us(ranked.plans.front()) / std::max(service_us(view), 1.0);
    offers.push_back({question.tariff, speed, question.timer.slots});
  }
  const planner::Question& first = ranked.plans.front().plan.question;
  const std::optional<planner::Mix> mix = planner::cheapest_mix(first.workload, first.timer, offers);
  if (!mix.has_value()) return {};
  const PlanView& base = *views[mix->base];
  const PlanView& burst = *views[mix->burst];
  const std::string sum = money_text(burst, mix->micros + burst.plan.question.tariff.fixed_month_micros);
  if (mix->reserved == 0) {
    return fmt::format(fmt::runtime(context.say("Cheapest mix of the first {} to rent: {} by the hour, {} a month.\n",
                                                "前 {} 种租用类型中最省的组合：{} 按小时，每月 {}。\n")),
                       offers.size(), burst.type.name, sum);
  }
  return fmt::format(
      fmt::runtime(context.say(
          "Cheapest mix of the first {} to rent: {} x {} by the month, the rest on {} by the hour, {} a month.\n",
          "前 {} 种租用类型中最省的组合：{} 台 {} 包月，其余用 {} 按小时，每月 {}。\n")),
      offers.size(), mix->reserved, base.type.name, burst.type.name, sum);
}

void show_ranked(Context& context, const PlanFlags& flags, const PriceList& prices) {
  const Result<Ranked> ranked = rank(context, flags, prices);
  if (!ranked.has_value()) return fail(context, ranked.error());
  const Table table = ranked_table(*ranked, context.language);
  const bool is_for_programs = flags.format == "csv" || flags.format == "json";
  for (const std::string& line : ranked->left_out) {
    if (!is_for_programs) break;
    fmt::print(stderr, "{}{}\n", context.say("left out: ", "未列入："), line);
  }
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
    fmt::print("{}", wrapped(std::string(context.say("! left out: ", "! 未列入：")) + line, kTextColumns, 2) + "\n");
  }
  if (flags.has_details && !ranked->plans.empty()) fmt::print("{}", mix_text(context, *ranked));
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
    return fail(context, make_error(Code::kInvalidArgument, fmt::format("--on: no instance type '{}'; there are: {}",
                                                                        flags.on, prices->types.names())));
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
  add_plan_flags(*verb, context, *flags);
  verb->callback([&context, flags, verb] {
    flags->is_measured = verb->count("--measured") > 0;  // it may stand without a name
    plan(context, *flags);
  });
}

}  // namespace dormouse::cli
