#include "worker/tool_format.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "api/fields.h"
#include "grammar/builder.h"
#include "grammar/json_rules.h"
#include "grammar/json_schema.h"
#include "text/tool_calls.h"

namespace dormouse::worker {
namespace {

namespace json = boost::json;
using grammar::Builder;
using grammar::Expr;

constexpr char kNoText = '\xFF';
constexpr std::string_view kOpenBytes = "\xFF(";
constexpr std::string_view kCloseBytes = "\xFF)";

struct Tool {
  std::string name;
  std::optional<std::string> parameters;  // a schema of objects; none: it takes none
};

// Arguments are an object, also where the schema does not say so.
Result<std::string> object_schema(const json::value& parameters) {
  const json::object* given = parameters.if_object();
  if (given == nullptr) return make_error(Code::kInvalidArgument, "function.parameters: want a JSON schema");
  json::object schema = *given;
  const json::value& type = schema.emplace("type", "object").first->value();
  if (type != "object") return make_error(Code::kInvalidArgument, "function.parameters: want type object");
  return json::serialize(schema);
}

// The api has looked at all of it but the parameters.
Result<Tool> read_tool(std::string_view text) {
  boost::system::error_code ec;
  json::parse_options options;
  options.max_depth = api::kMaxJsonDepth;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), ec, {}, options);
  const json::object* tool = value.if_object();
  const json::value* member = ec || tool == nullptr ? nullptr : api::find_member(*tool, "function");
  const json::object* function = member == nullptr ? nullptr : member->if_object();
  const json::value* name = function == nullptr ? nullptr : api::find_member(*function, "name");
  if (name == nullptr || !name->is_string()) return make_error(Code::kInvalidArgument, "not a tool");
  Tool out{.name = {name->get_string().data(), name->get_string().size()}, .parameters = std::nullopt};
  if (grammar::json_literal(out.name).size() != out.name.size() + 2) {
    return make_error(Code::kInvalidArgument, "function.name: want letters that JSON writes as they are");
  }
  const json::value* parameters = api::find_member(*function, "parameters");
  if (parameters == nullptr) return out;
  TRY(out.parameters, object_schema(*parameters));
  return out;
}

Result<Expr> add_call(Builder& builder, const Tool& tool) {
  Expr arguments = builder.literal("{}");
  if (tool.parameters.has_value()) {
    Result<Expr> schema = grammar::add_json_schema(builder, *tool.parameters);
    if (!schema.has_value()) {
      return make_error(schema.error().code, fmt::format("function.parameters: {}", schema.error().message));
    }
    arguments = *schema;
  }
  const std::string head =
      fmt::format("{}\n{{\"name\": {}, \"arguments\": ", kOpenBytes, grammar::json_literal(tool.name));
  return builder.sequence({builder.literal(head), arguments, builder.literal(fmt::format("}}\n{}", kCloseBytes))});
}

}  // namespace

std::vector<std::string_view> grammar_bytes(const text::Tokenizer& tokenizer) {
  std::vector<std::string_view> out;
  for (text::TokenId id = 0; id < tokenizer.first_padding_id(); ++id) {
    const std::string_view bytes = tokenizer.token_bytes(id);
    out.push_back(bytes.find(kNoText) == std::string_view::npos ? bytes : std::string_view());
  }
  const auto set = [&](std::string_view tag, std::string_view bytes) {
    if (const auto id = tokenizer.find(tag)) out[static_cast<std::size_t>(*id)] = bytes;
  };
  set("<think>", {});
  set("</think>", {});
  set(text::kToolCallOpen, kOpenBytes);
  set(text::kToolCallClose, kCloseBytes);
  return out;
}

Result<std::shared_ptr<const grammar::Grammar>> compile_tool_calls(const std::vector<std::string>& tools,
                                                                   const api::ToolChoice& choice,
                                                                   std::uint64_t most_calls) {
  Builder builder;
  std::vector<Expr> calls;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const auto at = [i](const Error& error) {
      return make_error(error.code, fmt::format("tools[{}].{}", i, error.message));
    };
    const Result<Tool> tool = read_tool(tools[i]);
    if (!tool.has_value()) return at(tool.error());
    if (choice.kind == api::ToolChoice::Kind::kNamed && tool->name != choice.name) continue;
    const Result<Expr> call = add_call(builder, *tool);
    if (!call.has_value()) return at(call.error());
    calls.push_back(*call);
  }
  if (calls.empty()) return make_error(Code::kInvalidArgument, "tool_choice: names a tool that is not in tools");
  const Expr call = builder.choice(std::move(calls));
  const Expr more = builder.sequence({builder.literal("\n"), call});
  return builder.finish(builder.sequence({call, builder.repeat(more, {.min = 0, .max = most_calls - 1})}));
}

}  // namespace dormouse::worker
