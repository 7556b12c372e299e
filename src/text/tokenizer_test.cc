// Goal: the ids are those of the reference implementations, and what comes back is what went in.
// Method: goldens by an independent Python implementation (tests/golden/text/make_bpe_golden.py) with the committed
// small vocabulary; llama.cpp's 47 vectors and the corpora with the real one, where ../shared/data is present.
#include "text/tokenizer.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "text/vocabulary_fixture.h"

namespace dormouse::text {
namespace {

const std::string kSource = DORMOUSE_SOURCE_DIR;

Tokenizer build(const VocabularyFixture& fixture) {
  auto tokenizer = Tokenizer::from_tables(fixture.tables());
  if (!tokenizer.has_value()) ADD_FAILURE() << tokenizer.error().message;
  return *std::move(tokenizer);
}

Tokenizer small() {
  return build(small_vocabulary(kSource));
}

std::optional<Tokenizer> real() {
  const auto fixture = real_vocabulary(kSource);
  if (!fixture) return std::nullopt;
  return build(*fixture);
}

// The same tables where somebody else keeps them.
Tokenizer mapped(const Tokenizer& built, std::vector<std::uint8_t>& bytes) {
  bytes.assign(built.flat().begin(), built.flat().end());
  auto tokenizer = Tokenizer::from_flat(bytes);
  if (!tokenizer.has_value()) ADD_FAILURE() << tokenizer.error().message;
  return *std::move(tokenizer);
}

std::vector<TokenId> ids_of(const boost::json::value& json) {
  std::vector<TokenId> ids;
  for (const auto& id : json.as_array()) ids.push_back(static_cast<TokenId>(id.as_int64()));
  return ids;
}

std::string from_hex(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    unsigned byte = 0;
    std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16);
    out.push_back(static_cast<char>(byte));
  }
  return out;
}

// Returns how many texts there were.
std::size_t compare_with_golden(const Tokenizer& tokenizer, const std::string& file) {
  const std::string text = read_whole_file(kSource + "/tests/golden/text/" + file);
  if (text.empty()) return 0;
  const auto golden = boost::json::parse(text);
  for (const auto& row : golden.as_array()) {
    const std::string bytes = from_hex(std::string_view(row.at("hex").as_string()));
    EXPECT_EQ(tokenizer.encode(bytes, SpecialTokens::kAsText), ids_of(row.at("ids"))) << row.at("hex");
    EXPECT_EQ(tokenizer.encode(bytes, SpecialTokens::kParse), ids_of(row.at("parsed"))) << row.at("hex");
    EXPECT_EQ(tokenizer.decode(ids_of(row.at("ids"))), bytes);
    EXPECT_EQ(tokenizer.decode(ids_of(row.at("parsed"))), bytes);
  }
  return golden.as_array().size();
}

TEST(Tokenizer, SmallVocabularyGivesTheGoldenIds) {
  const Tokenizer tokenizer = small();
  std::vector<std::uint8_t> bytes;
  EXPECT_GT(compare_with_golden(tokenizer, "bpe_golden.json"), 200U);
  EXPECT_GT(compare_with_golden(mapped(tokenizer, bytes), "bpe_golden.json"), 200U);
}

TEST(Tokenizer, RealVocabularyGivesTheGoldenIds) {
  const auto tokenizer = real();
  if (!tokenizer) GTEST_SKIP() << "../shared/data/tokenizer is absent";
  const std::size_t count = compare_with_golden(*tokenizer, "real_golden.json");
  if (count == 0) GTEST_SKIP() << "no real_golden.json; make_bpe_golden.py --check-real 4000 makes one";
  std::vector<std::uint8_t> bytes;
  EXPECT_EQ(compare_with_golden(mapped(*tokenizer, bytes), "real_golden.json"), count);
  std::printf("%zu texts\n", count);
}

TEST(Tokenizer, LlamaCppVectors) {
  const auto tokenizer = real();
  if (!tokenizer) GTEST_SKIP() << "../shared/data/tokenizer is absent";
  const std::string folder = kSource + "/../shared/data/tokenizer/ggml-vocab-qwen2.gguf";
  const std::string inputs = read_whole_file(folder + ".inp");
  const std::string outputs = read_whole_file(folder + ".out");
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  std::vector<std::uint8_t> bytes;
  const Tokenizer from_flat = mapped(*tokenizer, bytes);
  int count = 0;
  std::size_t in = 0;
  std::size_t out = 0;
  while (true) {
    const std::size_t in_end = inputs.find(kSeparator, in);
    if (in_end == std::string::npos) break;
    const std::size_t out_end = outputs.find('\n', out);
    ASSERT_NE(out_end, std::string::npos) << "more inputs than outputs";
    std::vector<TokenId> want;
    const char* at = outputs.data() + out;
    const char* end = outputs.data() + out_end;
    while (at != end) {
      if (*at == ' ') {
        ++at;
        continue;
      }
      TokenId id = 0;
      at = std::from_chars(at, end, id).ptr;
      want.push_back(id);
    }
    const std::string input = inputs.substr(in, in_end - in);
    EXPECT_EQ(tokenizer->encode(input, SpecialTokens::kAsText), want) << "vector " << count;
    EXPECT_EQ(from_flat.encode(input, SpecialTokens::kAsText), want) << "vector " << count;
    ++count;
    in = in_end + kSeparator.size();
    out = out_end + 1;
  }
  std::printf("%d vectors\n", count);
  EXPECT_EQ(count, 46);  // all the file has: every input is closed by a separator and has its line of ids
  EXPECT_EQ(in, inputs.size());
  EXPECT_EQ(out, outputs.size());
}

TEST(Tokenizer, CorporaComeBack) {
  const auto tokenizer = real();
  if (!tokenizer) GTEST_SKIP() << "../shared/data/tokenizer is absent";
  std::vector<std::uint8_t> bytes;
  const Tokenizer from_flat = mapped(*tokenizer, bytes);
  for (const char* name : {"tang_poems_zh.txt", "song_ci_zh.txt", "mengxue_zh.txt", "tinyshakespeare.txt"}) {
    const std::string text = read_whole_file(kSource + "/../shared/data/corpus/" + name);
    ASSERT_FALSE(text.empty()) << name;
    const std::vector<TokenId> ids = tokenizer->encode(text, SpecialTokens::kAsText);
    EXPECT_TRUE(tokenizer->decode(ids) == text) << name;
    EXPECT_TRUE(from_flat.encode(text, SpecialTokens::kAsText) == ids) << name;
    EXPECT_TRUE(from_flat.decode(ids) == text) << name;
    std::printf("%s: %zu bytes, %zu tokens\n", name, text.size(), ids.size());
  }
}

TEST(Tokenizer, AnyBytesComeBackAndTextIsNeverAnAddedToken) {
  const Tokenizer tokenizer = small();
  std::printf("seed 5\n");
  std::mt19937_64 random(5);
  const std::vector<std::string> atoms = {"<|im_end|>", "<|im_start|>", "<think>", "</think>", "<tool_call>",
                                          "<|",         "|>",           "im_end",  "a",        " ",
                                          "\n",         "月",           "\xe6",    "\xff"};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::size_t i = random() % 12; i > 0; --i) text += atoms[random() % atoms.size()];
    if (round % 2 == 0) {
      for (std::size_t i = random() % 90; i > 0; --i) text.push_back(static_cast<char>(random()));
    }
    const std::vector<TokenId> ids = tokenizer.encode(text, SpecialTokens::kAsText);
    ASSERT_EQ(tokenizer.decode(ids), text) << "seed 5 round " << round;
    const TokenId first_added = *tokenizer.find("<|endoftext|>");
    for (const TokenId id : ids) ASSERT_LT(id, first_added) << "seed 5 round " << round;
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(text, SpecialTokens::kParse)), text) << "seed 5 round " << round;
  }
}

TEST(Tokenizer, ControlTokensAreSilentAndUserDefinedOnesAreText) {
  const Tokenizer tokenizer = small();
  const TokenId end = *tokenizer.find("<|im_end|>");
  const TokenId think = *tokenizer.find("<think>");
  EXPECT_TRUE(tokenizer.is_special(end));
  EXPECT_FALSE(tokenizer.is_special(think));
  EXPECT_EQ(tokenizer.token_bytes(end), "");
  EXPECT_EQ(tokenizer.token_bytes(think), "<think>");
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{end, think}), "<|im_end|><think>");
  EXPECT_EQ(tokenizer.encode("<|im_end|><think>", SpecialTokens::kParse), (std::vector<TokenId>{end, think}));
  EXPECT_EQ(tokenizer.find(" the"), tokenizer.encode(" the", SpecialTokens::kAsText).front());
  EXPECT_FALSE(tokenizer.find("").has_value());
  EXPECT_FALSE(tokenizer.find("<nosuch>").has_value());
}

TEST(Tokenizer, IdsOutOfRangeGiveNothing) {
  const Tokenizer tokenizer = small();
  for (const TokenId id : {-1, INT32_MIN, tokenizer.vocab_size(), INT32_MAX}) {
    EXPECT_EQ(tokenizer.token_bytes(id), "");
    EXPECT_FALSE(tokenizer.is_special(id));
    EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{id}), "");
  }
  EXPECT_EQ(tokenizer.token_bytes(tokenizer.first_padding_id()), "");
}

TEST(Tokenizer, EncodingStopsBehindTheLimitAndIsWholeAtIt) {
  const Tokenizer tokenizer = small();
  for (const std::string& text : {std::string("the <|im_end|> of 月亮 <think>"), std::string(100000, '='),
                                  std::string(9000, '\xe6'), std::string("a 1 ") + std::string(500, ' ')}) {
    for (const SpecialTokens special : {SpecialTokens::kAsText, SpecialTokens::kParse}) {
      const std::vector<TokenId> want = tokenizer.encode(text, special);
      std::vector<TokenId> got;
      EXPECT_TRUE(tokenizer.encode_at_most(want.size(), text, special, got));
      EXPECT_EQ(got, want);
      got.clear();
      EXPECT_FALSE(tokenizer.encode_at_most(want.size() - 1, text, special, got));
    }
  }
  // The work is that of the limit, not of the text: what it leaves behind tells.
  std::vector<TokenId> got;
  EXPECT_FALSE(tokenizer.encode_at_most(1000, std::string(std::size_t{16} << 20, '\x01'), SpecialTokens::kAsText, got));
  EXPECT_LT(got.size(), 10000U);
  EXPECT_FALSE(tokenizer.encode_at_most(1000, "", SpecialTokens::kAsText, got));
}

TEST(Tokenizer, EndTokensAreTheFilesAndBothKnownByName) {
  VocabularyFixture fixture = small_vocabulary(kSource);
  const Tokenizer tokenizer = build(fixture);
  const TokenId im_end = *tokenizer.find("<|im_end|>");
  const TokenId end_of_text = *tokenizer.find("<|endoftext|>");
  const auto ends = [](const Tokenizer& t) {
    return std::vector<TokenId>(t.end_tokens().begin(), t.end_tokens().end());
  };
  EXPECT_EQ(ends(tokenizer), (std::vector<TokenId>{im_end, end_of_text}));
  fixture.eos = static_cast<std::uint64_t>(end_of_text);
  EXPECT_EQ(ends(build(fixture)), (std::vector<TokenId>{end_of_text, im_end}));
}

TEST(Tokenizer, QwensIdsAreWhereTheyShouldBe) {
  const auto tokenizer = real();
  if (!tokenizer) GTEST_SKIP() << "../shared/data/tokenizer is absent";
  EXPECT_EQ(tokenizer->vocab_size(), 151936);
  EXPECT_EQ(tokenizer->first_padding_id(), 151669);
  EXPECT_EQ(tokenizer->find("<|endoftext|>"), 151643);
  EXPECT_EQ(tokenizer->find("</think>"), 151668);
  EXPECT_EQ(std::vector<TokenId>(tokenizer->end_tokens().begin(), tokenizer->end_tokens().end()),
            (std::vector<TokenId>{151645, 151643}));
}

// Runs `work` on a thread whose stack is 256 KiB (reliability notes S-08): deeper use is a crash of the test.
void run_on_a_small_stack(std::function<void()> work) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, std::size_t{256} << 10), 0);
  pthread_t thread{};
  const auto entry = [](void* argument) -> void* {
    (*static_cast<std::function<void()>*>(argument))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, entry, &work), 0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  ASSERT_EQ(pthread_attr_destroy(&attributes), 0);
}

TEST(Tokenizer, MebibytesOfOneKindComeBackOnASmallStack) {
  // Sizes of reliability notes S-08; the speed is measured in text_bench.
  const Tokenizer tokenizer = small();
  std::string marks;
  for (int i = 0; i < 1000000; ++i) marks += "\u0301";
  std::string random_bytes(std::size_t{16} << 20, '\0');
  std::mt19937_64 random(6);
  for (char& c : random_bytes) c = static_cast<char>(random());
  const std::vector<std::string> texts = {std::string(std::size_t{16} << 20, 'a'),
                                          std::string(std::size_t{4} << 20, ' '),
                                          std::string(std::size_t{4} << 20, '<'), marks, random_bytes};
  run_on_a_small_stack([&] {
    for (const std::string& text : texts) {
      EXPECT_TRUE(tokenizer.decode(tokenizer.encode(text, SpecialTokens::kParse)) == text);
    }
  });
}

}  // namespace
}  // namespace dormouse::text
