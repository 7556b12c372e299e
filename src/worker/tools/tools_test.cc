// Goal: the two commands as a person runs them: files that open, metadata kept, exit codes, nothing left after Ctrl-C.
// Method: real files in a fresh folder, the commands' own entry points.
#include "worker/tools/tools.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gguf/file.h"
#include "gguf/writer.h"
#include "quant/codec.h"
#include "text/tokenizer.h"
#include "worker/tools/quantize.h"
#include "worker/tools/templates.h"
#include "worker/tools/vocabulary.h"

namespace dormouse::worker {
namespace {

namespace fs = std::filesystem;

class ToolsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "dormouse-tools-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { fs::remove_all(directory_); }

  [[nodiscard]] std::string path(const char* name) const { return (directory_ / name).string(); }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()));
  }
  static int run(int (*command)(int, char**), std::vector<std::string> words) {
    words.insert(words.begin(), "command");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    return command(static_cast<int>(words.size()), argv.data());
  }
  [[nodiscard]] std::string bytes_of(const std::string& file) const {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  void synth(const char* name, const char* type, std::vector<std::string> more = {}) {
    std::vector<std::string> words{"--config", "tiny", "--type", type, path(name)};
    words.insert(words.end(), more.begin(), more.end());
    ASSERT_EQ(run(run_synth, words), 0);
  }

  fs::path directory_;
};

TEST_F(ToolsTest, SynthWritesTheKeysLlamaCppReads) {
  synth("t.gguf", "Q4_K_M");
  const auto file = gguf::File::open(path("t.gguf"));
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_EQ(file->get_string("general.architecture").value(), "qwen3");
  EXPECT_EQ(file->get_uint("qwen3.block_count", 1, 99).value(), 2U);
  EXPECT_EQ(file->get_uint("qwen3.embedding_length", 1, 9999).value(), 256U);
  EXPECT_EQ(file->get_uint("qwen3.attention.key_length", 1, 999).value(), 128U);
  EXPECT_EQ(file->get_uint("general.file_type", 0, 99).value(), 15U);
  EXPECT_EQ(file->get_uint("general.quantization_version", 0, 99).value(), 2U);
  EXPECT_EQ(file->get_string("tokenizer.ggml.model").value(), "gpt2");
  EXPECT_EQ(file->get_string("tokenizer.ggml.pre").value(), "qwen2");
  EXPECT_EQ(file->get_string("tokenizer.chat_template").value(), kTemplateHybrid);
  EXPECT_FALSE(file->get_bool("tokenizer.ggml.add_bos_token").value());
  EXPECT_EQ(file->tensors().size(), 2U * 11 + 2);
  EXPECT_EQ(file->find_tensor("output.weight"), nullptr);
  EXPECT_EQ(file->find_tensor("token_embd.weight")->type, TensorType::kQ6_K);
  EXPECT_EQ(file->find_tensor("blk.0.attn_q.weight")->shape[1], 512U);
}

TEST_F(ToolsTest, TheMadeUpVocabularyLoadsInOurTokenizer) {
  synth("t.gguf", "Q8_0");
  const auto file = gguf::File::open(path("t.gguf"));
  const auto tokenizer = text::Tokenizer::from_gguf(*file);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  const std::string words = "abc the cab, 睡鼠\n<|im_end|>";
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(words, text::SpecialTokens::kAsText)), words);
  EXPECT_EQ(tokenizer->encode("<|im_end|>", text::SpecialTokens::kParse).size(), 1U);
  EXPECT_LT(tokenizer->encode("abcab", text::SpecialTokens::kAsText).size(), 5U);  // its merges merge
  EXPECT_EQ(tokenizer->first_padding_id(), 506);
}

TEST_F(ToolsTest, TheSeedDecidesTheFileAndTheThreadsDoNot) {
  synth("a.gguf", "Q2_K", {"--seed", "5", "--threads", "1"});
  synth("b.gguf", "Q2_K", {"--seed", "5", "--threads", "3"});
  synth("c.gguf", "Q2_K", {"--seed", "6"});
  EXPECT_EQ(bytes_of(path("a.gguf")), bytes_of(path("b.gguf")));
  EXPECT_NE(bytes_of(path("a.gguf")), bytes_of(path("c.gguf")));
}

TEST_F(ToolsTest, LayersContextAndTemplateAreTaken) {
  synth("t.gguf", "F16", {"--layers", "3", "--context", "777", "--template", "thinking-2507"});
  const auto file = gguf::File::open(path("t.gguf"));
  EXPECT_EQ(file->get_uint("qwen3.block_count", 1, 99).value(), 3U);
  EXPECT_EQ(file->get_uint("qwen3.context_length", 1, 9999).value(), 777U);
  EXPECT_EQ(file->get_string("tokenizer.chat_template").value(), kTemplateThinking2507);
  EXPECT_NE(file->find_tensor("blk.2.ffn_down.weight"), nullptr);
}

TEST_F(ToolsTest, QuantizeKeepsMetadataAndFollowsTheMix) {
  synth("in.gguf", "F32");
  ASSERT_EQ(run(run_quantize, {path("in.gguf"), path("out.gguf"), "--type", "q2_k"}), 0);
  const gguf::File in = gguf::File::open(path("in.gguf")).value();
  const gguf::File out = gguf::File::open(path("out.gguf")).value();
  for (const std::string_view key : in.keys()) {
    if (key == "general.file_type" || key == "general.quantization_version") continue;
    const auto before = in.raw_value(key);
    const auto after = out.raw_value(key);
    ASSERT_TRUE(after.has_value()) << key;
    EXPECT_EQ(before->type, after->type) << key;
    EXPECT_TRUE(std::ranges::equal(before->payload, after->payload)) << key;
  }
  EXPECT_EQ(out.get_uint("general.file_type", 0, 99).value(), 10U);
  ASSERT_EQ(in.tensors().size(), out.tensors().size());
  EXPECT_EQ(out.find_tensor("token_embd.weight")->type, TensorType::kQ6_K);
  EXPECT_EQ(out.find_tensor("blk.1.attn_v.weight")->type, TensorType::kQ3_K);  // two heads a KV head
  EXPECT_EQ(out.find_tensor("blk.1.ffn_up.weight")->type, TensorType::kQ2_K);
  EXPECT_EQ(out.find_tensor("blk.1.ffn_norm.weight")->type, TensorType::kF32);
  EXPECT_EQ(files(), 2U);
}

// Every tensor is the encoder's own work on the input's row, whichever thread did it.
TEST_F(ToolsTest, QuantizedTensorsEqualTheEncoderRowByRow) {
  synth("in.gguf", "BF16");
  ASSERT_EQ(run(run_quantize, {path("in.gguf"), path("out.gguf"), "--type", "Q4_K_M", "--threads", "3"}), 0);
  const gguf::File in = gguf::File::open(path("in.gguf")).value();
  const gguf::File out = gguf::File::open(path("out.gguf")).value();
  for (const gguf::TensorInfo& tensor : out.tensors()) {
    const gguf::TensorInfo& source = *in.find_tensor(tensor.name);
    std::vector<float> floats(source.row_length() * source.rows());
    quant::dequantize_row(source.type, in.data(source).data(), floats.data(), floats.size());
    std::vector<std::uint8_t> want(tensor.bytes);
    quant::quantize_row(tensor.type, floats.data(), want.data(), floats.size());
    const auto got = out.data(tensor);
    ASSERT_TRUE(std::equal(got.begin(), got.end(), want.begin(), want.end())) << tensor.name;
  }
}

TEST_F(ToolsTest, QuantizeRefusesWhatItMust) {
  synth("in.gguf", "F16");
  const std::string before = bytes_of(path("in.gguf"));
  EXPECT_EQ(run(run_quantize, {path("in.gguf"), path("in.gguf"), "--type", "Q8_0"}), 1);
  fs::create_symlink(path("in.gguf"), path("link.gguf"));
  EXPECT_EQ(run(run_quantize, {path("in.gguf"), path("link.gguf"), "--type", "Q8_0"}), 1);
  EXPECT_EQ(bytes_of(path("in.gguf")), before);
  EXPECT_EQ(run(run_quantize, {path("none.gguf"), path("out.gguf"), "--type", "Q8_0"}), 1);
  EXPECT_EQ(run(run_quantize, {path("in.gguf"), path("out.gguf"), "--type", "Q9"}), 2);
  EXPECT_EQ(run(run_quantize, {path("in.gguf"), path("out.gguf")}), 2);
  EXPECT_EQ(run(run_quantize, {path("in.gguf")}), 2);
  EXPECT_EQ(run(run_quantize, {"--help"}), 0);
  EXPECT_EQ(files(), 2U);
  ASSERT_EQ(run(run_quantize, {path("in.gguf"), path("q8.gguf"), "--type", "Q8_0"}), 0);
  EXPECT_EQ(run(run_quantize, {path("q8.gguf"), path("q4.gguf"), "--type", "Q4_K_M"}), 1);
  EXPECT_EQ(run(run_quantize, {path("q8.gguf"), path("q4.gguf"), "--type", "Q4_K_M", "--allow-requantize"}), 0);
}

// One tensor of halves with one other weight in it.
void write_one_odd_weight(const std::string& path, float odd) {
  gguf::Writer writer;
  writer.add_string("general.architecture", "qwen3");
  writer.add_uint32("qwen3.block_count", 1);
  writer.add_uint32("qwen3.attention.head_count", 4);
  writer.add_uint32("qwen3.attention.head_count_kv", 1);
  writer.add_tensor("blk.0.ffn_up.weight", TensorType::kF32, std::vector<std::uint64_t>{256, 2});
  ASSERT_TRUE(writer.begin(path).has_value());
  std::vector<float> floats(512, 0.5F);
  floats[300] = odd;
  std::vector<std::uint8_t> bytes(2048);
  std::memcpy(bytes.data(), floats.data(), bytes.size());
  ASSERT_TRUE(writer.append(bytes).has_value());
  ASSERT_TRUE(writer.finish().has_value());
}

TEST_F(ToolsTest, AWeightThatIsNoNumberOfTheTypeIsAnErrorThatNamesItsTensor) {
  struct Case {
    float weight;
    const char* type;
    std::optional<Code> want;
  };
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  // 65504 is F16's largest, 65520 the first that rounds to infinity; BF16 ends just below F32.
  for (const auto& [weight, type, want] :
       {Case{kNaN, "Q8_0", Code::kDataLoss}, Case{-kInfinity, "Q8_0", Code::kDataLoss},
        Case{kNaN, "F32", Code::kDataLoss}, Case{65519.0F, "F16", std::nullopt},
        Case{-65520.0F, "F16", Code::kInvalidArgument}, Case{65520.0F, "BF16", std::nullopt},
        Case{0x1.FFp127F, "BF16", Code::kInvalidArgument}, Case{0x1.FFp127F, "F32", std::nullopt}}) {
    write_one_odd_weight(path("odd.gguf"), weight);
    const auto report = quantize_file(
        {.in_path = path("odd.gguf"), .out_path = path("out.gguf"), .file_type = *find_file_type(type), .threads = 2});
    ASSERT_EQ(report.has_value(), !want.has_value()) << weight << " as " << type;
    if (report.has_value()) continue;
    EXPECT_EQ(report.error().code, *want) << report.error().message;
    EXPECT_NE(report.error().message.find("blk.0.ffn_up.weight"), std::string::npos);
  }
}

TEST_F(ToolsTest, OnePartOfASplitModelIsRefused) {
  {
    gguf::Writer writer;
    writer.add_string("general.architecture", "qwen3");
    writer.add_uint32("split.count", 3);
    writer.add_uint32("qwen3.block_count", 1);
    writer.add_uint32("qwen3.attention.head_count", 4);
    writer.add_uint32("qwen3.attention.head_count_kv", 1);
    ASSERT_TRUE(writer.begin(path("part.gguf")).has_value());
    ASSERT_TRUE(writer.finish().has_value());
  }
  const auto report = quantize_file(
      {.in_path = path("part.gguf"), .out_path = path("out.gguf"), .file_type = *find_file_type("Q8_0"), .threads = 1});
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code, Code::kInvalidArgument);
}

TEST_F(ToolsTest, SynthRefusesUnknownWords) {
  EXPECT_EQ(run(run_synth, {"--config", "5b", path("x")}), 2);
  EXPECT_EQ(run(run_synth, {"--type", "Q5", path("x")}), 2);
  EXPECT_EQ(run(run_synth, {"--template", "llama", path("x")}), 2);
  EXPECT_EQ(run(run_synth, {"--layers", "0", path("x")}), 2);
  EXPECT_EQ(run(run_synth, {"--layers", "-3", path("x")}), 2);
  EXPECT_EQ(run(run_synth, {"--config", "tiny", "--vocab", path("none"), path("x")}), 1);
  EXPECT_EQ(run(run_synth, {"--config", "tiny", (directory_ / "none" / "x.gguf").string()}), 1);
  EXPECT_EQ(files(), 0U);
}

// Ctrl-C in the middle: a model that takes seconds, the signal as soon as its partial file is there.
TEST_F(ToolsTest, CtrlCLeavesNothing) {
  const std::string out = path("big.gguf");
  std::jthread interrupter([partial = out + ".partial"](const std::stop_token& stop) {
    while (!fs::exists(partial) && !stop.stop_requested()) std::this_thread::yield();
    ::kill(::getpid(), SIGINT);
  });
  EXPECT_EQ(run(run_synth, {"--config", "1.7b", "--type", "F16", out}), 1);
  EXPECT_EQ(files(), 0U);
}

}  // namespace
}  // namespace dormouse::worker
