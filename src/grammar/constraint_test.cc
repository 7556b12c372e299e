// Goal: masks say exactly which tokens may come, whatever they span, and places can be kept and gone back to. Method: a
// mask against trying each token; a small vocabulary that is unkind.
#include "grammar/constraint.h"

#include <gtest/gtest.h>

#include <random>

#include "grammar/builder.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/regex.h"
#include "grammar/schema_fixture_test.h"

namespace dormouse::grammar {
namespace {

const TestVocabulary& vocabulary() {
  static const TestVocabulary kVocabulary = unkind_vocabulary();
  return kVocabulary;
}

std::vector<TokenId> allowed_of(Constraint& constraint) {
  const Result<TokenMask> mask = constraint.mask();
  std::vector<TokenId> out;
  for (TokenId id = 0; mask.has_value() && static_cast<std::size_t>(id) < vocabulary().texts.size(); ++id) {
    if (is_allowed(*mask, id)) out.push_back(id);
  }
  return out;
}

TEST(Constraint, AMaskIsWhatTryingEachTokenSays) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 30; ++i) {
    const std::string schema = random_schema(random);
    const auto grammar = compile_json_schema(schema);
    ASSERT_TRUE(grammar.has_value()) << schema;
    const auto matcher = std::make_shared<Matcher>(*grammar, *vocabulary().trie);
    Constraint constraint(matcher);
    for (int step = 0; step < 60 && !constraint.is_finished(); ++step) {
      const std::vector<TokenId> allowed = allowed_of(constraint);
      std::vector<TokenId> taken;
      // Byte by byte in a matcher of its own, which has seen nothing and shares no masks.
      for (TokenId id = 0; static_cast<std::size_t>(id) < vocabulary().texts.size(); ++id) {
        Constraint trial = constraint;
        if (trial.accept(id).has_value()) taken.push_back(id);
      }
      ASSERT_EQ(allowed, taken) << schema;
      ASSERT_FALSE(allowed.empty()) << schema;
      ASSERT_TRUE(constraint.accept(allowed[random() % allowed.size()]).has_value());
    }
  }
}

TEST(Constraint, ACopyIsAPlaceToGoBackTo) {
  const auto grammar = compile_regex("(ab)+");
  Constraint constraint(std::make_shared<Matcher>(*grammar, *vocabulary().trie));
  ASSERT_TRUE(constraint.accept('a').has_value());
  const Constraint kept = constraint;
  ASSERT_TRUE(constraint.accept('b').has_value());
  EXPECT_TRUE(constraint.may_end());
  constraint = kept;
  EXPECT_FALSE(constraint.may_end());
  EXPECT_FALSE(constraint.accept('a').has_value());
  EXPECT_TRUE(constraint.accept('b').has_value()) << "a refused token changes nothing";
}

TEST(Constraint, TheEndIsAllowedExactlyWhereTheTextMayEnd) {
  const auto grammar = compile_regex("a{1,2}");
  const TokenId end = vocabulary().ends.front();
  Constraint constraint(std::make_shared<Matcher>(*grammar, *vocabulary().trie));
  EXPECT_FALSE(is_allowed(*constraint.mask(), end));
  EXPECT_FALSE(constraint.accept(end).has_value());
  ASSERT_TRUE(constraint.accept('a').has_value());
  EXPECT_TRUE(is_allowed(*constraint.mask(), end));
  EXPECT_FALSE(constraint.is_finished()) << "another a may come";
  ASSERT_TRUE(constraint.accept(end).has_value());
  EXPECT_TRUE(constraint.is_finished());
  EXPECT_TRUE(constraint.mask()->empty());
}

TEST(Constraint, AMatcherThatForgetsChangesNothing) {
  // Lengths of 30,000 places: more than is kept.
  const auto grammar = compile_regex("[a-z]{30000}|[a-z]{29999}!");
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  const auto matcher = std::make_shared<Matcher>(*grammar, *vocabulary().trie);
  Constraint early(matcher);
  ASSERT_TRUE(early.accept('q').has_value());
  Constraint late(matcher);
  for (int i = 0; i < 29'999; ++i) ASSERT_TRUE(late.accept('z').has_value()) << i;
  EXPECT_TRUE(is_allowed(*late.mask(), '!'));
  EXPECT_TRUE(is_allowed(*late.mask(), 'a'));
  EXPECT_FALSE(is_allowed(*late.mask(), '?'));
  EXPECT_TRUE(is_allowed(*early.mask(), 'a'));
  EXPECT_FALSE(is_allowed(*early.mask(), '!'));
}

TEST(Constraint, AGrammarCutOffAtItsBoundsIsStillBroughtToAnEnd) {
  // Twelve times as many open calls after each letter: more than kMaxPlaces after four.
  std::string text = "root ::= ";
  for (int i = 0; i < 12; ++i) text += "\"a\" root \"" + std::string(1, static_cast<char>('b' + i)) + "\" | ";
  const auto grammar = compile_gbnf(text + "\"a\"");
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  Constraint constraint(std::make_shared<Matcher>(*grammar, *vocabulary().trie));
  std::string written;
  while (!constraint.is_finished() && written.size() < 500) {
    const std::vector<TokenId> allowed = allowed_of(constraint);
    ASSERT_FALSE(allowed.empty()) << written;
    ASSERT_TRUE(constraint.accept(allowed.front()).has_value());
    written += vocabulary().texts[static_cast<std::size_t>(allowed.front())];
  }
  EXPECT_TRUE(constraint.is_finished()) << written;
  EXPECT_GT(written.size(), 4U);
}

// What forced tool calls are made of.
TEST(Builder, TextAroundOneOfSeveralSchemasRepeated) {
  Builder b;
  const auto one = add_json_schema(b, R"({"type":"object","properties":{"q":{"type":"string"}},"required":["q"]})");
  const auto two = add_json_schema(b, R"({"type":"object","properties":{}})");
  ASSERT_TRUE(one.has_value() && two.has_value());
  const auto call = [&](std::string_view name, Expr arguments) {
    return b.sequence({b.literal("<tool_call>\n{\"name\": \""), b.literal(name), b.literal("\", \"arguments\": "),
                       arguments, b.literal("}\n</tool_call>")});
  };
  const Expr any = b.choice({call("find", *one), call("now", *two)});
  const auto grammar = b.finish(b.sequence({any, b.repeat(b.sequence({b.literal("\n"), any}), {})}));
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  const std::string find = "<tool_call>\n{\"name\": \"find\", \"arguments\": {\"q\": \"x\"}}\n</tool_call>";
  const std::string now = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
  EXPECT_TRUE(matches(*grammar, find));
  EXPECT_TRUE(matches(*grammar, now + "\n" + find));
  EXPECT_FALSE(matches(*grammar, "<tool_call>\n{\"name\": \"find\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_FALSE(matches(*grammar, now + "\n"));
}

}  // namespace
}  // namespace dormouse::grammar
