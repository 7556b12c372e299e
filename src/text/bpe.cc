#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "base/check.h"

namespace dormouse::text {

namespace {

constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
constexpr int kRankBits = 24;
constexpr std::uint64_t kRankMask = (std::uint64_t{1} << kRankBits) - 1;
static_assert(kMaxMerges <= kRankMask);

// Up to here the ranks of a piece are four cache lines, and scanning them for the lowest needs no queue. Nearly every
// word and line of verse is shorter.
constexpr std::size_t kShortBytes = 64;

constexpr std::uint32_t kNone = 0xFFFFFFFF;

std::uint64_t pair_key(TokenId left, TokenId right) {
  static_assert(kMaxTokens == std::size_t{1} << 20);
  return (static_cast<std::uint64_t>(left) << 20) | static_cast<std::uint64_t>(right);
}

int shift_of(std::size_t slots) {
  return 64 - std::countr_zero(slots);
}

std::size_t first_slot(std::uint64_t key, int shift) {
  return static_cast<std::size_t>((key * 0x9E3779B97F4A7C15ULL) >> shift);  // Fibonacci hashing
}

constexpr std::uint64_t kNoKey = ~std::uint64_t{0};

// Lower rank first, then further left.
std::uint64_t merge_key(std::uint32_t rank, std::uint32_t node) {
  return (static_cast<std::uint64_t>(rank) << 32) | node;
}

}  // namespace

MergeRanks::MergeRanks(const Table& table)
    : slots_(table.slots),
      rank_count_(table.rank_count),
      longest_probe_(table.longest_probe),
      shift_(shift_of(table.slots.size())) {}

std::uint32_t MergeRanks::find(TokenId left, TokenId right) const {
  const std::uint64_t key = pair_key(left, right);
  std::size_t slot = first_slot(key, shift_);
  // The count ends it in a damaged table without an empty slot.
  for (std::uint32_t probes = longest_probe_; probes > 0 && slots_[slot] != kEmpty; --probes) {
    if (slots_[slot] >> kRankBits == key) {
      const auto rank = static_cast<std::uint32_t>(slots_[slot] & kRankMask);
      return rank < rank_count_ ? rank : kNoRank;
    }
    slot = (slot + 1) & (slots_.size() - 1);
  }
  return kNoRank;
}

std::uint32_t MergeRanksBuilder::slot_bits(std::size_t merge_count) {
  // At most 3/8 full: a miss costs 1.8 probes.
  const std::size_t slots =
      std::bit_ceil(std::max<std::size_t>(std::size_t{1} << MergeRanks::kMinSlotBits, merge_count * 8 / 3));
  static_assert(kMaxMerges * 8 / 3 <= std::size_t{1} << MergeRanks::kMaxSlotBits);
  return static_cast<std::uint32_t>(std::countr_zero(slots));
}

MergeRanksBuilder::MergeRanksBuilder(std::span<std::uint64_t> slots) : slots_(slots), shift_(shift_of(slots.size())) {
  std::fill(slots.begin(), slots.end(), kEmpty);
}

void MergeRanksBuilder::prefetch(TokenId left, TokenId right) const {
  __builtin_prefetch(&slots_[first_slot(pair_key(left, right), shift_)]);
}

void MergeRanksBuilder::insert(TokenId left, TokenId right, std::uint32_t rank) {
  const std::uint64_t key = pair_key(left, right);
  std::size_t slot = first_slot(key, shift_);
  std::uint32_t probes = 1;
  for (; slots_[slot] != kEmpty; ++probes) {
    if (slots_[slot] >> kRankBits == key) return;
    slot = (slot + 1) & (slots_.size() - 1);
  }
  slots_[slot] = (key << kRankBits) | rank;
  longest_probe_ = std::max(longest_probe_, probes);
}

Bpe::Bpe(const Tables& tables) : results_(tables.results), texts_(tables.texts), ranks_(tables.ranks) {
  std::copy(tables.byte_ids.begin(), tables.byte_ids.end(), byte_ids_.begin());
}

void Bpe::encode(std::string_view piece, const Limits& limits, BpeScratch& scratch, std::vector<TokenId>& out) const {
  if (piece.size() <= std::min(kShortBytes, limits.window_bytes)) {
    encode_short(piece, scratch, out);
  } else {
    encode_long(piece, limits, scratch, out);
  }
}

void Bpe::encode_short(std::string_view piece, BpeScratch& scratch, std::vector<TokenId>& out) const {
  std::array<TokenId, kShortBytes> ids;
  std::array<std::uint32_t, kShortBytes> ranks;  // of the pair (i, i + 1)
  std::size_t count = piece.size();
  if (count == 0) return;
  for (std::size_t i = 0; i < count; ++i) ids[i] = byte_ids_[static_cast<std::uint8_t>(piece[i])];
  for (std::size_t i = 0; i + 1 < count; ++i) ranks[i] = ranks_.find(ids[i], ids[i + 1]);
  scratch.steps += count;
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == kNoRank) break;
    ids[best] = results_[ranks[best]];
    --count;
    for (std::size_t i = best + 1; i < count; ++i) ids[i] = ids[i + 1];
    for (std::size_t i = best + 1; i + 1 < count; ++i) ranks[i] = ranks[i + 1];
    if (best + 1 < count) ranks[best] = ranks_.find(ids[best], ids[best + 1]);
    if (best > 0) ranks[best - 1] = ranks_.find(ids[best - 1], ids[best]);
    scratch.steps += 2;
  }
  out.insert(out.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count));
}

// Why windows are exact. Take any sequence of tokens in which every two neighbours, alone, are encoded as themselves.
// Encode the concatenation: the first merge to cross a border between neighbours would find both sides in the state
// that the two reach alone, and would happen there too; so none does, and the sequence is the encoding. In reverse, in
// any encoding no merge crossed a final border, so every two neighbours alone are encoded as themselves. Hence tokens
// of one window and tokens of the next, begun at a border of the first, make up the encoding of the whole if and only
// if the two at the seam are encoded as themselves. Where they are not, go back and try a window twice as large; once
// it holds the whole piece there is no seam. Nothing here depends on how the merge table was made.
void Bpe::encode_long(std::string_view piece, const Limits& limits, BpeScratch& scratch,
                      std::vector<TokenId>& out) const {
  const std::size_t out_begin = out.size();
  std::size_t window = limits.window_bytes;
  const auto size_of = [&](TokenId id) { return static_cast<std::size_t>(texts_.size(id)); };
  std::size_t begin = 0;
  while (begin < piece.size()) {
    const std::string_view bytes = piece.substr(begin, window);
    const bool is_last = begin + bytes.size() == piece.size();
    merge_window(bytes, scratch.nodes, scratch);

    if (out.size() > out_begin) {
      const TokenId left = out.back();
      const BpeScratch::Node right = scratch.nodes[0];
      const std::string_view both = piece.substr(begin - size_of(left), size_of(left) + right.size);
      if (!is_seam(left, right.id, both, scratch)) {
        window *= 2;
        const std::size_t target = begin - std::min(begin, window / 2);
        while (begin > target) {
          begin -= size_of(out.back());
          out.pop_back();
        }
        continue;
      }
    }

    // The last eighth may still change with what follows it; the seam test tells if that was too little.
    const std::size_t keep = is_last ? bytes.size() : bytes.size() - bytes.size() / 8;
    std::size_t kept = 0;
    for (std::uint32_t node = 0; node != kNone; node = scratch.nodes[node].next) {
      const std::size_t size = scratch.nodes[node].size;
      if (kept + size > keep) break;
      append(scratch.nodes[node].id, bytes.substr(kept, size), out);
      kept += size;
    }
    begin += kept;
    if (out.size() - out_begin > window && out.size() - out_begin - window > limits.max_ids) return;
    if (!is_last && kept < window / 2) window *= 2;
  }
}

// What goes back over a seam counts on the sizes of what came out, so a token of another size, which only a damaged
// table makes, comes out as its bytes.
void Bpe::append(TokenId id, std::string_view bytes, std::vector<TokenId>& out) const {
  if (texts_.size(id) == bytes.size()) {
    out.push_back(id);
    return;
  }
  for (const char byte : bytes) out.push_back(byte_ids_[static_cast<std::uint8_t>(byte)]);
}

bool Bpe::is_seam(TokenId left, TokenId right, std::string_view bytes, BpeScratch& scratch) const {
  merge_window(bytes, scratch.seam, scratch);
  const BpeScratch::Node& first = scratch.seam[0];
  if (first.id != left || first.next == kNone) return false;
  const BpeScratch::Node& second = scratch.seam[first.next];
  return second.id == right && second.next == kNone;
}

std::uint64_t Bpe::look_up_pair(std::uint32_t node, Nodes& nodes) const {
  BpeScratch::Node& left = nodes[node];
  left.rank = left.next == kNone ? kNoRank : ranks_.find(left.id, nodes[left.next].id);
  return left.rank == kNoRank ? kNoKey : merge_key(left.rank, node);
}

void Bpe::merge_at(std::uint32_t node, Nodes& nodes) const {
  BpeScratch::Node& left = nodes[node];
  BpeScratch::Node& right = nodes[left.next];
  left.id = results_[left.rank];
  left.size += right.size;
  left.next = right.next;
  right.rank = kNoRank;  // its keys are stale now
  if (left.next != kNone) nodes[left.next].previous = node;
}

// A queue in two steps instead of one heap: one character repeated gives thousands of equal ranks, found from left to
// right, which are sorted as they come; a heap spends 12 unpredictable comparisons on each.
void Bpe::merge_window(std::string_view window, Nodes& nodes, BpeScratch& scratch) const {
  std::vector<std::uint64_t>& run = scratch.queue.run;
  std::vector<std::uint64_t>& heap = scratch.queue.heap;
  std::vector<std::uint64_t>& next = scratch.queue.next;
  CHECK(window.size() < kNone);
  const auto count = static_cast<std::uint32_t>(window.size());
  nodes.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    nodes[i] = {.id = byte_ids_[static_cast<std::uint8_t>(window[i])],
                .rank = kNoRank,
                .previous = i == 0 ? kNone : i - 1,
                .next = i + 1 == count ? kNone : i + 1,
                .size = 1};
  }
  scratch.steps += count;
  next.clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t key = look_up_pair(i, nodes);
    if (key != kNoKey) next.push_back(key);
  }
  while (!next.empty()) {
    run.swap(next);
    next.clear();
    if (!std::is_sorted(run.begin(), run.end())) std::sort(run.begin(), run.end());
    const std::uint64_t run_end = run.back();
    const auto wait = [&](std::uint32_t node) {
      const std::uint64_t key = look_up_pair(node, nodes);
      ++scratch.steps;
      if (key == kNoKey) return;
      if (key > run_end) {
        next.push_back(key);
        return;
      }
      heap.push_back(key);
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    };
    std::size_t at = 0;
    while (at < run.size() || !heap.empty()) {
      std::uint64_t key = 0;
      if (heap.empty() || (at < run.size() && run[at] < heap.front())) {
        key = run[at++];
      } else {
        key = heap.front();
        std::pop_heap(heap.begin(), heap.end(), std::greater<>());
        heap.pop_back();
      }
      // A key is stale when its pair has changed. It cannot come back by chance: a pair changes only by growing, and
      // the rank of a longer pair is another one.
      const auto node = static_cast<std::uint32_t>(key);
      if (nodes[node].rank != static_cast<std::uint32_t>(key >> 32)) continue;
      merge_at(node, nodes);
      wait(node);
      if (nodes[node].previous != kNone) wait(nodes[node].previous);
    }
  }
}

}  // namespace dormouse::text
