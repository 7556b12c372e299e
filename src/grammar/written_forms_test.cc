// Goal: regular expressions and written grammars mean what their readers expect, and what is not supported is refused
// with its place. Method: texts in and out, as for schemas.
#include <gtest/gtest.h>

#include "grammar/gbnf.h"
#include "grammar/regex.h"
#include "grammar/schema_fixture_test.h"

namespace dormouse::grammar {
namespace {

struct Case {
  const char* form;
  std::vector<const char*> in;
  std::vector<const char*> out;
};

TEST(Regex, MatchesTheWholeText) {
  const std::vector<Case> cases = {
      {"a|bc*", {"a", "b", "bccc"}, {"", "ac", "bca"}},
      {"^(?:ab){2,3}$", {"abab", "ababab"}, {"ab", "abababab"}},
      {"x{0,2}y{2}z{1,}", {"yyz", "xxyyzzz"}, {"xxxyyz", "yz", "yy"}},
      {"[a-c\\-\\]é-ü]+?", {"a-]ü"}, {"d", ""}},
      {"[^a-z\\n]", {"A", "é", "😀"}, {"a", "\n", "AB"}},
      {"\\d\\w\\s\\.", {"1_\t."}, {"1_ x", "aa ."}},
      {".", {"é", "\""}, {"\n", "\xff"}},
      {"\\u00e9\\x41", {"éA"}, {"e"}},
      {"(a*)*b", {"b", "aaab"}, {"aaa"}},  // reliability notes S-09: nothing repeated without end
      {"([x]*)*", {"", "xx"}, {"y"}},
      {"", {""}, {"a"}},
  };
  for (const Case& one : cases) {
    const auto grammar = compile_regex(one.form);
    ASSERT_TRUE(grammar.has_value()) << one.form << ": " << grammar.error().message;
    for (const char* text : one.in) EXPECT_TRUE(matches(*grammar, text)) << one.form << " should take " << text;
    for (const char* text : one.out) EXPECT_FALSE(matches(*grammar, text)) << one.form << " should refuse " << text;
  }
}

TEST(Regex, WhatIsNotSupportedIsRefused) {
  for (const char* form : {"(",  ")",           "a)",    "[",       "[]",   "[b-a]", "*",      "a**",   "a{2,1}",
                           "a{", "a{99999999}", "(?=a)", "(?<n>a)", "\\1",  "\\b",   "\\p{L}", "\\u12", "\\ud83d",
                           "\\", "a^b",         "a$b",   "(^a)",    "\xff", "{",     "}"}) {
    const auto grammar = compile_regex(form);
    ASSERT_FALSE(grammar.has_value()) << form;
    EXPECT_EQ(grammar.error().code, Code::kInvalidArgument);
    EXPECT_TRUE(grammar.error().message.starts_with("regex: at byte")) << grammar.error().message;
  }
  EXPECT_FALSE(compile_regex(std::string(200, '(') + std::string(200, ')')).has_value());
  EXPECT_EQ(compile_regex("(?:(?:(?:a{200}){200}){200}){200}|(b{60000}){2}|c{60000}").error().code, Code::kTooLarge);
}

TEST(Gbnf, RulesCallEachOther) {
  const auto grammar = compile_gbnf(R"gbnf(
# sums
root ::= sum ("=" [0-9]{1,3})?   # with an answer or without
sum  ::= term ("+" term)*
term ::= [0-9]+ | "(" sum ")"
       | "\"" [^"\n]* "\"" | "\x41\u00e9"
)gbnf");
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  for (const char* text : {"1", "1+(2+3)=6", "((1))", "\"x y\"+Aé"}) EXPECT_TRUE(matches(*grammar, text)) << text;
  for (const char* text : {"", "1+", "(1", "1=1234", "\"\n\""}) EXPECT_FALSE(matches(*grammar, text)) << text;
}

TEST(Gbnf, ARuleThatCallsItselfAtItsEndNeedsNoFrames) {
  const auto grammar = compile_gbnf("root ::= \"a\" root | \"b\"");
  ASSERT_TRUE(grammar.has_value());
  EXPECT_TRUE(matches(*grammar, std::string(5000, 'a') + "b"));
}

TEST(Gbnf, AnAmbiguousGrammarIsFollowedWithinItsBounds) {
  // The number of stacks would double with every letter.
  const auto grammar = compile_gbnf("root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"a\"");
  ASSERT_TRUE(grammar.has_value());
  EXPECT_TRUE(matches(*grammar, "aaabc"));
  EXPECT_FALSE(matches(*grammar, std::string(100, 'a') + "x")) << "and ends in time";
}

TEST(Gbnf, WhatIsWrongIsRefusedWithItsLine) {
  for (const auto& [text, words] : std::vector<std::pair<const char*, const char*>>{
           {"", "no rule 'root'"},
           {"a ::= \"b\"", "no rule 'root'"},
           {"root ::= b", "'b' is used and not there"},
           {"root ::= \"a\"\nroot ::= \"b\"", "line 2"},
           {"root ::= \"a", "within quotes"},
           {"root ::= (\"a\"", "without its )"},
           {"root ::= \"a\")", "without its ("},
           {"root ::= [b-a]", "range"},
           {"root ::= \"\\q\"", "escape"},
           {"root \"a\"", "`name ::=`"},
           {"root ::= root \"a\" | \"b\"", "begins with itself"},
           {"root ::= x\nx ::= y \"a\"\ny ::= \"\" | x", "begins with itself"},
           {"root ::= \"a\" root", "nothing can ever be"}}) {
    const auto grammar = compile_gbnf(text);
    ASSERT_FALSE(grammar.has_value()) << text;
    EXPECT_NE(grammar.error().message.find(words), std::string::npos) << text << ": " << grammar.error().message;
  }
}

}  // namespace
}  // namespace dormouse::grammar
