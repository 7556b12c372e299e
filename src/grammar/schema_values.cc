// SchemaCompiler's leaves: arrays, strings, numbers; and when the schemas of a oneOf exclude each other.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "grammar/json_schema.h"
#include "grammar/number_ranges.h"
#include "grammar/regex.h"
#include "grammar/schema_compiler.h"

namespace dormouse::grammar {
namespace {

namespace json = boost::json;

Error refuse(std::string_view place, std::string_view what) {
  return make_error(Code::kInvalidArgument, fmt::format("schema: at {}: {}", place, what));
}

enum class Rounding { kUp, kDown };

// A bound of whole numbers; nothing where it is no number or out of reach of int64.
std::optional<std::int64_t> whole_bound(const json::value& value, Rounding rounding) {
  if (value.is_int64()) return value.get_int64();
  if (!value.is_double()) return std::nullopt;
  const double rounded = rounding == Rounding::kUp ? std::ceil(value.get_double()) : std::floor(value.get_double());
  if (!(std::abs(rounded) < 0x1p53)) return std::nullopt;
  return static_cast<std::int64_t>(rounded);
}

}  // namespace

Result<Expr> SchemaCompiler::array(const Schema& schema) {
  if (const json::value* unique = schema.find("uniqueItems"); unique != nullptr && *unique != json::value(false)) {
    return refuse(schema.place, "uniqueItems is not supported; leave it out");
  }
  TRY(Length bounds, length(schema, "minItems", "maxItems"));
  std::vector<Expr> prefix;
  if (const json::value* value = schema.find("prefixItems")) {
    const json::array* list = value->if_array();
    if (list == nullptr) return refuse(schema.place, "prefixItems is a list of schemas");
    for (std::size_t i = 0; i < list->size(); ++i) {
      prefix.push_back(rule_for((*list)[i], fmt::format("{}/prefixItems/{}", schema.place, i)));
    }
  }
  std::optional<Expr> item;
  const json::value* items = schema.find("items");
  if (items == nullptr) {
    item = json_.value();
  } else if (*items != json::value(false)) {
    if (items->is_array()) return refuse(schema.place, "items is one schema; a list of them is prefixItems");
    item = rule_for(*items, schema.place + "/items");
  }
  if (!item.has_value()) {
    const std::uint64_t most = prefix.size();
    if (bounds.min > most) return refuse(schema.place, "minItems is over what prefixItems and items allow");
    bounds.max = std::min(bounds.max.value_or(most), most);
  }
  return b_.sequence({b_.literal("["), elements(prefix, item, bounds), b_.literal("]")});
}

// Behind the element i - 1: the end if there are enough, or a comma and element i.
Expr SchemaCompiler::elements(const std::vector<Expr>& prefix, std::optional<Expr> item, const Length& length) {
  const std::uint64_t fixed = prefix.size();
  const std::uint64_t most = length.max.value_or(std::numeric_limits<std::uint64_t>::max());
  const auto repeated = [&](std::uint64_t already) {
    if (!item.has_value() || most <= already) return b_.empty();
    const std::uint64_t least = length.min > already ? length.min - already : 0;
    std::optional<std::uint64_t> rest;
    if (length.max.has_value()) rest = *length.max - already;
    return b_.repeat(b_.sequence({json_.comma(), *item}), {.min = least, .max = rest});
  };
  const auto enough_after = [&](std::uint64_t count, Expr more) {
    return count >= length.min ? b_.optional(more) : more;
  };
  if (most == 0) return b_.empty();
  if (fixed == 0) return item.has_value() ? enough_after(0, b_.sequence({*item, repeated(1)})) : b_.empty();
  Expr rest = repeated(fixed);
  for (std::uint64_t i = std::min(fixed, most); i-- > 0;) {
    const Expr rule = b_.declare("elements");
    const Expr separator = i == 0 ? b_.empty() : json_.comma();
    b_.define(rule, enough_after(i, b_.sequence({separator, prefix[i], rest})));
    rest = rule;
  }
  return rest;
}

Result<Expr> SchemaCompiler::string(const Schema& schema) {
  TRY(const Length bounds, length(schema, "minLength", "maxLength"));
  const bool has_length = schema.find("minLength") != nullptr || schema.find("maxLength") != nullptr;
  const json::value* pattern = schema.find("pattern");
  const json::value* format = schema.find("format");
  if ((pattern != nullptr && !pattern->is_string()) || (format != nullptr && !format->is_string())) {
    return refuse(schema.place, "pattern and format are texts");
  }
  std::optional<std::string_view> expression;
  if (format != nullptr) expression = format_pattern(text_of(format->get_string()));
  if (expression.has_value() && pattern != nullptr) {
    return refuse(schema.place, "pattern beside this format is not supported; leave one of them out");
  }
  if (pattern != nullptr) expression = text_of(pattern->get_string());
  if (!expression.has_value()) {
    if (!has_length) return json_.string();
    return json_.string_of({.min = bounds.min, .max = bounds.max});
  }
  if (has_length) {
    return refuse(schema.place,
                  "minLength and maxLength beside a pattern or this format are not supported; write "
                  "{m,n} into the pattern");
  }
  const Result<Expr> inner = add_regex(b_, *expression, RegexReach::kSomewhere, CharacterForm::kInJsonString);
  if (!inner.has_value()) return refuse(schema.place, inner.error().message);
  return b_.sequence({b_.literal("\""), *inner, b_.literal("\"")});
}

Result<Expr> SchemaCompiler::integer(const Schema& schema) {
  if (const json::value* step = schema.find("multipleOf"); step != nullptr && *step != json::value(1)) {
    return refuse(schema.place, "multipleOf other than 1 is not supported; leave it out");
  }
  WholeRange range;
  for (const std::string_view keyword : {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}) {
    const json::value* value = schema.find(keyword);
    if (value == nullptr) continue;
    const bool is_lower = keyword.ends_with("inimum");
    const bool is_open = keyword.starts_with("exclusive");
    // The least whole number over 2.5 is 3 whether 2.5 belongs to it or not; over an open 2 it is 3.
    std::optional<std::int64_t> bound = whole_bound(*value, is_lower ? Rounding::kUp : Rounding::kDown);
    if (!bound.has_value() || *bound > kGreatestWhole || *bound < -kGreatestWhole) {
      return refuse(schema.place, fmt::format("{} is a number of at most {} digits", keyword, kMaxWholeDigits));
    }
    const bool is_whole = value->is_int64() || static_cast<double>(*bound) == value->get_double();
    if (is_open && is_whole) *bound += is_lower ? 1 : -1;
    if (is_lower) {
      range.min = std::max(range.min, *bound);
    } else {
      range.max = std::min(range.max, *bound);
    }
  }
  if (range.min == -kGreatestWhole && range.max == kGreatestWhole) return json_.integer();
  if (range.min > range.max) return refuse(schema.place, "no whole number is within the bounds");
  return whole_numbers(b_, range);
}

Result<Expr> SchemaCompiler::number(const Schema& schema) {
  if (schema.find("multipleOf") != nullptr) return refuse(schema.place, "multipleOf is not supported; leave it out");
  RealRange range;
  for (const std::string_view keyword : {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}) {
    const json::value* value = schema.find(keyword);
    if (value == nullptr) continue;
    const bool is_lower = keyword.ends_with("inimum");
    const std::optional<std::int64_t> whole = whole_bound(*value, Rounding::kUp);
    const bool is_whole =
        whole.has_value() && (value->is_int64() || static_cast<double>(*whole) == value->get_double());
    if (!is_whole || *whole > kGreatestRealBound || *whole < -kGreatestRealBound) {
      return refuse(schema.place,
                    fmt::format("{} of a number has to be whole and at most {}", keyword, kGreatestRealBound));
    }
    const Bound bound{.value = *whole, .is_open = keyword.starts_with("exclusive")};
    std::optional<Bound>& mine = is_lower ? range.min : range.max;
    const bool is_tighter = !mine.has_value() || (is_lower ? bound.value > mine->value : bound.value < mine->value) ||
                            (bound.value == mine->value && bound.is_open);
    if (is_tighter) mine = bound;
  }
  if (!range.min.has_value() && !range.max.has_value()) return json_.number();
  if (range.min.has_value() && range.max.has_value()) {
    const bool is_point = range.min->value == range.max->value;
    if (range.min->value > range.max->value || (is_point && (range.min->is_open || range.max->is_open))) {
      return refuse(schema.place, "no number is within the bounds");
    }
  }
  return real_numbers(b_, range);
}

// Through references; nothing where it is no object schema. A ring of references is not followed for ever.
const json::object* SchemaCompiler::resolved(const json::value& schema) const {
  const json::value* at = &schema;
  for (int i = 0; i < kMaxNesting; ++i) {
    const json::object* object = at->if_object();
    if (object == nullptr) return nullptr;
    const json::value* target = object->if_contains("$ref");
    if (target == nullptr) return object;
    if (!target->is_string()) return nullptr;
    const Result<const json::value*> found = resolve({.object = object, .place = {}}, text_of(target->get_string()));
    if (!found.has_value()) return nullptr;
    at = *found;
  }
  return nullptr;
}

namespace {

// The texts a property can be, where they are few and stated.
std::optional<std::set<std::string_view>> constants(const json::object& schema) {
  const json::value* one = schema.if_contains("const");
  const json::value* list = schema.if_contains("enum");
  std::set<std::string_view> out;
  if (one != nullptr && one->is_string()) out.insert(text_of(one->get_string()));
  if (one == nullptr && list != nullptr && list->is_array()) {
    for (const json::value& value : list->get_array()) {
      if (!value.is_string()) return std::nullopt;
      out.insert(text_of(value.get_string()));
    }
  }
  if (out.empty()) return std::nullopt;
  return out;
}

std::set<std::string_view> required_names(const json::object& schema) {
  std::set<std::string_view> out;
  const json::value* list = schema.if_contains("required");
  if (list == nullptr || !list->is_array()) return out;
  for (const json::value& name : list->get_array()) {
    if (name.is_string()) out.insert(text_of(name.get_string()));
  }
  return out;
}

}  // namespace

bool SchemaCompiler::are_disjoint(const json::value& a, const json::value& b) const {
  const json::object* left = resolved(a);
  const json::object* right = resolved(b);
  if (left == nullptr || right == nullptr) return false;
  const auto types = [this](const json::object* schema) {
    Result<std::vector<JsonType>> out = types_of({.object = schema, .place = {}});
    // Inferred types are narrower than the schema; here it is the schema that counts.
    return out.has_value() && schema->contains("type") ? *std::move(out) : std::vector<JsonType>();
  };
  const std::vector<JsonType> left_types = types(left);
  const std::vector<JsonType> right_types = types(right);
  if (left_types.empty() || right_types.empty()) return false;
  const auto overlap = [](JsonType x, JsonType y) {
    const auto is_numeric = [](JsonType type) { return type == JsonType::kNumber || type == JsonType::kInteger; };
    return x == y || (is_numeric(x) && is_numeric(y));
  };
  bool both_objects = true;
  bool share_a_type = false;
  for (const JsonType x : left_types) {
    for (const JsonType y : right_types) {
      share_a_type = share_a_type || overlap(x, y);
      both_objects = both_objects && x == JsonType::kObject && y == JsonType::kObject;
    }
  }
  if (!share_a_type) return true;
  const json::value* left_properties = left->if_contains("properties");
  const json::value* right_properties = right->if_contains("properties");
  if (!both_objects || left_properties == nullptr || right_properties == nullptr) return false;
  if (!left_properties->is_object() || !right_properties->is_object()) return false;
  const std::set<std::string_view> right_required = required_names(*right);
  for (const std::string_view name : required_names(*left)) {
    if (!right_required.contains(name)) continue;
    const json::value* mine = left_properties->get_object().if_contains({name.data(), name.size()});
    const json::value* theirs = right_properties->get_object().if_contains({name.data(), name.size()});
    const json::object* my_schema = mine == nullptr ? nullptr : resolved(*mine);
    const json::object* their_schema = theirs == nullptr ? nullptr : resolved(*theirs);
    if (my_schema == nullptr || their_schema == nullptr) continue;
    const auto my_texts = constants(*my_schema);
    const auto their_texts = constants(*their_schema);
    if (!my_texts.has_value() || !their_texts.has_value()) continue;
    const auto is_theirs = [&](std::string_view text) { return their_texts->contains(text); };
    if (std::none_of(my_texts->begin(), my_texts->end(), is_theirs)) return true;
  }
  return false;
}

}  // namespace dormouse::grammar
