// Goal: the document can be trusted by whoever reads it with a program. Method: all of it is made and looked through;
// that it names the router's routes and no others is tested where there is a router (authenticate_test.cc), that the
// gateway does what it says by tests/clients/generated.mjs.
#include "gateway/openapi/openapi.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <set>

#include "api/error_table.h"
#include "api/strict_json.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

std::vector<DocumentedRoute> all_routes() {
  std::vector<DocumentedRoute> out;
  const Result<std::vector<std::string>> names = documented_operations();
  for (const std::string& name : *names) {
    const std::size_t space = name.find(' ');
    DocumentedRoute& route = out.emplace_back();
    route.method = name.substr(0, space);
    route.path = name.substr(space + 1);
    static const std::set<std::string> kOpen = {"/",       "/api/version", "/openapi.json", "/livez",
                                                "/readyz", "/health",      "/v1/health"};
    route.scope = kOpen.contains(route.path) ? "" : route.path.starts_with("/admin/") ? "admin" : "inference";
  }
  return out;
}

json::object parsed(std::span<const DocumentedRoute> routes) {
  const Result<std::string> text = openapi_document(routes, "1.2.3");
  EXPECT_TRUE(text.has_value()) << text.error().message;
  return text.has_value() ? api::parse_strict_json(*text)->get_object() : json::object();
}

std::string text_at(const json::object& object, std::string_view key) {
  return std::string(object.at(key).as_string());
}

TEST(OpenApi, EveryOperationHasAnIdWordsInBothLanguagesAndAnswersFromTheTable) {
  const std::vector<DocumentedRoute> routes = all_routes();
  const json::object document = parsed(routes);
  EXPECT_EQ(text_at(document, "openapi"), "3.1.0");
  EXPECT_EQ(text_at(document.at("info").as_object(), "version"), "1.2.3");
  std::set<std::string> ids;
  for (const DocumentedRoute& route : routes) {
    const std::string what = route.method + " " + route.path;
    std::string method = route.method;
    for (char& c : method) c = static_cast<char>(std::tolower(c));
    const json::object& operation = document.at("paths").at(route.path).at(method).as_object();
    EXPECT_TRUE(ids.insert(text_at(operation, "operationId")).second) << what;
    EXPECT_FALSE(text_at(operation, "summary").empty()) << what;
    EXPECT_FALSE(text_at(operation, "x-summary-zh").empty()) << what;
    EXPECT_EQ(operation.contains("x-scope") ? text_at(operation, "x-scope") : "", route.scope) << what;
    EXPECT_FALSE(operation.contains("x-errors")) << what << ": they are in the answers";
    const json::object& responses = operation.at("responses").as_object();
    EXPECT_TRUE(responses.contains("200") || responses.contains("501")) << what;
    for (const auto& response : responses) {
      const json::value* const codes = response.value().as_object().if_contains("x-errors");
      if (codes == nullptr) continue;
      for (const json::value& code : codes->as_array()) {
        const auto known = api::find_code(std::string(code.as_string()));
        ASSERT_TRUE(known.has_value()) << what;
        EXPECT_EQ(std::to_string(api::row(*known).status), std::string_view(response.key())) << what;
      }
    }
  }
}

TEST(OpenApi, ParametersOfAPathAreThoseInItsBraces) {
  const json::object document = parsed(all_routes());
  for (const auto& path : document.at("paths").as_object()) {
    std::set<std::string> in_braces;
    std::string_view rest = path.key();
    while (rest.find('{') != std::string_view::npos) {
      rest.remove_prefix(rest.find('{') + 1);
      in_braces.emplace(rest.substr(0, rest.find('}')));
    }
    for (const auto& method : path.value().as_object()) {
      std::set<std::string> described;
      const json::value* const parameters = method.value().as_object().if_contains("parameters");
      for (const json::value& one : parameters == nullptr ? json::array() : parameters->as_array()) {
        if (text_at(one.as_object(), "in") == "path") described.insert(text_at(one.as_object(), "name"));
      }
      EXPECT_EQ(described, in_braces) << path.key();
    }
  }
}

TEST(OpenApi, WhoSeesFewerRoutesSeesOnlyTheirSchemas) {
  const std::vector<DocumentedRoute> one = {{.method = "GET", .path = "/livez", .scope = ""}};
  const json::object document = parsed(one);
  EXPECT_EQ(document.at("paths").as_object().size(), 1U);
  EXPECT_EQ(document.at("components").at("schemas").as_object().size(), 1U) << "that of errors";
  const json::object& operation = document.at("paths").at("/livez").at("get").as_object();
  EXPECT_TRUE(operation.at("security").as_array().empty());
  EXPECT_FALSE(operation.contains("x-scope"));
  EXPECT_FALSE(operation.at("responses").as_object().contains("401")) << "liveness asks for no key";
  EXPECT_GT(parsed(all_routes()).at("components").at("schemas").as_object().size(), 60U);
}

TEST(OpenApi, OllamasErrorsHaveTheirFormWhereThePathIsKnown) {
  const json::object document = parsed(all_routes());
  const json::object& answers = document.at("paths").at("/api/chat").at("post").at("responses").as_object();
  const auto schema_of = [&answers](const char* status) {
    return json::serialize(answers.at(status).at("content").at("application/json").at("schema"));
  };
  EXPECT_EQ(schema_of("404"), R"({"$ref":"#/components/schemas/OllamaError"})");
  EXPECT_NE(schema_of("400").find("schemas/Error"), std::string::npos) << "bytes that are no HTTP have no path";
  EXPECT_TRUE(answers.at("503").as_object().contains("headers"));
}

TEST(OpenApi, ARouteThatNobodyDescribedIsAnError) {
  const std::vector<DocumentedRoute> routes = {{.method = "PUT", .path = "/livez", .scope = ""}};
  const Result<std::string> document = openapi_document(routes, "1");
  ASSERT_FALSE(document.has_value());
  EXPECT_NE(document.error().message.find("PUT /livez"), std::string::npos);
}

}  // namespace
}  // namespace dormouse::gateway
