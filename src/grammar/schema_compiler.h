// One schema document on its way into a Builder. Each schema in it becomes a rule once, however often it is referred
// to; a queue instead of recursion, so that a chain of references costs no stack. Private to grammar/.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "grammar/builder.h"
#include "grammar/json_rules.h"
#include "grammar/schema_keywords.h"

namespace dormouse::grammar {

class SchemaCompiler {
 public:
  // `root` outlives it.
  SchemaCompiler(Builder& builder, const boost::json::value& root) : b_(builder), json_(builder), root_(root) {}
  Result<Expr> compile();

 private:
  // A schema and its place in the document.
  struct Schema {
    const boost::json::object* object = nullptr;
    std::string place;
    [[nodiscard]] const boost::json::value* find(std::string_view keyword) const;
  };
  struct Pending {
    Expr rule;
    const boost::json::value* value = nullptr;
    std::string place;
  };
  struct Length {
    std::uint64_t min = 0;
    std::optional<std::uint64_t> max;
  };
  struct Property {
    std::string_view name;
    Expr value;
    bool is_required = false;
  };

  [[nodiscard]] Expr rule_for(const boost::json::value& value, std::string place);
  Result<Expr> body_of(const Pending& pending);
  Status check_keywords(const Schema& schema) const;
  // Only annotations, and `allowed`, may stand beside `keyword`.
  Status stands_alone(const Schema& schema, std::string_view keyword, std::string_view allowed) const;
  Result<Expr> reference(const Schema& schema, const boost::json::value& target);
  Result<const boost::json::value*> resolve(const Schema& schema, std::string_view reference) const;
  Result<Expr> alternatives(const Schema& schema, std::string_view keyword);
  Result<Expr> all_of(const Schema& schema);
  Result<Expr> enumeration(const Schema& schema, std::string_view keyword);
  Result<std::vector<JsonType>> types_of(const Schema& schema) const;
  Result<Expr> of_type(const Schema& schema, JsonType type);
  Result<Expr> object(const Schema& schema);
  Result<std::vector<Property>> properties(const Schema& schema, std::optional<Expr> additional);
  [[nodiscard]] Expr members(const std::vector<Property>& list, std::optional<Expr> additional_pair);
  Result<Expr> array(const Schema& schema);
  [[nodiscard]] Expr elements(const std::vector<Expr>& prefix, std::optional<Expr> item, const Length& length);
  Result<Expr> string(const Schema& schema);
  Result<Expr> integer(const Schema& schema);
  Result<Expr> number(const Schema& schema);
  Result<Length> length(const Schema& schema, std::string_view min, std::string_view max) const;

  // oneOf: whether two alternatives can never both match.
  [[nodiscard]] bool are_disjoint(const boost::json::value& a, const boost::json::value& b) const;
  [[nodiscard]] const boost::json::object* resolved(const boost::json::value& schema) const;

  Builder& b_;
  JsonRules json_;
  const boost::json::value& root_;
  std::unordered_map<const boost::json::value*, Expr> rules_;
  std::deque<Pending> queue_;
};

}  // namespace dormouse::grammar
