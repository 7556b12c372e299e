// Goal: a folder becomes the file that llama.cpp's converter would make of it, with the same answers. Method: folders
// of known weights (the golden model, noise) written by the fixture; the engine's logits, and bytes, compared.
#include "worker/convert/convert.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "engine/golden_model.h"
#include "quant/half.h"
#include "worker/convert/hf_folder_fixture.h"
#include "worker/tools/quantize.h"
#include "worker/tools/synth.h"
#include "worker/tools/tools.h"

namespace dormouse::worker {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

class ConvertTest : public HfFolderTest {
 protected:
  void write_folder(const gguf::File& file) {
    tensors_ = tensors_of(file);
    config_ = config_of(file);
    write_weights();
    write_json("config.json", config_);
    write_tokenizer(make_vocabulary(kFixtureVocabulary));
  }
  void write_golden_folder() { write_folder(gguf::File::open(engine::golden_path("model.gguf")).value()); }
  // 2 layers of noise whose rows fit every type.
  void write_noise_folder() {
    SynthOptions options{.config = *find_synth_config("tiny"),
                         .file_type = *find_file_type("F32"),
                         .seed = 7,
                         .vocabulary_directory = {},
                         .chat_template = {},
                         .out_path = out("noise.gguf")};
    ASSERT_TRUE(synthesize(options).has_value());
    write_folder(gguf::File::open(out("noise.gguf")).value());
    fs::remove(out("noise.gguf"));
  }
  void write_weights() const { write_file(in("model.safetensors"), make_safetensors(tensors_)); }
  FixtureTensor& tensor(std::string_view name) {
    const auto at = std::find_if(tensors_.begin(), tensors_.end(), [&](const auto& t) { return t.name == name; });
    EXPECT_NE(at, tensors_.end()) << name;
    return *at;
  }
  void truncate_all_to_bf16() {
    for (FixtureTensor& tensor : tensors_) {
      tensor.bytes = truncate_to_bf16(tensor.bytes);
      tensor.dtype = "BF16";
    }
    write_weights();
  }
  Result<ConvertReport> convert(const std::string& name, const char* type, int threads = 2) const {
    return convert_checkpoint({.directory = folder(),
                               .out_path = out(name),
                               .file_type = *find_file_type(type),
                               .name = "Tiny",
                               .threads = threads});
  }
  // The bytes of the file, which is removed.
  std::string converted(const char* type, int threads = 2) const {
    const auto report = convert("x.gguf", type, threads);
    EXPECT_TRUE(report.has_value()) << (report ? "" : report.error().message);
    std::string bytes = read_file(out("x.gguf"));
    EXPECT_FALSE(bytes.empty());
    fs::remove(out("x.gguf"));
    return bytes;
  }
  void expect_refused(Code code, std::string_view named) const {
    const auto report = convert("x.gguf", "F16");
    ASSERT_FALSE(report.has_value()) << named;
    EXPECT_EQ(report.error().code, code) << report.error().message;
    EXPECT_NE(report.error().message.find(named), std::string::npos) << report.error().message;
    EXPECT_EQ(outputs(), 0U);
  }

  std::vector<FixtureTensor> tensors_;
  json::object config_;
};

// [tokens, vocabulary] of a file that parses.
std::vector<float> logits_of(const gguf::File& file, const std::vector<sched::TokenId>& tokens) {
  engine::EngineOptions options;
  options.max_batch_tokens = 96;
  options.max_logits_rows = 96;
  options.kv_pages = 3;
  options.threads = 1;
  auto engine = engine::Engine::load(file, nullptr, options, {});
  EXPECT_TRUE(engine.has_value()) << (engine ? "" : engine.error().message);
  if (!engine) return {};
  std::vector<sched::PageId> pages(3);
  std::iota(pages.begin(), pages.end(), 0);
  sched::PlanEntry entry;
  entry.tokens = tokens;
  entry.pages = pages;
  entry.wants_all_logits = true;
  sched::BatchPlan plan;
  plan.entries = {entry};
  plan.token_count = plan.logits_count = static_cast<std::int32_t>(tokens.size());
  const auto logits = (*engine)->step(plan);
  EXPECT_TRUE(logits.has_value()) << (logits ? "" : logits.error().message);
  return logits ? std::vector<float>(logits->begin(), logits->end()) : std::vector<float>();
}

// The first `columns` of each row of `stride`.
std::vector<float> columns_of(const std::vector<float>& logits, std::size_t stride, std::size_t columns) {
  std::vector<float> out;
  for (std::size_t row = 0; row < logits.size(); row += stride) {
    out.insert(out.end(), logits.begin() + static_cast<std::ptrdiff_t>(row),
               logits.begin() + static_cast<std::ptrdiff_t>(row + columns));
  }
  return out;
}

// The golden model's 128 rows of embedding have 384 rows of zeros below them here, for a tokenizer's sake: the first
// 128 logits are the golden ones. 1e-4 is the bound of engine/golden_test.cc.
TEST_F(ConvertTest, TheGoldenWeightsGiveTheGoldenLogits) {
  const engine::Golden golden = engine::read_golden();
  ASSERT_FALSE(golden.tokens.empty());
  write_golden_folder();
  ASSERT_TRUE(convert("golden.gguf", "F32").has_value());
  const auto columns = static_cast<std::size_t>(golden.vocab);
  const std::vector<float> got =
      columns_of(logits_of(gguf::File::open(out("golden.gguf")).value(), golden.tokens), kFixtureVocabulary, columns);
  ASSERT_EQ(got.size(), golden.half_kv.size());
  EXPECT_LE(engine::relative_error(got, golden.half_kv), 1e-4);
  EXPECT_EQ(got, logits_of(gguf::File::open(engine::golden_path("model.gguf")).value(), golden.tokens));
}

// An output matrix of twice the embedding gives twice the logits, to the bit, where embeddings are not tied, and is
// nothing where they are.
TEST_F(ConvertTest, TheOutputMatrixIsUsedWhereEmbeddingsAreNotTied) {
  const engine::Golden golden = engine::read_golden();
  write_golden_folder();
  const std::string tied = converted("F32");
  FixtureTensor output = tensor("model.embed_tokens.weight");
  output.name = "lm_head.weight";
  std::vector<float> floats(output.bytes.size() / sizeof(float));
  std::memcpy(floats.data(), output.bytes.data(), output.bytes.size());
  for (float& x : floats) x *= 2;
  output.bytes = bytes_of_floats(floats);
  tensors_.push_back(output);
  write_weights();
  EXPECT_EQ(converted("F32"), tied);
  config_["tie_word_embeddings"] = false;
  write_json("config.json", config_);
  const std::string untied = converted("F32");
  const auto parse = [](const std::string& bytes) {
    return gguf::File::parse({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}).value();
  };
  std::vector<float> want = logits_of(parse(tied), golden.tokens);
  for (float& x : want) x *= 2;
  EXPECT_EQ(logits_of(parse(untied), golden.tokens), want);
}

TEST_F(ConvertTest, TheFileHasTheKeysOfQwen3) {
  write_golden_folder();
  write_json("generation_config.json", {{"temperature", 0.6}, {"top_k", 20}, {"top_p", 0.95}});
  ASSERT_TRUE(convert("x.gguf", "F16").has_value());
  const gguf::File file = gguf::File::open(out("x.gguf")).value();
  const auto number = [&](const char* key) { return file.get_uint(key, 0, 1 << 24).value(); };
  EXPECT_EQ(file.get_string("general.architecture").value(), "qwen3");
  EXPECT_EQ(file.get_string("general.type").value(), "model");
  EXPECT_EQ(file.get_string("general.name").value(), "Tiny");
  EXPECT_EQ(number("general.file_type"), 1U);
  EXPECT_EQ(number("general.quantization_version"), 2U);
  EXPECT_EQ(number("general.sampling.top_k"), 20U);
  EXPECT_EQ(file.get_float("general.sampling.top_p", 0, 1).value(), double{0.95F});
  EXPECT_EQ(file.get_float("general.sampling.temp", 0, 1).value(), double{0.6F});
  EXPECT_EQ(number("qwen3.block_count"), 2U);
  EXPECT_EQ(number("qwen3.context_length"), 256U);
  EXPECT_EQ(number("qwen3.embedding_length"), 64U);
  EXPECT_EQ(number("qwen3.feed_forward_length"), 96U);
  EXPECT_EQ(number("qwen3.attention.head_count"), 4U);
  EXPECT_EQ(number("qwen3.attention.head_count_kv"), 2U);
  EXPECT_EQ(number("qwen3.attention.key_length"), 32U);
  EXPECT_EQ(number("qwen3.attention.value_length"), 32U);
  EXPECT_EQ(file.get_float("qwen3.rope.freq_base", 1, 1e9).value(), 10000.0);
  EXPECT_EQ(file.get_float("qwen3.attention.layer_norm_rms_epsilon", 0, 1).value(), double{1e-6F});
  EXPECT_EQ(file.get_string("tokenizer.ggml.model").value(), "gpt2");
  EXPECT_EQ(file.get_string("tokenizer.ggml.pre").value(), "qwen2");
  EXPECT_EQ(file.get_string_array("tokenizer.ggml.tokens").value().size(), kFixtureVocabulary);
  EXPECT_EQ(number("tokenizer.ggml.eos_token_id"), 482U);
  EXPECT_EQ(number("tokenizer.ggml.bos_token_id"), 480U);
  EXPECT_EQ(number("tokenizer.ggml.padding_token_id"), 480U);
  EXPECT_FALSE(file.get_bool("tokenizer.ggml.add_bos_token").value());
  EXPECT_EQ(file.get_string("tokenizer.chat_template").value(), "{{ messages }}");
  EXPECT_EQ(file.tensors().size(), 2U * 11 + 2);
  EXPECT_EQ(file.find_tensor("blk.1.attn_q.weight")->type, TensorType::kF16);
  EXPECT_EQ(file.find_tensor("blk.1.attn_q_norm.weight")->type, TensorType::kF32);
}

TEST_F(ConvertTest, PartsGiveTheFileOfTheWhole) {
  write_golden_folder();
  const std::string whole = converted("F16");
  fs::remove(in("model.safetensors"));
  // The tensors dealt out to three parts, so that layers are torn.
  std::vector<std::vector<FixtureTensor>> parts(3);
  json::object weight_map;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    parts[i % 3].push_back(tensors_[i]);
    weight_map[tensors_[i].name] = fmt::format("model-{:05}-of-00003.safetensors", i % 3 + 1);
  }
  for (std::size_t i = 0; i < 3; ++i) {
    write_file(in(fmt::format("model-{:05}-of-00003.safetensors", i + 1)), make_safetensors(parts[i]));
  }
  write_json("model.safetensors.index.json", {{"metadata", {{"total_size", 1}}}, {"weight_map", weight_map}});
  EXPECT_EQ(converted("F16"), whole);
}

TEST_F(ConvertTest, ABf16WeightIsKeptAsItIsAndWidenedExactly) {
  write_golden_folder();
  truncate_all_to_bf16();
  const std::string& want = tensor("model.layers.1.mlp.down_proj.weight").bytes;
  ASSERT_TRUE(convert("x.gguf", "BF16").has_value());
  const gguf::File same = gguf::File::open(out("x.gguf")).value();
  const auto kept = same.data(*same.find_tensor("blk.1.ffn_down.weight"));
  EXPECT_TRUE(std::equal(kept.begin(), kept.end(), want.begin(), want.end(),
                         [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); }));
  ASSERT_TRUE(convert("y.gguf", "F32").has_value());
  const gguf::File wide = gguf::File::open(out("y.gguf")).value();
  EXPECT_EQ(
      truncate_to_bf16({reinterpret_cast<const char*>(wide.data(*wide.find_tensor("blk.1.ffn_down.weight")).data()),
                        2 * want.size()}),
      want);
}

// One step equals two, bytes of the whole file, also where F16 has rounded before: F32 weights have 13 bits more than
// it, and the smallest vanish in it.
TEST_F(ConvertTest, OneStepGivesTheFileOfF16AndQuantize) {
  write_noise_folder();
  std::string& odd = tensor("model.layers.0.mlp.up_proj.weight").bytes;
  const float tiny = 1e-9F;
  std::memcpy(odd.data() + 4, &tiny, sizeof tiny);
  write_weights();
  for (const char* dtype : {"F32", "BF16"}) {
    if (std::string_view(dtype) == "BF16") truncate_all_to_bf16();
    ASSERT_TRUE(convert("f16.gguf", "F16").has_value());
    for (const char* type : {"Q8_0", "Q4_K_M", "Q2_K"}) {
      ASSERT_TRUE(quantize_file({.in_path = out("f16.gguf"),
                                 .out_path = out("two.gguf"),
                                 .file_type = *find_file_type(type),
                                 .threads = 2})
                      .has_value());
      EXPECT_EQ(converted(type), read_file(out("two.gguf"))) << dtype << " " << type;
    }
  }
}

TEST_F(ConvertTest, TheThreadsDoNotShow) {
  write_noise_folder();
  EXPECT_EQ(converted("Q4_K_M", 1), converted("Q4_K_M", 3));
}

TEST_F(ConvertTest, WhatDoesNotFitIsRefusedByName) {
  write_golden_folder();
  const auto good = tensors_;
  const auto reset = [&] { tensors_ = good; };
  tensor("model.layers.1.self_attn.k_norm.weight").name = "model.layers.1.self_attn.k_norm.weigth";
  write_weights();
  expect_refused(Code::kNotFound, "'model.layers.1.self_attn.k_norm.weight' is missing");
  reset();
  std::swap(tensor("model.layers.0.mlp.up_proj.weight").shape[0], tensor("model.layers.0.mlp.up_proj.weight").shape[1]);
  write_weights();
  expect_refused(Code::kDataLoss, "'model.layers.0.mlp.up_proj.weight' is [64, 96], config.json wants [96, 64]");
  reset();
  tensors_.push_back({"model.layers.0.self_attn.q_proj.bias", "F32", {1}, "0123"});
  write_weights();
  expect_refused(Code::kInvalidArgument, "'model.layers.0.self_attn.q_proj.bias'");
  tensors_.back().name = "model.layers.0.self_attn.rotary_emb.inv_freq";
  write_weights();
  EXPECT_FALSE(converted("F16").empty());
  reset();
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(tensor("model.layers.1.mlp.gate_proj.weight").bytes.data(), &infinity, sizeof infinity);
  write_weights();
  expect_refused(Code::kDataLoss, "model.safetensors: tensor 'model.layers.1.mlp.gate_proj.weight'");
  reset();
  const float large = 1e6F;
  std::memcpy(tensor("model.layers.1.mlp.gate_proj.weight").bytes.data(), &large, sizeof large);
  write_weights();
  expect_refused(Code::kInvalidArgument, "beyond the largest number of F16");
  EXPECT_FALSE(converted("BF16").empty());
  reset();
  write_weights();
  config_["architectures"] = {"Qwen3MoeForCausalLM"};
  write_json("config.json", config_);
  expect_refused(Code::kInvalidArgument, "mixtures of experts");
}

TEST_F(ConvertTest, AFolderThatIsNoModelIsRefusedWithTheWayOut) {
  expect_refused(Code::kNotFound, "neither model.safetensors nor");
  write_file(in("pytorch_model.bin"), "x");
  expect_refused(Code::kInvalidArgument, "pytorch_model.bin");
  write_golden_folder();
  fs::remove(in("config.json"));
  expect_refused(Code::kNotFound, "config.json");
  fs::remove_all(folder());
  expect_refused(Code::kNotFound, "no such folder");
}

TEST_F(ConvertTest, TheInputAndFoldersAreNeverOverwritten) {
  write_golden_folder();
  const std::string before = read_file(in("model.safetensors"));
  const auto onto = [&](const std::string& path) {
    const auto report = convert_checkpoint(
        {.directory = folder(), .out_path = path, .file_type = *find_file_type("F16"), .name = "Tiny", .threads = 1});
    return report.has_value() ? std::string() : report.error().message;
  };
  EXPECT_NE(onto(in("model.safetensors")).find("is the input"), std::string::npos);
  EXPECT_NE(onto(folder()).find("is a folder"), std::string::npos);
  EXPECT_EQ(read_file(in("model.safetensors")), before);
}

TEST_F(ConvertTest, ANameInAnotherEncodingIsRefused) {
  write_golden_folder();
  for (const char* name : {"\xcd\xa8\xd2\xe5", "a\x1b[2J", ""}) {  // 通义 in GBK
    const auto report = convert_checkpoint({.directory = folder(),
                                            .out_path = out("x.gguf"),
                                            .file_type = *find_file_type("F16"),
                                            .name = name,
                                            .threads = 1});
    ASSERT_FALSE(report.has_value()) << name;
    EXPECT_NE(report.error().message.find("--name"), std::string::npos);
  }
  EXPECT_EQ(outputs(), 0U);
}

int run(std::vector<std::string> words) {
  words.insert(words.begin(), "dormouse-worker convert");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  return run_convert(static_cast<int>(words.size()), argv.data());
}

TEST_F(ConvertTest, TheCommandLineIsHeeded) {
  write_golden_folder();
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_EQ(run({folder()}), 2);
  EXPECT_EQ(run({folder(), out("x.gguf"), "--type", "Q9"}), 2);
  EXPECT_EQ(run({out("none"), out("x.gguf")}), 1);
  EXPECT_EQ(outputs(), 0U);
  ASSERT_EQ(run({folder() + "/.", out("x.gguf")}), 0);
  EXPECT_EQ(gguf::File::open(out("x.gguf"))->get_string("general.name").value(), "Tiny-Qwen3");
  EXPECT_EQ(gguf::File::open(out("x.gguf"))->get_uint("general.file_type", 0, 99).value(), 1U);
  ASSERT_EQ(run({folder() + "/", out("x.gguf"), "--name", "Another", "--type", "bf16"}), 0);
  EXPECT_EQ(gguf::File::open(out("x.gguf"))->get_string("general.name").value(), "Another");
  EXPECT_EQ(gguf::File::open(out("x.gguf"))->get_uint("general.file_type", 0, 99).value(), 32U);
}

}  // namespace
}  // namespace dormouse::worker
