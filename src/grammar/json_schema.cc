#include "grammar/json_schema.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "grammar/json_rules.h"
#include "grammar/schema_compiler.h"

namespace dormouse::grammar {

Result<Expr> add_json_schema(Builder& builder, std::string_view schema) {
  namespace json = boost::json;
  if (schema.size() > kMaxSourceBytes) {
    return make_error(Code::kTooLarge,
                      fmt::format("schema: it has {} bytes; at most {} are taken", schema.size(), kMaxSourceBytes));
  }
  json::parse_options options;
  options.max_depth = kMaxNesting;  // a level of a schema is two of JSON: `properties` and the name
  boost::system::error_code failed;
  const json::value root = json::parse({schema.data(), schema.size()}, failed, {}, options);
  if (failed) {
    return make_error(Code::kInvalidArgument, fmt::format("schema: not JSON, or nested deeper than {} levels: {}",
                                                          kMaxNesting, failed.message()));
  }
  return SchemaCompiler(builder, root).compile();
}

Expr add_json_object(Builder& builder) {
  return JsonRules(builder).object();
}

Result<std::shared_ptr<const Grammar>> compile_json_schema(std::string_view schema) {
  Builder builder;
  TRY(const Expr root, add_json_schema(builder, schema));
  return builder.finish(root);
}

Result<std::shared_ptr<const Grammar>> compile_json_object() {
  Builder builder;
  return builder.finish(add_json_object(builder));
}

}  // namespace dormouse::grammar
