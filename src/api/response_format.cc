#include "api/response_format.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "api/json_write.h"
#include "api/response_format_json.h"
#include "api/strict_json.h"

namespace dormouse::api {
namespace {

namespace json = boost::json;
using Kind = ResponseFormat::Kind;

constexpr std::size_t kMaxSchemaName = 256;

std::string_view view(const json::string& text) {
  return {text.data(), text.size()};
}

// A schema: an object, or (vLLM's clients) its JSON as a text.
ResponseFormat schema_format(const Fields& fields, std::string_view key, const json::value& schema) {
  ResponseFormat out{.kind = Kind::kJsonSchema, .text = {}, .name = {}};
  if (schema.is_object()) {
    out.text = python_dumps(schema);
  } else if (schema.is_string() && schema.get_string().size() <= kMaxFormatBytes) {
    const ApiResult<json::value> parsed = parse_strict_json(view(schema.get_string()));
    if (parsed.has_value() && parsed->is_object()) out.text = python_dumps(*parsed);
  }
  // Written back it lies three levels deep, wherever it came from; it has to be readable there.
  if (out.text.empty() || out.text.size() > kMaxFormatBytes || !parse_strict_json("[[[" + out.text + "]]]")) {
    fields.refuse(key, fmt::format("{} needs a JSON schema: an object of at most {} bytes, nested at most {} deep.",
                                   fields.param(key), kMaxFormatBytes, kMaxJsonDepth - 3));
  }
  return out;
}

ResponseFormat text_format(const Fields& fields, std::string_view key, Kind kind, const json::value& value) {
  ResponseFormat out{.kind = kind, .text = {}, .name = {}};
  if (const json::string* text = value.if_string()) out.text = view(*text);
  if (out.text.empty() || out.text.size() > kMaxFormatBytes) {
    fields.refuse(key, fmt::format("{} must be a text of 1 to {} bytes.", fields.param(key), kMaxFormatBytes));
  }
  return out;
}

// One of some texts: the expression that matches just these.
ResponseFormat choice_format(const Fields& fields, std::string_view key, const json::value& value) {
  ResponseFormat out{.kind = Kind::kRegex, .text = {}, .name = {}};
  const json::array* list = value.if_array();
  const auto add = [&out](std::string_view text) {
    for (const char c : text) {
      if (std::string_view("^$\\.*+?()[]{}|").find(c) != std::string_view::npos) out.text += '\\';
      out.text += c;
    }
  };
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    if (i > 0) out.text += '|';
    const json::string* text = (*list)[i].if_string();
    if (text == nullptr || text->empty()) {
      list = nullptr;
    } else {
      add(view(*text));
    }
  }
  if (list == nullptr || list->empty() || out.text.size() > kMaxFormatBytes) {
    fields.refuse(key, fmt::format("{} must be a list of texts, none empty, of at most {} bytes together.",
                                   fields.param(key), kMaxFormatBytes));
  }
  return out;
}

ResponseFormat read_response_format(const Fields& fields, Problem& problem) {
  ResponseFormat out;
  const json::object* format = fields.object("response_format");
  if (format == nullptr) return out;
  const Fields inner(*format, "response_format", problem);
  const std::string type = inner.string("type", kMaxSchemaName).value_or("");
  if (type == "json_object") {
    // llama-server's: a schema beside it.
    const json::value* schema = inner.find("schema");
    if (schema != nullptr) return schema_format(inner, "schema", *schema);
    out.kind = Kind::kJsonObject;
  } else if (type == "json_schema") {
    const json::object* wrapper = inner.object("json_schema");
    if (wrapper == nullptr) {
      inner.refuse("json_schema", "response_format.json_schema is needed.");
      return out;
    }
    const Fields named(*wrapper, "response_format.json_schema", problem);
    const json::value* schema = named.find("schema");
    out = schema_format(named, "schema", schema != nullptr ? *schema : json::value());
    out.name = named.string("name", kMaxSchemaName).value_or("");
    // Read for its type only: an answer is held to its schema either way.
    static_cast<void>(named.boolean("strict"));
  } else if (type != "text") {
    fields.refuse("response_format", "response_format.type is text, json_object or json_schema.");
  }
  return out;
}

ResponseFormat read_structured_outputs(const Fields& fields, Problem& problem) {
  ResponseFormat out;
  const json::object* object = fields.object("structured_outputs");
  if (object == nullptr) return out;
  const Fields inner(*object, "structured_outputs", problem);
  int said = 0;
  for (const auto& member : *object) {
    const std::string_view key(member.key().data(), member.key().size());
    const json::value& value = member.value();
    if (value.is_null()) continue;
    said += 1;
    if (key == "json") {
      out = schema_format(inner, key, value);
    } else if (key == "regex") {
      out = text_format(inner, key, Kind::kRegex, value);
    } else if (key == "choice") {
      out = choice_format(inner, key, value);
    } else if (key == "grammar") {
      out = text_format(inner, key, Kind::kGrammar, value);
    } else if (key == "json_object" && value.is_bool()) {
      out.kind = value.get_bool() ? Kind::kJsonObject : Kind::kText;
    } else {
      fields.refuse("structured_outputs", "structured_outputs takes json, regex, choice, grammar or json_object.");
    }
  }
  if (said > 1) fields.refuse("structured_outputs", "structured_outputs takes one of its fields at a time.");
  return out;
}

ResponseFormat read_field(const Fields& fields, std::string_view key, const json::value& value, Problem& problem) {
  if (key == "response_format") return read_response_format(fields, problem);
  if (key == "structured_outputs") return read_structured_outputs(fields, problem);
  if (key == "guided_json" || key == "json_schema") return schema_format(fields, key, value);
  if (key == "guided_regex") return text_format(fields, key, Kind::kRegex, value);
  if (key == "guided_choice") return choice_format(fields, key, value);
  return text_format(fields, key, Kind::kGrammar, value);
}

}  // namespace

ResponseFormat read_format(const Fields& fields, Problem& problem) {
  ResponseFormat out;
  std::string_view first;
  for (const std::string_view key : kFormatFields) {
    const json::value* value = fields.find(key);
    if (value == nullptr) continue;
    ResponseFormat said = read_field(fields, key, *value, problem);
    if (said.kind == Kind::kText) continue;
    if (!first.empty()) {
      fields.refuse(key, fmt::format("{} beside {}: an answer is held to one of them.", key, first));
    }
    first = key;
    out = std::move(said);
  }
  return out;
}

ResponseFormat read_short_format(const Fields& fields, std::string_view key) {
  const json::value* value = fields.find(key);
  if (value == nullptr) return {};
  if (const json::string* text = value->if_string()) {
    if (view(*text) == "json") return {.kind = Kind::kJsonObject, .text = {}, .name = {}};
    if (text->empty()) return {};
    fields.refuse(key, fmt::format("{} is \"json\" or a JSON schema.", fields.param(key)));
    return {};
  }
  return schema_format(fields, key, *value);
}

void append_format(std::string& out, const ResponseFormat& format) {
  switch (format.kind) {
    case Kind::kText: return;
    case Kind::kJsonObject: out += R"(,"response_format":{"type":"json_object"})"; return;
    case Kind::kJsonSchema:
      out += R"(,"response_format":{"type":"json_schema","json_schema":{"name":)";
      append_json_string(out, format.name);
      out += R"(,"strict":true,"schema":)" + format.text + "}}";
      return;
    case Kind::kRegex:
      out += R"(,"structured_outputs":{"regex":)";
      append_json_string(out, format.text);
      out += '}';
      return;
    case Kind::kGrammar:
      out += R"(,"grammar":)";
      append_json_string(out, format.text);
      return;
  }
}

}  // namespace dormouse::api
