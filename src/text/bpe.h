// Byte-pair merging: always the pair of lowest rank, leftmost first, until no pair has a rank.
// Invariants: (1) the result is exactly that of merging the whole piece at once, for any merge table; (2) time grows
// linearly with the piece's length, and memory with kWindowBytes, for tables made by training; O(n log n) and O(n) for
// any other; (3) no recursion; (4) only ids of `byte_ids` and `results` ever come out; (5) with damaged tables the ids
// are wrong, but (3), (4) and an end are kept, and nothing outside the tables is read.
// Owner: Vocabulary. Threads: const from any; one BpeScratch for each call.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/flat_tables.h"
#include "text/token_id.h"

namespace dormouse::text {

// Ids and ranks share the 64 bits of a hash slot. Qwen3 has 151,936 tokens and 151,387 merges.
inline constexpr std::size_t kMaxTokens = std::size_t{1} << 20;
inline constexpr std::size_t kMaxMerges = (std::size_t{1} << 24) - 1;

inline constexpr std::uint32_t kNoRank = 0xFFFFFFFF;

// (left, right) -> rank. Open addressing in one flat array: a lookup of a pair that never merges, the common case,
// touches one cache line. A view of the array; from a damaged one come wrong ranks, but below `rank_count`.
class MergeRanks {
 public:
  static constexpr std::uint32_t kMinSlotBits = 4;
  static constexpr std::uint32_t kMaxSlotBits = 26;

  struct Table {
    std::span<const std::uint64_t> slots;  // 2^n of them: key (40 bits) << 24 | rank; kEmpty
    std::uint32_t rank_count = 0;
    std::uint32_t longest_probe = 0;
  };
  explicit MergeRanks(const Table& table);
  [[nodiscard]] std::uint32_t find(TokenId left, TokenId right) const;

 private:
  std::span<const std::uint64_t> slots_;
  std::uint32_t rank_count_ = 0;
  std::uint32_t longest_probe_ = 0;
  int shift_ = 0;
};

// Fills the array that MergeRanks reads; while the tables are built.
class MergeRanksBuilder {
 public:
  // For 2^n slots.
  static std::uint32_t slot_bits(std::size_t merge_count);
  // Empties the slots, 2^slot_bits() of them.
  explicit MergeRanksBuilder(std::span<std::uint64_t> slots);
  // Asks the cache for what insert() of this pair will touch.
  void prefetch(TokenId left, TokenId right) const;
  // The first rank given to a pair stays.
  void insert(TokenId left, TokenId right, std::uint32_t rank);
  [[nodiscard]] std::uint32_t longest_probe() const { return longest_probe_; }

 private:
  std::span<std::uint64_t> slots_;
  int shift_ = 0;
  std::uint32_t longest_probe_ = 0;
};

struct BpeScratch {
  struct Node {
    TokenId id = 0;
    std::uint32_t rank = 0;  // of the pair (this, next)
    std::uint32_t previous = 0;
    std::uint32_t next = 0;
    std::uint32_t size = 0;  // bytes
  };
  std::vector<Node> nodes;
  std::vector<Node> seam;  // the same for the two tokens of a seam
  // Pairs waiting to merge, as rank << 32 | node. `run` is sorted and read from its front; `heap` holds later finds
  // that belong before the end of the run, `next` those that belong behind it.
  struct Queue {
    std::vector<std::uint64_t> run;
    std::vector<std::uint64_t> heap;
    std::vector<std::uint64_t> next;
  };
  Queue queue;
  // Work done: pairs looked at. What the linear-time test counts.
  std::uint64_t steps = 0;
};

class Bpe {
 public:
  // A long piece is merged in windows of this size (doubled where a seam does not hold).
  // 4 KiB: the nodes (80 KiB) stay in the second-level cache; the eighth that is merged twice is the price of a seam.
  static constexpr std::size_t kWindowBytes = 4096;

  // Views that outlive it. Ids in `byte_ids` and `results` have a size.
  struct Tables {
    std::span<const TokenId, 256> byte_ids;
    std::span<const TokenId> results;  // by rank: the concatenation
    TokenTexts texts;
    MergeRanks::Table ranks;
  };
  explicit Bpe(const Tables& tables);

  struct Limits {
    std::size_t window_bytes = kWindowBytes;  // another than the default is for tests
    // Stops somewhere behind this many ids. By at least a window, because a seam that does not hold takes some back.
    std::size_t max_ids = SIZE_MAX;
  };
  // Appends the ids of one piece.
  void encode(std::string_view piece, const Limits& limits, BpeScratch& scratch, std::vector<TokenId>& out) const;

 private:
  using Nodes = std::vector<BpeScratch::Node>;

  void encode_short(std::string_view piece, BpeScratch& scratch, std::vector<TokenId>& out) const;
  void encode_long(std::string_view piece, const Limits& limits, BpeScratch& scratch, std::vector<TokenId>& out) const;
  // Leaves the result as the linked list that begins at nodes[0].
  void merge_window(std::string_view window, Nodes& nodes, BpeScratch& scratch) const;
  void merge_at(std::uint32_t node, Nodes& nodes) const;
  // The key of the pair that begins at `node` now, kNoKey if it never merges.
  std::uint64_t look_up_pair(std::uint32_t node, Nodes& nodes) const;
  // Would `bytes` = bytes(left) + bytes(right), alone, be encoded as exactly [left, right]?
  [[nodiscard]] bool is_seam(TokenId left, TokenId right, std::string_view bytes, BpeScratch& scratch) const;
  // Appends the token of a node whose bytes are `bytes`.
  void append(TokenId id, std::string_view bytes, std::vector<TokenId>& out) const;

  std::array<TokenId, 256> byte_ids_{};
  std::span<const TokenId> results_;
  TokenTexts texts_;
  MergeRanks ranks_;
};

}  // namespace dormouse::text
