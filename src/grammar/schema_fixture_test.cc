#include "grammar/schema_fixture_test.h"

#include <fmt/format.h>

#include <regex.h>
#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "grammar/constraint.h"
#include "text/vocabulary_fixture.h"

namespace dormouse::grammar {
namespace {

namespace json = boost::json;

// POSIX's own engine judges patterns: the ones below mean the same to it.
constexpr const char* kPatterns[] = {
    "^[a-z]{2,5}$", "^(ab|cd)+x?$", "^[0-9]{3}-[0-9]{4}$", "^[A-Z][a-z]*( [A-Z][a-z]*)?$", "ab+c", "^x\"y{0,3}z$"};

class SchemaMaker {
 public:
  explicit SchemaMaker(std::mt19937_64& random) : random_(random) {}

  json::value make(int depth) {
    switch (pick(depth > 0 ? 11 : 7)) {
      case 0: return string();
      case 1: return integer();
      case 2: return number();
      case 3: return json::object{{"type", "boolean"}, {"description", "yes or no"}};
      case 4: return json::object{{"enum", json::array{"red", "green \"x\"", 7, nullptr, true, "绿"}}};
      case 5: return json::object{{"const", json::value("fixed/\\")}};
      case 6: return json::object{{"type", json::array{"string", "null"}}, {"maxLength", 4}};
      case 7: return json::object{{"anyOf", json::array{make(depth - 1), make(depth - 1)}}};
      case 8: return array(depth - 1);
      default: return object(depth - 1);
    }
  }
  json::value root() {
    json::value out = pick(3) == 0 ? array(3) : object(3);
    if (pick(3) != 0) return out;
    // A list through a reference, and a reference that a part of the schema uses.
    json::object node{{"type", "object"},
                      {"properties", {{"value", make(1)}, {"next", {{"$ref", "#/$defs/node"}}}}},
                      {"required", json::array{"value"}}};
    return json::object{{"$defs", {{"node", node}, {"rest", out}}},
                        {"type", "object"},
                        {"properties", {{"head", {{"$ref", "#/$defs/node"}}}, {"rest", {{"$ref", "#/$defs/rest"}}}}},
                        {"required", json::array{"head"}}};
  }

 private:
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }

  json::value string() {
    json::object out{{"type", "string"}};
    switch (pick(5)) {
      case 0: out["pattern"] = kPatterns[pick(std::size(kPatterns))]; break;
      case 1: out["format"] = pick(2) == 0 ? "date" : "uuid"; break;
      case 2: out["maxLength"] = pick(6); break;
      case 3:
        out["minLength"] = pick(4);
        out["maxLength"] = 4 + pick(300);
        break;
      default: out["format"] = "no-such-format";
    }
    return out;
  }
  json::value integer() {
    const std::int64_t low = static_cast<std::int64_t>(pick(4000)) - 2000;
    const std::int64_t high = low + static_cast<std::int64_t>(pick(5000));
    json::object out{{"type", "integer"}};
    if (pick(2) == 0) out["minimum"] = low;
    if (pick(2) == 0) out[pick(2) == 0 ? "maximum" : "exclusiveMaximum"] = high + 1;
    return out;
  }
  json::value number() {
    const std::int64_t low = static_cast<std::int64_t>(pick(200)) - 100;
    json::object out{{"type", "number"}};
    if (pick(2) == 0) out[pick(2) == 0 ? "minimum" : "exclusiveMinimum"] = low;
    if (pick(2) == 0) out[pick(2) == 0 ? "maximum" : "exclusiveMaximum"] = low + 1 + static_cast<std::int64_t>(pick(9));
    return out;
  }
  json::value array(int depth) {
    json::object out{{"type", "array"}};
    json::array prefix;
    for (std::uint64_t i = pick(3); i > 0; --i) prefix.push_back(make(depth));
    if (!prefix.empty()) out["prefixItems"] = prefix;
    out["items"] = make(depth);
    const std::uint64_t least = pick(3);
    if (pick(2) == 0) out["minItems"] = least;
    if (pick(4) != 0) out["maxItems"] = least + pick(4);
    return out;
  }
  json::value object(int depth) {
    static constexpr const char* kNames[] = {"a", "ab", "name", "b\"c", "日付", "items", "a b"};
    json::object properties;
    json::array required;
    for (const char* name : kNames) {
      if (pick(2) == 0) continue;
      properties[name] = make(depth);
      if (pick(2) == 0) required.push_back(name);
    }
    json::object out{{"type", "object"}, {"properties", properties}};
    if (!required.empty()) out["required"] = required;
    switch (pick(4)) {
      case 0: out["additionalProperties"] = false; break;
      case 1: out["additionalProperties"] = make(0); break;
      default: break;
    }
    return out;
  }

  std::mt19937_64& random_;
};

class Validator {
 public:
  explicit Validator(const json::value& root) : root_(root) {}

  // The standard's rules for the keywords the maker writes, whatever the value's type.
  std::string check(const json::value& schema_value, const json::value& value, const std::string& at) {
    const json::object& schema = schema_value.as_object();
    if (const auto* ref = schema.if_contains("$ref")) {
      return check(root_.at_pointer(std::string(ref->as_string()).substr(1)), value, at);
    }
    if (const auto* any = schema.if_contains("anyOf")) {
      const json::array& list = any->as_array();
      const bool fits =
          std::any_of(list.begin(), list.end(), [&](const json::value& one) { return check(one, value, at).empty(); });
      if (!fits) return at + ": none of anyOf";
    }
    if (const auto* constant = schema.if_contains("const"); constant != nullptr && *constant != value)
      return at + ": const";
    if (const auto* list = schema.if_contains("enum")) {
      if (std::find(list->as_array().begin(), list->as_array().end(), value) == list->as_array().end())
        return at + ": enum";
    }
    if (const auto* type = schema.if_contains("type"); type != nullptr && !has_type(*type, value)) return at + ": type";
    if (value.is_string()) return text(schema, value, at);
    if (value.is_number()) return number(schema, value.to_number<double>(), at);
    if (value.is_array()) return array(schema, value.as_array(), at);
    if (value.is_object()) return object(schema, value.as_object(), at);
    return {};
  }

 private:
  static bool has_type(const json::value& type, const json::value& value) {
    if (type.is_array()) {
      return std::any_of(type.as_array().begin(), type.as_array().end(),
                         [&](const json::value& one) { return has_type(one, value); });
    }
    const std::string name(type.as_string());
    if (name == "object") return value.is_object();
    if (name == "array") return value.is_array();
    if (name == "string") return value.is_string();
    if (name == "boolean") return value.is_bool();
    if (name == "null") return value.is_null();
    if (name == "integer") return value.is_int64() || value.is_uint64();
    return name == "number" && value.is_number();
  }
  static bool matches(const std::string& pattern, const std::string& text) {
    regex_t compiled;
    if (regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0) return false;
    const bool out = regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
    regfree(&compiled);
    return out;
  }
  static std::string text(const json::object& schema, const json::value& value, const std::string& at) {
    const std::string content(value.as_string());
    const auto is_lead = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
    const auto length = std::count_if(content.begin(), content.end(), is_lead);
    if (const auto* most = schema.if_contains("maxLength"); most != nullptr && length > most->to_number<long>()) {
      return at + ": maxLength";
    }
    if (const auto* least = schema.if_contains("minLength"); least != nullptr && length < least->to_number<long>()) {
      return at + ": minLength";
    }
    if (const auto* pattern = schema.if_contains("pattern")) {
      if (!matches(std::string(pattern->as_string()), content)) return at + ": pattern";
    }
    const auto* format = schema.if_contains("format");
    if (format == nullptr) return {};
    if (*format == "date" && !matches("^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$", content))
      return at + ": date";
    if (*format == "uuid" && !matches("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", content)) return at + ": uuid";
    return {};
  }
  static std::string number(const json::object& schema, double value, const std::string& at) {
    const auto bound = [&schema](const char* name) -> std::optional<double> {
      const auto* found = schema.if_contains(name);
      if (found == nullptr) return std::nullopt;
      return found->to_number<double>();
    };
    if (const auto b = bound("minimum"); b && value < *b) return at + ": minimum";
    if (const auto b = bound("maximum"); b && value > *b) return at + ": maximum";
    if (const auto b = bound("exclusiveMinimum"); b && value <= *b) return at + ": exclusiveMinimum";
    if (const auto b = bound("exclusiveMaximum"); b && value >= *b) return at + ": exclusiveMaximum";
    return std::isfinite(value) ? std::string() : at + ": infinite";
  }
  std::string array(const json::object& schema, const json::array& list, const std::string& at) {
    if (const auto* most = schema.if_contains("maxItems");
        most != nullptr && list.size() > most->to_number<std::size_t>()) {
      return at + ": maxItems";
    }
    if (const auto* least = schema.if_contains("minItems");
        least != nullptr && list.size() < least->to_number<std::size_t>()) {
      return at + ": minItems";
    }
    const json::value* prefix = schema.if_contains("prefixItems");
    for (std::size_t i = 0; i < list.size(); ++i) {
      const bool in_prefix = prefix != nullptr && i < prefix->as_array().size();
      const json::value* rule = in_prefix ? &prefix->as_array()[i] : schema.if_contains("items");
      if (rule == nullptr) continue;
      if (std::string bad = check(*rule, list[i], fmt::format("{}[{}]", at, i)); !bad.empty()) return bad;
    }
    return {};
  }
  std::string object(const json::object& schema, const json::object& members, const std::string& at) {
    const json::value* properties = schema.if_contains("properties");
    for (const auto& member : members) {
      const json::value* rule = properties == nullptr ? nullptr : properties->as_object().if_contains(member.key());
      if (rule == nullptr) rule = schema.if_contains("additionalProperties");
      if (rule == nullptr || *rule == json::value(true)) continue;
      const std::string inner = at + "." + std::string(member.key());
      if (*rule == json::value(false)) return inner + ": not allowed";
      if (std::string bad = check(*rule, member.value(), inner); !bad.empty()) return bad;
    }
    const json::value* required = schema.if_contains("required");
    if (required == nullptr) return {};
    for (const json::value& name : required->as_array()) {
      if (!members.contains(name.as_string())) return at + ": misses " + std::string(name.as_string());
    }
    return {};
  }

  const json::value& root_;
};

TestVocabulary with_trie(std::vector<std::string> texts, std::vector<TokenId> ends) {
  TestVocabulary out{.texts = std::move(texts), .ends = std::move(ends), .trie = nullptr};
  const std::vector<std::string_view> views(out.texts.begin(), out.texts.end());
  out.trie = std::make_unique<TokenTrie>(views, out.ends);
  return out;
}

}  // namespace

std::string random_schema(std::mt19937_64& random) {
  return json::serialize(SchemaMaker(random).root());
}

std::string violation(const json::value& root, const json::value& schema, const json::value& instance) {
  return Validator(root).check(schema, instance, "$");
}

bool matches(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  static const TestVocabulary kVocabulary = unkind_vocabulary();
  Constraint constraint(std::make_shared<Matcher>(grammar, *kVocabulary.trie));
  for (const char c : text) {
    if (!constraint.accept(static_cast<std::uint8_t>(c)).has_value()) return false;
  }
  return constraint.may_end();
}

TestVocabulary unkind_vocabulary() {
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
  for (const char* text :
       {"\",\"", "\"}]",       "\": {\"",    "\":",    "\": ",     "\", \"", "}}",   "}]",   "]]",       "[[",
        "{\"",   "[{\"",       "[]",         "{}",     "[\"",      "\"]",    "\"\"", "\\\"", "\\\\",     "\\u",
        "\\n\\", "null",       "true,",      "false}", "tru",      "nul",    "-1",   "00",   "123",      "1.5",
        "0.0",   "e+",         "E9",         ".",      "name\":",  "ab",     "abc",  "bc\"", "  ",       "\n\n",
        ",\n",   ": ",         "    ",       "    \"", "\xE6\x97", "\xA5",   "日付", "绿\"", "\xF0\x9F", "\x98\x80\"",
        "😀",     "fixed/\\\\", "\"next\":{", "2024-",  "-02-"}) {
    texts.emplace_back(text);
  }
  texts.emplace_back(64, ' ');
  texts.emplace_back(100, 'a');
  texts.emplace_back();  // the end token
  const auto end = static_cast<TokenId>(texts.size() - 1);
  return with_trie(std::move(texts), {end});
}

TestVocabulary real_or_unkind_vocabulary() {
  const auto fixture = text::real_vocabulary(DORMOUSE_SOURCE_DIR);
  if (!fixture.has_value()) return unkind_vocabulary();
  const auto tokenizer = text::Tokenizer::from_tables(fixture->tables());
  std::vector<std::string> texts;
  for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) texts.emplace_back(tokenizer->token_bytes(id));
  return with_trie(std::move(texts), {tokenizer->end_tokens().begin(), tokenizer->end_tokens().end()});
}

}  // namespace dormouse::grammar
