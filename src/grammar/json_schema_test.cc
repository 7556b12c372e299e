// Goal: each keyword of the subset means what the standard says, and what is outside is refused by name. Method: texts
// that are and are not of the grammar, byte by byte.
#include "grammar/json_schema.h"

#include <gtest/gtest.h>

#include "grammar/schema_fixture_test.h"

namespace dormouse::grammar {
namespace {

struct Case {
  const char* schema;
  std::vector<const char*> in;
  std::vector<const char*> out;
};

TEST(JsonSchema, AKeywordTakesItsInstancesAndNothingElse) {
  const std::vector<Case> cases = {
      {R"({"type":"string"})",
       {R"("")", R"("a\n\u0041\ud83d\ude00é😀")"},
       {R"("a)", R"("\x")", R"("\ud83d")", R"("\ude00")", "\"\n\"", "\"\xff\"", "\"\xed\xa0\x80\"", "1", R"("a" )",
        ""}},
      {R"({"type":"string","minLength":1,"maxLength":2})", {R"("é")", R"("\ud83d\ude00b")"}, {R"("")", R"("abc")"}},
      {R"({"type":"string","pattern":"a+"})", {R"("xaay")", R"("\"a")"}, {R"("xy")"}},
      {R"({"type":"string","pattern":"^a|b$"})", {R"("axx")", R"("xxb")"}, {R"("xax")"}},
      {R"({"type":"string","format":"date"})", {R"("2024-02-28")"}, {R"("2024-02-30")", R"("2024-13-01")"}},
      {R"({"type":"string","format":"date-time"})", {R"("2024-02-28T23:59:59Z")"}, {R"("2024-02-28")"}},
      {R"({"type":"integer"})", {"0", "-7", "123456789012345678"}, {"-0", "01", "1.0", "1e3", "1234567890123456789"}},
      {R"({"type":"integer","minimum":-3,"exclusiveMaximum":120})", {"-3", "0", "119", "20"}, {"-4", "120", "200"}},
      {R"({"type":"integer","minimum":2.5,"maximum":3.5})", {"3"}, {"2", "4"}},
      {R"({"type":"integer","minimum":-9223372036854,"maximum":9223372036854})",
       {"-9223372036854", "9223372036854", "9223372036853"},
       {"9223372036855", "-9223372036855"}},
      {R"({"type":"number"})", {"-0.5", "1e9", "3.25E-07", "0"}, {".5", "1.", "1e999", "+1", "00"}},
      {R"({"type":"number","minimum":-1,"exclusiveMaximum":1})",
       {"-1", "-1.0", "-0.75", "0.999999", "0"},
       {"-1.1", "1", "1.0", "1e0"}},
      {R"({"type":"number","exclusiveMinimum":0})", {"0.001", "7", "31.5"}, {"0", "0.0", "-1"}},
      {R"({"enum":["a",1,null,{"b":[true]}]})", {R"("a")", "1", "null", R"({"b":[true]})"}, {"2", R"("b")"}},
      {R"({"enum":["a",1,2.5],"type":"number"})", {"1", "2.5"}, {R"("a")"}},
      {R"({"type":["integer","null"],"minimum":5})", {"5", "null"}, {"4", "true"}},
      {R"({"type":"array","items":{"type":"null"},"minItems":1,"maxItems":2})",
       {"[null]", "[null, null]", "[null,null]"},
       {"[]", "[null,null,null]", "[null,  null]", "[ null]"}},
      {R"({"type":"array","prefixItems":[{"const":1},{"const":2}],"items":false})",
       {"[]", "[1]", "[1,2]"},
       {"[2]", "[1,2,3]"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"type":"object","properties":{"a":{"const":1},"b":{"const":2},"c":{"const":3}},"required":["b"]})",
       {R"({"b":2})", R"({"a":1,"b":2})", R"({"a": 1, "b": 2, "c": 3})", R"({"b":2,"c":3})"},
       {"{}", R"({"a":1})", R"({"b":2,"a":1})", R"({"b":2,})", R"({,"b":2})", R"({"b":2,"d":4})"}},
      {R"({"type":"object","properties":{"ab":{"const":1}},"additionalProperties":{"type":"boolean"}})",
       {"{}", R"({"ab":1,"a":true,"abc":false})", R"({"b":true})"},
       {R"({"ab":true})", R"({"a\u0062":true})", R"({"b":1})"}},
      {R"({"type":"object","required":["x"],"additionalProperties":{"const":0}})", {R"({"x":0,"y":0})"}, {"{}"}},
      {R"({"$defs":{"n":{"type":"object","properties":{"k":{"$ref":"#/$defs/n"}}}},"$ref":"#/$defs/n"})",
       {"{}", R"({"k":{"k":{}}})"},
       {R"({"k":1})"}},
      {R"({"oneOf":[{"type":"string"},{"type":"null"}]})", {"null", R"("")"}, {"1"}},
      {R"({"oneOf":[{"type":"object","properties":{"t":{"const":"a"},"v":{"const":1}},"required":["t","v"]},
       {"type":"object","properties":{"t":{"const":"b"}},"required":["t"]}]})",
       {R"({"t":"a","v":1})", R"({"t":"b"})"},
       {R"({"t":"b","v":1})", R"({"t":"a"})"}},
      {R"({"allOf":[{"type":"null"}],"description":"d"})", {"null"}, {"1"}},
      {R"({"properties":{"a":true},"required":["a"]})", {R"({"a":[{"x":null}]})"}, {"1", "{}"}},
      {"true", {"1", "{}", "[[]]"}, {""}},
  };
  for (const Case& one : cases) {
    const auto grammar = compile_json_schema(one.schema);
    ASSERT_TRUE(grammar.has_value()) << one.schema << ": " << grammar.error().message;
    for (const char* text : one.in) EXPECT_TRUE(matches(*grammar, text)) << one.schema << " should take " << text;
    for (const char* text : one.out) EXPECT_FALSE(matches(*grammar, text)) << one.schema << " should refuse " << text;
  }
}

TEST(JsonSchema, WhatItCannotHoldAnAnswerToIsRefusedWithItsPlace) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"({"type":"object","properties":{"a":{"type":"string","not":{}}}})", "#/properties/a: 'not'"},
      {R"({"type":"array","uniqueItems":true})", "uniqueItems"},
      {R"({"type":"array","contains":{}})", "'contains'"},
      {R"({"type":"number","multipleOf":2})", "multipleOf"},
      {R"({"type":"number","minimum":0.5})", "minimum"},
      {R"({"type":"integer","minimum":5,"maximum":4})", "no whole number"},
      {R"({"type":"integer","minimum":99999999999999999999})", "minimum"},
      {R"({"type":"string","pattern":"\\b"})", "regex: at byte"},
      {R"({"type":"string","pattern":"a","maxLength":3})", "minLength and maxLength"},
      {R"({"type":"string","minLength":3,"maxLength":2})", "minLength is over"},
      {R"({"type":"string","maxLength":-1})", "maxLength"},
      {R"({"type":"object","patternProperties":{}})", "'patternProperties'"},
      {R"({"type":"object","properties":{"a":{}},"required":["b"]})", "required names 'b'"},
      {R"({"anyOf":[{"type":"string"}],"minLength":2})", "beside 'anyOf'"},
      {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "may both match"},
      {R"({"allOf":[{},{}]})", "allOf"},
      {R"({"$ref":"#/$defs/none"})", "points to nothing"},
      {R"({"$ref":"http://example.com/s"})", "same document"},
      {R"({"$ref":"#"})", "begins with itself"},
      {R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})", "nothing can ever be"},
      {R"({"type":"strange"})", "type is one of"},
      {R"({"type":"array","items":[{}]})", "prefixItems"},
      {R"({"enum":["a"],"type":"null"})", "is of the type"},
      {"false", "matches nothing"},
      {"[]", "a schema is an object"},
      {"{", "not JSON"},
  };
  for (const auto& [schema, words] : cases) {
    const auto grammar = compile_json_schema(schema);
    ASSERT_FALSE(grammar.has_value()) << schema;
    EXPECT_EQ(grammar.error().code, Code::kInvalidArgument) << schema;
    EXPECT_NE(grammar.error().message.find(words), std::string::npos) << schema << ": " << grammar.error().message;
  }
}

TEST(JsonSchema, TooMuchIsRefusedByItsCap) {
  const std::string long_text = R"({"description":")" + std::string(kMaxSourceBytes, 'a') + "\"}";
  for (const std::string& schema : {long_text, std::string(R"({"type":"string","maxLength":999999999999})"),
                                    std::string(R"({"type":"array","items":{},"minItems":70000})")}) {
    const auto grammar = compile_json_schema(schema);
    ASSERT_FALSE(grammar.has_value());
    EXPECT_EQ(grammar.error().code, Code::kTooLarge) << grammar.error().message;
  }
}

TEST(JsonSchema, AChainOfReferencesAsLongAsTheCapAllowsCostsNoStack) {
  std::string schema = R"({"$ref":"#/$defs/0","$defs":{)";
  constexpr int kLinks = 2000;
  for (int i = 0; i < kLinks; ++i) {
    schema += '"' + std::to_string(i) + R"(":{"$ref":"#/$defs/)" + std::to_string(i + 1) + R"("},)";
  }
  schema += '"' + std::to_string(kLinks) + R"(":{"type":"null"}}})";
  ASSERT_LT(schema.size(), kMaxSourceBytes);
  const auto grammar = compile_json_schema(schema);
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  EXPECT_TRUE(matches(*grammar, "null"));
}

TEST(JsonSchema, AnyObjectNestsAsDeepAsThereAreFramesAndIsAlwaysEnded) {
  const auto grammar = compile_json_object();
  EXPECT_TRUE(matches(*grammar, R"({"a": [1, {"b": null}], "c": "x"})"));
  EXPECT_FALSE(matches(*grammar, "[]"));
  const auto nested = [](std::size_t depth) {
    return R"({"a":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_TRUE(matches(*grammar, nested(60)));
  EXPECT_FALSE(matches(*grammar, nested(200)));
}

}  // namespace
}  // namespace dormouse::grammar
