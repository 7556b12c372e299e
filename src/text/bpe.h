// Byte-pair merging: always the pair of lowest rank, leftmost first, until no pair has a rank.
// Invariants: (1) the result is exactly that of merging the whole piece at once, for any merge table; (2) time grows
// linearly with the piece's length, and memory with kWindowBytes, for tables made by training; O(n log n) and O(n) for
// any other; (3) no recursion; (4) only ids given to set_byte() or add_merge() ever come out.
// Owner: Vocabulary. Threads: const from any; one BpeScratch for each call.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/token_id.h"

namespace dormouse::text {

// Ids and ranks share the 64 bits of a hash slot. Qwen3 has 151,936 tokens and 151,387 merges.
inline constexpr std::size_t kMaxTokens = std::size_t{1} << 20;
inline constexpr std::size_t kMaxMerges = (std::size_t{1} << 24) - 1;

inline constexpr std::uint32_t kNoRank = 0xFFFFFFFF;

// (left, right) -> rank. Open addressing in one flat array: a lookup of a pair that never merges, the common case,
// touches one cache line.
class MergeRanks {
 public:
  explicit MergeRanks(std::size_t merge_count);
  // Asks the cache for what insert() or find() of this pair will touch.
  void prefetch(TokenId left, TokenId right) const;
  // The first rank given to a pair stays.
  void insert(TokenId left, TokenId right, std::uint32_t rank);
  [[nodiscard]] std::uint32_t find(TokenId left, TokenId right) const;

 private:
  [[nodiscard]] std::size_t first_slot(std::uint64_t key) const;

  std::vector<std::uint64_t> slots_;  // key (40 bits) << 24 | rank; kEmpty
  int shift_ = 0;
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

  Bpe(std::size_t token_count, std::size_t merge_count);

  void set_byte(std::uint8_t byte, TokenId id);
  struct Merge {
    TokenId left = 0;
    TokenId right = 0;
    TokenId result = 0;  // the concatenation
    std::uint32_t result_bytes = 0;
  };
  // Rank is the order of the calls.
  void add_merge(const Merge& merge);
  void prefetch_merge(TokenId left, TokenId right) const { ranks_.prefetch(left, right); }

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

  std::array<TokenId, 256> byte_ids_{};
  std::vector<TokenId> results_;      // by rank
  std::vector<std::uint32_t> sizes_;  // by id, bytes; 0: not a token of ours
  MergeRanks ranks_;
};

}  // namespace dormouse::text
