#include "cli/plan_question.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <sstream>
#include <utility>

#include "catalog/config_file.h"
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

Result<std::string> read_file(const char* name, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return wrong(fmt::format("{}: cannot read {}", name, path));
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<planner::TokenSpeeds> speeds_of(const PlanFlags& flags, const catalog::InstanceType& type) {
  const double speed = flags.tokens_per_second > 0 ? flags.tokens_per_second : type.tokens_per_second;
  if (!(speed > 0)) return std::nullopt;
  return planner::TokenSpeeds{speed * kPromptSpeedup, speed};
}

std::string speed_note(const Context& context, const planner::TokenSpeeds& speeds) {
  return fmt::format(
      fmt::runtime(context.say("assumed: {:g} tokens/s of an answer, {:g} of a prompt (--tokens-per-second)",
                               "假设：回答每秒 {:g} 词元，提示词每秒 {:g} 词元（--tokens-per-second）")),
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
  const std::optional<planner::TokenSpeeds> speeds = speeds_of(flags, view.type);
  if (!speeds.has_value()) return wrong(fmt::format("no speed is known of {}: --tokens-per-second", view.type.name));
  view.notes.push_back(speed_note(context, *speeds));
  return flags.input_tokens / speeds->input_per_s + flags.output_tokens / speeds->output_per_s;
}

Status add_trace(const Context& context, const PlanFlags& flags, PlanView& view) {
  TRY(const std::string text, read_file("--trace", flags.trace));
  planner::TraceOptions options;
  options.speeds = speeds_of(flags, view.type);
  options.context_tokens = static_cast<std::int64_t>(kMostTokens);
  options.holes = flags.holes == "keep" ? planner::Holes::kKeep : planner::Holes::kRefuse;
  TRY(view.plan.question.workload, planner::parse_trace(text, options));
  const bool has_service = text.find("service_s") < text.find('\n');
  if (!has_service) view.notes.push_back(speed_note(context, options.speeds.value()));
  return {};
}

}  // namespace

Result<catalog::InstanceTypes> known_types(const Context& context, const std::string& config) {
  TRY(catalog::InstanceTypes types, catalog::InstanceTypes::built_in());
  const std::string path = config.empty() ? context.data_dir + "/dormouse.toml" : config;
  const Result<catalog::ConfigFile> file = catalog::read_config(path);
  if (!file.has_value()) {
    const bool may_be_absent = config.empty() && file.error().code == Code::kNotFound;
    if (!may_be_absent) return file.error();
    return types;
  }
  for (const catalog::InstanceType& type : file->instances) types.put(type);
  return types;
}

Result<PlanView> plan_on(const Context& context, const PlanFlags& flags, const catalog::InstanceType& type) {
  PlanView out;
  out.type = type;
  planner::Question& question = out.plan.question;
  TRY(question.timer.idle_timeout_s, seconds_of("--idle-timeout", flags.idle_timeout));
  TRY(question.timer.wake_s, seconds_of("--wake", flags.wake));
  TRY(question.fast_wake_s, seconds_of("--fast-wake", flags.fast_wake));
  question.timer.slots = flags.slots;
  if (!flags.trace.empty()) {
    TRY_STATUS(add_trace(context, flags, out));
  } else {
    planner::Traffic traffic{flags.requests_per_day, 0, flags.active_days, flags.active_hours};
    TRY(traffic.service_s, service_s(context, flags, out));
    question.traffic = traffic;
  }
  if (!type.hour_micros.has_value()) {
    return wrong(fmt::format("{} has no price by the hour; give it one with [[instance]] in dormouse.toml", type.name));
  }
  question.tariff.hour_micros = *type.hour_micros;
  question.tariff.month_micros = type.month_micros;
  out.currency = type.currency;
  TRY(out.plan, planner::make_plan(std::move(question)));
  return out;
}

}  // namespace dormouse::cli
