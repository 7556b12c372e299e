// Goal: both vocabularies are complete tables that a byte-level BPE tokenizer can use. Method: the table's own laws for
// the made-up one, the published facts for the real one (skipped with a reason where ../shared/data is absent).
#include "worker/tools/vocabulary.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <unordered_map>

namespace dormouse::worker {
namespace {

namespace fs = std::filesystem;

void expect_valid_bpe(const Vocabulary& vocabulary, std::size_t size) {
  ASSERT_EQ(vocabulary.tokens.size(), size);
  ASSERT_EQ(vocabulary.types.size(), size);
  std::unordered_map<std::string, std::size_t> ids;
  for (std::size_t id = 0; id < size; ++id) {
    ASSERT_FALSE(vocabulary.tokens[id].empty()) << id;
    ASSERT_TRUE(ids.emplace(vocabulary.tokens[id], id).second) << vocabulary.tokens[id];
  }
  for (const std::string& merge : vocabulary.merges) {
    const std::size_t space = merge.find(' ');
    ASSERT_NE(space, std::string::npos);
    const std::string left = merge.substr(0, space);
    const std::string right = merge.substr(space + 1);
    ASSERT_TRUE(ids.contains(left) && ids.contains(right) && ids.contains(left + right)) << merge;
    ASSERT_LT(ids[left], ids[left + right]) << merge;  // both halves exist before the whole
    ASSERT_LT(ids[right], ids[left + right]) << merge;
  }
}

TEST(Vocabulary, TheMadeUpOneHasTheTrueSizeAndIsValidBpe) {
  const Vocabulary vocabulary = make_vocabulary(kQwen3VocabularySize);
  expect_valid_bpe(vocabulary, kQwen3VocabularySize);
  EXPECT_EQ(vocabulary.merges.size(), 151387U);  // Qwen3's number
  EXPECT_EQ(vocabulary.end_of_text_id, 151643U);
  EXPECT_EQ(vocabulary.end_of_turn_id, 151645U);
  EXPECT_EQ(vocabulary.tokens[151668], "</think>");
  EXPECT_EQ(vocabulary.types[151668], kTokenUserDefined);
  EXPECT_EQ(vocabulary.types[151645], kTokenControl);
  EXPECT_EQ(vocabulary.tokens[151669], "[PAD151669]");
  EXPECT_EQ(vocabulary.types[151935], kTokenUnused);
  EXPECT_EQ(vocabulary.tokens[0], "!");
}

TEST(Vocabulary, ASmallOneIsValidToo) {
  const Vocabulary vocabulary = make_vocabulary(512);
  expect_valid_bpe(vocabulary, 512);
  EXPECT_EQ(vocabulary.tokens[vocabulary.end_of_turn_id], "<|im_end|>");
  EXPECT_EQ(vocabulary.types[511], kTokenUnused);
  EXPECT_EQ(vocabulary.types[505], kTokenUserDefined);
}

TEST(Vocabulary, TheRealOneIsReadWhole) {
  const std::string directory = DORMOUSE_SOURCE_DIR "/../shared/data/tokenizer";
  if (!fs::exists(directory)) GTEST_SKIP() << "../shared/data is not there";
  const auto vocabulary = read_vocabulary(directory, kQwen3VocabularySize);
  ASSERT_TRUE(vocabulary.has_value()) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->merges.size(), 151387U);
  EXPECT_EQ(vocabulary->end_of_turn_id, 151645U);
  EXPECT_EQ(vocabulary->tokens[9707], "Hello");
  EXPECT_EQ(std::count(vocabulary->types.begin(), vocabulary->types.end(), kTokenNormal), 151643);
  EXPECT_EQ(std::count(vocabulary->types.begin(), vocabulary->types.end(), kTokenControl), 14);
  EXPECT_EQ(std::count(vocabulary->types.begin(), vocabulary->types.end(), kTokenUserDefined), 12);
  EXPECT_EQ(std::count(vocabulary->types.begin(), vocabulary->types.end(), kTokenUnused), 267);
  EXPECT_EQ(vocabulary->tokens[151935], "[PAD151935]");
}

class VocabularyFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "dormouse-vocab-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    write("vocab.json", R"({"a":0,"b":1,"ab":2})");
    write("merges.txt", "#version: 0.2\na b\n");
    write("qwen3_added_tokens.json", R"({"<|endoftext|>":3,"<|im_end|>":4})");
    write("qwen3_added_tokens_special_flag.json", R"({"3":true,"4":true})");
  }
  void TearDown() override { fs::remove_all(directory_); }
  void write(const char* name, const std::string& text) const { std::ofstream(directory_ / name) << text; }
  [[nodiscard]] Code error() const { return read_vocabulary(directory_.string(), 6).error().code; }

  fs::path directory_;
};

TEST_F(VocabularyFolder, ASmallFolderIsRead) {
  const auto vocabulary = read_vocabulary(directory_.string(), 6);
  ASSERT_TRUE(vocabulary.has_value()) << vocabulary.error().message;
  expect_valid_bpe(*vocabulary, 6);
  EXPECT_EQ(vocabulary->tokens[5], "[PAD5]");
}

TEST_F(VocabularyFolder, DamageIsATypedError) {
  write("vocab.json", R"({"a":0,"b":0})");
  EXPECT_EQ(error(), Code::kDataLoss);
  write("vocab.json", R"({"a":0,"b":6})");
  EXPECT_EQ(error(), Code::kDataLoss);
  write("vocab.json", R"({"a":0,"b":-1})");
  EXPECT_EQ(error(), Code::kDataLoss);
  write("vocab.json", R"({"a":0,"b":"1"})");
  EXPECT_EQ(error(), Code::kDataLoss);
  write("vocab.json", R"([1,2])");
  EXPECT_EQ(error(), Code::kDataLoss);
  write("vocab.json", R"({"a":0)");
  EXPECT_EQ(error(), Code::kDataLoss);
  write("vocab.json", R"({"a":0,"b":1,"ab":2})");
  write("merges.txt", "a b c\n");
  EXPECT_EQ(error(), Code::kDataLoss);
  write("merges.txt", "a b\n");
  write("qwen3_added_tokens_special_flag.json", R"({"99":true})");
  EXPECT_EQ(error(), Code::kDataLoss);
  fs::remove(directory_ / "qwen3_added_tokens_special_flag.json");
  EXPECT_EQ(error(), Code::kNotFound);
}

}  // namespace
}  // namespace dormouse::worker
