// The golden run: eight fixed tokens through the whole model, compared with what the same file, binary and instruction
// set gave before (reliability notes R-10). It catches weights that were damaged on their way into memory and a machine
// that computes wrongly, before a client sees a word of it.
// A record belongs to one (file identity, build id, ISA); any change makes a new key, and a full run (twice, equal,
// finite) makes the new record.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "engine/engine.h"
#include "sched/batch_plan.h"

namespace dormouse::worker {

inline constexpr std::int32_t kGoldenTokens = 8;
inline constexpr std::size_t kGoldenLogits = 4;  // of each row, spread over the vocabulary
// Of the eight, so many ride in the first batch. A row's logits do not depend on what comes after it, so the first rows
// of the record are what they must give. Two: one row already passes through every weight but those of the queries and
// keys, which need a second position to matter; each further row costs a first token 0.1 to 0.25 s on two AVX2 cores.
inline constexpr std::int32_t kGoldenRideTokens = 2;

// What is remembered of the eight rows.
struct GoldenResult {
  std::array<std::int32_t, kGoldenTokens> argmax{};
  std::array<std::uint32_t, kGoldenTokens * kGoldenLogits> bits{};
  friend bool operator==(const GoldenResult&, const GoldenResult&) = default;
};

// Ids spread over the vocabulary, the same for every run of one model.
[[nodiscard]] std::vector<sched::TokenId> golden_prompt(std::int32_t first_padding_id);
// rows: [at most kGoldenTokens, vocab_size]; what is beyond them stays 0. Errors: kDataLoss (a logit is not finite).
[[nodiscard]] Result<GoldenResult> golden_result(std::span<const float> rows, std::int32_t vocab_size);
// Whether the first `rows` rows are those of the record.
[[nodiscard]] bool begins_like(const GoldenResult& record, const GoldenResult& result, std::int32_t rows);
// Two runs on an idle engine, which must agree to the bit. Errors: kDataLoss (they do not, or not finite).
[[nodiscard]] Result<GoldenResult> run_golden(engine::Engine& engine, std::span<const sched::TokenId> prompt);

// File name of the record. The build id is the linker's note in this binary.
[[nodiscard]] std::string golden_key(const MappedFile::Identity& file, const std::string& arithmetic);
// nullopt: there is none, or it is not readable as one (then it is made again).
[[nodiscard]] std::optional<GoldenResult> read_golden(const std::string& directory, const std::string& key);
// Written beside and renamed. Errors: kPermissionDenied, kNotFound, kInternal.
Status write_golden(const std::string& directory, const std::string& key, const GoldenResult& result);

}  // namespace dormouse::worker
