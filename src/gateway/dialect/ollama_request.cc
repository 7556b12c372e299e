#include "gateway/dialect/ollama_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <limits>
#include <utility>
#include <vector>

#include "api/fields.h"
#include "api/strict_json.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();  // bounded by the body's own limit
constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();
constexpr double kLongestKeepAliveS = 100.0 * 365 * 86'400;  // a bound for the arithmetic; deployments have their own

std::string_view view(const json::string& text) {
  return {text.data(), text.size()};
}

// What is read, refused or known to change nothing, at the top and in options. num_ctx is the deployment's, the rest
// of the second half the machine's.
constexpr std::array<std::string_view, 16> kFields{"model",      "messages", "prompt",  "stream", "format", "options",
                                                   "keep_alive", "tools",    "think",   "suffix", "system", "images",
                                                   "raw",        "template", "context", "name"};
constexpr std::array<std::string_view, 22> kOptions{"temperature",
                                                    "top_p",
                                                    "top_k",
                                                    "min_p",
                                                    "seed",
                                                    "stop",
                                                    "repeat_penalty",
                                                    "presence_penalty",
                                                    "frequency_penalty",
                                                    "num_predict",
                                                    "num_ctx",
                                                    "num_keep",
                                                    "num_batch",
                                                    "num_gpu",
                                                    "main_gpu",
                                                    "num_thread",
                                                    "use_mmap",
                                                    "use_mlock",
                                                    "low_vram",
                                                    "numa",
                                                    "vocab_only",
                                                    "f16_kv"};

template <std::size_t N>
void note_unknown(const json::object& object, std::string_view path, const std::array<std::string_view, N>& known,
                  std::vector<std::string>& out) {
  for (const auto& member : object) {
    const std::string_view key(member.key().data(), member.key().size());
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    if (out.size() == api::kMaxIgnoredFields) return;
    out.push_back(fmt::format("{}{}", path, key.size() <= api::kMaxNameBytes ? key : "(long)"));
  }
}

void copy_options(const api::Fields& options, json::object& out) {
  const auto number = [&](std::string_view from, std::string_view to, api::DoubleRange range) {
    if (const auto value = options.number(from, range)) out[to] = *value;
  };
  constexpr api::LowerBound kAbove = api::LowerBound::kExclusive;
  number("temperature", "temperature", {.min = 0, .max = 2});
  number("top_p", "top_p", {.min = 0, .max = 1, .lower = kAbove});
  number("min_p", "min_p", {.min = 0, .max = 1});
  number("repeat_penalty", "repetition_penalty", {.min = api::kMinRepetitionPenalty, .max = 2});
  number("presence_penalty", "presence_penalty", {.min = -2, .max = 2});
  number("frequency_penalty", "frequency_penalty", {.min = -2, .max = 2});
  constexpr std::int64_t kInt32Max = std::numeric_limits<std::int32_t>::max();
  if (const auto value = options.integer("top_k", {.min = -1, .max = kInt32Max})) out["top_k"] = *value;
  const auto seed = options.integer("seed", {.min = std::numeric_limits<std::int64_t>::min(), .max = kInt64Max});
  if (seed.has_value() && *seed != -1) out["seed"] = *seed;
  const auto most = options.integer("num_predict", {.min = -2, .max = kInt64Max});
  if (most.has_value() && *most > 0) out["max_tokens"] = *most;
  static_cast<void>(options.integer("num_ctx", {.min = 0, .max = kInt64Max}));
  if (const json::value* stop = options.find("stop")) out["stop"] = *stop;
}

void copy_format(const api::Fields& fields, json::object& out) {
  const json::value* format = fields.find("format");
  if (format == nullptr) return;
  const json::string* word = format->if_string();
  if (word != nullptr && word->empty()) return;
  if (word != nullptr && view(*word) == "json") {
    out["response_format"] = {{"type", "json_object"}};
  } else if (format->is_object()) {
    out["response_format"] = {{"type", "json_schema"},
                              {"json_schema", {{"name", "format"}, {"strict", true}, {"schema", *format}}}};
  } else {
    fields.refuse("format", "format must be \"json\" or a JSON schema.");
  }
}

void copy_thinking(const api::Fields& fields, json::object& out) {
  const json::value* think = fields.find("think");
  if (think == nullptr) return;
  if (const bool* on = think->if_bool()) {
    out["chat_template_kwargs"] = {{"enable_thinking", *on}};
    return;
  }
  const std::string_view level = think->is_string() ? view(think->get_string()) : std::string_view();
  if (level == "low" || level == "medium" || level == "high") {
    out["reasoning_effort"] = level;
    return;
  }
  fields.refuse("think", "think must be true, false, or one of low, medium, high.");
}

// What would change the answer and cannot be had.
void refuse_unsupported(const api::Fields& fields) {
  for (const std::string_view key : {"suffix", "template"}) {
    if (!fields.string(key, kUnlimited).value_or("").empty()) {
      fields.refuse(key, fmt::format("{} is not supported; leave it out.", fields.param(key)));
    }
  }
  const json::array* images = fields.array("images", kUnlimited);
  if (images != nullptr && !images->empty()) {
    fields.refuse("images",
                  fmt::format("{}: models here read text only; leave the images out.", fields.param("images")));
  }
}

// Calls of the history that no tool message has answered yet.
struct OpenCalls {
  struct Entry {
    std::string id;
    std::string name;
  };
  std::vector<Entry> entries;
  std::size_t made = 0;

  std::string next_id() { return fmt::format("call_{}", made++); }
  // Empty: none is open.
  std::string answer(std::string_view name) {
    auto found = std::find_if(entries.begin(), entries.end(), [name](const Entry& e) { return e.name == name; });
    if (found == entries.end()) found = entries.begin();
    if (found == entries.end()) return {};
    std::string id = std::move(found->id);
    entries.erase(found);
    return id;
  }
};

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = api::find_member(object, key);
  return value != nullptr && value->is_string() ? std::string(view(value->get_string())) : std::string();
}

// {"function":{"name","arguments":{}}} with its arguments as text, as every server of the OpenAI dialect reads them.
json::value openai_call(const json::value& call, const std::string& path, OpenCalls& calls, api::Problem& problem) {
  const json::object* object = call.if_object();
  const json::value* function = object == nullptr ? nullptr : api::find_member(*object, "function");
  if (function == nullptr || !function->is_object()) return call;  // refused by who reads it next
  json::object inner = function->get_object();
  const json::value* arguments = api::find_member(inner, "arguments");
  if (arguments != nullptr && !arguments->is_object()) {
    const std::string param = path + ".function.arguments";
    problem.add(param, param + " must be an object.");
    return call;
  }
  inner["arguments"] = arguments == nullptr ? "{}" : api::python_dumps(*arguments);
  std::string id = text_of(*object, "id");
  if (id.empty()) id = calls.next_id();
  calls.entries.push_back({id, text_of(inner, "name")});
  return {{"id", id}, {"type", "function"}, {"function", std::move(inner)}};
}

json::value openai_message(const json::value& value, const std::string& path, OpenCalls& calls, api::Problem& problem) {
  const json::object* message = value.if_object();
  if (message == nullptr) return value;
  refuse_unsupported(api::Fields(*message, path, problem));
  json::object out;
  for (const std::string_view key : {"role", "content", "tool_call_id"}) {
    if (const json::value* member = api::find_member(*message, key)) out[key] = *member;
  }
  if (!out.contains("content")) out["content"] = "";
  if (const json::value* thinking = api::find_member(*message, "thinking")) out["reasoning_content"] = *thinking;
  const json::value* made = api::find_member(*message, "tool_calls");
  if (made != nullptr && made->is_array()) {
    json::array converted;
    for (std::size_t i = 0; i < made->get_array().size() && !problem.found(); ++i) {
      converted.push_back(openai_call(made->get_array()[i], fmt::format("{}.tool_calls[{}]", path, i), calls, problem));
    }
    out["tool_calls"] = std::move(converted);
  } else if (made != nullptr) {
    out["tool_calls"] = *made;
  }
  if (text_of(*message, "role") == "tool" && !out.contains("tool_call_id")) {
    out["tool_call_id"] = calls.answer(text_of(*message, "tool_name"));
  }
  return out;
}

void copy_messages(const api::Fields& fields, json::object& out, api::Problem& problem) {
  const json::array* messages = fields.array("messages", api::kMaxMessages);
  if (messages == nullptr || messages->empty()) return;
  json::array converted;
  OpenCalls calls;
  for (std::size_t i = 0; i < messages->size() && !problem.found(); ++i) {
    converted.push_back(openai_message((*messages)[i], fmt::format("messages[{}]", i), calls, problem));
  }
  out["messages"] = std::move(converted);
}

void copy_prompt(const api::Fields& fields, json::object& out) {
  const std::string prompt = fields.string("prompt", kUnlimited).value_or("");
  const std::string system = fields.string("system", kUnlimited).value_or("");
  const bool is_raw = fields.boolean("raw").value_or(false);
  if (is_raw && !system.empty()) fields.refuse("system", "system has no place in a raw prompt.");
  if (is_raw && out.contains("response_format")) fields.refuse("format", "format needs a prompt that is not raw.");
  if (prompt.empty()) return;
  if (is_raw) {
    out["prompt"] = prompt;
    return;
  }
  json::array messages;
  if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  out["messages"] = std::move(messages);
}

api::ApiResult<json::value> read_object(std::string_view body) {
  api::ApiResult<json::value> root = api::parse_strict_json(body);
  if (root.has_value() && !root->is_object()) {
    return tl::unexpected(api::ApiError{api::ErrorCode::kInvalidJson, "The body must be a JSON object.", ""});
  }
  return root;
}

// Names of the fields as they were sent.
api::ApiError as_sent(api::ApiError error) {
  if (error.param == "stop") error.param = "options.stop";
  if (error.param == "response_format") error.param = "format";
  return error;
}

enum class Endpoint { kChat, kGenerate };

api::ApiResult<OllamaRequest> parse(std::string_view body, Endpoint endpoint) {
  const api::ApiResult<json::value> root = read_object(body);
  if (!root.has_value()) return tl::unexpected(root.error());
  api::Problem problem;
  const api::Fields fields(root->get_object(), "", problem);
  OllamaRequest out;
  json::object openai;
  const std::string model = fields.string("model", api::kMaxNameBytes).value_or("");
  if (!model.empty()) openai["model"] = model;
  const bool is_stream = fields.boolean("stream").value_or(true);
  openai["stream"] = is_stream;
  const json::object* options = fields.object("options");
  if (options != nullptr) copy_options(api::Fields(*options, "options", problem), openai);
  copy_format(fields, openai);
  copy_thinking(fields, openai);
  out.keep_alive = read_keep_alive(fields);
  if (const json::array* tools = fields.array("tools", api::kMaxTools)) openai["tools"] = *tools;
  refuse_unsupported(fields);
  if (endpoint == Endpoint::kChat) copy_messages(fields, openai, problem);
  if (endpoint == Endpoint::kGenerate) copy_prompt(fields, openai);
  if (problem.found()) return tl::unexpected(problem.error());

  out.says_nothing = !openai.contains("messages") && !openai.contains("prompt");
  // What stands beside no words is read as beside some: a mistake is told at once, not with the first question.
  if (out.says_nothing) openai["messages"] = json::array{{{"role", "user"}, {"content", ""}}};
  const std::string text = json::serialize(openai);
  api::ApiResult<api::GenerationRequest> request =
      openai.contains("prompt") ? api::parse_completion_request(text) : api::parse_chat_request(text);
  if (!request.has_value()) return tl::unexpected(as_sent(request.error()));
  if (out.says_nothing) {
    out.request.model = model;
    out.request.stream = is_stream;
  } else {
    out.request = *std::move(request);
    out.request.ignored_fields.clear();  // those we wrote ourselves
  }
  note_unknown(root->get_object(), "", kFields, out.request.ignored_fields);
  if (options != nullptr) note_unknown(*options, "options.", kOptions, out.request.ignored_fields);
  return out;
}

}  // namespace

api::ApiResult<OllamaRequest> parse_ollama_chat(std::string_view body) {
  return parse(body, Endpoint::kChat);
}

api::ApiResult<OllamaRequest> parse_ollama_generate(std::string_view body) {
  return parse(body, Endpoint::kGenerate);
}

api::ApiResult<OllamaModelRequest> parse_ollama_model(std::string_view body) {
  const api::ApiResult<json::value> root = read_object(body);
  if (!root.has_value()) return tl::unexpected(root.error());
  api::Problem problem;
  const api::Fields fields(root->get_object(), "", problem);
  OllamaModelRequest out;
  out.model = fields.string("model", api::kMaxNameBytes).value_or("");
  std::string older = fields.string("name", api::kMaxNameBytes).value_or("");
  if (out.model.empty()) out.model = std::move(older);
  out.is_stream = fields.boolean("stream").value_or(true);
  if (problem.found()) return tl::unexpected(problem.error());
  return out;
}

std::optional<Nanoseconds> read_keep_alive(const api::Fields& fields) {
  const json::value* value = fields.find("keep_alive");
  if (value == nullptr) return std::nullopt;
  std::optional<Nanoseconds> out;
  if (const json::string* text = value->if_string()) {
    out = parse_keep_alive(view(*text));
  } else if (const std::optional<double> number = api::as_number(*value)) {
    // However little below 0 it is: rounded to 0 it would mean the opposite.
    const double bounded = *number < 0 ? -1.0 : std::min(*number, kLongestKeepAliveS);
    out = std::chrono::duration_cast<Nanoseconds>(std::chrono::duration<double>(bounded));
  }
  if (!out.has_value()) {
    fields.refuse("keep_alive",
                  "keep_alive must be a duration such as \"10m\", or seconds; below 0 is as long as allowed.");
  }
  return out;
}

std::optional<Nanoseconds> parse_keep_alive(std::string_view text) {
  const bool is_negative = text.starts_with('-');
  if (is_negative || text.starts_with('+')) text.remove_prefix(1);
  struct Unit {
    std::string_view name;
    double seconds;
  };
  constexpr std::array<Unit, 8> kUnits{
      {{"ns", 1e-9}, {"us", 1e-6}, {"µs", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"", 1}}};
  double sum = 0;
  bool is_bare = false;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    if (std::string_view("0123456789.").find(text.front()) == std::string_view::npos) return std::nullopt;  // "inf"
    double number = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (ec != std::errc() || !(number >= 0) || is_bare) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const std::string_view name = text.substr(0, std::min(text.find_first_of("0123456789."), text.size()));
    const auto unit = std::find_if(kUnits.begin(), kUnits.end(), [name](const Unit& u) { return u.name == name; });
    if (unit == kUnits.end()) return std::nullopt;
    is_bare = unit->name.empty();
    sum = std::min(sum + std::min(number, 1e18) * unit->seconds, kLongestKeepAliveS);
    text.remove_prefix(name.size());
  }
  if (is_negative && sum > 0) return Nanoseconds{-1};
  return std::chrono::duration_cast<Nanoseconds>(std::chrono::duration<double>(sum));
}

}  // namespace dormouse::gateway
