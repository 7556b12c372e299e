// A tokenizer's tables as one block of bytes without pointers: built once (table_builder.h), then used where it lies,
// in memory or in a mapped file (docs/packed_weights.md). Little endian.
//   TablesHeader
//   slots    u64[2^slot_bits]     the hash table of the merges (bpe.h, MergeRanks)
//   offsets  u32[token_count + 1] of each token's bytes in `text`
//   results  i32[merge_count]     by rank: the token that the merge makes
//   added    i32[added_count]     the added tokens, in the order of their texts
//   types    u8[token_count]
//   text     every token's bytes, by id
// Where an array begins follows from the counts alone, so there is no offset that could lie.
// Invariants of parsed tables, whatever the bytes: (1) every array lies inside them; (2) every token's bytes lie in
// `text`; (3) byte_ids, results and end tokens are tokens, added tokens too; (4) byte_ids and results are normal
// tokens, and a byte's token is that byte; (5) added tokens are not empty, not twice there, sorted. The slots are not
// looked at (4 MiB for Qwen3): what is read from one is checked there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/result.h"
#include "text/token_id.h"

namespace dormouse::text {

// The numbers are GGUF's (llama.cpp's llama_token_type).
enum class TokenType : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
};

struct TablesHeader {
  static constexpr char kMagic[8] = {'D', 'O', 'R', 'M', 'T', 'O', 'K', 'S'};
  // Goes up with this page and with the hash of bpe.cc; so does pack::kLayoutVersion then.
  static constexpr std::uint32_t kVersion = 1;
  static constexpr std::uint32_t kMaxEndTokens = 3;

  char magic[8];
  std::uint32_t version;
  std::uint32_t token_count;
  std::uint32_t merge_count;
  std::uint32_t slot_bits;
  std::uint32_t longest_probe;  // slots that a lookup of any pair in the hash table looks at, at most
  std::uint32_t added_count;
  std::uint32_t text_bytes;
  TokenId first_padding_id;
  std::uint32_t end_count;
  TokenId end_tokens[kMaxEndTokens];
  TokenId byte_ids[256];
  std::uint32_t zero[2];  // the slots begin at a cache line
};
static_assert(sizeof(TablesHeader) % 64 == 0 && std::is_trivially_copyable_v<TablesHeader>);

// Where the arrays begin, in bytes from the header, and where all ends.
struct TablesLayout {
  // For a header whose counts are below bpe.h's limits (nothing overflows then).
  explicit TablesLayout(const TablesHeader& header);

  std::uint64_t slots = 0;
  std::uint64_t offsets = 0;
  std::uint64_t results = 0;
  std::uint64_t added = 0;
  std::uint64_t types = 0;
  std::uint64_t text = 0;
  std::uint64_t end = 0;
};

// The bytes of tokens, by id. A view. Invariant of its maker: offsets do not fall and end in the text.
struct TokenTexts {
  std::span<const std::uint32_t> offsets;
  std::string_view text;

  [[nodiscard]] std::uint32_t size(TokenId id) const {
    const auto index = static_cast<std::size_t>(id);
    return offsets[index + 1] - offsets[index];
  }
  [[nodiscard]] std::string_view of(TokenId id) const {
    return {text.data() + offsets[static_cast<std::size_t>(id)], size(id)};
  }
};

struct FlatTables {
  // Views of `bytes`, which must outlive them. Cost: about 1 MB read. Errors: kDataLoss (says what does not add up),
  // kInvalidArgument (not at a multiple of 8).
  static Result<FlatTables> parse(std::span<const std::uint8_t> bytes);

  std::span<const std::uint8_t> bytes;
  TablesHeader header;  // a copy
  std::span<const std::uint64_t> slots;
  std::span<const TokenId> results;
  std::span<const TokenId> added;
  std::span<const TokenType> types;
  TokenTexts texts;
};

}  // namespace dormouse::text
