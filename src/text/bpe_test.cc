// Goal: merging is exact for every table and every window, and its work grows linearly.
// Method: against the textbook loop written here, on random tables; windows against the whole; counted work.
#include "text/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace dormouse::text {
namespace {

struct Merge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId result = 0;
};

// A Bpe and what it is a view of.
class OwningBpe {
 public:
  // The ids of bytes are the bytes.
  OwningBpe(const std::vector<std::string>& tokens, const std::vector<Merge>& merges)
      : slots_(std::size_t{1} << MergeRanksBuilder::slot_bits(merges.size())) {
    for (int byte = 0; byte < 256; ++byte) byte_ids_[static_cast<std::size_t>(byte)] = byte;
    for (const std::string& token : tokens) {
      offsets_.push_back(static_cast<std::uint32_t>(text_.size()));
      text_ += token;
    }
    offsets_.push_back(static_cast<std::uint32_t>(text_.size()));
    MergeRanksBuilder ranks(slots_);
    for (const Merge& merge : merges) {
      ranks.insert(merge.left, merge.right, static_cast<std::uint32_t>(results_.size()));
      results_.push_back(merge.result);
    }
    longest_probe_ = ranks.longest_probe();
  }
  [[nodiscard]] Bpe view() const {
    return Bpe({.byte_ids = byte_ids_,
                .results = results_,
                .texts = {.offsets = offsets_, .text = text_},
                .ranks = {.slots = slots_,
                          .rank_count = static_cast<std::uint32_t>(results_.size()),
                          .longest_probe = longest_probe_}});
  }

 private:
  std::array<TokenId, 256> byte_ids_{};
  std::vector<std::uint64_t> slots_;
  std::vector<TokenId> results_;
  std::vector<std::uint32_t> offsets_;
  std::string text_;
  std::uint32_t longest_probe_ = 0;
};

// Bytes 'a'.. are ids 0..; every merge makes a token, of the same id where the bytes are the same.
struct RandomTable {
  std::vector<std::string> tokens;
  std::vector<Merge> merges;

  RandomTable(std::mt19937_64& random, int letters, int merge_count, bool shuffled) {
    std::map<std::string, TokenId> ids;
    for (int i = 0; i < 256; ++i) {
      tokens.emplace_back(1, static_cast<char>(i));
      ids[tokens.back()] = i;
    }
    std::map<std::pair<TokenId, TokenId>, bool> seen;
    std::vector<TokenId> usable;
    for (int i = 0; i < letters; ++i) usable.push_back('a' + i);
    for (int i = 0; i < merge_count; ++i) {
      const TokenId left = usable[random() % usable.size()];
      const TokenId right = usable[random() % usable.size()];
      const std::string joined = tokens[static_cast<std::size_t>(left)] + tokens[static_cast<std::size_t>(right)];
      if (joined.size() > 24 || seen[{left, right}]) continue;
      seen[{left, right}] = true;
      const auto [at, is_new] = ids.emplace(joined, static_cast<TokenId>(tokens.size()));
      if (is_new) {
        tokens.push_back(joined);
        usable.push_back(at->second);
      }
      merges.push_back({.left = left, .right = right, .result = at->second});
    }
    // A table that no training makes: parts may rank behind what is made of them.
    if (shuffled) std::shuffle(merges.begin(), merges.end(), random);
  }

  [[nodiscard]] OwningBpe make() const { return {tokens, merges}; }

  [[nodiscard]] std::vector<TokenId> textbook(const std::string& piece) const {
    std::vector<TokenId> ids;
    for (const char c : piece) ids.push_back(static_cast<std::uint8_t>(c));
    while (true) {
      std::size_t best_rank = merges.size();
      std::size_t best_at = 0;
      for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
        for (std::size_t rank = 0; rank < best_rank; ++rank) {
          if (merges[rank].left != ids[i] || merges[rank].right != ids[i + 1]) continue;
          best_rank = rank;
          best_at = i;
        }
      }
      if (best_rank == merges.size()) return ids;
      ids[best_at] = merges[best_rank].result;
      ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
    }
  }
};

std::string random_piece(std::mt19937_64& random, int letters, std::size_t size) {
  std::string piece;
  for (std::size_t i = 0; i < size; ++i)
    piece.push_back(static_cast<char>('a' + random() % static_cast<unsigned>(letters)));
  return piece;
}

void compare_with_textbook(bool shuffled, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int round = 0; round < 150; ++round) {
    const int letters = 1 + static_cast<int>(random() % 3);
    const RandomTable table(random, letters, 1 + static_cast<int>(random() % 40), shuffled);
    const OwningBpe owner = table.make();
    const Bpe bpe = owner.view();
    BpeScratch scratch;
    for (int i = 0; i < 6; ++i) {
      const std::string piece = random_piece(random, letters, 1 + random() % 160);
      const std::vector<TokenId> want = table.textbook(piece);
      for (const std::size_t window : {2U, 5U, 16U, 50U, 64U, 100U, 4096U}) {
        std::vector<TokenId> got;
        bpe.encode(piece, {.window_bytes = window}, scratch, got);
        ASSERT_EQ(got, want) << "seed " << seed << " round " << round << " window " << window << " piece " << piece;
      }
    }
  }
}

TEST(Bpe, TrainedTablesGiveWhatTheTextbookGivesInEveryWindow) {
  std::printf("seed 11\n");
  compare_with_textbook(false, 11);
}

TEST(Bpe, TablesNoTrainingMakesGiveWhatTheTextbookGivesToo) {
  std::printf("seed 12\n");
  compare_with_textbook(true, 12);
}

TEST(Bpe, AppendsAndLeavesAloneWhatWasThere) {
  std::mt19937_64 random(13);
  const RandomTable table(random, 1, 10, false);
  const OwningBpe owner = table.make();
  const Bpe bpe = owner.view();
  BpeScratch scratch;
  std::vector<TokenId> out = {7};
  const std::string piece(300, 'a');
  bpe.encode(piece, {.window_bytes = 32}, scratch, out);
  const std::vector<TokenId> want = table.textbook(piece);
  ASSERT_EQ(out.size(), want.size() + 1);
  EXPECT_EQ(out.front(), 7);
}

TEST(Bpe, WorkPerByteDoesNotGrowWithTheLength) {
  // a, aa, aaaa, ... 64 a: one character for ever, where a plain heap would do the most.
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  std::vector<Merge> merges;
  TokenId token = 'a';
  for (TokenId next = 256; next < 262; ++next) {
    tokens.push_back(tokens[static_cast<std::size_t>(token)] + tokens[static_cast<std::size_t>(token)]);
    merges.push_back({.left = token, .right = token, .result = next});
    token = next;
  }
  const OwningBpe owner(tokens, merges);
  const Bpe bpe = owner.view();
  const auto steps_per_byte = [&](std::size_t bytes) {
    BpeScratch scratch;
    std::vector<TokenId> out;
    bpe.encode(std::string(bytes, 'a'), {}, scratch, out);
    EXPECT_EQ(out.size(), bytes / 64);
    // Memory does not grow with the piece either.
    EXPECT_LE(scratch.nodes.capacity(), 2 * Bpe::kWindowBytes);
    return static_cast<double>(scratch.steps) / static_cast<double>(bytes);
  };
  const double at_1_mib = steps_per_byte(std::size_t{1} << 20);
  const double at_16_mib = steps_per_byte(std::size_t{16} << 20);
  EXPECT_LT(at_16_mib, 1.01 * at_1_mib);
  EXPECT_LT(at_16_mib, 5.0);
}

}  // namespace
}  // namespace dormouse::text
