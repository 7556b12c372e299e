// Goal: damaged tables are typed errors that say what and where. Method: one damage at a time to a sound table.
#include "text/vocabulary.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "text/vocabulary_fixture.h"

namespace dormouse::text {
namespace {

struct Damage {
  const char* name;
  Code code;
  const char* message_part;
  std::function<void(VocabularyFixture&)> apply;
};

TEST(Vocabulary, DamagedTablesAreTypedErrors) {
  const Damage table[] = {
      {"types too short", Code::kDataLoss, "token types", [](auto& v) { v.types.pop_back(); }},
      {"types too long", Code::kDataLoss, "token types", [](auto& v) { v.types.push_back(1); }},
      {"no types", Code::kDataLoss, "token types", [](auto& v) { v.types.clear(); }},
      {"type 0", Code::kDataLoss, "of type 0", [](auto& v) { v.types[3] = 0; }},
      {"type 6", Code::kDataLoss, "of type 6", [](auto& v) { v.types[3] = 6; }},
      {"type far off", Code::kDataLoss, "of type -257", [](auto& v) { v.types[3] = -257; }},
      {"no tokens", Code::kDataLoss, "0 tokens",
       [](auto& v) {
         v.tokens.clear();
         v.types.clear();
       }},
      {"token twice", Code::kDataLoss, "token 5 is there twice", [](auto& v) { v.tokens[5] = v.tokens[4]; }},
      {"special twice", Code::kDataLoss, "are the same",
       [](auto& v) { v.tokens.back() = v.tokens[v.tokens.size() - 2]; }},
      {"empty token", Code::kDataLoss, "token 5 is empty", [](auto& v) { v.tokens[5].clear(); }},
      {"empty special", Code::kDataLoss, "is empty", [](auto& v) { v.tokens.back().clear(); }},
      {"a space", Code::kDataLoss, "not byte-level", [](auto& v) { v.tokens[260] = "a b"; }},
      {"a character", Code::kDataLoss, "not byte-level", [](auto& v) { v.tokens[260] = "月"; }},
      {"half a character", Code::kDataLoss, "not byte-level", [](auto& v) { v.tokens[260] = "a\xc4"; }},
      {"beyond the alphabet", Code::kDataLoss, "not byte-level", [](auto& v) { v.tokens[260] = "\u0144"; }},
      {"overlong", Code::kDataLoss, "not byte-level", [](auto& v) { v.tokens[260] = "\xc0\xa0"; }},
      {"a byte is missing", Code::kDataLoss, "no token for byte", [](auto& v) { v.tokens[65] = "zzzz"; }},
      {"a byte is special", Code::kDataLoss, "no token for byte", [](auto& v) { v.types[65] = 3; }},
      {"unknown left", Code::kDataLoss, "merge 2 names", [](auto& v) { v.merges[2] = "zz a"; }},
      {"unknown right", Code::kDataLoss, "merge 2 names", [](auto& v) { v.merges[2] = "a zz"; }},
      {"unknown result", Code::kDataLoss, "merge 2 makes", [](auto& v) { v.merges[2] = "z z"; }},
      {"a merge of a special", Code::kDataLoss, "merge 2 names", [](auto& v) { v.merges[2] = "a <think>"; }},
      {"a merge into a special", Code::kDataLoss, "merge 2 makes",
       [](auto& v) {
         v.tokens.emplace_back("zz");
         v.types.push_back(4);
         v.merges[2] = "z z";
       }},
      {"no space", Code::kDataLoss, "merge 0 is not", [](auto& v) { v.merges[0] = "aa"; }},
      {"empty merge", Code::kDataLoss, "merge 0 is not", [](auto& v) { v.merges[0] = ""; }},
      {"empty left", Code::kDataLoss, "merge 0 is not", [](auto& v) { v.merges[0] = " a"; }},
      {"empty right", Code::kDataLoss, "merge 0 is not", [](auto& v) { v.merges[0] = "a "; }},
      {"three parts", Code::kDataLoss, "merge 0 names", [](auto& v) { v.merges[0] = "a a a"; }},
      {"eos out of range", Code::kDataLoss, "end-of-sequence", [](auto& v) { v.eos = v.tokens.size(); }},
      {"eos far out of range", Code::kDataLoss, "end-of-sequence", [](auto& v) { v.eos = ~std::uint64_t{0}; }},
  };
  for (const Damage& damage : table) {
    VocabularyFixture fixture = tiny_vocabulary();
    damage.apply(fixture);
    const auto built = Vocabulary::build(fixture.tables());
    ASSERT_FALSE(built.has_value()) << damage.name;
    EXPECT_EQ(built.error().code, damage.code) << damage.name;
    EXPECT_NE(built.error().message.find(damage.message_part), std::string::npos)
        << damage.name << ": " << built.error().message;
  }
}

TEST(Vocabulary, OtherTokenizersAreNamedAndRefused) {
  const VocabularyFixture fixture = tiny_vocabulary();
  VocabularyTables tables = fixture.tables();
  tables.model = "llama";
  EXPECT_EQ(Vocabulary::build(tables).error().code, Code::kInvalidArgument);
  EXPECT_NE(Vocabulary::build(tables).error().message.find("'llama'"), std::string::npos);
  tables = fixture.tables();
  tables.pre = "llama-bpe";
  EXPECT_EQ(Vocabulary::build(tables).error().code, Code::kInvalidArgument);
  tables = fixture.tables();
  tables.eos_token_id.reset();
  EXPECT_EQ(Vocabulary::build(tables).error().code, Code::kDataLoss);
}

TEST(Vocabulary, PaddingIsTheTrailingRunOfUnusedOrPadRows) {
  VocabularyFixture fixture = tiny_vocabulary();
  const std::size_t before = fixture.tokens.size();
  EXPECT_EQ((*Vocabulary::build(fixture.tables()))->first_padding_id(), static_cast<TokenId>(before));
  fixture.tokens.insert(fixture.tokens.end(), {"[PAD1]", "", "", "[PAD4]"});
  fixture.types.insert(fixture.types.end(), {1, 5, 5, 5});  // one that a converter called normal
  EXPECT_EQ((*Vocabulary::build(fixture.tables()))->first_padding_id(), static_cast<TokenId>(before));
  fixture.tokens.insert(fixture.tokens.end(), {"[PAD]", "[PAD5]"});
  fixture.types.insert(fixture.types.end(), {1, 5});
  EXPECT_EQ((*Vocabulary::build(fixture.tables()))->first_padding_id(), static_cast<TokenId>(before + 5));
}

TEST(Vocabulary, AddedTokensAreFoundLeftmostThenLongest) {
  // Ids 1 to 5, in the order of the texts.
  const std::vector<std::string> tokens = {"", "<a", "<ab>", "<abc", "b", "\xff"};
  const std::vector<TokenId> ids = {1, 2, 3, 4, 5};
  std::vector<std::uint32_t> offsets;
  std::string bytes;
  for (const std::string& token : tokens) {
    offsets.push_back(static_cast<std::uint32_t>(bytes.size()));
    bytes += token;
  }
  offsets.push_back(static_cast<std::uint32_t>(bytes.size()));
  const AddedTokens added(ids, {.offsets = offsets, .text = bytes});
  const auto expect = [&](std::string_view text, std::size_t from, std::size_t begin, std::size_t size, TokenId id) {
    const auto found = added.next(text, from);
    ASSERT_TRUE(found.has_value()) << text;
    EXPECT_EQ(found->begin, begin) << text;
    EXPECT_EQ(found->size, size) << text;
    EXPECT_EQ(found->id, id) << text;
  };
  expect("x<ab>", 0, 1, 4, 2);
  expect("x<abd", 0, 1, 2, 1);
  expect("x<abcd", 0, 1, 4, 3);
  expect("x<abcd", 2, 3, 1, 4);
  expect("<<<a", 0, 2, 2, 1);
  expect("\xff", 0, 0, 1, 5);
  EXPECT_FALSE(added.next("xyz<", 0).has_value());
  EXPECT_FALSE(added.next("", 0).has_value());
  EXPECT_FALSE(added.next("b", 1).has_value());
  EXPECT_EQ(added.find("<ab>"), 2);
  EXPECT_EQ(added.find("<a"), 1);
  EXPECT_FALSE(added.find("<ab").has_value());
  EXPECT_FALSE(added.find("").has_value());
}

}  // namespace
}  // namespace dormouse::text
