// Goal: every form of a Qwen3 tokenizer's files gives the tables that llama.cpp's converter gives. Method: a made-up
// vocabulary written in all the forms; the real one against the tables we have (skipped with a reason where
// ../shared/data is absent); one fault each.
#include "worker/convert/hf_tokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "worker/convert/hf_folder_fixture.h"

namespace dormouse::worker {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

// As llama.cpp has it: what looks like a control token is one.
Vocabulary with_control_types(Vocabulary vocabulary) {
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (vocabulary.tokens[id].starts_with("<|") && is_added(vocabulary, id)) vocabulary.types[id] = kTokenControl;
  }
  return vocabulary;
}

class HfTokenizerTest : public HfFolderTest {
 protected:
  void SetUp() override {
    HfFolderTest::SetUp();
    config_.shape.vocab = kFixtureVocabulary;
    config_.bos_token_id = 480;
    config_.eos_token_id = 480;
  }
  Result<HfTokenizer> read() const { return read_hf_tokenizer(folder(), config_); }
  void expect_made_up() const {
    const auto got = read();
    ASSERT_TRUE(got.has_value()) << got.error().message;
    const Vocabulary want = with_control_types(made_up_);
    EXPECT_EQ(got->vocabulary.tokens, want.tokens);
    EXPECT_EQ(got->vocabulary.types, want.types);
    EXPECT_EQ(got->vocabulary.merges, want.merges);
  }
  void expect_refused(Code code, std::string_view named) const {
    const auto got = read();
    ASSERT_FALSE(got.has_value()) << named;
    EXPECT_EQ(got.error().code, code) << got.error().message;
    EXPECT_NE(got.error().message.find(named), std::string::npos) << got.error().message;
  }

  const Vocabulary made_up_ = make_vocabulary(kFixtureVocabulary);
  HfConfig config_;
};

TEST_F(HfTokenizerTest, EveryFormGivesTheSameTables) {
  write_json("tokenizer.json", tokenizer_json_of(made_up_, MergeForm::kStrings));
  expect_made_up();
  write_json("tokenizer.json", tokenizer_json_of(made_up_, MergeForm::kPairs));
  expect_made_up();
  write_json("tokenizer_config.json", tokenizer_config_of(made_up_));
  expect_made_up();
  fs::remove(in("tokenizer.json"));
  write_json("vocab.json", vocab_of(made_up_));
  std::string merges = "#version: 0.2\n";
  for (const std::string& merge : made_up_.merges) merges += merge + "\n";
  write_file(in("merges.txt"), merges);
  expect_made_up();
}

TEST_F(HfTokenizerTest, TheSettingsComeFromTheTokenizersFilesBeforeTheModels) {
  write_json("tokenizer.json", tokenizer_json_of(made_up_, MergeForm::kPairs));
  EXPECT_EQ(read()->vocabulary.end_of_turn_id, 480U);
  EXPECT_EQ(read()->pad_token_id, std::nullopt);
  EXPECT_EQ(read()->chat_template, "");
  json::object settings = tokenizer_config_of(made_up_);
  write_json("tokenizer_config.json", settings);
  EXPECT_EQ(read()->vocabulary.end_of_turn_id, 482U);
  EXPECT_EQ(read()->bos_token_id, 480U);
  EXPECT_EQ(read()->pad_token_id, 480U);
  EXPECT_FALSE(read()->adds_bos);
  EXPECT_EQ(read()->chat_template, "{{ messages }}");
  settings["eos_token"] = {{"content", "<|im_start|>"}, {"lstrip", false}};
  settings["add_bos_token"] = true;
  settings["chat_template"] =
      json::array{{{"name", "tool_use"}, {"template", "no"}}, {{"name", "default"}, {"template", "yes"}}};
  write_json("tokenizer_config.json", settings);
  EXPECT_EQ(read()->vocabulary.end_of_turn_id, 481U);
  EXPECT_TRUE(read()->adds_bos);
  EXPECT_EQ(read()->chat_template, "yes");
  write_file(in("chat_template.jinja"), "{{ apart }}\n");
  EXPECT_EQ(read()->chat_template, "{{ apart }}\n");
}

TEST_F(HfTokenizerTest, DamageIsNamed) {
  expect_refused(Code::kNotFound, "neither tokenizer.json nor vocab.json");
  const json::object good = tokenizer_json_of(made_up_, MergeForm::kPairs);
  const auto write = [&](const auto& damage) {
    json::value copy = good;
    damage(copy.as_object());
    write_json("tokenizer.json", copy.as_object());
  };
  write([](json::object& t) { t["model"].as_object()["type"] = "Unigram"; });
  expect_refused(Code::kInvalidArgument, "model.type");
  write([](json::object& t) { t.erase("pre_tokenizer"); });
  expect_refused(Code::kNotFound, "pre_tokenizer is missing");
  write([](json::object& t) {
    t["pre_tokenizer"].as_object()["pretokenizers"].as_array().erase(
        t["pre_tokenizer"].as_object()["pretokenizers"].as_array().begin());
  });
  expect_refused(Code::kInvalidArgument, "pre_tokenizer.pretokenizers");
  write([](json::object& t) { t["model"].as_object()["vocab"].as_object()["new"] = 512; });
  expect_refused(Code::kDataLoss, "id 512");
  write([](json::object& t) { t["model"].as_object()["vocab"].as_object()["new"] = 0; });
  expect_refused(Code::kDataLoss, "id 0 is given twice");
  write([](json::object& t) { t["model"].as_object()["vocab"].as_object().erase("!"); });
  expect_refused(Code::kDataLoss, "its tokenizer is damaged");
  write([](json::object& t) { t["model"].as_object()["merges"].as_array()[0] = "one"; });
  expect_refused(Code::kDataLoss, "model.merges");
  write([](json::object& t) { t["model"].as_object()["merges"].as_array()[0] = json::array{"zzz", "qqq"}; });
  expect_refused(Code::kDataLoss, "its tokenizer is damaged");
  write([](json::object& t) { t["added_tokens"].as_array()[0].as_object()["id"] = 512; });
  expect_refused(Code::kDataLoss, "added_tokens: id");
  write([](json::object& t) { t["added_tokens"].as_array()[0].as_object()["id"] = 3; });
  expect_refused(Code::kDataLoss, "id 3 is given twice");
  write([](json::object& t) { t["added_tokens"].as_array()[0].as_object().erase("content"); });
  expect_refused(Code::kNotFound, "content is missing");
  write([](json::object&) {});
  write_file(in("tokenizer_config.json"), R"({"eos_token":"<|none|>"})");
  expect_refused(Code::kDataLoss, "tokenizer_config.json: eos_token");
  write_file(in("tokenizer_config.json"), R"({"added_tokens_decoder":{"x":{}}})");
  expect_refused(Code::kDataLoss, "tokenizer_config.json: added_tokens_decoder");
  write_file(in("tokenizer_config.json"), R"({"added_tokens_decoder":{"-7":{"content":"x"}}})");
  expect_refused(Code::kDataLoss, "id -7");
  write_file(in("tokenizer_config.json"), R"({"chat_template":[{"name":"rag","template":"x"}]})");
  expect_refused(Code::kDataLoss, "tokenizer_config.json: chat_template");
  write_file(in("tokenizer_config.json"), "{}");
  write_file(in("chat_template.jinja"), "\xff");
  expect_refused(Code::kDataLoss, "chat_template.jinja: want UTF-8");
  fs::remove(in("chat_template.jinja"));
  config_.eos_token_id = 512;
  expect_refused(Code::kDataLoss, "a token id is 512");
  config_.eos_token_id.reset();
  expect_refused(Code::kNotFound, "no eos_token");
}

// The published tables as Qwen3's tokenizer.json holds them, with its own tokenizer_config.json, against those that
// `synth --vocab` writes: all tokens, merges and types but the six that llama.cpp calls control tokens.
TEST_F(HfTokenizerTest, TheRealOneEqualsTheOneWeHave) {
  const std::string shared = DORMOUSE_SOURCE_DIR "/../shared/data";
  if (!fs::exists(shared)) GTEST_SKIP() << "../shared/data is not there";
  const Vocabulary ours = read_vocabulary(shared + "/tokenizer", kQwen3VocabularySize).value();
  write_json("tokenizer.json", tokenizer_json_of(ours, MergeForm::kPairs));
  fs::copy_file(shared + "/templates/Qwen3-4B-Thinking-2507_tokenizer_config.json", in("tokenizer_config.json"));
  config_.shape.vocab = kQwen3VocabularySize;
  config_.bos_token_id = 151643;
  const auto got = read();
  ASSERT_TRUE(got.has_value()) << got.error().message;
  EXPECT_EQ(got->vocabulary.tokens, ours.tokens);
  EXPECT_EQ(got->vocabulary.merges, ours.merges);
  EXPECT_EQ(got->vocabulary.end_of_turn_id, 151645U);
  EXPECT_EQ(got->pad_token_id, 151643U);
  EXPECT_EQ(got->bos_token_id, 151643U);
  EXPECT_EQ(got->chat_template, read_file(shared + "/templates/Qwen3-4B-Thinking-2507.jinja"));
  std::vector<std::string> different;
  for (std::size_t id = 0; id < kQwen3VocabularySize; ++id) {
    if (got->vocabulary.types[id] != ours.types[id]) different.push_back(ours.tokens[id]);
  }
  EXPECT_EQ(different, (std::vector<std::string>{"<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
                                                 "<|repo_name|>", "<|file_sep|>"}));
  fs::remove(in("tokenizer.json"));
  fs::copy_file(shared + "/tokenizer/vocab.json", in("vocab.json"));
  fs::copy_file(shared + "/tokenizer/merges.txt", in("merges.txt"));
  const auto apart = read();
  ASSERT_TRUE(apart.has_value()) << apart.error().message;
  EXPECT_EQ(apart->vocabulary.tokens, ours.tokens);
  EXPECT_EQ(apart->vocabulary.types, got->vocabulary.types);
  EXPECT_EQ(apart->vocabulary.merges, ours.merges);
}

}  // namespace
}  // namespace dormouse::worker
