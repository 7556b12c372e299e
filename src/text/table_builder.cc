#include "text/table_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "text/bpe.h"
#include "text/byte_alphabet.h"
#include "text/flat_tables.h"
#include "text/vocabulary.h"

namespace dormouse::text {

namespace {

Error damaged(std::string what) {
  return make_error(Code::kDataLoss, "tokenizer: " + std::move(what));
}

// What a text is looked up by. Up to 7 bytes the key is the text itself, so that equal keys are equal texts and nothing
// else is touched; a longer text's key is a hash and decides nothing alone.
struct TextKey {
  static constexpr std::uint64_t kLong = 0xFF00000000000000ULL;

  std::uint64_t word = 0;  // of an empty text only: 0

  explicit TextKey(std::string_view text) {
    const char* at = text.data();
    std::size_t left = text.size();
    if (left < 8) {
      word = (static_cast<std::uint64_t>(left) << 56) | tail(at, left);
      return;
    }
    for (; left >= 8; left -= 8, at += 8) {
      std::uint64_t bytes = 0;
      std::memcpy(&bytes, at, 8);
      mix(bytes);
    }
    mix((static_cast<std::uint64_t>(left) << 56) | tail(at, left));
    word |= kLong;
  }

  [[nodiscard]] bool is_long() const { return word >= kLong; }
  // The upper bits are the good ones.
  [[nodiscard]] std::uint64_t hash() const { return (word ^ (word >> 29)) * 0x9E3779B97F4A7C15ULL; }

 private:
  // Fewer than 8 bytes, packed.
  static std::uint64_t tail(const char* at, std::size_t size) {
    if (size >= 4) {
      std::uint32_t low = 0;
      std::uint32_t high = 0;
      std::memcpy(&low, at, 4);
      std::memcpy(&high, at + size - 4, 4);
      return low | (static_cast<std::uint64_t>(high) << (8 * (size - 4)));
    }
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < size; ++i)
      out |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(at[i])) << (8 * i);
    return out;
  }
  void mix(std::uint64_t bytes) {
    word = (word ^ bytes) * 0x9E3779B97F4A7C15ULL;
    word ^= word >> 32;
  }
};

// Loading waits for memory, not for arithmetic: tokens and merges go through in batches, each batch asking for all it
// will touch before touching it. 32 is about what a core can have on its way.
constexpr std::size_t kBatch = 32;

// Byte-level text to bytes. False: a character outside the alphabet.
// Writes at most text.size() bytes at `out` and moves it behind them.
bool decode_byte_level(std::string_view text, char*& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<std::uint8_t>(text[i]);
    std::size_t code_point = lead;
    if (lead >= 0x80) {
      // The alphabet ends below U+0144, so two bytes are all there is.
      if ((lead & 0xE0) != 0xC0 || i + 1 == text.size()) return false;
      const auto second = static_cast<std::uint8_t>(text[++i]);
      if ((second & 0xC0) != 0x80) return false;
      code_point = (static_cast<std::size_t>(lead & 0x1F) << 6) | (second & 0x3F);
    }
    if (code_point >= kByteAlphabetEnd || kByteAlphabet.byte_of[code_point] < 0) return false;
    *out++ = static_cast<char>(kByteAlphabet.byte_of[code_point]);
  }
  return true;
}

// "[PAD151936]": what converters name the rows that fill the table up.
bool is_padding_text(std::string_view text) {
  if (!text.starts_with("[PAD") || !text.ends_with("]") || text.size() < 6) return false;
  const std::string_view digits = text.substr(4, text.size() - 5);
  return std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Status check_kind(const VocabularyTables& tables) {
  if (tables.model != "gpt2") {
    return make_error(Code::kInvalidArgument,
                      fmt::format("tokenizer: model '{}' is not implemented, only gpt2", tables.model));
  }
  if (tables.pre != "qwen2") {
    return make_error(Code::kInvalidArgument,
                      fmt::format("tokenizer: pre-tokenizer '{}' is not implemented, only qwen2", tables.pre));
  }
  if (tables.tokens.empty() || tables.tokens.size() > kMaxTokens) {
    return damaged(fmt::format("{} tokens, want 1 to {}", tables.tokens.size(), kMaxTokens));
  }
  if (tables.merges.size() > kMaxMerges) {
    return damaged(fmt::format("{} merges, want at most {}", tables.merges.size(), kMaxMerges));
  }
  if (tables.types.size() != tables.tokens.size()) {
    return damaged(fmt::format("{} token types for {} tokens", tables.types.size(), tables.tokens.size()));
  }
  return {};
}

// Text of a normal token -> id, while loading. The texts are the caller's.
class TextIndex {
 public:
  explicit TextIndex(std::span<const std::string_view> tokens)
      : tokens_(tokens), slots_(std::bit_ceil(std::max<std::size_t>(16, tokens.size() * 3 / 2))) {
    shift_ = 64 - std::countr_zero(slots_.size());
  }

  void prefetch(TextKey key) const { __builtin_prefetch(&slots_[first_slot(key)]); }

  // False: it is there already. `text` is that of `id`, not empty.
  bool insert(TextKey key, std::string_view text, TokenId id) {
    Slot& slot = slots_[slot_of(key, text)];
    if (slot.word != 0) return false;
    slot = {.word = key.word, .id = id};
    return true;
  }

  [[nodiscard]] std::optional<TokenId> find(TextKey key, std::string_view text) const {
    if (text.empty()) return std::nullopt;
    const Slot& slot = slots_[slot_of(key, text)];
    if (slot.word == 0) return std::nullopt;
    return slot.id;
  }
  [[nodiscard]] std::optional<TokenId> find(std::string_view text) const { return find(TextKey(text), text); }

 private:
  struct Slot {
    std::uint64_t word = 0;  // 0: free
    TokenId id = 0;
  };

  [[nodiscard]] std::size_t first_slot(TextKey key) const { return static_cast<std::size_t>(key.hash() >> shift_); }
  // The slot that holds the text, or the free one where it belongs.
  [[nodiscard]] std::size_t slot_of(TextKey key, std::string_view text) const {
    std::size_t slot = first_slot(key);
    while (slots_[slot].word != 0) {
      const bool may_be = slots_[slot].word == key.word;
      if (may_be && (!key.is_long() || tokens_[static_cast<std::size_t>(slots_[slot].id)] == text)) break;
      slot = (slot + 1) & (slots_.size() - 1);
    }
    return slot;
  }

  std::span<const std::string_view> tokens_;
  std::vector<Slot> slots_;  // at most 2/3 full
  int shift_ = 0;
};

// Where each array is written: in one allocation, whose last part, the text, is cut to size at the end.
class TableBuilder {
 public:
  explicit TableBuilder(const VocabularyTables& tables) : tables_(tables), index_(tables.tokens) {}
  Result<std::vector<std::uint8_t>> build();

 private:
  struct Parts {
    std::string_view left;
    std::string_view right;
  };
  Status lay_out();
  template <typename T>
  std::span<T> array_at(std::uint64_t offset, std::size_t count) {
    return {reinterpret_cast<T*>(storage_.data() + offset), count};
  }
  Status read_tokens();
  Status index_normal();
  Status read_added();
  Status read_bytes();
  Status read_merges();
  // The normal token whose text is left + right; `guess` is tried first.
  [[nodiscard]] std::optional<TokenId> find_joined(const Parts& parts, TokenId guess) const;
  Status read_ends();

  const VocabularyTables& tables_;
  TextIndex index_;
  std::vector<std::uint8_t> storage_;
  TablesHeader header_{};
  std::span<std::uint64_t> slots_;
  std::span<std::uint32_t> offsets_;
  std::span<TokenId> results_;
  std::span<TokenId> added_;
  std::span<TokenType> types_;
  std::span<char> text_;
};

Result<std::vector<std::uint8_t>> TableBuilder::build() {
  TRY_STATUS(lay_out());
  TRY_STATUS(read_tokens());
  TRY_STATUS(index_normal());
  TRY_STATUS(read_added());
  TRY_STATUS(read_bytes());
  TRY_STATUS(read_merges());
  TRY_STATUS(read_ends());
  std::memcpy(storage_.data(), &header_, sizeof header_);
  return std::move(storage_);
}

Status TableBuilder::lay_out() {
  std::uint64_t total = 0;
  for (const std::string_view text : tables_.tokens) total += text.size();
  if (total > UINT32_MAX) return damaged("the texts of the tokens are larger than 4 GiB");
  std::copy(std::begin(TablesHeader::kMagic), std::end(TablesHeader::kMagic), header_.magic);
  header_.version = TablesHeader::kVersion;
  header_.token_count = static_cast<std::uint32_t>(tables_.tokens.size());
  header_.merge_count = static_cast<std::uint32_t>(tables_.merges.size());
  header_.slot_bits = MergeRanksBuilder::slot_bits(tables_.merges.size());
  header_.added_count =
      static_cast<std::uint32_t>(std::count_if(tables_.types.begin(), tables_.types.end(), [](std::int64_t type) {
        return type == static_cast<int>(TokenType::kControl) || type == static_cast<int>(TokenType::kUserDefined);
      }));
  header_.text_bytes = static_cast<std::uint32_t>(total);
  const TablesLayout layout(header_);
  storage_.resize(layout.end);
  slots_ = array_at<std::uint64_t>(layout.slots, std::size_t{1} << header_.slot_bits);
  offsets_ = array_at<std::uint32_t>(layout.offsets, tables_.tokens.size() + 1);
  results_ = array_at<TokenId>(layout.results, tables_.merges.size());
  added_ = array_at<TokenId>(layout.added, header_.added_count);
  types_ = array_at<TokenType>(layout.types, tables_.tokens.size());
  text_ = array_at<char>(layout.text, total);
  return {};
}

Status TableBuilder::read_tokens() {
  char* out = text_.data();
  std::size_t added = 0;
  for (std::size_t i = 0; i < tables_.tokens.size(); ++i) {
    const std::string_view text = tables_.tokens[i];
    if (tables_.types[i] < 1 || tables_.types[i] > 5) {
      return damaged(fmt::format("token {} is of type {}, want 1 to 5", i, tables_.types[i]));
    }
    const auto type = static_cast<TokenType>(tables_.types[i]);
    offsets_[i] = static_cast<std::uint32_t>(out - text_.data());
    types_[i] = type;
    if (type != TokenType::kUnused && text.empty()) return damaged(fmt::format("token {} is empty", i));
    if (type == TokenType::kNormal) {
      if (!decode_byte_level(text, out)) return damaged(fmt::format("token {} is not byte-level text", i));
      continue;
    }
    out = std::copy(text.begin(), text.end(), out);
    if (type == TokenType::kControl || type == TokenType::kUserDefined) added_[added++] = static_cast<TokenId>(i);
  }
  header_.text_bytes = static_cast<std::uint32_t>(out - text_.data());
  offsets_.back() = header_.text_bytes;
  text_ = text_.first(header_.text_bytes);
  storage_.resize(TablesLayout(header_).end);  // smaller: it stays where it is
  return {};
}

Status TableBuilder::index_normal() {
  for (std::size_t begin = 0; begin < types_.size(); begin += kBatch) {
    const std::size_t end = std::min(begin + kBatch, types_.size());
    for (std::size_t i = begin; i < end; ++i) index_.prefetch(TextKey(tables_.tokens[i]));
    for (std::size_t i = begin; i < end; ++i) {
      if (types_[i] != TokenType::kNormal) continue;
      const std::string_view text = tables_.tokens[i];
      if (!index_.insert(TextKey(text), text, static_cast<TokenId>(i))) {
        return damaged(fmt::format("token {} is there twice", i));
      }
    }
  }
  return {};
}

Status TableBuilder::read_added() {
  const TokenTexts texts{.offsets = offsets_, .text = {text_.data(), text_.size()}};
  std::sort(added_.begin(), added_.end(),
            [&](TokenId a, TokenId b) { return std::pair(texts.of(a), a) < std::pair(texts.of(b), b); });
  for (std::size_t i = 1; i < added_.size(); ++i) {
    if (texts.of(added_[i]) == texts.of(added_[i - 1])) {
      return damaged(fmt::format("tokens {} and {} are the same", added_[i - 1], added_[i]));
    }
  }
  return {};
}

Status TableBuilder::read_bytes() {
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const std::uint16_t code_point = kByteAlphabet.code_point_of[byte];
    std::string text;
    if (code_point < 0x80) {
      text.push_back(static_cast<char>(code_point));
    } else {
      text.push_back(static_cast<char>(0xC0 | (code_point >> 6)));
      text.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
    }
    const auto id = index_.find(text);
    if (!id) return damaged(fmt::format("no token for byte {:#04x}", byte));
    header_.byte_ids[byte] = *id;
  }
  return {};
}

Status TableBuilder::read_merges() {
  std::array<std::string_view, kBatch> left;
  std::array<std::string_view, kBatch> right;
  std::array<std::pair<TokenId, TokenId>, kBatch> pairs;
  MergeRanksBuilder ranks(slots_);
  // Trained tables list the results in the order of the merges, so the next id is nearly always the answer.
  TokenId guess = 0;
  for (std::size_t begin = 0; begin < tables_.merges.size(); begin += kBatch) {
    const std::size_t count = std::min(kBatch, tables_.merges.size() - begin);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string_view merge = tables_.merges[begin + i];
      const std::size_t space = merge.find(' ');
      if (space == std::string_view::npos || space == 0 || space + 1 == merge.size()) {
        return damaged(fmt::format("merge {} is not two tokens with a space between", begin + i));
      }
      left[i] = merge.substr(0, space);
      right[i] = merge.substr(space + 1);
      index_.prefetch(TextKey(left[i]));
      index_.prefetch(TextKey(right[i]));
    }
    for (std::size_t i = 0; i < count; ++i) {
      const auto left_id = index_.find(left[i]);
      const auto right_id = index_.find(right[i]);
      if (!left_id || !right_id) {
        return damaged(fmt::format("merge {} names a token that is not in the table", begin + i));
      }
      const auto result = find_joined({.left = left[i], .right = right[i]}, guess);
      if (!result) return damaged(fmt::format("merge {} makes a token that is not in the table", begin + i));
      guess = *result + 1;
      results_[begin + i] = *result;
      pairs[i] = {*left_id, *right_id};
      ranks.prefetch(*left_id, *right_id);
    }
    for (std::size_t i = 0; i < count; ++i) {
      ranks.insert(pairs[i].first, pairs[i].second, static_cast<std::uint32_t>(begin + i));
    }
  }
  header_.longest_probe = ranks.longest_probe();
  return {};
}

std::optional<TokenId> TableBuilder::find_joined(const Parts& parts, TokenId guess) const {
  const auto index = static_cast<std::size_t>(guess);
  if (index < types_.size() && types_[index] == TokenType::kNormal) {
    const std::string_view text = tables_.tokens[index];
    const bool is_joined = text.size() == parts.left.size() + parts.right.size() && text.starts_with(parts.left) &&
                           text.ends_with(parts.right);
    if (is_joined) return guess;
  }
  return index_.find(std::string(parts.left).append(parts.right));
}

Status TableBuilder::read_ends() {
  if (!tables_.eos_token_id) return damaged("no end-of-sequence token");
  if (*tables_.eos_token_id >= types_.size()) {
    return damaged(fmt::format("end-of-sequence token {} of {} tokens", *tables_.eos_token_id, types_.size()));
  }
  header_.end_tokens[header_.end_count++] = static_cast<TokenId>(*tables_.eos_token_id);
  const AddedTokens added(added_, {.offsets = offsets_, .text = {text_.data(), text_.size()}});
  // GGUF has room for one; Qwen3 ends with either (engine notes 4.2).
  for (const std::string_view text : {"<|im_end|>", "<|endoftext|>"}) {
    const auto id = added.find(text);
    if (id && *id != header_.end_tokens[0]) header_.end_tokens[header_.end_count++] = *id;
  }
  std::size_t first_padding = types_.size();
  while (first_padding > 0 &&
         (types_[first_padding - 1] == TokenType::kUnused || is_padding_text(tables_.tokens[first_padding - 1]))) {
    --first_padding;
  }
  header_.first_padding_id = static_cast<TokenId>(first_padding);
  return {};
}

}  // namespace

Result<std::vector<std::uint8_t>> build_tables(const VocabularyTables& tables) {
  TRY_STATUS(check_kind(tables));
  return TableBuilder(tables).build();
}

}  // namespace dormouse::text
