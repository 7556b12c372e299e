// Goal: tables used where they lie are those that were built, and no damage to them is ever more than an error or wrong
// ids: nothing outside is read, text is never an added token, and every call ends.
// Method: bytes turned one at a time in the header, at random behind it, and cut at every length; what still opens is
// used. The sanitizers of the dev preset look on.
#include "text/flat_tables.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "text/bpe.h"
#include "text/tokenizer.h"
#include "text/vocabulary_fixture.h"

namespace dormouse::text {
namespace {

const std::string kSource = DORMOUSE_SOURCE_DIR;

std::vector<std::uint8_t> flat_of(const VocabularyFixture& fixture) {
  const auto built = Tokenizer::from_tables(fixture.tables());
  EXPECT_TRUE(built.has_value());
  return {built->flat().begin(), built->flat().end()};
}

// A piece for each way through the merger: short, longer than 64 bytes, longer than a window; and added tokens.
std::vector<std::string> texts() {
  return {"aaaaaaaab the moon <|im_end|> im_ <think>\xe4\xbd\xa0\xff", std::string(100, 'a') + std::string(70, ' '),
          std::string(3 * Bpe::kWindowBytes, 'a'), std::string(2 * Bpe::kWindowBytes, ' '), "月亮月亮明月光\n\n123"};
}

// Whether it opens. Then it is used.
bool try_tables(std::span<const std::uint8_t> bytes) {
  const auto tokenizer = Tokenizer::from_flat(bytes);
  if (!tokenizer.has_value()) return false;
  std::string all;
  for (TokenId id = -1; id <= tokenizer->vocab_size(); ++id) all += tokenizer->token_bytes(id);
  for (const std::string& text : texts()) {
    for (const SpecialTokens special : {SpecialTokens::kAsText, SpecialTokens::kParse}) {
      const std::vector<TokenId> ids = tokenizer->encode(text, special);
      for (const TokenId id : ids) {
        EXPECT_TRUE(id >= 0 && id < tokenizer->vocab_size());
        EXPECT_FALSE(special == SpecialTokens::kAsText && tokenizer->is_special(id));
      }
      all += tokenizer->decode(ids);
    }
  }
  EXPECT_FALSE(tokenizer->end_tokens().empty());
  return !all.empty();
}

TEST(FlatTables, GiveTheSameIdsWhereverTheyLie) {
  const auto built = Tokenizer::from_tables(small_vocabulary(kSource).tables());
  ASSERT_TRUE(built.has_value());
  std::vector<std::uint8_t> bytes(built->flat().begin(), built->flat().end());
  const auto mapped = Tokenizer::from_flat(bytes);
  ASSERT_TRUE(mapped.has_value()) << mapped.error().message;
  EXPECT_EQ(mapped->flat().data(), bytes.data());
  for (const std::string& text : texts()) {
    for (const SpecialTokens special : {SpecialTokens::kAsText, SpecialTokens::kParse}) {
      const std::vector<TokenId> ids = built->encode(text, special);
      EXPECT_EQ(mapped->encode(text, special), ids);
      EXPECT_EQ(mapped->decode(ids), text);
    }
  }
  for (TokenId id = -1; id <= built->vocab_size(); ++id) {
    ASSERT_EQ(mapped->token_bytes(id), built->token_bytes(id)) << id;
    ASSERT_EQ(mapped->is_special(id), built->is_special(id)) << id;
  }
  EXPECT_EQ(mapped->vocab_size(), built->vocab_size());
  EXPECT_EQ(mapped->first_padding_id(), built->first_padding_id());
  EXPECT_TRUE(std::ranges::equal(mapped->end_tokens(), built->end_tokens()));
  EXPECT_EQ(mapped->find("<think>"), built->find("<think>"));
}

TEST(FlatTables, EveryTurnedHeaderByteIsAnErrorOrHarmless) {
  const std::vector<std::uint8_t> whole = flat_of(tiny_vocabulary());
  ASSERT_TRUE(try_tables(whole));
  for (std::size_t at = 0; at < sizeof(TablesHeader); ++at) {
    for (const int turned : {0x01, 0x40, 0x80, 0xFF}) {
      std::vector<std::uint8_t> bytes = whole;
      bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ turned);
      const bool opened = try_tables(bytes);
      // How far to look in the hash table, where the padding begins, and which token ends a text may be other numbers.
      const bool may_open = (at >= offsetof(TablesHeader, longest_probe) && at < offsetof(TablesHeader, added_count)) ||
                            (at >= offsetof(TablesHeader, first_padding_id) && at < offsetof(TablesHeader, byte_ids));
      EXPECT_TRUE(may_open || !opened) << "byte " << at;
    }
  }
}

TEST(FlatTables, EveryTruncationIsAnError) {
  const std::vector<std::uint8_t> whole = flat_of(tiny_vocabulary());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    // In an allocation of its own, so that the sanitizer sees its end.
    const std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(Tokenizer::from_flat(cut).has_value()) << size;
  }
  std::vector<std::uint8_t> longer = whole;
  longer.push_back(0);
  EXPECT_FALSE(Tokenizer::from_flat(longer).has_value());
  std::vector<std::uint8_t> shifted(whole.size() + 1);
  std::copy(whole.begin(), whole.end(), shifted.begin() + 1);
  EXPECT_FALSE(Tokenizer::from_flat(std::span(shifted).subspan(1)).has_value());
}

TEST(FlatTables, DamageBehindTheHeaderIsAnErrorOrWrongIds) {
  std::printf("seed 31\n");
  std::mt19937_64 random(31);
  for (const VocabularyFixture& fixture : {tiny_vocabulary(), small_vocabulary(kSource)}) {
    const std::vector<std::uint8_t> whole = flat_of(fixture);
    int opened = 0;
    constexpr int kRounds = 300;
    for (int round = 0; round < kRounds; ++round) {
      std::vector<std::uint8_t> bytes = whole;
      for (std::size_t i = std::size_t{1} << (random() % 10); i > 0; --i) {
        const std::size_t at = sizeof(TablesHeader) + random() % (bytes.size() - sizeof(TablesHeader));
        bytes[at] = static_cast<std::uint8_t>(random());
      }
      opened += try_tables(bytes) ? 1 : 0;
    }
    std::printf("%d of %d damaged tables opened\n", opened, kRounds);
    EXPECT_GT(opened, 0);
  }
}

// What random damage does not find: slots without an end, results that are no concatenation, bytes in a wrong order.
TEST(FlatTables, ArraysMadeToMisleadGiveWrongIdsAtMost) {
  const std::vector<std::uint8_t> whole = flat_of(tiny_vocabulary());
  const auto with = [&](const std::function<void(FlatTables&)>& change) {
    std::vector<std::uint8_t> bytes = whole;
    auto tables = FlatTables::parse(bytes);
    EXPECT_TRUE(tables.has_value());
    change(*tables);
    std::memcpy(bytes.data(), &tables->header, sizeof tables->header);
    return try_tables(bytes);
  };
  const auto slots = [](FlatTables& t) { return const_cast<std::uint64_t*>(t.slots.data()); };
  const auto results = [](FlatTables& t) { return const_cast<TokenId*>(t.results.data()); };
  const auto offsets = [](FlatTables& t) { return const_cast<std::uint32_t*>(t.texts.offsets.data()); };
  const auto a = static_cast<std::uint64_t>('a' - '!');  // of the byte alphabet's first row
  const std::uint64_t pair_of_a = ((a << 20) | a) << 24;
  EXPECT_TRUE(with([](FlatTables&) {}));
  EXPECT_TRUE(with([&](FlatTables& t) {  // full of a pair that is never asked for
    std::fill_n(slots(t), t.slots.size(), 0);
    t.header.longest_probe = 1U << t.header.slot_bits;
  }));
  EXPECT_TRUE(with([&](FlatTables& t) { std::fill_n(slots(t), t.slots.size(), pair_of_a | 0xFFFFFF); }));
  for (const std::uint64_t rank : {0, 5, 17}) {
    EXPECT_TRUE(with([&](FlatTables& t) { std::fill_n(slots(t), t.slots.size(), pair_of_a | rank); }));
  }
  // Every merge makes one token: of one byte, so that text would shrink, or of many.
  for (const std::size_t token : {std::size_t{0}, std::size_t{64}, std::size_t{258}}) {
    EXPECT_TRUE(with([&](FlatTables& t) { std::fill_n(results(t), t.results.size(), static_cast<TokenId>(token)); }));
  }
  EXPECT_FALSE(with([&](FlatTables& t) { results(t)[3] = static_cast<TokenId>(t.types.size()) - 1; }));  // <think>
  EXPECT_FALSE(with([&](FlatTables& t) { results(t)[3] = static_cast<TokenId>(t.types.size()); }));
  EXPECT_FALSE(with([&](FlatTables& t) { results(t)[3] = -1; }));
  EXPECT_FALSE(with([&](FlatTables& t) { offsets(t)[260] = ~0U; }));
  EXPECT_FALSE(with([&](FlatTables& t) { std::swap(offsets(t)[259], offsets(t)[261]); }));
  EXPECT_TRUE(with([&](FlatTables& t) {  // a merged token without bytes
    offsets(t)[258] = offsets(t)[257];
  }));
}

}  // namespace
}  // namespace dormouse::text
