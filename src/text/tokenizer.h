// Byte-level BPE with the qwen2 pre-tokenizer, built from GGUF metadata. Words in, ids out, and back.
// Invariants: (1) decode(encode(x)) == x for any bytes; (2) encode never yields a special token from user text;
// (3) linear time and constant stack in the input's length; no recursion, no std::regex.
// Threads: const from any.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"

namespace dormouse::text {

using TokenId = std::int32_t;

// How a piece of a prompt is read. Template text may contain control tokens; what a user wrote never does.
enum class SpecialTokens { kAsText, kParse };

class Tokenizer {
 public:
  // Reads tokenizer.ggml.{model,pre,tokens,token_type,merges,eos_token_id,...}. Errors: kInvalidArgument (a tokenizer
  // we do not implement; names it), kDataLoss (damaged tables).
  static Result<Tokenizer> from_gguf(const gguf::File& file);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  void encode(std::string_view text, SpecialTokens special, std::vector<TokenId>& out) const;  // appends
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, SpecialTokens special) const;
  // The bytes of one token, as generated text: special tokens give nothing unless asked. May be half a character.
  [[nodiscard]] std::string_view token_bytes(TokenId id) const;
  [[nodiscard]] bool is_special(TokenId id) const;  // control tokens; not <think>, not <tool_call>
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const;  // includes special tokens' text

  [[nodiscard]] std::int32_t vocab_size() const;  // rows of the table, padding included
  // Ids from here on are padding the model was never trained on: masked before sampling.
  [[nodiscard]] std::int32_t first_padding_id() const;
  [[nodiscard]] std::span<const TokenId> end_tokens() const;  // both <|im_end|> and <|endoftext|>
  [[nodiscard]] std::optional<TokenId> find(std::string_view token_text) const;  // e.g. "</think>"

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dormouse::text
