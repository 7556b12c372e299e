#include "cli/plan_question.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <utility>

#include "cli/input_file.h"
#include "cli/kept_speeds.h"
#include "cli/table.h"
#include "gateway/tariff_of.h"
#include "planner/profile.h"
#include "planner/trace.h"

namespace dormouse::cli {
namespace {

// A prompt's tokens are read together: on small cards some twenty times as fast as an answer's are made.
constexpr double kPromptSpeedup = 20;
constexpr double kSecondsOfARequest = 2;
constexpr double kMostTokens = 40'960;  // Qwen3's longest context

Error wrong(std::string what) {
  return make_error(Code::kInvalidArgument, std::move(what));
}

Result<double> seconds_of(const char* name, const std::string& text) {
  const Result<std::chrono::milliseconds> parsed = catalog::parse_duration(text);
  if (!parsed.has_value()) return wrong(fmt::format("{}: {}", name, parsed.error().message));
  return std::chrono::duration<double>(*parsed).count();
}

// Measured before listed; what the switch says before both.
void find_speeds(const Context& context, const PlanFlags& flags, PlanView& view) {
  if (flags.tokens_per_second > 0) {
    if (const Result<planner::Speeds> given = planner::listed(flags.tokens_per_second); given.has_value()) {
      view.speeds = *given;
    }
    return;
  }
  if (const std::optional<KeptSpeeds> kept = kept_speeds(context.data_dir, view.type.name, flags.model);
      kept.has_value()) {
    view.speeds = kept->speeds;
    view.notes.push_back(fmt::format(
        fmt::runtime(context.say("measured: {:.1f} tokens/s alone ({}, {})", "实测：单请求每秒 {:.1f} 词元（{}，{}）")),
        kept->speeds.line.tokens_per_s(1), kept->model, kept->at.substr(0, 10)));
    return;
  }
  if (const Result<planner::Speeds> listed = planner::listed(view.type.tokens_per_second); listed.has_value()) {
    view.speeds = *listed;
  }
}

std::optional<planner::TokenSpeeds> token_speeds(const PlanView& view) {
  if (!view.speeds.has_value()) return std::nullopt;
  const double speed = view.speeds->line.tokens_per_s(1);
  return planner::TokenSpeeds{speed * kPromptSpeedup, speed};
}

std::string speed_note(const Context& context, const planner::TokenSpeeds& speeds) {
  return fmt::format(
      fmt::runtime(context.say("taken: {:.1f} tokens/s of an answer, {:.0f} of a prompt (--tokens-per-second)",
                               "按回答每秒 {:.1f} 词元、提示词每秒 {:.0f} 词元推算（--tokens-per-second）")),
      speeds.output_per_s, speeds.input_per_s);
}

// What one request takes, alone.
Result<double> service_s(const Context& context, const PlanFlags& flags, PlanView& view) {
  for (const double tokens : {flags.input_tokens, flags.output_tokens}) {
    if (!(tokens >= 0)) return wrong("--input-tokens, --output-tokens: want 0 or more");
  }
  const double tokens = flags.input_tokens + flags.output_tokens;
  if (tokens > kMostTokens) {
    return wrong(fmt::format("--input-tokens and --output-tokens are {:.0f} together: more than the context of {:.0f}",
                             tokens, kMostTokens));
  }
  if (tokens == 0) return flags.seconds_per_request == 0 ? kSecondsOfARequest : flags.seconds_per_request;
  if (flags.seconds_per_request != 0)
    return wrong("--seconds-per-request and tokens both say how long one takes: give one");
  const std::optional<planner::TokenSpeeds> speeds = token_speeds(view);
  if (!speeds.has_value()) return wrong(fmt::format("no speed is known of {}: --tokens-per-second", view.type.name));
  view.notes.push_back(speed_note(context, *speeds));
  return flags.input_tokens / speeds->input_per_s + flags.output_tokens / speeds->output_per_s;
}

Status add_trace(const Context& context, const PlanFlags& flags, planner::Question& question, PlanView& view) {
  TRY(const std::string text, read_input_file("--trace", flags.trace));
  planner::TraceOptions options;
  options.speeds = token_speeds(view);
  options.context_tokens = static_cast<std::int64_t>(kMostTokens);
  options.holes = flags.holes == "keep" ? planner::Holes::kKeep : planner::Holes::kRefuse;
  TRY(question.workload, planner::parse_trace(text, options));
  const bool has_service = text.find("service_s") < text.find('\n');
  if (!has_service) view.notes.push_back(speed_note(context, options.speeds.value()));
  return {};
}

// Errors: kInvalidArgument, with what is missing and what would fit, where the type's memory is known.
Status check_memory(const PlanFlags& flags, const catalog::InstanceType& type) {
  TRY(const planner::ModelWish wish, model_wish(flags, type));
  if (type.vram_gb == 0) return {};
  const Result<planner::Fit> fit = planner::fits(wish.shape, wish.quant, wish.card.vram_bytes, wish.wanted);
  if (fit.has_value()) return {};
  return wrong(fit.error().message + " (--on, --slots, --context, --quant)");
}

// What several at once cost each of them: as the switch says, as measured, or by roofline.
Status add_slowdown(const Context& context, const PlanFlags& flags, planner::Question& question, PlanView& view) {
  if (flags.slots == 1) return {};
  if (flags.slowdown >= 0) {
    if (flags.slowdown > 1) return wrong("--slowdown: want 0 to 1; at 1 nothing is won by several at once");
    question.timer.slowdown = flags.slowdown;
    return {};
  }
  const bool is_measured = view.speeds.has_value() && view.speeds->is_of_batch;
  if (is_measured) {
    question.timer.slowdown = view.speeds->line.slowdown();
  } else {
    TRY(const planner::ModelWish wish, model_wish(flags, view.type));
    const Result<planner::Speeds> speeds = planner::roofline(wish.shape, wish.quant, wish.card, wish.wanted);
    if (!speeds.has_value()) {
      view.notes.emplace_back(context.say("assumed: several at once are as fast as one (--slowdown, or dormouse bench)",
                                          "假设：同时处理多个请求不变慢（--slowdown，或先运行 dormouse bench）"));
      return {};
    }
    question.timer.slowdown = speeds->line.slowdown();
  }
  view.notes.push_back(fmt::format(
      fmt::runtime(context.say("{}: each further request at once slows all by {:.1f} %",
                               "{}：每多一个并发请求，全部变慢 {:.1f} %")),
      is_measured ? context.say("measured", "实测") : context.say("estimated by roofline", "按屋顶线模型估算"),
      question.timer.slowdown * 100));
  return {};
}

Status add_profile(const PlanFlags& flags, double seconds, planner::Question& question) {
  planner::ProfileTraffic traffic{planner::always_profile(), flags.requests_per_day, seconds};
  if (flags.profile == "office") {
    traffic.profile = planner::office_profile();
  } else if (flags.profile != "always") {
    TRY(const std::string text, read_input_file("--profile: office, always or a file", flags.profile));
    TRY(traffic.profile, planner::parse_profile(text));
  }
  question.profile = traffic;
  return {};
}

Status add_requests(const Context& context, const PlanFlags& flags, planner::Question& question, PlanView& view) {
  if (!flags.trace.empty()) return add_trace(context, flags, question, view);
  TRY(const double seconds, service_s(context, flags, view));
  if (!flags.profile.empty()) return add_profile(flags, seconds, question);
  question.traffic = planner::Traffic{flags.requests_per_day, seconds, flags.active_days, flags.active_hours};
  return {};
}

std::string measured_words(const Context& context, const planner::Workload& workload) {
  const double days = planner::days_of(workload);
  std::string out =
      fmt::format(fmt::runtime(context.say("{} measured requests in {:.0f} day(s), for a month of {:.1f}",
                                           "实测 {} 次请求，{:.0f} 天，按每月 {:.1f} 天折算")),
                  grouped(static_cast<long long>(workload.arrivals.size())), days, planner::kHoursOfMonth / 24);
  constexpr std::int64_t kMostOfADay = planner::kDayUs / 2;
  if (workload.arrivals.back().at_us - workload.arrivals.front().at_us < kMostOfADay) {
    return out += context.say(" (less than a day: taken as all of one)", "（不足一天：按一天的全部请求计）");
  }
  constexpr double kFewDays = 5;
  if (days < kFewDays)
    out += context.say(" (fewer than five days say little of a month)", "（少于五天：只是粗略参考）");
  return out;
}

std::string profile_words(const Context& context, const PlanFlags& flags, const planner::ProfileTraffic& traffic) {
  return fmt::format(fmt::runtime(context.say("{:.0f} requests/day × {:.3g} s, by the hours of a week ({})",
                                              "每天 {:.0f} 次请求 × {:.3g} 秒，按一周各小时分布（{}）")),
                     traffic.requests_per_day, traffic.service_s, flags.profile);
}

void describe(const Context& context, const PlanFlags& flags, const planner::Question& question, PlanView& view) {
  if (question.traffic.has_value()) {
    const planner::Traffic& t = *question.traffic;
    view.asked_for =
        fmt::format(fmt::runtime(context.say("{:.0f} requests/day × {:.3g} s, {:g} h × {:g} days, random arrivals",
                                             "每天 {:.0f} 次请求 × {:.3g} 秒，每天 {:g} 小时 × {:g} 天，随机到达")),
                    t.requests_per_day, t.service_s, t.active_hours, t.active_days);
    view.gap_s = 1 / t.rate();
    return;
  }
  if (question.profile.has_value()) {
    view.asked_for = profile_words(context, flags, *question.profile);
    view.gap_s = 86'400 / question.profile->requests_per_day;
    return;
  }
  const std::vector<planner::Arrival>& arrivals = question.workload.arrivals;
  view.asked_for = measured_words(context, question.workload);
  if (arrivals.size() < 2) return;
  const auto span_us = static_cast<double>(arrivals.back().at_us - arrivals.front().at_us);
  view.gap_s = span_us / planner::kSecondUs / static_cast<double>(arrivals.size() - 1);
}

}  // namespace

Result<PriceList> read_prices(const Context& context, const PlanFlags& flags) {
  TRY(PriceList out, read_price_list(context, flags.config));
  TRY(out.rules.rates, out.rules.rates.with(flags.rates));
  for (const std::string& text : flags.around) {
    TRY(catalog::Surrounding one, catalog::parse_surrounding(text, out.rules.currency));
    out.rules.around.push_back(std::move(one));
  }
  return out;
}

Result<planner::Tariff> tariff_in(const PriceList& prices, const catalog::InstanceType& type,
                                  const std::string& currency) {
  if (!type.hour_micros.has_value()) {
    return wrong(fmt::format("{} has no price by the hour; give it one with [[instance]] in dormouse.toml", type.name));
  }
  planner::Tariff out = gateway::tariff_of(type);
  const auto convert = [&](std::int64_t& micros) -> Status {
    TRY(micros, prices.rules.rates.convert(micros, type.currency, currency));
    return {};
  };
  TRY_STATUS(convert(out.hour_micros));
  if (out.month_micros.has_value()) TRY_STATUS(convert(*out.month_micros));
  if (out.spot.has_value()) TRY_STATUS(convert(out.spot->hour_micros));
  TRY_STATUS(convert(out.stopped_hour_micros));
  TRY_STATUS(convert(out.fixed_month_micros));
  TRY(const std::int64_t around, catalog::sum_surroundings(prices.rules.around, currency, prices.rules.rates));
  out.fixed_month_micros += around;
  return out;
}

Result<PlanView> plan_on(const Context& context, const PlanFlags& flags, const PriceList& prices,
                         const catalog::InstanceType& type) {
  PlanView out;
  out.type = type;
  out.currency = flags.currency.empty() ? type.currency : flags.currency;
  planner::Question question;
  TRY(question.timer.idle_timeout_s, seconds_of("--idle-timeout", flags.idle_timeout.value_or("10m")));
  TRY(question.timer.wake_s, seconds_of("--wake", flags.wake.value_or("30s")));
  TRY(question.fast_wake_s, seconds_of("--fast-wake", flags.fast_wake));
  question.timer.slots = flags.slots;
  TRY(question.tariff, tariff_in(prices, type, out.currency));
  TRY_STATUS(check_memory(flags, type));
  find_speeds(context, flags, out);
  TRY_STATUS(add_slowdown(context, flags, question, out));
  TRY_STATUS(add_requests(context, flags, question, out));
  describe(context, flags, question, out);
  TRY(out.plan, planner::make_plan(std::move(question)));
  if (!flags.trace.empty()) return out;
  planner::Workload& workload = out.plan.question.workload;
  const auto requests = static_cast<double>(workload.arrivals.size());
  workload.input_tokens = std::llround(flags.input_tokens * requests);
  workload.output_tokens = std::llround(flags.output_tokens * requests);
  return out;
}

Result<planner::ModelWish> model_wish(const PlanFlags& flags, const catalog::InstanceType& type) {
  planner::ModelWish out;
  TRY(out.shape, planner::find_model(flags.model));
  TRY(out.quant, planner::find_quant(flags.quant));
  out.card = card_of(type);
  out.wanted = {.sequences = std::max(flags.slots, 1), .context = flags.context};
  return out;
}

planner::Card card_of(const catalog::InstanceType& type) {
  return {type.vram_gb << 30U, type.bandwidth_gbs * 1e9, type.fp16_tflops * 1e12};
}

}  // namespace dormouse::cli
