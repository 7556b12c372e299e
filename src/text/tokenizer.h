// Byte-level BPE with the qwen2 pre-tokenizer, built from GGUF metadata or mapped. Words in, ids out, and back.
// Invariants: (1) decode(encode(x)) == x for any bytes; (2) encode with kAsText never yields an added token: neither a
// control token (<|im_end|>) nor a user-defined one (<think>, </think>, <tool_call>); merging has no way to name one;
// (3) linear time and constant stack in the input's length; no recursion, no std::regex.
// "Added" tokens are the control and the user-defined ones together: what SpecialTokens::kParse looks for.
// Threads: const from any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "text/token_id.h"

namespace dormouse::text {

// How a piece of a prompt is read. Template text may contain control tokens; what a user wrote never does.
enum class SpecialTokens { kAsText, kParse };

// What a GGUF file says about its tokenizer, as views; also the door for tests and for tables made elsewhere.
struct VocabularyTables {
  std::string_view model;                    // tokenizer.ggml.model
  std::string_view pre;                      // tokenizer.ggml.pre
  std::span<const std::string_view> tokens;  // byte-level text; special tokens verbatim
  std::span<const std::int64_t> types;       // llama.cpp's: 1 normal 2 unknown 3 control 4 user-defined 5 unused
  std::span<const std::string_view> merges;  // "left right", by rank
  std::optional<std::uint64_t> eos_token_id;
};

// An added token found in a text.
struct AddedToken {
  std::size_t begin = 0;
  std::size_t size = 0;
  TokenId id = 0;
};

class Tokenizer {
 public:
  // Reads tokenizer.ggml.{model,pre,tokens,token_type,merges,eos_token_id,...}. Errors: kInvalidArgument (a tokenizer
  // we do not implement; names it), kDataLoss (damaged tables).
  static Result<Tokenizer> from_gguf(const gguf::File& file);
  // The views need not outlive the call. Errors: as above.
  static Result<Tokenizer> from_tables(const VocabularyTables& tables);
  // Of what flat() gave, where it lies: nothing is copied or built, about 0.2 ms for Qwen3. The bytes must outlive the
  // tokenizer. Damaged ones give an error or wrong ids, never a read outside. Errors: kDataLoss, kInvalidArgument
  // (bytes not at a multiple of 8).
  static Result<Tokenizer> from_flat(std::span<const std::uint8_t> bytes);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  void encode(std::string_view text, SpecialTokens special, std::vector<TokenId>& out) const;  // appends
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, SpecialTokens special) const;
  // As encode(), but stops and says false once `out` holds more than `max_ids`: a prompt of 16 MiB is refused in the
  // time of one that just fits (and of finding where its pieces end).
  [[nodiscard]] bool encode_at_most(std::size_t max_ids, std::string_view text, SpecialTokens special,
                                    std::vector<TokenId>& out) const;
  // The first added token at or after `from`, the longest where several begin there.
  [[nodiscard]] std::optional<AddedToken> next_added(std::string_view text, std::size_t from) const;
  // The bytes of one token, as generated text; nothing for control and padding tokens and ids out of range (decode()
  // gives their text). May be half a character.
  [[nodiscard]] std::string_view token_bytes(TokenId id) const;
  [[nodiscard]] bool is_special(TokenId id) const;                       // control tokens; not <think>, not <tool_call>
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const;  // includes special tokens' text

  // All its tables as one block without pointers, to keep in a file (flat_tables.h); as long as the tokenizer lives.
  [[nodiscard]] std::span<const std::uint8_t> flat() const;
  [[nodiscard]] std::int32_t vocab_size() const;  // rows of the table, padding included
  // Ids from here on are padding the model was never trained on: masked before sampling.
  [[nodiscard]] std::int32_t first_padding_id() const;
  [[nodiscard]] std::span<const TokenId> end_tokens() const;                      // both <|im_end|> and <|endoftext|>
  [[nodiscard]] std::optional<TokenId> find(std::string_view token_bytes) const;  // e.g. "</think>"

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dormouse::text
