// Goal: the tensors of each file type are those llama.cpp's quantiser writes for the same model, so that sizes and
// quality compare. Method: the published lists (engine notes 4.2) and file sizes.
#include "worker/tools/type_mix.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "gguf/writer.h"
#include "worker/tools/model_configs.h"

namespace dormouse::worker {
namespace {

constexpr ModelShape k4B{.layers = 36, .heads_per_kv_head = 4, .is_tied = true};

TensorType type_of(FileType file_type, const ModelShape& shape, std::string_view name, std::uint64_t row = 2560) {
  return choose_type(file_type, shape, name, 2, row).type;
}

TEST(TypeMix, Q4KMGivesSixBitsToTheDocumentedLayersOfTheFourBillionModel) {
  const std::set<std::uint32_t> six{0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 31, 32, 33, 34, 35};
  for (std::uint32_t layer = 0; layer < 36; ++layer) {
    const TensorType want = six.contains(layer) ? TensorType::kQ6_K : TensorType::kQ4_K;
    EXPECT_EQ(type_of(FileType::kQ4_K_M, k4B, fmt::format("blk.{}.attn_v.weight", layer)), want) << layer;
    EXPECT_EQ(type_of(FileType::kQ4_K_M, k4B, fmt::format("blk.{}.ffn_down.weight", layer), 9728), want) << layer;
    for (const char* part : {"attn_q", "attn_k", "attn_output", "ffn_gate", "ffn_up"}) {
      EXPECT_EQ(type_of(FileType::kQ4_K_M, k4B, fmt::format("blk.{}.{}.weight", layer, part)), TensorType::kQ4_K);
    }
  }
}

TEST(TypeMix, TheOutputMatrixGetsSixBitsWhetherTiedOrNot) {
  const ModelShape untied{.layers = 36, .heads_per_kv_head = 4, .is_tied = false};
  EXPECT_EQ(type_of(FileType::kQ4_K_M, k4B, "token_embd.weight"), TensorType::kQ6_K);
  EXPECT_EQ(type_of(FileType::kQ2_K, k4B, "token_embd.weight"), TensorType::kQ6_K);
  EXPECT_EQ(type_of(FileType::kQ4_K_M, untied, "token_embd.weight"), TensorType::kQ4_K);
  EXPECT_EQ(type_of(FileType::kQ2_K, untied, "token_embd.weight"), TensorType::kQ2_K);
  EXPECT_EQ(type_of(FileType::kQ4_K_M, untied, "output.weight"), TensorType::kQ6_K);
}

TEST(TypeMix, Q2KNeedsFourTypes) {
  const ModelShape two_heads{.layers = 28, .heads_per_kv_head = 2, .is_tied = true};
  EXPECT_EQ(type_of(FileType::kQ2_K, k4B, "blk.7.attn_v.weight"), TensorType::kQ4_K);
  EXPECT_EQ(type_of(FileType::kQ2_K, two_heads, "blk.7.attn_v.weight"), TensorType::kQ3_K);
  EXPECT_EQ(type_of(FileType::kQ2_K, k4B, "blk.7.attn_output.weight"), TensorType::kQ3_K);
  EXPECT_EQ(type_of(FileType::kQ2_K, k4B, "blk.7.ffn_down.weight"), TensorType::kQ3_K);
  EXPECT_EQ(type_of(FileType::kQ2_K, k4B, "blk.7.ffn_up.weight"), TensorType::kQ2_K);
}

TEST(TypeMix, PureTypesArePureAndVectorsStayF32) {
  for (const FileTypeName& type : kFileTypes) {
    EXPECT_EQ(choose_type(type.type, k4B, "blk.0.attn_norm.weight", 1, 2560).type, TensorType::kF32);
    EXPECT_EQ(choose_type(type.type, k4B, "blk.0.attn_q_norm.weight", 1, 128).type, TensorType::kF32);
  }
  EXPECT_EQ(type_of(FileType::kQ8_0, k4B, "token_embd.weight"), TensorType::kQ8_0);
  EXPECT_EQ(type_of(FileType::kF16, k4B, "blk.3.attn_v.weight"), TensorType::kF16);
}

TEST(TypeMix, RowsThatDoNotFitFallBackAndSaySo) {
  const TypeChoice to_q8 = choose_type(FileType::kQ4_K_M, k4B, "blk.7.ffn_up.weight", 2, 160);
  EXPECT_EQ(to_q8.type, TensorType::kQ8_0);
  EXPECT_EQ(to_q8.instead_of, TensorType::kQ4_K);
  const TypeChoice to_f16 = choose_type(FileType::kQ8_0, k4B, "blk.7.ffn_up.weight", 2, 100);
  EXPECT_EQ(to_f16.type, TensorType::kF16);
  EXPECT_EQ(to_f16.instead_of, TensorType::kQ8_0);
  EXPECT_FALSE(choose_type(FileType::kQ4_K_M, k4B, "blk.7.ffn_up.weight", 2, 512).instead_of.has_value());
}

TEST(TypeMix, NamesAreFoundInAnyCaseAndNoOthers) {
  EXPECT_EQ(find_file_type("q4_k_m")->type, FileType::kQ4_K_M);
  EXPECT_EQ(find_file_type("Q4_K_M")->number, 15U);
  EXPECT_FALSE(find_file_type("Q4_K").has_value());
  EXPECT_FALSE(find_file_type("").has_value());
}

// Weight bytes of the published Qwen3-4B files, in MB: Q4_K_M 2,491, Q8_0 4,274, F16 8,045, Q2_K 1,664.
TEST(TypeMix, TheFourBillionModelHasItsPublishedSizes) {
  const auto weight_bytes = [](FileType file_type) {
    std::uint64_t bytes = 0;
    for (const SynthTensor& tensor : synth_tensors(*find_synth_config("4b"))) {
      const auto choice =
          choose_type(file_type, k4B, tensor.name, static_cast<int>(tensor.shape.size()), tensor.shape.front());
      bytes += gguf::Writer::tensor_bytes(choice.type, tensor.shape);
    }
    return static_cast<double>(bytes) / 1e6;
  };
  EXPECT_NEAR(weight_bytes(FileType::kQ4_K_M), 2491, 1);
  EXPECT_NEAR(weight_bytes(FileType::kQ8_0), 4274, 1);
  EXPECT_NEAR(weight_bytes(FileType::kF16), 8045, 1);
  EXPECT_NEAR(weight_bytes(FileType::kQ2_K), 1664, 1);
}

}  // namespace
}  // namespace dormouse::worker
