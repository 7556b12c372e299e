#include "worker/prepare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/ids.h"

namespace dormouse::worker {
namespace {

api::ApiError invalid(std::string param, std::string message) {
  return {.code = api::ErrorCode::kInvalidValue, .message = std::move(message), .param = std::move(param)};
}

bool is_chat(const api::GenerationRequest& request) {
  return request.kind == api::GenerationRequest::Kind::kChat;
}

text::ChatRequest to_chat(const api::GenerationRequest& request) {
  text::ChatRequest out;
  for (const api::Message& message : request.messages) {
    text::ChatMessage turn;
    turn.role = message.role;
    turn.content = message.content;
    turn.reasoning_content = message.reasoning_content;
    for (const api::ToolCall& call : message.tool_calls) {
      turn.tool_calls.push_back(
          {.name = call.name, .arguments = call.arguments, .arguments_is_string = call.arguments_is_string});
    }
    out.messages.push_back(std::move(turn));
  }
  out.tools = request.tools;
  out.enable_thinking = request.enable_thinking.value_or(true);
  return out;
}

engine::SamplingMode mode_of(const ModelView& model, const api::GenerationRequest& request) {
  switch (model.family) {
    case text::TemplateFamily::kHybrid:
      return is_chat(request) && request.enable_thinking.value_or(true) ? engine::SamplingMode::kThinking
                                                                        : engine::SamplingMode::kNonThinking;
    case text::TemplateFamily::kInstruct2507: return engine::SamplingMode::kNonThinking;
    case text::TemplateFamily::kThinking2507: return engine::SamplingMode::kThinking;
  }
  return engine::SamplingMode::kNonThinking;
}

engine::SamplingParams resolve_sampling(const api::SamplingParams& asked, engine::SamplingMode mode) {
  engine::SamplingParams out = engine::recommended(mode);
  const auto set = [](const std::optional<double>& from, float& to) {
    if (from.has_value()) to = static_cast<float>(*from);
  };
  set(asked.temperature, out.temperature);
  set(asked.top_p, out.top_p);
  set(asked.min_p, out.min_p);
  set(asked.repetition_penalty, out.repetition_penalty);
  set(asked.presence_penalty, out.presence_penalty);
  set(asked.frequency_penalty, out.frequency_penalty);
  if (asked.top_k.has_value()) {
    out.top_k = static_cast<std::int32_t>(std::clamp<std::int64_t>(*asked.top_k, 0, 1 << 30));
  }
  for (const auto& [id, bias] : asked.logit_bias) out.logit_bias.emplace_back(id, static_cast<float>(bias));
  out.seed = asked.seed.has_value() ? *asked.seed : std::strtoull(random_hex(8).c_str(), nullptr, 16);
  if (asked.logprobs) out.logprob_count = asked.top_logprobs;
  return out;
}

OutputOptions output_options(const ModelView& model, const api::GenerationRequest& request) {
  OutputOptions out;
  out.stops = request.sampling.stop;
  if (!is_chat(request)) return out;
  if (!request.tools.empty()) {
    out.tool_call = model.tokenizer->find(text::kToolCallOpen);
    out.end_tool_call = model.tokenizer->find(text::kToolCallClose);
    if (!request.parallel_tool_calls) out.max_calls = 1;
  }
  out.think = model.tokenizer->find("<think>");
  out.end_think = model.tokenizer->find("</think>");
  if (!out.think.has_value() || !out.end_think.has_value()) return out;
  switch (model.family) {
    case text::TemplateFamily::kHybrid: out.thinking = ThinkingStart::kInContent; break;
    case text::TemplateFamily::kInstruct2507: out.thinking = ThinkingStart::kNever; break;
    case text::TemplateFamily::kThinking2507: out.thinking = ThinkingStart::kInside; break;
  }
  return out;
}

// Qwen's own words for a budget that is used up: the model has been trained to go on well after them. Source: Qwen3
// technical report, section 4.3, and the example of its documentation.
constexpr std::string_view kEndThinking =
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now.\n"
    "</think>";
constexpr std::string_view kAfterThinking = "\n\n";

void set_thinking(const ModelView& model, const api::GenerationRequest& request, Job& job) {
  if (job.output.thinking == ThinkingStart::kNever) return;
  job.thinking_budget = request.thinking_budget;
  job.end_thinking = model.tokenizer->encode(kEndThinking, text::SpecialTokens::kParse);
  // What an answer that is held to something begins with is for its grammar to say.
  if (!is_held(request)) model.tokenizer->encode(kAfterThinking, text::SpecialTokens::kAsText, job.end_thinking);
}

// 45000 as a person reads it: 45,000.
std::string grouped(std::int64_t number) {
  std::string out = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(out.size()) - 3; at > 0; at -= 3) out.insert(out.begin() + at, ',');
  return out;
}

// Whether thoughts come before the content that a format holds for.
Thinking thinking_of(const ModelView& model, const api::GenerationRequest& request) {
  if (!is_chat(request)) return Thinking::kNone;
  switch (model.family) {
    case text::TemplateFamily::kHybrid:
      return request.enable_thinking.value_or(true) ? Thinking::kMay : Thinking::kNone;
    case text::TemplateFamily::kInstruct2507: return Thinking::kNone;
    case text::TemplateFamily::kThinking2507: return Thinking::kInside;
  }
  return Thinking::kNone;
}

api::ApiError too_long(const api::GenerationRequest& request, std::string message) {
  return {.code = api::ErrorCode::kContextLengthExceeded,
          .message = std::move(message),
          .param = is_chat(request) ? "messages" : "prompt"};
}

// Whichever bound is the narrower, and whose it is.
struct Room {
  std::int64_t tokens = 0;
  std::string_view whose;
};

Room room_of(const ModelView& model, const RequestLimits& limits) {
  // One place is for the answer's first token.
  const std::int64_t context = std::min<std::int64_t>(model.context_length, model.kv_tokens) - 1;
  if (limits.max_prompt_tokens.value_or(context) >= context) return {context, "the context has room for"};
  return {*limits.max_prompt_tokens, "this request was admitted with"};
}

// The prompt's tokens, which fit into `room`.
api::ApiResult<std::vector<text::TokenId>> encode_within(const ModelView& model, const api::GenerationRequest& request,
                                                         const Room& room) {
  const std::int64_t counted = std::max<std::int64_t>(room.tokens, 0) * kCountedTimes;
  api::ApiResult<std::optional<std::vector<text::TokenId>>> prompt =
      encode_prompt_at_most(model, request, static_cast<std::size_t>(counted));
  if (!prompt.has_value()) return tl::unexpected(prompt.error());
  if (!prompt->has_value()) {
    return tl::unexpected(too_long(request, fmt::format("The prompt has more than {} tokens; {} {}.", grouped(counted),
                                                        room.whose, grouped(room.tokens))));
  }
  if ((*prompt)->empty()) return tl::unexpected(invalid("prompt", "The prompt is empty."));
  const auto tokens = static_cast<std::int64_t>((*prompt)->size());
  if (tokens > room.tokens) {
    return tl::unexpected(
        too_long(request, fmt::format("The prompt has {} tokens; {} {}: {} too many.", grouped(tokens), room.whose,
                                      grouped(room.tokens), grouped(tokens - room.tokens))));
  }
  return **std::move(prompt);
}

}  // namespace

ModelView view_of(const LoadedModel& model) {
  return {.tokenizer = model.tokenizer.get(),
          .formats = model.formats.get(),
          .family = model.family,
          .context_length = model.context_length,
          .kv_tokens = std::int64_t{model.kv_pages} * sched::kPageTokens,
          .hidden = model.engine->config().hidden,
          .gives_hidden = model.engine->gives_hidden(),
          .embedding = model.embedding};
}

std::size_t prompt_bytes(const api::GenerationRequest& request) {
  std::size_t bytes = request.prompt.size();
  for (const api::Message& message : request.messages) {
    bytes += message.content.size();
    for (const api::ToolCall& call : message.tool_calls) bytes += call.arguments.size();
  }
  for (const std::string& tool : request.tools) bytes += tool.size();
  return bytes;
}

bool is_quick(const ModelView& model, const api::GenerationRequest& request) {
  const bool is_compiled = !is_held(request) || model.formats->has(request);
  return is_compiled && prompt_bytes(request) <= kQuickBytes;
}

api::ApiResult<std::optional<std::vector<text::TokenId>>> encode_prompt_at_most(const ModelView& model,
                                                                                const api::GenerationRequest& request,
                                                                                std::size_t max_tokens) {
  if (is_chat(request)) {
    const Result<std::vector<text::Piece>> pieces = text::render_chat(model.family, to_chat(request));
    if (!pieces.has_value()) return tl::unexpected(invalid("messages", pieces.error().message));
    return text::encode_pieces_at_most(max_tokens, *model.tokenizer, *pieces);
  }
  std::optional<std::vector<text::TokenId>> out(std::in_place);
  if (!request.prompt_tokens.empty()) {
    for (const std::int32_t id : request.prompt_tokens) {
      if (id < 0 || id >= model.tokenizer->first_padding_id()) {
        return tl::unexpected(invalid("prompt", fmt::format("There is no token {}.", id)));
      }
    }
    if (request.prompt_tokens.size() <= max_tokens) {
      *out = request.prompt_tokens;
    } else {
      out.reset();
    }
    return out;
  }
  // A raw prompt is its caller's own template: control tokens written in it are meant (as vLLM and llama.cpp read it).
  if (!model.tokenizer->encode_at_most(max_tokens, request.prompt, text::SpecialTokens::kParse, *out)) out.reset();
  return out;
}

api::ApiResult<std::vector<text::TokenId>> encode_prompt(const ModelView& model,
                                                         const api::GenerationRequest& request) {
  api::ApiResult<std::optional<std::vector<text::TokenId>>> prompt = encode_prompt_at_most(model, request, SIZE_MAX);
  if (!prompt.has_value()) return tl::unexpected(prompt.error());
  CHECK(prompt->has_value());  // there is no limit to break
  return **std::move(prompt);
}

api::ApiResult<Job> prepare(const ModelView& model, const api::GenerationRequest& request,
                            const RequestLimits& limits) {
  const Room room = room_of(model, limits);
  api::ApiResult<std::vector<text::TokenId>> prompt = encode_within(model, request, room);
  if (!prompt.has_value()) return tl::unexpected(prompt.error());
  Job job;
  job.prompt = *std::move(prompt);
  job.choices = request.n;
  const std::int64_t wanted = request.sampling.max_tokens.value_or(kDefaultMaxTokens);
  const std::int64_t context = std::min<std::int64_t>(model.context_length, model.kv_tokens);
  job.max_tokens = static_cast<std::int32_t>(std::min(wanted, context - std::ssize(job.prompt)));
  job.ignore_eos = request.sampling.ignore_eos;
  job.sampling = resolve_sampling(request.sampling, mode_of(model, request));
  job.output = output_options(model, request);
  if (is_held(request)) {
    api::ApiResult<AnswerFormat> format = model.formats->get(request);
    if (!format.has_value()) return tl::unexpected(format.error());
    job.format = *std::move(format);
    job.thinking = thinking_of(model, request);
  }
  set_thinking(model, request, job);
  return job;
}

}  // namespace dormouse::worker
