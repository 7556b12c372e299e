// Goal: bytes are those of real files and real caches, so that what is said to fit does. Method: published file sizes
// and parameter counts; the notes' KV bytes and capacities.
#include "planner/model_fit.h"

#include <gtest/gtest.h>

#include <string>

namespace dormouse::planner {
namespace {

constexpr std::int64_t kGiga = 1'000'000'000;

ModelShape model(std::string_view name) {
  return find_model(name).value();
}

TEST(ModelFit, ModelsHaveTheirPublishedParameters) {
  EXPECT_EQ(parameters(model("4B")), 4'022'468'096);
  struct Row {
    const char* name;
    double billions;
  };
  for (const Row& row : {Row{"0.6B", 0.596}, Row{"1.7B", 1.72}, Row{"8B", 8.19}, Row{"14B", 14.8}, Row{"32B", 32.8}}) {
    EXPECT_NEAR(static_cast<double>(parameters(model(row.name))) / 1e9, row.billions, 0.005 * row.billions) << row.name;
  }
}

// Whole files: weights and 5.96 MB of vocabulary and metadata, as in the three whose byte counts are known exactly.
TEST(ModelFit, FilesHaveTheirPublishedSizes) {
  constexpr std::int64_t kHeader = 5'957'000;
  const ModelShape four = model("Qwen3-4B");
  EXPECT_NEAR(static_cast<double>(weight_bytes(four, Quant::kF16) + kHeader), 8'051'285'408, 1'000);
  EXPECT_NEAR(static_cast<double>(weight_bytes(four, Quant::kQ8_0) + kHeader), 4'280'405'408, 1'000);
  EXPECT_NEAR(static_cast<double>(weight_bytes(four, Quant::kQ4_K_M) + kHeader), 2'497'280'096, 1'000);
  EXPECT_NEAR(static_cast<double>(weight_bytes(four, Quant::kQ3_K_M) + kHeader), 2'075'618'592, 1'000);
  EXPECT_NEAR(static_cast<double>(weight_bytes(four, Quant::kQ2_K)) / 1e6, 1'664, 1);
  struct Row {
    const char* name;
    Quant quant;
    double gigabytes;
  };
  for (const Row& row :
       {Row{"4B", Quant::kQ6_K, 3.31}, Row{"4B", Quant::kQ5_K_M, 2.89}, Row{"14B", Quant::kF16, 29.54},
        Row{"14B", Quant::kQ8_0, 15.70}, Row{"14B", Quant::kQ6_K, 12.12}, Row{"14B", Quant::kQ5_K_M, 10.51},
        Row{"14B", Quant::kQ4_K_M, 9.00}, Row{"32B", Quant::kF16, 65.53}, Row{"32B", Quant::kQ8_0, 34.82}}) {
    const auto bytes = static_cast<double>(weight_bytes(model(row.name), row.quant) + kHeader);
    EXPECT_NEAR(bytes / 1e9, row.gigabytes, 0.0051) << row.name << " " << to_string(row.quant);
  }
}

TEST(ModelFit, ADecodeStepDoesNotReadAnEmbeddingOfItsOwn) {
  EXPECT_EQ(read_bytes(model("4B"), Quant::kQ4_K_M), weight_bytes(model("4B"), Quant::kQ4_K_M)) << "tied";
  const ModelShape eight = model("8B");
  EXPECT_EQ(weight_bytes(eight, Quant::kF16) - read_bytes(eight, Quant::kF16), 151'936 * 4'096 * 2);
}

TEST(ModelFit, KeysAndValuesHaveTheNotesBytes) {
  EXPECT_EQ(kv_bytes_per_token(model("4B"), KvType::kF16), 147'456);
  EXPECT_EQ(kv_bytes_per_token(model("4B"), KvType::kQ8_0), 78'336);
  EXPECT_EQ(kv_bytes_per_token(model("8B"), KvType::kF16), 147'456) << "as many layers and KV heads";
  EXPECT_EQ(kv_bytes_per_token(model("32B"), KvType::kF16), 262'144);
}

// Engine notes, section 3: a T4 carries 148 x 512 tokens beside 1.2 GB of buffers, of the 14.9 GB that it leaves.
TEST(ModelFit, ACardCarriesTheNotesNumberOfRequests) {
  const Wanted wanted{.sequences = 64, .context = 512};
  EXPECT_NEAR(static_cast<double>(fits(model("4B"), Quant::kQ4_K_M, 14'900'000'000, wanted)->most_sequences), 148, 1);
  const Wanted compact{.sequences = 64, .context = 512, .kv = KvType::kQ8_0};
  EXPECT_NEAR(static_cast<double>(fits(model("4B"), Quant::kQ4_K_M, 14'900'000'000, compact)->most_sequences), 279, 2);
}

TEST(ModelFit, EachQuantisationLeavesWhatItLeaves) {
  const Wanted wanted{.sequences = 8, .context = 4'096};
  const std::vector<Fit> all = fits_of(model("8B"), 16 * kGiga, wanted).value();
  ASSERT_EQ(all.size(), kQuants.size());
  for (const Fit& fit : all) {
    EXPECT_EQ(fit.weight_bytes + fit.kv_bytes + kReserveBytes + fit.left_bytes, 16 * kGiga);
    EXPECT_EQ(fit.left_bytes >= 0, fit.most_sequences >= wanted.sequences) << to_string(fit.quant);
  }
  EXPECT_LT(all.front().left_bytes, 0) << "16.4 GB of F16";
  EXPECT_EQ(all.front().most_sequences, 0);
  EXPECT_GE(all[2].left_bytes, 0) << "Q6_K: 6.7 + 4.8 + 1.2";
  // At its last sequence it fits, and with one more it does not.
  Wanted most = wanted;
  most.sequences = all[2].most_sequences;
  EXPECT_TRUE(fits(model("8B"), Quant::kQ6_K, 16 * kGiga, most).has_value());
  ++most.sequences;
  EXPECT_FALSE(fits(model("8B"), Quant::kQ6_K, 16 * kGiga, most).has_value());
}

TEST(ModelFit, WhatDoesNotFitSaysHowMuchIsMissingAndWhatWould) {
  const auto error = [](std::string_view name, Quant quant, std::int64_t vram, const Wanted& wanted) {
    const Result<Fit> got = fits(model(name), quant, vram, wanted);
    return got.has_value() ? Error{Code::kInternal, "it fits"} : got.error();
  };
  const Error one = error("8B", Quant::kF16, 16 * kGiga, {.sequences = 8, .context = 4'096});
  EXPECT_EQ(one.code, Code::kTooLarge);
  EXPECT_EQ(one.message,
            "Qwen3-8B in F16 with 8 x 4096 tokens wants 22.4 GB, and there are 16.0: 6.4 are missing; "
            "would fit: Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q3_K_M, Q2_K");
  const Error many = error("4B", Quant::kQ2_K, 16 * kGiga, {.sequences = 100, .context = 4'096});
  EXPECT_NE(many.message.find("would fit: 21 at once"), std::string::npos) << many.message;
  const Error none = error("32B", Quant::kQ2_K, 12 * kGiga, {});
  EXPECT_NE(none.message.find("take a smaller model"), std::string::npos) << none.message;
  EXPECT_EQ(error("4B", Quant::kQ2_K, 16 * kGiga, {.sequences = 1, .context = 40'961}).message,
            "context: 40961 tokens; Qwen3-4B was trained for 40960 at most");
  for (const Wanted& wanted : {Wanted{.sequences = 0}, Wanted{.sequences = INT64_MAX}, Wanted{.context = 0}}) {
    EXPECT_EQ(error("4B", Quant::kQ2_K, 16 * kGiga, wanted).code, Code::kInvalidArgument);
  }
  for (const std::int64_t vram : {INT64_C(0), INT64_C(-1), INT64_MAX}) {
    EXPECT_EQ(error("4B", Quant::kQ2_K, vram, {}).code, Code::kInvalidArgument);
  }
}

TEST(ModelFit, NamesAreFoundInAnyCaseAndNoOthers) {
  EXPECT_EQ(find_model("qwen/qwen3-4b")->name, "Qwen3-4B");
  EXPECT_EQ(find_model("0.6b")->layers, 28);
  EXPECT_EQ(find_quant("q4_k_m").value(), Quant::kQ4_K_M);
  EXPECT_EQ(
      find_model("Qwen3-5B").error().message,
      "model 'Qwen3-5B' is not known; there are Qwen3-0.6B, Qwen3-1.7B, Qwen3-4B, Qwen3-8B, Qwen3-14B, Qwen3-32B");
  EXPECT_NE(find_quant("Q4").error().message.find("Q4_K_M"), std::string::npos);
  EXPECT_FALSE(find_model("").has_value());
}

}  // namespace
}  // namespace dormouse::planner
