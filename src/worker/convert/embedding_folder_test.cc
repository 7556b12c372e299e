// Goal: a folder of Qwen3-Embedding's form becomes a file that says how its vectors are made, as llama.cpp's converter
// says it, with the same weights. Method: the golden model written in that form, and one lie at a time.
#include <gtest/gtest.h>

#include <string>

#include "engine/golden_model.h"
#include "worker/convert/convert.h"
#include "worker/convert/hf_folder_fixture.h"

namespace dormouse::worker {
namespace {

namespace fs = std::filesystem;

class EmbeddingFolderTest : public HfFolderTest {
 protected:
  void SetUp() override {
    HfFolderTest::SetUp();
    write_embedding_folder(folder(), golden());
  }
  static gguf::File golden() { return gguf::File::open(engine::golden_path("model.gguf")).value(); }
  Result<ConvertReport> convert(const std::string& name) const {
    return convert_checkpoint({.directory = folder(),
                               .out_path = out(name),
                               .file_type = *find_file_type("F32"),
                               .name = "Tiny",
                               .threads = 1});
  }
  gguf::File converted() const {
    const auto report = convert("x.gguf");
    EXPECT_TRUE(report.has_value()) << (report ? "" : report.error().message);
    return gguf::File::open(out("x.gguf")).value();
  }
  void expect_refused(Code code, std::string_view named) const {
    const auto report = convert("refused.gguf");
    ASSERT_FALSE(report.has_value()) << named;
    EXPECT_EQ(report.error().code, code) << report.error().message;
    EXPECT_NE(report.error().message.find(named), std::string::npos) << report.error().message;
    EXPECT_FALSE(fs::exists(out("refused.gguf")));
  }
};

TEST_F(EmbeddingFolderTest, TheFileSaysHowVectorsAreMadeAndHasTheSameWeights) {
  const gguf::File file = converted();
  EXPECT_EQ(file.get_string("general.architecture").value(), "qwen3");
  EXPECT_EQ(file.get_uint("qwen3.pooling_type", 0, 9).value(), 3U);
  EXPECT_TRUE(file.get_bool("tokenizer.ggml.add_eos_token").value());
  EXPECT_EQ(file.get_uint("tokenizer.ggml.eos_token_id", 0, 999).value(), 480U) << "<|endoftext|>, not <|im_end|>";
  EXPECT_EQ(file.get_uint("tokenizer.ggml.eot_token_id", 0, 999).value(), 482U);
  EXPECT_EQ(file.tensors().size(), 2U * 11 + 2) << "no output matrix";
  const gguf::File want = golden();
  for (const char* const name : {"blk.1.attn_q.weight", "blk.0.ffn_down.weight", "output_norm.weight"}) {
    const auto got = file.data(*file.find_tensor(name));
    const auto same = want.data(*want.find_tensor(name));
    EXPECT_TRUE(std::equal(got.begin(), got.end(), same.begin(), same.end())) << name;
  }
}

TEST_F(EmbeddingFolderTest, BothNamesOfTheArchitectureAndAnOutputMatrixAreTaken) {
  boost::json::object config = config_of(golden());
  config["architectures"] = {"Qwen3Model"};
  write_json("config.json", config);
  EXPECT_EQ(converted().get_uint("qwen3.pooling_type", 0, 9).value(), 3U);
}

TEST_F(EmbeddingFolderTest, WithoutAWordOfPoolingItIsTheLastTokens) {
  fs::remove(in("modules.json"));
  EXPECT_EQ(converted().get_uint("qwen3.pooling_type", 0, 9).value(), 3U);
  write_embedding_folder(folder(), golden());
  write_json("1_Pooling/config.json", {{"pooling_mode_mean_tokens", true}, {"pooling_mode_lasttoken", false}});
  EXPECT_EQ(converted().get_uint("qwen3.pooling_type", 0, 9).value(), 1U);
}

TEST_F(EmbeddingFolderTest, TheConfigurationHasTheLastWordOnTheEnd) {
  boost::json::object config = tokenizer_config_of(make_vocabulary(kFixtureVocabulary));
  config["add_eos_token"] = false;
  write_json("tokenizer_config.json", config);
  EXPECT_FALSE(converted().get_bool("tokenizer.ggml.add_eos_token").value());
}

TEST_F(EmbeddingFolderTest, WhatWouldGiveOtherVectorsIsRefusedByName) {
  const std::string modules = read_file(in("modules.json"));
  const auto with_module = [&](const std::string& from, const std::string& to) {
    std::string text = modules;
    text.replace(text.find(from), from.size(), to);
    write_file(in("modules.json"), text);
  };
  with_module("models.Normalize", "models.Dense");
  expect_refused(Code::kInvalidArgument, "sentence_transformers.models.Dense is not supported");
  with_module("1_Pooling", "../1_Pooling");
  expect_refused(Code::kDataLoss, "a folder beside modules.json");
  with_module("1_Pooling", "2_Pooling");
  expect_refused(Code::kNotFound, "2_Pooling/config.json");
  write_file(in("modules.json"), "[7]");
  expect_refused(Code::kDataLoss, "modules");
  write_file(in("modules.json"), "[");
  expect_refused(Code::kDataLoss, "modules.json");
  write_file(in("modules.json"), modules);
  write_json("1_Pooling/config.json", {{"pooling_mode_cls_token", true}});
  expect_refused(Code::kInvalidArgument, "pooling_mode_lasttoken");
  write_json("1_Pooling/config.json", {{"pooling_mode_lasttoken", 1}});
  expect_refused(Code::kDataLoss, "pooling_mode_lasttoken");
  write_embedding_folder(folder(), golden());
  std::string tokenizer = read_file(in("tokenizer.json"));
  const std::string end = R"("SpecialToken":{"id":"<|endoftext|>")";
  tokenizer.replace(tokenizer.find(end), end.size(), R"("SpecialToken":{"id":"<|nowhere|>")");
  write_file(in("tokenizer.json"), tokenizer);
  expect_refused(Code::kDataLoss, "post_processor");
}

TEST_F(EmbeddingFolderTest, AClassifierIsRefusedWithWhatToDo) {
  boost::json::object config = config_of(golden());
  config["architectures"] = {"Qwen3ForSequenceClassification"};
  write_json("config.json", config);
  expect_refused(Code::kInvalidArgument, "Qwen3-Reranker");
}

}  // namespace
}  // namespace dormouse::worker
