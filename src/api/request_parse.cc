// parse_chat_request and parse_completion_request. The rules that are not obvious stand in generation.h.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "api/fields.h"
#include "api/generation.h"
#include "api/response_format_json.h"
#include "api/strict_json.h"

namespace dormouse::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();  // bounded by the body's own limit
constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kInt32Max = std::numeric_limits<std::int32_t>::max();

// Fields read below, of both kinds.
constexpr std::array<std::string_view, 29> kShared = {
    "model", "n", "stream", "stream_options", "temperature", "top_p", "top_k", "min_p", "repetition_penalty",
    "presence_penalty", "frequency_penalty", "logit_bias", "seed", "max_tokens", "stop", "logprobs", "ignore_eos",
    // What official clients send as a matter of course and what changes nothing here.
    "user", "metadata", "store", "service_tier", "parallel_tool_calls", "safety_identifier", "prompt_cache_key",
    "prompt_cache_retention", "verbosity", "modalities", "prediction", "include"};
constexpr std::array<std::string_view, 10> kChatOnly = {"messages",        "tools",
                                                        "tool_choice",     "max_completion_tokens",
                                                        "top_logprobs",    "chat_template_kwargs",
                                                        "enable_thinking", "reasoning_effort",
                                                        "reasoning",       "thinking_budget"};
constexpr std::array<std::string_view, 4> kCompletionOnly = {"prompt", "echo", "best_of", "suffix"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string> ignored_fields(const json::object& body, GenerationRequest::Kind kind) {
  std::vector<std::string> ignored;
  for (const auto& member : body) {
    const std::string_view key(member.key().data(), member.key().size());
    const bool known =
        contains(kShared, key) || contains(kFormatFields, key) ||
        (kind == GenerationRequest::Kind::kChat ? contains(kChatOnly, key) : contains(kCompletionOnly, key));
    if (known) continue;
    if (ignored.size() == kMaxIgnoredFields) break;
    ignored.emplace_back(key.size() <= kMaxNameBytes ? key : "(long)");
  }
  return ignored;
}

std::string_view view(const json::string& text) {
  return {text.data(), text.size()};
}

void read_stop(const Fields& fields, SamplingParams& out) {
  const json::value* value = fields.find("stop");
  if (value == nullptr) return;
  const auto add = [&](const json::value& element) {
    const json::string* text = element.if_string();
    if (text == nullptr || text->empty() || text->size() > kMaxStopBytes) {
      fields.refuse("stop", fmt::format("Each stop must be a string of 1 to {} bytes.", kMaxStopBytes));
      return;
    }
    out.stop.emplace_back(view(*text));
  };
  const json::array* list = value->if_array();
  if (list == nullptr) return add(*value);
  if (list->size() > kMaxStops) return fields.refuse("stop", fmt::format("At most {} stops.", kMaxStops));
  for (const json::value& element : *list) add(element);
}

void read_logit_bias(const Fields& fields, SamplingParams& out) {
  const json::object* biases = fields.object("logit_bias");
  if (biases == nullptr) return;
  if (biases->size() > kMaxLogitBias) {
    return fields.refuse("logit_bias", fmt::format("logit_bias takes at most {} tokens.", kMaxLogitBias));
  }
  for (const auto& member : *biases) {
    const std::string_view key(member.key().data(), member.key().size());
    std::int32_t token = -1;
    const auto parsed = std::from_chars(key.data(), key.data() + key.size(), token);
    const std::optional<double> bias = as_number(member.value());
    const bool is_token = parsed.ec == std::errc() && parsed.ptr == key.data() + key.size() && token >= 0;
    if (!is_token || !bias || !(*bias >= -100 && *bias <= 100)) {
      return fields.refuse("logit_bias", "logit_bias maps token ids to numbers from -100 to 100.");
    }
    // "7" and "07" name one token.
    if (!out.logit_bias.emplace(token, *bias).second) {
      return fields.refuse("logit_bias", "logit_bias names a token twice.");
    }
  }
}

void read_sampling(const Fields& fields, SamplingParams& out) {
  out.temperature = fields.number("temperature", {.min = 0, .max = 2});
  out.top_p = fields.number("top_p", {.min = 0, .max = 1, .lower = LowerBound::kExclusive});
  out.top_k = fields.integer("top_k", {.min = -1, .max = kInt32Max});
  out.min_p = fields.number("min_p", {.min = 0, .max = 1});
  out.repetition_penalty = fields.number("repetition_penalty", {.min = kMinRepetitionPenalty, .max = 2});
  out.presence_penalty = fields.number("presence_penalty", {.min = -2, .max = 2});
  out.frequency_penalty = fields.number("frequency_penalty", {.min = -2, .max = 2});
  read_logit_bias(fields, out);
  if (const auto seed = fields.integer("seed", {.min = std::numeric_limits<std::int64_t>::min(), .max = kInt64Max})) {
    out.seed = static_cast<std::uint64_t>(*seed);
  }
  out.max_tokens = fields.integer("max_tokens", {.min = 1, .max = kInt64Max});
  read_stop(fields, out);
  out.ignore_eos = fields.boolean("ignore_eos").value_or(false);
}

void read_stream(const Fields& fields, GenerationRequest& out, Problem& problem) {
  out.model = fields.string("model", kMaxNameBytes).value_or("");
  out.n = static_cast<int>(fields.integer("n", {.min = 1, .max = kMaxChoices}).value_or(1));
  out.stream = fields.boolean("stream").value_or(false);
  const json::object* options = fields.object("stream_options");
  if (options == nullptr) return;
  const Fields inner(*options, "stream_options", problem);
  out.stream_options.include_usage = inner.boolean("include_usage").value_or(false);
  out.stream_options.continuous_usage_stats = inner.boolean("continuous_usage_stats").value_or(false);
}

void read_content(const Fields& fields, Message& out, Problem& problem) {
  const json::value* value = fields.find("content");
  if (value == nullptr) {
    if (out.role != "assistant") fields.refuse("content", fmt::format("{} is needed.", fields.param("content")));
    return;
  }
  if (const json::string* text = value->if_string()) {
    out.content = view(*text);
    return;
  }
  const json::array* parts = value->if_array();
  if (parts == nullptr) return fields.refuse("content", "Message content must be a string or an array of text parts.");
  for (std::size_t i = 0; i < parts->size(); ++i) {
    const std::string param = fmt::format("{}[{}]", fields.param("content"), i);
    const json::object* part = (*parts)[i].if_object();
    const json::value* type = part == nullptr ? nullptr : find_member(*part, "type");
    const json::value* text = part == nullptr ? nullptr : find_member(*part, "text");
    const bool is_text = type != nullptr && type->is_string() && view(type->get_string()) == "text";
    if (!is_text || text == nullptr || !text->is_string()) {
      return problem.add(param, "Only content parts of type text are supported.");
    }
    if (i > 0) out.content += '\n';
    out.content += view(text->get_string());
  }
}

void read_tool_call(const json::value& value, const std::string& path, Message& out, Problem& problem) {
  const json::object* object = value.if_object();
  if (object == nullptr) return problem.add(path, fmt::format("{} must be an object.", path));
  const Fields call(*object, path, problem);
  ToolCall result;
  result.id = call.string("id", kMaxNameBytes).value_or("");
  if (call.string("type", kMaxNameBytes).value_or("function") != "function") {
    return call.refuse("type", "Only tool calls of type function are supported.");
  }
  const json::object* inner = call.object("function");
  if (inner == nullptr) return call.refuse("function", fmt::format("{} is needed.", call.param("function")));
  const Fields function(*inner, call.param("function"), problem);
  result.name = function.string("name", kMaxNameBytes).value_or("");
  if (result.name.empty()) function.refuse("name", fmt::format("{} is needed.", function.param("name")));
  const json::value* arguments = function.find("arguments");
  if (arguments == nullptr) {
    result.arguments = "{}";
  } else if (arguments->is_string()) {
    result.arguments = view(arguments->get_string());
  } else if (arguments->is_object()) {
    result.arguments = python_dumps(*arguments);
    result.arguments_is_string = false;
  } else {
    function.refuse("arguments", "Tool call arguments must be a string or an object.");
  }
  out.tool_calls.push_back(std::move(result));
}

void read_message(const json::value& value, const std::string& path, GenerationRequest& out, Problem& problem) {
  const json::object* object = value.if_object();
  if (object == nullptr) return problem.add(path, fmt::format("{} must be an object.", path));
  const Fields fields(*object, path, problem);
  Message message;
  message.role = fields.string("role", kMaxNameBytes).value_or("");
  if (message.role == "developer") message.role = "system";
  if (message.role != "system" && message.role != "user" && message.role != "assistant" && message.role != "tool") {
    return fields.refuse("role", "A role is one of system, developer, user, assistant, tool.");
  }
  read_content(fields, message, problem);
  if (message.role == "assistant") {
    message.reasoning_content = fields.string("reasoning_content", kUnlimited);
    std::optional<std::string> by_its_other_name = fields.string("reasoning", kUnlimited);
    if (!message.reasoning_content) message.reasoning_content = std::move(by_its_other_name);
    if (const json::array* calls = fields.array("tool_calls", kMaxTools)) {
      for (std::size_t i = 0; i < calls->size(); ++i) {
        read_tool_call((*calls)[i], fmt::format("{}[{}]", fields.param("tool_calls"), i), message, problem);
      }
    }
  }
  if (message.role == "tool") message.tool_call_id = fields.string("tool_call_id", kMaxNameBytes).value_or("");
  out.messages.push_back(std::move(message));
}

void read_messages(const Fields& fields, GenerationRequest& out, Problem& problem) {
  const json::array* messages = fields.array("messages", kMaxMessages);
  if (messages == nullptr || messages->empty()) return fields.refuse("messages", "messages must not be empty.");
  out.messages.reserve(messages->size());
  for (std::size_t i = 0; i < messages->size() && !problem.found(); ++i) {
    read_message((*messages)[i], fmt::format("messages[{}]", i), out, problem);
  }
}

// The tool's name; empty if there is something wrong with it.
std::string read_tool(const json::value& value, const std::string& path, Problem& problem) {
  const json::object* tool = value.if_object();
  if (tool == nullptr) {
    problem.add(path, fmt::format("{} must be an object.", path));
    return {};
  }
  const Fields inner(*tool, path, problem);
  if (inner.string("type", kMaxNameBytes).value_or("") != "function") {
    inner.refuse("type", "Only tools of type function are supported.");
    return {};
  }
  const json::object* function = inner.object("function");
  if (function == nullptr) {
    inner.refuse("function", fmt::format("{} is needed.", inner.param("function")));
    return {};
  }
  const Fields named(*function, inner.param("function"), problem);
  std::string name = named.string("name", kMaxNameBytes).value_or("");
  if (name.empty()) named.refuse("name", fmt::format("{} is needed.", named.param("name")));
  return name;
}

void read_tool_choice(const Fields& fields, const std::vector<std::string>& names, GenerationRequest& out) {
  const json::value* choice = fields.find("tool_choice");
  if (choice == nullptr) return;
  const std::string_view word = choice->is_string() ? view(choice->get_string()) : std::string_view();
  if (word == "auto") return;
  if (word == "none") return out.tools.clear();
  const json::object* object = choice->if_object();
  const json::value* function = object == nullptr ? nullptr : find_member(*object, "function");
  const json::value* name =
      function == nullptr || !function->is_object() ? nullptr : find_member(function->get_object(), "name");
  const bool is_named = name != nullptr && name->is_string();
  if (word != "required" && !is_named) {
    return fields.refuse("tool_choice",
                         R"(tool_choice is auto, none, required or {"type":"function","function":{"name":"..."}}.)");
  }
  if (out.tools.empty()) return fields.refuse("tool_choice", "tool_choice asks for a call, but there are no tools.");
  if (word == "required") {
    out.tool_choice.kind = ToolChoice::Kind::kRequired;
    return;
  }
  out.tool_choice = {.kind = ToolChoice::Kind::kNamed, .name = std::string(view(name->get_string()))};
  if (std::find(names.begin(), names.end(), out.tool_choice.name) == names.end()) {
    fields.refuse("tool_choice", "tool_choice names a tool that is not in tools.");
  }
}

void read_tools(const Fields& fields, GenerationRequest& out, Problem& problem) {
  std::vector<std::string> names;
  if (const json::array* tools = fields.array("tools", kMaxTools)) {
    for (std::size_t i = 0; i < tools->size(); ++i) {
      names.push_back(read_tool((*tools)[i], fmt::format("tools[{}]", i), problem));
      if (problem.found()) return;
      out.tools.push_back(python_dumps((*tools)[i]));
    }
  }
  const bool parallel = fields.boolean("parallel_tool_calls").value_or(true);
  read_tool_choice(fields, names, out);
  out.parallel_tool_calls = parallel || out.tools.empty();
}

void read_effort(const Fields& fields, std::string_view key, GenerationRequest& out) {
  const std::optional<std::string> effort = fields.string(key, kMaxNameBytes);
  if (!effort) return;
  const bool off = *effort == "none" || *effort == "minimal";
  const bool unbounded = *effort == "high" || *effort == "xhigh";
  if (!off && !unbounded && *effort != "low" && *effort != "medium") {
    return fields.refuse(key, fmt::format("{} is one of none, minimal, low, medium, high, xhigh.", fields.param(key)));
  }
  out.enable_thinking = !off;
  out.thinking_budget.reset();
  if (*effort == "low") out.thinking_budget = kLowEffortTokens;
  if (*effort == "medium") out.thinking_budget = kMediumEffortTokens;
}

void read_budget(const Fields& fields, std::string_view key, GenerationRequest& out) {
  const std::optional<std::int64_t> budget = fields.integer(key, {.min = 0, .max = kInt32Max});
  if (!budget) return;
  out.thinking_budget = budget;
  out.enable_thinking = *budget > 0;
}

// The last word wins: what stands first is the least exact.
void read_thinking(const Fields& fields, GenerationRequest& out, Problem& problem) {
  const json::object* reasoning = fields.object("reasoning");
  const json::object* kwargs = fields.object("chat_template_kwargs");
  if (reasoning != nullptr) read_effort(Fields(*reasoning, "reasoning", problem), "effort", out);
  read_effort(fields, "reasoning_effort", out);
  if (reasoning != nullptr) read_budget(Fields(*reasoning, "reasoning", problem), "max_tokens", out);
  if (kwargs != nullptr) read_budget(Fields(*kwargs, "chat_template_kwargs", problem), "thinking_budget", out);
  read_budget(fields, "thinking_budget", out);
  if (const auto direct = fields.boolean("enable_thinking")) out.enable_thinking = direct;
  if (kwargs == nullptr) return;
  const Fields inner(*kwargs, "chat_template_kwargs", problem);
  if (const auto value = inner.boolean("enable_thinking")) out.enable_thinking = value;
}

void read_chat_logprobs(const Fields& fields, SamplingParams& out) {
  out.logprobs = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", {.min = 0, .max = kMaxTopLogprobs});
  if (top && *top > 0 && !out.logprobs) {
    return fields.refuse("top_logprobs", "top_logprobs needs logprobs to be true.");
  }
  out.top_logprobs = static_cast<int>(top.value_or(0));
}

void read_token_prompt(const Fields& fields, const json::array& ids, GenerationRequest& out) {
  if (ids.empty()) return fields.refuse("prompt", "prompt must not be empty.");
  if (ids.size() > kMaxPromptTokens) {
    return fields.refuse("prompt", fmt::format("prompt may have at most {} tokens.", kMaxPromptTokens));
  }
  out.prompt_tokens.reserve(ids.size());
  for (const json::value& element : ids) {
    const std::optional<std::int64_t> id = as_integer(element);
    if (!id || *id < 0 || *id > kInt32Max)
      return fields.refuse("prompt", "prompt holds something that is no token id.");
    out.prompt_tokens.push_back(static_cast<std::int32_t>(*id));
  }
}

void read_prompt(const Fields& fields, GenerationRequest& out) {
  const json::value* value = fields.find("prompt");
  const json::array* list = value == nullptr ? nullptr : value->if_array();
  if (list != nullptr && list->size() == 1 && ((*list)[0].is_string() || (*list)[0].is_array())) {
    value = &(*list)[0];
    list = value->if_array();
  }
  if (list != nullptr) {
    if (list->size() > 1 && ((*list)[0].is_string() || (*list)[0].is_array())) {
      return fields.refuse("prompt", "One prompt a request.");
    }
    return read_token_prompt(fields, *list, out);
  }
  if (value == nullptr || !value->is_string() || value->get_string().empty()) {
    return fields.refuse("prompt", "prompt must be a text that is not empty, or an array of token ids.");
  }
  out.prompt = view(value->get_string());
}

void read_completion_extras(const Fields& fields, GenerationRequest& out) {
  out.echo = fields.boolean("echo").value_or(false);
  if (const auto logprobs = fields.integer("logprobs", {.min = 0, .max = kMaxCompletionLogprobs})) {
    out.sampling.logprobs = true;
    out.sampling.top_logprobs = static_cast<int>(*logprobs);
  }
  const auto best_of = fields.integer("best_of", {.min = 1, .max = kMaxChoices});
  if (best_of && *best_of != out.n) fields.refuse("best_of", "best_of other than n is not supported.");
  if (!fields.string("suffix", kUnlimited).value_or("").empty()) {
    fields.refuse("suffix", "suffix is not supported.");
  }
}

ApiResult<json::value> parse_object(std::string_view body) {
  ApiResult<json::value> value = parse_strict_json(body);
  if (value && !value->is_object()) {
    return tl::unexpected(ApiError{ErrorCode::kInvalidJson, "The body must be a JSON object.", ""});
  }
  return value;
}

}  // namespace

ApiResult<GenerationRequest> parse_chat_request(std::string_view body) {
  const ApiResult<json::value> value = parse_object(body);
  if (!value) return tl::unexpected(value.error());
  GenerationRequest out;
  out.kind = GenerationRequest::Kind::kChat;
  Problem problem;
  const Fields fields(value->get_object(), "", problem);
  read_stream(fields, out, problem);
  read_messages(fields, out, problem);
  read_sampling(fields, out.sampling);
  if (const auto limit = fields.integer("max_completion_tokens", {.min = 1, .max = kInt64Max})) {
    out.sampling.max_tokens = limit;
  }
  read_chat_logprobs(fields, out.sampling);
  read_tools(fields, out, problem);
  read_thinking(fields, out, problem);
  out.format = read_format(fields, problem);
  if (problem.found()) return tl::unexpected(problem.error());
  out.ignored_fields = ignored_fields(value->get_object(), out.kind);
  return out;
}

ApiResult<GenerationRequest> parse_completion_request(std::string_view body) {
  const ApiResult<json::value> value = parse_object(body);
  if (!value) return tl::unexpected(value.error());
  GenerationRequest out;
  out.kind = GenerationRequest::Kind::kCompletion;
  Problem problem;
  const Fields fields(value->get_object(), "", problem);
  read_stream(fields, out, problem);
  read_prompt(fields, out);
  read_sampling(fields, out.sampling);
  read_completion_extras(fields, out);
  out.format = read_format(fields, problem);
  if (problem.found()) return tl::unexpected(problem.error());
  out.ignored_fields = ignored_fields(value->get_object(), out.kind);
  return out;
}

}  // namespace dormouse::api
