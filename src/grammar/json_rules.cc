#include "grammar/json_rules.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <utility>

#include "grammar/number_ranges.h"
#include "text/utf8_decode.h"

namespace dormouse::grammar {
namespace {

// What a JSON string cannot hold as it is.
const CodePointSet& must_be_escaped() {
  static const CodePointSet kSet{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
  return kSet;
}

std::string escaped(std::uint32_t code_point) {
  switch (code_point) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\b': return "\\b";
    case '\f': return "\\f";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: return fmt::format("\\u{:04x}", code_point);
  }
}

Expr digits(Builder& builder, RepeatBounds bounds) {
  return builder.repeat(builder.characters({{'0', '9'}}), bounds);
}

}  // namespace

Expr characters_in(Builder& builder, CodePointSet set, CharacterForm form) {
  if (form == CharacterForm::kPlain) return builder.characters(std::move(set));
  std::vector<std::string> escapes;
  const CodePointSet raw = without(set, must_be_escaped());
  for (const CodePointRange& range : without(set, complement(must_be_escaped()))) {
    for (std::uint32_t c = range.first; c <= range.last; ++c) escapes.push_back(escaped(c));
  }
  if (escapes.empty()) return builder.characters(raw);
  return builder.choice({builder.characters(raw), builder.one_of(std::move(escapes))});
}

std::string json_literal(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte < 0x20 || c == '"' || c == '\\') {
      out += escaped(byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

Expr JsonRules::comma() {
  return builder_.sequence({builder_.literal(","), builder_.optional(builder_.literal(" "))});
}
Expr JsonRules::colon() {
  return builder_.sequence({builder_.literal(":"), builder_.optional(builder_.literal(" "))});
}
Expr JsonRules::boolean() {
  return builder_.one_of({"true", "false"});
}
Expr JsonRules::null() {
  return builder_.literal("null");
}

// One character, escaped or not. Halves of surrogate pairs come in pairs only.
Expr JsonRules::character() {
  if (character_.has_value()) return *character_;
  Builder& b = builder_;
  const CodePointSet hex_set{{'0', '9'}, {'a', 'f'}, {'A', 'F'}};
  const Expr hex = b.characters(hex_set);
  const auto any_of = [&b](std::string_view letters) {
    CodePointSet set;
    for (const char c : letters) set.push_back({static_cast<std::uint8_t>(c), static_cast<std::uint8_t>(c)});
    return b.characters(std::move(set));
  };
  const Expr d = any_of("dD");
  const Expr whole = b.choice({b.sequence({b.characters(without(hex_set, {{'d', 'd'}, {'D', 'D'}})), hex, hex, hex}),
                               b.sequence({d, b.characters({{'0', '7'}}), hex, hex})});
  const Expr pair = b.sequence({d, any_of("89abAB"), hex, hex, b.literal("\\u"), d, any_of("cdefCDEF"), hex, hex});
  character_ = b.declare("character");
  b.define(*character_,
           b.choice({b.characters(complement(must_be_escaped())), b.sequence({b.literal("\\"), any_of("\"\\/bfnrt")}),
                     b.sequence({b.literal("\\u"), b.choice({whole, pair})})}));
  return *character_;
}

Expr JsonRules::string_of(RepeatBounds characters) {
  return builder_.sequence({builder_.literal("\""), builder_.repeat(character(), characters), builder_.literal("\"")});
}

Expr JsonRules::string() {
  if (!string_.has_value()) {
    const Expr body = string_of({});
    string_ = builder_.declare("string");
    builder_.define(*string_, body);
  }
  return *string_;
}

Expr JsonRules::integer() {
  if (!integer_.has_value()) {
    integer_ = builder_.declare("integer");
    builder_.define(*integer_, whole_numbers(builder_, {}));
  }
  return *integer_;
}

Expr JsonRules::number() {
  if (number_.has_value()) return *number_;
  Builder& b = builder_;
  const Expr whole = whole_numbers(b, {.min = 0});
  const Expr fraction = b.sequence({b.literal("."), digits(b, {.min = 1, .max = kMaxFractionDigits})});
  // Two digits: no number written so leaves double's range.
  const Expr exponent =
      b.sequence({b.one_of({"e", "E"}), b.optional(b.one_of({"+", "-"})), digits(b, {.min = 1, .max = 2})});
  number_ = b.declare("number");
  b.define(*number_, b.sequence({b.optional(b.literal("-")), whole, b.optional(fraction), b.optional(exponent)}));
  return *number_;
}

void JsonRules::define_values() {
  if (value_.has_value()) return;
  Builder& b = builder_;
  value_ = b.declare("value");
  object_ = b.declare("object");
  array_ = b.declare("array");
  const auto list_of = [&](Expr element) {
    return b.optional(b.sequence({element, b.repeat(b.sequence({comma(), element}), {})}));
  };
  b.define(*value_, b.choice({*object_, *array_, string(), number(), boolean(), null()}));
  b.define(*object_, b.sequence({b.literal("{"), list_of(b.sequence({string(), colon(), *value_})), b.literal("}")}));
  b.define(*array_, b.sequence({b.literal("["), list_of(*value_), b.literal("]")}));
}

Expr JsonRules::value() {
  define_values();
  return *value_;
}
Expr JsonRules::object() {
  define_values();
  return *object_;
}
Expr JsonRules::array() {
  define_values();
  return *array_;
}

Expr JsonRules::string_except(const std::vector<std::string>& names) {
  Builder& b = builder_;
  struct Branch {
    Expr rule;
    bool is_name = false;
    std::map<std::uint32_t, std::size_t> children;
  };
  std::vector<Branch> branches;
  branches.push_back({.rule = b.declare("name"), .is_name = false, .children = {}});
  for (const std::string& name : names) {
    std::size_t at = 0;
    for (std::string_view rest = name; !rest.empty();) {
      const text::Utf8Step step = text::decode_utf8(rest);
      rest.remove_prefix(step.size);
      const auto [child, is_new] = branches[at].children.try_emplace(step.code_point, branches.size());
      at = child->second;  // before the vector grows
      if (is_new) branches.push_back({.rule = b.declare("name"), .is_name = false, .children = {}});
    }
    branches[at].is_name = true;
  }
  const CodePointSet plain = complement(must_be_escaped());
  const Expr rest = b.sequence({b.repeat(b.characters(plain), {}), b.literal("\"")});
  const Expr tail = b.declare("name");
  b.define(tail, rest);
  for (const Branch& branch : branches) {
    std::vector<Expr> ways;
    CodePointSet taken;
    for (const auto& [code_point, child] : branch.children) {
      taken.push_back({code_point, code_point});
      const CodePointSet one = without({{code_point, code_point}}, must_be_escaped());
      if (!one.empty()) ways.push_back(b.sequence({b.characters(one), branches[child].rule}));
    }
    ways.push_back(b.sequence({b.characters(without(plain, std::move(taken))), tail}));
    if (!branch.is_name) ways.push_back(b.literal("\""));
    b.define(branch.rule, b.choice(std::move(ways)));
  }
  return b.sequence({b.literal("\""), branches.front().rule});
}

}  // namespace dormouse::grammar
