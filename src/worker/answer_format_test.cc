// Goal: nothing fails open: whatever the model prefers, an answer that ends is JSON and an instance of its schema, and
// an answer that goes on can always be ended. Method: random schemas within the subset, random logits through the real
// Sampler, an unkind vocabulary; what comes out is read by Boost.JSON and judged by a validator of its own.
#include "worker/answer_constraint.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "engine/sampler.h"
#include "grammar/constraint.h"
#include "grammar/json_schema.h"
#include "grammar/schema_fixture_test.h"

namespace dormouse::worker {
namespace {

using grammar::Constraint;
using grammar::Matcher;
using grammar::TestVocabulary;
using grammar::TokenId;
using grammar::TokenMask;

namespace json = boost::json;

// Fixed, so that a failure repeats; DORMOUSE_TEST_SEED tries others.
std::uint64_t seed() {
  const char* text = std::getenv("DORMOUSE_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 7;
}

struct Written {
  std::string text;
  bool is_finished = false;
};

class Writer {
 public:
  explicit Writer(const TestVocabulary& vocabulary)
      : vocabulary_(vocabulary),
        size_(static_cast<std::int32_t>(vocabulary.texts.size())),
        sampler_(size_, size_),
        logits_(vocabulary.texts.size()) {}

  // A model that wants anything, and after 200 tokens wants to be done: else strings and lists go on for ever.
  Result<Written> write(const std::shared_ptr<Matcher>& matcher, std::mt19937_64& random) {
    Constraint constraint(matcher);
    Written out;
    engine::SamplingParams params;
    params.temperature = random() % 2 == 0 ? 0.0F : 1.0F;
    params.seed = random();
    std::vector<TokenId> generated;
    for (int i = 0; i < 2000 && !constraint.is_finished(); ++i) {
      std::normal_distribution<float> normal(0, 3);
      // A large row is drawn anew now and then only: 151,936 normal numbers are 2 ms.
      if (i % 64 == 0 || logits_.size() < 1000) {
        for (float& logit : logits_) logit = normal(random);
      }
      if (i >= 200) favour_the_end();
      TRY(const TokenMask mask, constraint.mask());
      TRY(const engine::Sample sample, sampler_.sample(logits_, params, {}, generated, mask));
      generated.push_back(sample.token);
      const bool is_end = vocabulary_.trie->is_end(sample.token);
      TRY_STATUS(constraint.accept(sample.token));
      if (!is_end) out.text += vocabulary_.texts[static_cast<std::size_t>(sample.token)];
    }
    out.is_finished = constraint.is_finished();
    return out;
  }

 private:
  void favour_the_end() {
    for (TokenId id = 0; id < size_; ++id) {
      const std::string& text = vocabulary_.texts[static_cast<std::size_t>(id)];
      if (text == "\"" || text == "}" || text == "]" || vocabulary_.trie->is_end(id)) {
        logits_[static_cast<std::size_t>(id)] = 30;
      }
    }
  }

  const TestVocabulary& vocabulary_;
  const std::int32_t size_;
  engine::Sampler sampler_;
  std::vector<float> logits_;
};

void run(const TestVocabulary& vocabulary, int schemas) {
  std::mt19937_64 random(seed());
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed()));
  Writer writer(vocabulary);
  int finished = 0;
  for (int i = 0; i < schemas; ++i) {
    const std::string text = grammar::random_schema(random);
    const auto compiled = grammar::compile_json_schema(text);
    ASSERT_TRUE(compiled.has_value()) << "seed " << seed() << ": " << compiled.error().message << "\n" << text;
    const auto matcher = std::make_shared<Matcher>(*compiled, *vocabulary.trie);
    const Result<Written> written = writer.write(matcher, random);
    ASSERT_TRUE(written.has_value()) << "seed " << seed() << ": " << written.error().message << "\n" << text;
    if (!written->is_finished) continue;
    finished += 1;
    boost::system::error_code failed;
    json::parse_options options;
    options.max_depth = 256;
    const json::value instance = json::parse(written->text, failed, {}, options);
    ASSERT_FALSE(failed) << "seed " << seed() << ": not JSON: " << written->text << "\n" << text;
    const json::value schema = json::parse(text);
    ASSERT_EQ(grammar::violation(schema, schema, instance), "") << "seed " << seed() << "\n"
                                                                << text << "\n"
                                                                << written->text;
  }
  EXPECT_GE(finished, schemas * 95 / 100) << "answers that never end prove nothing";
}

TEST(RandomSchemas, EveryFinishedAnswerIsAnInstance) {
  run(grammar::unkind_vocabulary(), 2000);
}

TEST(RandomSchemas, SoItIsWithQwensVocabulary) {
  const TestVocabulary vocabulary = grammar::real_or_unkind_vocabulary();
  if (vocabulary.texts.size() < 100'000) GTEST_SKIP() << "the vocabulary is not here";
  run(vocabulary, 6);
}

// The validator itself has to be able to say no.
TEST(RandomSchemas, TheValidatorRefusesWhatIsWrong) {
  const json::value schema = json::parse(
      R"({"type":"object","properties":{"a":{"type":"integer","minimum":3},"b":{"type":"string","pattern":"^x+$"}},
      "required":["a"],"additionalProperties":false})");
  EXPECT_EQ(grammar::violation(schema, schema, json::parse(R"({"a":3,"b":"xx"})")), "");
  for (const char* bad :
       {R"({"a":2})", R"({"b":"x"})", R"({"a":3,"b":"y"})", R"({"a":3,"c":1})", R"({"a":3.5})", "[]"}) {
    EXPECT_NE(grammar::violation(schema, schema, json::parse(bad)), "") << bad;
  }
}

// Bytes as tokens 0 to 255, then the tags, the gap and the end.
struct ThinkingModel {
  std::vector<std::string> texts;
  std::unique_ptr<grammar::TokenTrie> trie;
  AnswerFormat format;
  static constexpr TokenId kThink = 256;
  static constexpr TokenId kEndThink = 257;
  static constexpr TokenId kGap = 258;
  static constexpr TokenId kEnd = 259;

  ThinkingModel() {
    for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
    texts.insert(texts.end(), {"", "", "\n\n", ""});
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    const std::vector<TokenId> ends{kEnd};
    trie = std::make_unique<grammar::TokenTrie>(views, ends);
    const auto compiled = grammar::compile_json_schema(R"({"enum":[12,1]})");
    format = {.matcher = std::make_shared<Matcher>(*compiled, *trie), .trie = trie.get()};
  }
  [[nodiscard]] AnswerConstraint start(Thinking thinking) const {
    return {format, thinking, {.think = kThink, .end_think = kEndThink, .gap = kGap}};
  }
};

bool allows(AnswerConstraint& constraint, TokenId token) {
  const Result<TokenMask> mask = constraint.allowed();
  return mask.has_value() && grammar::is_allowed(*mask, token);
}

TEST(AnswerConstraint, ThoughtsAreFreeAndTheGrammarBeginsBehindThem) {
  const ThinkingModel model;
  AnswerConstraint answer = model.start(Thinking::kMay);
  EXPECT_TRUE(allows(answer, ThinkingModel::kThink));
  EXPECT_TRUE(allows(answer, '1')) << "content at once";
  EXPECT_FALSE(allows(answer, 'x'));
  EXPECT_FALSE(allows(answer, ThinkingModel::kEnd));
  ASSERT_TRUE(answer.accept(ThinkingModel::kThink).has_value());
  EXPECT_TRUE(allows(answer, 'x'));
  EXPECT_FALSE(allows(answer, ThinkingModel::kEnd)) << "thoughts are no answer";
  ASSERT_TRUE(answer.accept('x').has_value());
  ASSERT_TRUE(answer.accept(ThinkingModel::kEndThink).has_value());
  EXPECT_TRUE(allows(answer, ThinkingModel::kGap));
  EXPECT_FALSE(allows(answer, 'x'));
  ASSERT_TRUE(answer.accept(ThinkingModel::kGap).has_value());
  EXPECT_FALSE(allows(answer, ThinkingModel::kGap)) << "once";
  EXPECT_FALSE(answer.accept('x').has_value());
  ASSERT_TRUE(answer.accept('1').has_value());
  EXPECT_TRUE(allows(answer, ThinkingModel::kEnd)) << "1 is one of them";
  EXPECT_FALSE(answer.is_finished());
  ASSERT_TRUE(answer.accept('2').has_value());
  EXPECT_TRUE(answer.is_finished());
}

TEST(AnswerConstraint, WithoutThoughtsTheGrammarHoldsFromTheFirstToken) {
  const ThinkingModel model;
  AnswerConstraint answer = model.start(Thinking::kNone);
  EXPECT_FALSE(allows(answer, ThinkingModel::kThink));
  EXPECT_FALSE(allows(answer, ThinkingModel::kGap));
  EXPECT_TRUE(allows(answer, '1'));
}

}  // namespace
}  // namespace dormouse::worker
