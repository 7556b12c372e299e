// Vocabularies for tests, benchmarks and fuzz targets; not linked into any program.
// The real one lies outside the project (../shared/data, where present); the small one is committed and made from it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace dormouse::text {

struct VocabularyFixture {
  std::vector<std::string> tokens;
  std::vector<std::int64_t> types;
  std::vector<std::string> merges;
  std::uint64_t eos = 0;

  // Views into the fixture, in the two arrays given.
  [[nodiscard]] VocabularyTables tables() const;
  mutable std::vector<std::string_view> token_views;
  mutable std::vector<std::string_view> merge_views;
};

// tests/golden/text/small_{vocab,merges}.txt.
[[nodiscard]] VocabularyFixture small_vocabulary(const std::string& source_dir);
// Qwen3's 151,936 rows from SOURCE_DIR/../shared/data/tokenizer; nothing where that is absent.
[[nodiscard]] std::optional<VocabularyFixture> real_vocabulary(const std::string& source_dir);
// Made in code, for targets that read no files: the bytes, a few merges, three added tokens.
[[nodiscard]] VocabularyFixture tiny_vocabulary();

// Empty where the file is absent.
[[nodiscard]] std::string read_whole_file(const std::string& path);

}  // namespace dormouse::text
