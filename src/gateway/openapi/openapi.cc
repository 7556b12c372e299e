#include "gateway/openapi/openapi.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>
#include <utility>

#include "api/error_table.h"
#include "api/fields.h"
#include "api/strict_json.h"
#include "gateway/openapi/openapi_texts.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

constexpr std::string_view kSchemaPrefix = "#/components/schemas/";

Error mistake(std::string what) {
  return make_error(Code::kInternal, "openapi: " + std::move(what));
}

std::string_view view(const json::string& text) {
  return {text.data(), text.size()};
}

std::string lower(std::string_view method) {
  std::string out(method);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

// Adds the members of from[key], which may be absent, to `to`. Errors: one that is there already.
Status merge(const json::object& from, std::string_view key, json::object& to) {
  const json::value* const part = api::find_member(from, key);
  if (part == nullptr) return {};
  for (const auto& member : part->get_object()) {
    if (!to.emplace(member.key(), member.value()).second) {
      return mistake(fmt::format("{} is written twice", view(json::string(member.key()))));
    }
  }
  return {};
}

// All of openapi/*.json as one: paths, components.schemas and the head.
Result<json::object> read_source() {
  json::object out;
  for (const std::string_view text : openapi_texts()) {
    const api::ApiResult<json::value> part = api::parse_strict_json(text);
    if (!part.has_value() || !part->is_object()) return mistake("a part is no JSON object");
    if (out.empty()) {
      out = part->get_object();
      continue;
    }
    TRY_STATUS(merge(part->get_object(), "paths", out["paths"].get_object()));
    const json::value* const components = api::find_member(part->get_object(), "components");
    if (components == nullptr) continue;
    TRY_STATUS(merge(components->get_object(), "schemas", out["components"].at("schemas").get_object()));
  }
  return out;
}

// Error codes by status. A name is a group's or a code's.
using CodesByStatus = std::map<int, std::vector<std::string_view>>;

Status add_codes(std::string_view name, const json::object& groups, CodesByStatus& out) {
  if (const json::value* const group = api::find_member(groups, name)) {
    for (const json::value& code : group->get_array()) TRY_STATUS(add_codes(view(code.get_string()), {}, out));
    return {};
  }
  const std::optional<api::ErrorCode> code = api::find_code(name);
  if (!code.has_value()) return mistake(fmt::format("'{}' is no error code and no group of them", name));
  const api::ErrorRow& row = api::row(*code);
  std::vector<std::string_view>& codes = out[row.status];
  if (std::find(codes.begin(), codes.end(), row.code) == codes.end()) codes.push_back(row.code);
  return {};
}

json::value schema_ref(std::string_view name) {
  return {{"$ref", std::string(kSchemaPrefix) + std::string(name)}};
}

// `wire_status`: also refused before the path is known, and then in the form of all other paths.
json::value error_schema(std::string_view path, bool wire_status) {
  if (!path.starts_with("/api/")) return schema_ref("Error");
  if (!wire_status) return schema_ref("OllamaError");
  return {{"anyOf", {schema_ref("OllamaError"), schema_ref("Error")}}};
}

json::object error_response(const std::vector<std::string_view>& codes, json::value schema) {
  json::object out;
  out["description"] = fmt::format("{}", fmt::join(codes, ", "));
  const bool retries = std::any_of(codes.begin(), codes.end(), [](std::string_view code) {
    return api::row(*api::find_code(code)).retry_after_s > 0;
  });
  if (retries) out["headers"] = {{"retry-after", {{"schema", {{"type", "integer"}, {"minimum", 0}}}}}};
  out["content"] = {{"application/json", {{"schema", std::move(schema)}}}};
  json::array list;
  for (const std::string_view code : codes) list.emplace_back(code);
  out["x-errors"] = std::move(list);
  return out;
}

// Error responses in place of the names of errors.
Status expand_errors(const DocumentedRoute& route, const json::object& groups, json::object& operation) {
  CodesByStatus codes;
  CodesByStatus of_the_wire;
  TRY_STATUS(add_codes("every", groups, of_the_wire));
  TRY_STATUS(add_codes("every", groups, codes));
  if (!route.scope.empty()) TRY_STATUS(add_codes("key", groups, codes));
  if (route.scope == "inference") TRY_STATUS(add_codes("inference", groups, codes));
  for (const json::value& name : operation["x-errors"].get_array()) {
    TRY_STATUS(add_codes(view(name.get_string()), groups, codes));
  }
  operation.erase("x-errors");
  json::object& responses = operation["responses"].get_object();
  for (const auto& [status, list] : codes) {
    json::object response = error_response(list, error_schema(route.path, of_the_wire.contains(status)));
    if (!responses.emplace(std::to_string(status), std::move(response)).second) {
      return mistake(fmt::format("{} {}: {} is an answer and an error", route.method, route.path, status));
    }
  }
  return {};
}

// {} is no key at all: nobody needs one before the first is made.
void add_scope(const DocumentedRoute& route, json::object& operation) {
  json::array security;
  if (!route.scope.empty()) {
    operation["x-scope"] = route.scope;
    security = {{{"bearer", json::array()}}, {{"header", json::array()}}, json::object()};
  }
  operation["security"] = std::move(security);
}

// Names of the schemas that `value` refers to. Our own text: as deep as parse_strict_json lets it be.
void collect_refs(const json::value& value, std::vector<std::string>& out) {
  if (const json::array* const list = value.if_array()) {
    for (const json::value& element : *list) collect_refs(element, out);
  }
  const json::object* const object = value.if_object();
  if (object == nullptr) return;
  for (const auto& member : *object) {
    const bool is_ref = member.key() == "$ref" && member.value().is_string();
    if (is_ref) out.emplace_back(view(member.value().get_string()).substr(kSchemaPrefix.size()));
    collect_refs(member.value(), out);
  }
}

// Those of `schemas` that `paths` need, in the order they were written in.
Result<json::object> needed_schemas(const json::object& schemas, const json::object& paths) {
  std::set<std::string> needed;
  std::vector<std::string> todo;
  collect_refs(paths, todo);
  while (!todo.empty()) {
    const std::string name = std::move(todo.back());
    todo.pop_back();
    if (!needed.insert(name).second) continue;
    const json::value* const schema = api::find_member(schemas, name);
    if (schema == nullptr) return mistake(fmt::format("there is no schema '{}'", name));
    collect_refs(*schema, todo);
  }
  json::object out;
  for (const auto& member : schemas) {
    if (needed.contains(std::string(member.key()))) out.emplace(member.key(), member.value());
  }
  return out;
}

}  // namespace

Result<std::string> openapi_document(std::span<const DocumentedRoute> routes, std::string_view version) {
  TRY(json::object out, read_source());
  const json::object source = std::move(out["paths"].get_object());
  const json::object groups = std::move(out["x-error-groups"].get_object());
  json::object paths;
  for (const DocumentedRoute& route : routes) {
    const json::value* const path = api::find_member(source, route.path);
    const std::string method = lower(route.method);
    const json::value* const found = path == nullptr ? nullptr : api::find_member(path->get_object(), method);
    if (found == nullptr) return mistake(fmt::format("{} {} is not described", route.method, route.path));
    json::object operation = found->get_object();
    TRY_STATUS(expand_errors(route, groups, operation));
    add_scope(route, operation);
    json::value& methods = paths[route.path];
    if (!methods.is_object()) methods = json::object();
    methods.get_object()[method] = std::move(operation);
  }
  json::value& schemas = out["components"].at("schemas");
  TRY(schemas, needed_schemas(schemas.get_object(), paths));
  out["info"].get_object()["version"] = version;
  out["paths"] = std::move(paths);
  out.erase("x-error-groups");
  return json::serialize(out);
}

Result<std::vector<std::string>> documented_operations() {
  TRY(const json::object source, read_source());
  std::vector<std::string> out;
  for (const auto& path : source.at("paths").get_object()) {
    for (const auto& method : path.value().get_object()) {
      std::string name(method.key());
      for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
      out.push_back(name + " " + std::string(path.key()));
    }
  }
  return out;
}

}  // namespace dormouse::gateway
