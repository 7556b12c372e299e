// What of a model fits a card: bytes of weights by quantisation, of keys and values by context, and what is left for
// more requests at once. PURE. Shapes are Qwen3's dense family; mixes are llama.cpp's, whose files everybody has.
// Source: the config.json of each model; llama.cpp's quantiser (worker/tools/type_mix.h has its rules for what we write
// ourselves); published file sizes, which model_fit_test.cc holds these sums against.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dormouse::planner {

struct ModelShape {
  std::string_view name;  // "Qwen3-4B"
  std::int64_t layers = 0;
  std::int64_t hidden = 0;
  std::int64_t ffn = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 128;
  std::int64_t vocabulary = 151'936;
  std::int64_t context = 40'960;                             // tokens, a request's input and output together
  enum class Output { kTied, kOwn } output = Output::kTied;  // its matrix: the embedding's, or one of its own
};

// From most to fewest bytes.
enum class Quant { kF16, kQ8_0, kQ6_K, kQ5_K_M, kQ4_K_M, kQ3_K_M, kQ2_K };
inline constexpr std::array kQuants{Quant::kF16,    Quant::kQ8_0,   Quant::kQ6_K, Quant::kQ5_K_M,
                                    Quant::kQ4_K_M, Quant::kQ3_K_M, Quant::kQ2_K};
[[nodiscard]] std::string_view to_string(Quant quant);  // "Q4_K_M"

// "Qwen/Qwen3-4B", "qwen3-4b", "4B"; any case. Errors: kNotFound naming those there are.
[[nodiscard]] Result<ModelShape> find_model(std::string_view name);
[[nodiscard]] Result<Quant> find_quant(std::string_view name);

enum class KvType { kF16, kQ8_0 };

[[nodiscard]] std::int64_t parameters(const ModelShape& shape);
[[nodiscard]] std::int64_t weight_bytes(const ModelShape& shape, Quant quant);
// Of weight_bytes, what a decode step reads: an embedding that is not the output matrix too gives it a few rows only.
[[nodiscard]] std::int64_t read_bytes(const ModelShape& shape, Quant quant);
[[nodiscard]] std::int64_t kv_bytes_per_token(const ModelShape& shape, KvType type);

// On top of both: the driver's context, kernels, buffers of a batch. 651 MiB are measured with one stream on an H200
// (docs/performance.md: 3,333 MiB less weights and cache); 1.2 GB leaves room for a batch's buffers.
inline constexpr std::int64_t kReserveBytes = 1'200'000'000;

// Requests at once, each with a context of so many tokens.
struct Wanted {
  std::int64_t sequences = 1;
  std::int64_t context = 4'096;
  KvType kv = KvType::kF16;
};

struct Fit {
  Quant quant = Quant::kF16;
  std::int64_t weight_bytes = 0;
  std::int64_t kv_bytes = 0;
  std::int64_t left_bytes = 0;      // of the card, beside kReserveBytes too; below zero: so much is missing
  std::int64_t most_sequences = 0;  // of that context; 0: not one
};

// Every quantisation, in kQuants' order; those that do not fit with what is missing. Errors: kInvalidArgument naming
// the field (more tokens than the model's context, no request, no or absurd memory).
[[nodiscard]] Result<std::vector<Fit>> fits_of(const ModelShape& shape, std::int64_t vram_bytes, const Wanted& wanted);

// One. Errors: fits_of's; kTooLarge with how much is missing and what would fit.
[[nodiscard]] Result<Fit> fits(const ModelShape& shape, Quant quant, std::int64_t vram_bytes, const Wanted& wanted);

}  // namespace dormouse::planner
