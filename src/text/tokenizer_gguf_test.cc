// Goal: a tokenizer read from a file is the one its tables make, and outlives the file; a file without one is damaged.
// Method: files written by gguf::Writer.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "text/tokenizer.h"
#include "text/vocabulary_gguf_fixture.h"

namespace dormouse::text {
namespace {

const std::string kSource = DORMOUSE_SOURCE_DIR;

std::string temporary_file() {
  const std::string folder = testing::TempDir() + "dormouse_tokenizer_gguf";
  std::filesystem::create_directories(folder);
  return folder + "/" + testing::UnitTest::GetInstance()->current_test_info()->name() + ".gguf";
}

void expect_same(const VocabularyFixture& fixture) {
  const std::string path = temporary_file();
  ASSERT_TRUE(write_vocabulary_gguf(fixture, path).has_value());
  const auto from_file = [&]() -> Result<Tokenizer> {
    TRY(const auto file, gguf::File::open(path));
    return Tokenizer::from_gguf(file);  // the file is closed behind it
  }();
  std::filesystem::remove(path);
  ASSERT_TRUE(from_file.has_value()) << from_file.error().message;
  const auto from_tables = Tokenizer::from_tables(fixture.tables());
  ASSERT_TRUE(from_tables.has_value());
  const std::string text = "The moon 月亮 <|im_end|><think>\n\n  x'll 123 \xff";
  for (const SpecialTokens special : {SpecialTokens::kAsText, SpecialTokens::kParse}) {
    EXPECT_EQ(from_file->encode(text, special), from_tables->encode(text, special));
    EXPECT_EQ(from_file->decode(from_file->encode(text, special)), text);
  }
  EXPECT_EQ(from_file->vocab_size(), from_tables->vocab_size());
  EXPECT_EQ(from_file->first_padding_id(), from_tables->first_padding_id());
  EXPECT_TRUE(std::ranges::equal(from_file->end_tokens(), from_tables->end_tokens()));
}

TEST(TokenizerGguf, TheSmallVocabularyComesThroughAFile) {
  expect_same(small_vocabulary(kSource));
}

TEST(TokenizerGguf, TheRealVocabularyComesThroughAFile) {
  const auto fixture = real_vocabulary(kSource);
  if (!fixture) GTEST_SKIP() << "../shared/data/tokenizer is absent";
  expect_same(*fixture);
}

TEST(TokenizerGguf, AMissingKeyIsDataLossAndIsNamed) {
  const std::string path = temporary_file();
  for (const char* key : {"tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.tokens",
                          "tokenizer.ggml.merges", "tokenizer.ggml.token_type", "tokenizer.ggml.eos_token_id"}) {
    ASSERT_TRUE(write_vocabulary_gguf(tiny_vocabulary(), path, key).has_value());
    const auto file = gguf::File::open(path);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    const auto tokenizer = Tokenizer::from_gguf(*file);
    ASSERT_FALSE(tokenizer.has_value()) << key;
    EXPECT_EQ(tokenizer.error().code, Code::kDataLoss) << key;
    EXPECT_NE(tokenizer.error().message.find(key), std::string::npos) << tokenizer.error().message;
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace dormouse::text
