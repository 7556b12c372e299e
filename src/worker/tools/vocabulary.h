// The tokenizer tables of a synthetic model file: read from a vocab.json folder, or made up. Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dormouse::worker {

class JsonFields;

// llama.cpp's numbers for tokenizer.ggml.token_type.
enum TokenType : std::int32_t { kTokenNormal = 1, kTokenControl = 3, kTokenUserDefined = 4, kTokenUnused = 5 };

// Rows of Qwen3's table, padding included.
inline constexpr std::uint32_t kQwen3VocabularySize = 151936;

struct Vocabulary {
  std::vector<std::string> tokens;   // in byte-level spelling
  std::vector<std::int32_t> types;   // TokenType, one a token
  std::vector<std::string> merges;   // "left right", best first
  std::uint32_t end_of_turn_id = 0;  // <|im_end|>: eos
  std::uint32_t end_of_text_id = 0;  // <|endoftext|>: bos and padding
};

// Reads vocab.json, merges.txt, qwen3_added_tokens.json and qwen3_added_tokens_special_flag.json; ids from there to
// `size` become [PAD<id>], as llama.cpp's converter names them. Errors: kNotFound, kDataLoss (names file and field).
[[nodiscard]] Result<Vocabulary> read_vocabulary(const std::string& directory, std::uint32_t size);

// What such tables are made of, for whoever has them in other files. `source` names the file in errors (kDataLoss).
// Every id once and below the table's size, no text empty.
Status place_tokens(std::string_view source, const JsonFields& ids_by_text, TokenType type, Vocabulary& out);
Status place_token(std::string_view source, std::string_view text, std::int64_t id, TokenType type, Vocabulary& out);
// Lines of "left right"; empty ones and "#version" are skipped.
[[nodiscard]] Result<std::vector<std::string>> parse_merges(std::string_view source, std::string_view text);
// Gives every id without a text its padding name, as llama.cpp's converter does.
void name_padding(Vocabulary& out);
// kDataLoss: the table has no such token.
[[nodiscard]] Result<std::uint32_t> id_of(const Vocabulary& vocabulary, std::string_view text);

// 256 bytes, merges of them, Qwen3's 26 added tokens, padding where the real table has it. size >= 290.
[[nodiscard]] Vocabulary make_vocabulary(std::uint32_t size);

}  // namespace dormouse::worker
