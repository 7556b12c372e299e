#include "gateway/dialect/responses_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "api/fields.h"
#include "api/strict_json.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;
using api::Fields;
using api::Problem;

// The body itself is bounded by the server.
constexpr std::size_t kMaxTextBytes = 8U << 20;

// The parts of a content that are text, as a chat content; others are refused by their type.
std::optional<json::value> read_content(const Fields& fields, std::string_view key, Problem& problem) {
  const json::value* const content = fields.find(key);
  if (content == nullptr) return std::nullopt;
  if (content->is_string()) return *content;
  const json::array* const parts = content->if_array();
  if (parts == nullptr) {
    fields.refuse(key, fmt::format("{} is a text or a list of parts.", fields.param(key)));
    return std::nullopt;
  }
  json::array out;
  for (std::size_t i = 0; i < parts->size(); ++i) {
    const std::string path = fmt::format("{}[{}]", fields.param(key), i);
    const json::object* const part = (*parts)[i].if_object();
    if (part == nullptr) {
      problem.add(path, path + " must be an object.");
      return std::nullopt;
    }
    const Fields inner(*part, path, problem);
    const std::string type = inner.string("type", api::kMaxNameBytes).value_or("");
    const bool is_refusal = type == "refusal";
    if (!is_refusal && type != "input_text" && type != "output_text" && type != "text") {
      inner.refuse("type", "Only text can be read here: input_text, output_text or refusal.");
      return std::nullopt;
    }
    const std::string_view name = is_refusal ? "refusal" : "text";
    const std::optional<std::string> text = inner.string(name, kMaxTextBytes);
    if (!text.has_value()) {
      inner.refuse(name, inner.param(name) + " is needed.");
      return std::nullopt;
    }
    out.push_back(json::object{{"type", "text"}, {"text", *text}});
  }
  return out;
}

// Items into messages. Function calls belong to the assistant's turn before them.
class Messages {
 public:
  explicit Messages(Problem& problem) : problem_(problem) {}

  void add(std::string_view role, json::value content) {
    list_.push_back(json::object{{"role", role}, {"content", std::move(content)}});
  }
  void add_item(const json::value& item, std::string path) {
    const json::object* const object = item.if_object();
    if (object == nullptr) return problem_.add(path, path + " must be an object.");
    const Fields fields(*object, std::move(path), problem_);
    const std::string type = fields.string("type", api::kMaxNameBytes).value_or("message");
    if (type == "message") return add_message(fields);
    if (type == "function_call") return add_call(fields);
    if (type == "function_call_output") return add_output(fields);
    if (type == "reasoning") return;
    fields.refuse("type", "An item is a message, function_call, function_call_output or reasoning.");
  }
  [[nodiscard]] json::array take() { return std::move(list_); }

 private:
  void add_message(const Fields& fields) {
    const std::string role = fields.string("role", api::kMaxNameBytes).value_or("");
    if (role != "system" && role != "developer" && role != "user" && role != "assistant") {
      return fields.refuse("role", "A role is one of system, developer, user, assistant.");
    }
    std::optional<json::value> content = read_content(fields, "content", problem_);
    if (!content.has_value()) return fields.refuse("content", fields.param("content") + " is needed.");
    add(role, *std::move(content));
  }
  void add_call(const Fields& fields) {
    const std::optional<std::string> id = fields.string("call_id", api::kMaxNameBytes);
    const std::optional<std::string> name = fields.string("name", api::kMaxNameBytes);
    const std::optional<std::string> arguments = fields.string("arguments", kMaxTextBytes);
    for (const auto& [key, value] : {std::pair("call_id", &id), std::pair("name", &name)}) {
      if (!value->has_value()) return fields.refuse(key, fields.param(key) + " is needed.");
    }
    json::object call{{"id", *id}, {"type", "function"}};
    call["function"] = json::object{{"name", *name}, {"arguments", arguments.value_or("{}")}};
    const bool is_first = list_.empty() || list_.back().at("role") != "assistant";
    if (is_first) list_.push_back(json::object{{"role", "assistant"}, {"content", ""}});
    json::value& calls = list_.back().get_object()["tool_calls"];
    if (!calls.is_array()) calls = json::array();
    calls.get_array().push_back(std::move(call));
  }
  void add_output(const Fields& fields) {
    const std::optional<std::string> id = fields.string("call_id", api::kMaxNameBytes);
    if (!id.has_value()) return fields.refuse("call_id", fields.param("call_id") + " is needed.");
    std::optional<json::value> output = read_content(fields, "output", problem_);
    if (!output.has_value()) return fields.refuse("output", fields.param("output") + " is needed.");
    list_.push_back(json::object{{"role", "tool"}, {"tool_call_id", *id}, {"content", *std::move(output)}});
  }

  Problem& problem_;
  json::array list_;
};

void read_input(const Fields& fields, json::object& chat, Problem& problem) {
  Messages messages(problem);
  if (const auto instructions = fields.string("instructions", kMaxTextBytes)) {
    messages.add("system", json::value(*instructions));
  }
  const json::value* const input = fields.find("input");
  if (input == nullptr) return fields.refuse("input", "input is needed.");
  if (input->is_string()) {
    messages.add("user", *input);
  } else if (const json::array* const items = fields.array("input", api::kMaxMessages)) {
    if (items->empty()) return fields.refuse("input", "input must not be empty.");
    for (std::size_t i = 0; i < items->size() && !problem.found(); ++i) {
      messages.add_item((*items)[i], fmt::format("input[{}]", i));
    }
  }
  chat["messages"] = messages.take();
}

// {"type":"function","name":...} and what else is in it, one level down.
json::object nested_function(const json::object& flat) {
  json::object function;
  for (const auto& member : flat) {
    if (member.key() != "type") function[member.key()] = member.value();
  }
  return {{"type", "function"}, {"function", std::move(function)}};
}

void read_tools(const Fields& fields, json::object& chat, Problem& problem) {
  if (const json::array* const tools = fields.array("tools", api::kMaxTools)) {
    json::array out;
    for (std::size_t i = 0; i < tools->size(); ++i) {
      const std::string path = fmt::format("tools[{}]", i);
      const json::object* const tool = (*tools)[i].if_object();
      if (tool == nullptr) return problem.add(path, path + " must be an object.");
      const Fields inner(*tool, path, problem);
      if (inner.string("type", api::kMaxNameBytes).value_or("") != "function") {
        return inner.refuse("type", "Only tools of type function are supported.");
      }
      if (inner.string("name", api::kMaxNameBytes).value_or("").empty()) {
        return inner.refuse("name", inner.param("name") + " is needed.");
      }
      out.push_back(nested_function(*tool));
    }
    chat["tools"] = std::move(out);
  }
  const json::value* const choice = fields.find("tool_choice");
  if (choice == nullptr) return;
  const json::object* const named = choice->if_object();
  if (named == nullptr) {
    chat["tool_choice"] = *choice;
    return;
  }
  const Fields inner(*named, "tool_choice", problem);
  if (inner.string("type", api::kMaxNameBytes).value_or("") != "function") {
    return inner.refuse("type", "Only a tool of type function can be chosen.");
  }
  chat["tool_choice"] = nested_function(*named);
}

void read_format(const Fields& fields, json::object& chat, Problem& problem) {
  const json::object* const text = fields.object("text");
  if (text == nullptr) return;
  const Fields inner(*text, "text", problem);
  const json::object* const format = inner.object("format");
  if (format == nullptr) return;
  const Fields named(*format, "text.format", problem);
  const std::string type = named.string("type", api::kMaxNameBytes).value_or("");
  if (type == "text") return;
  json::object out{{"type", type}};
  if (type == "json_schema") {
    json::object schema;
    for (const auto& member : *format) {
      if (member.key() != "type") schema[member.key()] = member.value();
    }
    out["json_schema"] = std::move(schema);
  }
  chat["response_format"] = std::move(out);
}

void refuse_stored(const Fields& fields) {
  for (const std::string_view key : {"previous_response_id", "conversation", "prompt"}) {
    if (fields.find(key) == nullptr) continue;
    fields.refuse(key, fmt::format("Nothing is stored here: send the whole conversation in input instead of {}.", key));
  }
  if (fields.boolean("background").value_or(false)) {
    fields.refuse("background", "Nothing runs in the background here; /v1/batches takes work that can wait.");
  }
}

// A chat request's parameters by the names they have here. messages[i] is what became of several items.
std::string renamed(const std::string& param) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kNames = {{
      {"messages", "input"},
      {"max_tokens", "max_output_tokens"},
      {"max_completion_tokens", "max_output_tokens"},
      {"response_format", "text.format"},
      {"reasoning_effort", "reasoning.effort"},
  }};
  const std::string_view head = std::string_view(param).substr(0, param.find_first_of(".["));
  for (const auto& [theirs, ours] : kNames) {
    if (head == theirs) return std::string(ours);
  }
  return param;
}

constexpr std::array<std::string_view, 26> kKnownFields = {"model",
                                                           "input",
                                                           "instructions",
                                                           "max_output_tokens",
                                                           "temperature",
                                                           "top_p",
                                                           "tools",
                                                           "tool_choice",
                                                           "text",
                                                           "reasoning",
                                                           "stream",
                                                           "stream_options",
                                                           "store",
                                                           "metadata",
                                                           "user",
                                                           "parallel_tool_calls",
                                                           "truncation",
                                                           "include",
                                                           "service_tier",
                                                           "previous_response_id",
                                                           "conversation",
                                                           "prompt",
                                                           "background",
                                                           "safety_identifier",
                                                           "prompt_cache_key",
                                                           "seed"};

std::string echo_of(const json::object& body) {
  const auto repeat = [&body](std::string_view key, std::string_view otherwise) {
    const json::value* const value = api::find_member(body, key);
    return fmt::format(R"("{}":{})", key, value == nullptr ? std::string(otherwise) : json::serialize(*value));
  };
  std::string out = repeat("instructions", "null");
  for (const auto& [key, otherwise] :
       std::initializer_list<std::pair<std::string_view, std::string_view>>{{"max_output_tokens", "null"},
                                                                            {"metadata", "{}"},
                                                                            {"parallel_tool_calls", "true"},
                                                                            {"reasoning", "null"},
                                                                            {"temperature", "null"},
                                                                            {"text", R"({"format":{"type":"text"}})"},
                                                                            {"tool_choice", R"("auto")"},
                                                                            {"tools", "[]"},
                                                                            {"top_p", "null"}}) {
    out += ',' + repeat(key, otherwise);
  }
  return out + R"(,"background":false,"previous_response_id":null,"store":false,"truncation":"disabled")";
}

// Members of the same name and meaning in both.
void copy_shared(const json::object& body, json::object& chat) {
  for (const std::string_view key : {"model", "temperature", "top_p", "seed", "stream", "parallel_tool_calls"}) {
    if (const json::value* const value = api::find_member(body, key)) chat[key] = *value;
  }
}

}  // namespace

api::ApiResult<ResponsesRequest> parse_responses_request(std::string_view body) {
  const api::ApiResult<json::value> value = api::parse_strict_json(body);
  if (!value.has_value()) return tl::unexpected(value.error());
  const json::object* const object = value->if_object();
  if (object == nullptr) {
    return tl::unexpected(api::ApiError{api::ErrorCode::kInvalidJson, "The body must be a JSON object.", ""});
  }
  Problem problem;
  const Fields fields(*object, "", problem);
  json::object chat;
  refuse_stored(fields);
  copy_shared(*object, chat);
  read_input(fields, chat, problem);
  read_tools(fields, chat, problem);
  read_format(fields, chat, problem);
  if (const json::value* const most = fields.find("max_output_tokens")) chat["max_completion_tokens"] = *most;
  if (const json::object* const reasoning = fields.object("reasoning")) {
    if (const json::value* const effort = api::find_member(*reasoning, "effort")) chat["reasoning_effort"] = *effort;
  }
  if (problem.found()) return tl::unexpected(problem.error());
  api::ApiResult<api::GenerationRequest> parsed = api::parse_chat_request(json::serialize(chat));
  if (!parsed.has_value()) {
    api::ApiError error = parsed.error();
    error.param = renamed(error.param);
    return tl::unexpected(std::move(error));
  }
  ResponsesRequest out{.chat = *std::move(parsed), .echo = echo_of(*object)};
  out.chat.ignored_fields.clear();
  for (const auto& member : *object) {
    const std::string_view name = member.key();
    const bool is_known = std::find(kKnownFields.begin(), kKnownFields.end(), name) != kKnownFields.end();
    if (!is_known && out.chat.ignored_fields.size() < api::kMaxIgnoredFields) {
      out.chat.ignored_fields.emplace_back(name);
    }
  }
  return out;
}

}  // namespace dormouse::gateway
