#include "text/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "text/byte_alphabet.h"

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

}  // namespace

// Text of a normal token -> id, while loading. The texts are the caller's.
class Vocabulary::TextIndex {
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

Status AddedTokens::assign(std::vector<std::pair<std::string, TokenId>> tokens) {
  tokens_ = std::move(tokens);
  std::sort(tokens_.begin(), tokens_.end());
  first_bytes_.reset();
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (i > 0 && tokens_[i].first == tokens_[i - 1].first) {
      return damaged(fmt::format("tokens {} and {} are the same", tokens_[i - 1].second, tokens_[i].second));
    }
    first_bytes_.set(static_cast<std::uint8_t>(tokens_[i].first[0]));
  }
  return {};
}

const std::pair<std::string, TokenId>* AddedTokens::longest_at(std::string_view text) const {
  // [begin, end) are the tokens that agree with the text in the first `depth` bytes.
  auto begin = tokens_.begin();
  auto end = tokens_.end();
  const std::pair<std::string, TokenId>* longest = nullptr;
  for (std::size_t depth = 0; depth < text.size() && begin != end; ++depth) {
    // A token that ends here sorts first: it has no byte, which is less than any.
    const auto byte_of = [&](const std::pair<std::string, TokenId>& token) {
      return depth < token.first.size() ? static_cast<int>(static_cast<std::uint8_t>(token.first[depth])) : -1;
    };
    const int byte = static_cast<std::uint8_t>(text[depth]);
    begin = std::partition_point(begin, end, [&](const auto& token) { return byte_of(token) < byte; });
    end = std::partition_point(begin, end, [&](const auto& token) { return byte_of(token) == byte; });
    if (begin != end && begin->first.size() == depth + 1) longest = &*begin;
  }
  return longest;
}

std::optional<AddedToken> AddedTokens::next(std::string_view text, std::size_t from) const {
  for (std::size_t i = from; i < text.size(); ++i) {
    if (!first_bytes_[static_cast<std::uint8_t>(text[i])]) continue;
    const auto* token = longest_at(text.substr(i));
    if (token != nullptr) return AddedToken{.begin = i, .size = token->first.size(), .id = token->second};
  }
  return std::nullopt;
}

std::optional<TokenId> AddedTokens::find(std::string_view text) const {
  if (text.empty()) return std::nullopt;
  const auto* token = longest_at(text);
  if (token == nullptr || token->first.size() != text.size()) return std::nullopt;
  return token->second;
}

std::string_view Vocabulary::bytes(TokenId id) const {
  const auto index = static_cast<std::size_t>(id);
  return std::string_view(arena_).substr(offsets_[index], offsets_[index + 1] - offsets_[index]);
}

Result<std::unique_ptr<const Vocabulary>> Vocabulary::build(const VocabularyTables& tables) {
  TRY_STATUS(check_kind(tables));
  // The constructor is private, hence no make_unique.
  std::unique_ptr<Vocabulary> vocabulary(new Vocabulary(tables.tokens.size(), tables.merges.size()));
  TextIndex index(tables.tokens);
  TRY_STATUS(vocabulary->read_tokens(tables, index));
  TRY_STATUS(vocabulary->read_bytes(index));
  TRY_STATUS(vocabulary->read_merges(tables, index));
  TRY_STATUS(vocabulary->read_ends(tables));
  return std::unique_ptr<const Vocabulary>(std::move(vocabulary));
}

Status Vocabulary::read_tokens(const VocabularyTables& tables, TextIndex& index) {
  std::uint64_t total = 0;
  for (const std::string_view text : tables.tokens) total += text.size();
  if (total > UINT32_MAX) return damaged("the texts of the tokens are larger than 4 GiB");
  arena_.resize(total);
  offsets_.reserve(tables.tokens.size() + 1);
  types_.reserve(tables.tokens.size());
  std::vector<std::pair<std::string, TokenId>> added;
  char* out = arena_.data();
  for (std::size_t i = 0; i < tables.tokens.size(); ++i) {
    const std::string_view text = tables.tokens[i];
    if (tables.types[i] < 1 || tables.types[i] > 5) {
      return damaged(fmt::format("token {} is of type {}, want 1 to 5", i, tables.types[i]));
    }
    const auto type = static_cast<TokenType>(tables.types[i]);
    offsets_.push_back(static_cast<std::uint32_t>(out - arena_.data()));
    types_.push_back(type);
    if (type != TokenType::kUnused && text.empty()) return damaged(fmt::format("token {} is empty", i));
    if (type == TokenType::kNormal) {
      if (!decode_byte_level(text, out)) return damaged(fmt::format("token {} is not byte-level text", i));
      continue;
    }
    out = std::copy(text.begin(), text.end(), out);
    if (type == TokenType::kControl || type == TokenType::kUserDefined)
      added.emplace_back(text, static_cast<TokenId>(i));
  }
  offsets_.push_back(static_cast<std::uint32_t>(out - arena_.data()));
  arena_.resize(offsets_.back());
  TRY_STATUS(index_normal(tables, index));
  return added_.assign(std::move(added));
}

Status Vocabulary::index_normal(const VocabularyTables& tables, TextIndex& index) const {
  for (std::size_t begin = 0; begin < size(); begin += kBatch) {
    const std::size_t end = std::min(begin + kBatch, size());
    for (std::size_t i = begin; i < end; ++i) index.prefetch(TextKey(tables.tokens[i]));
    for (std::size_t i = begin; i < end; ++i) {
      if (types_[i] != TokenType::kNormal) continue;
      const std::string_view text = tables.tokens[i];
      if (!index.insert(TextKey(text), text, static_cast<TokenId>(i))) {
        return damaged(fmt::format("token {} is there twice", i));
      }
    }
  }
  return {};
}

Status Vocabulary::read_bytes(const TextIndex& index) {
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const std::uint16_t code_point = kByteAlphabet.code_point_of[byte];
    std::string text;
    if (code_point < 0x80) {
      text.push_back(static_cast<char>(code_point));
    } else {
      text.push_back(static_cast<char>(0xC0 | (code_point >> 6)));
      text.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
    }
    const auto id = index.find(text);
    if (!id) return damaged(fmt::format("no token for byte {:#04x}", byte));
    bpe_.set_byte(static_cast<std::uint8_t>(byte), *id);
  }
  return {};
}

Status Vocabulary::read_merges(const VocabularyTables& tables, const TextIndex& index) {
  std::array<std::string_view, kBatch> left;
  std::array<std::string_view, kBatch> right;
  std::array<Bpe::Merge, kBatch> merges;
  // Trained tables list the results in the order of the merges, so the next id is nearly always the answer.
  TokenId guess = 0;
  for (std::size_t begin = 0; begin < tables.merges.size(); begin += kBatch) {
    const std::size_t count = std::min(kBatch, tables.merges.size() - begin);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string_view merge = tables.merges[begin + i];
      const std::size_t space = merge.find(' ');
      if (space == std::string_view::npos || space == 0 || space + 1 == merge.size()) {
        return damaged(fmt::format("merge {} is not two tokens with a space between", begin + i));
      }
      left[i] = merge.substr(0, space);
      right[i] = merge.substr(space + 1);
      index.prefetch(TextKey(left[i]));
      index.prefetch(TextKey(right[i]));
    }
    for (std::size_t i = 0; i < count; ++i) {
      const auto left_id = index.find(left[i]);
      const auto right_id = index.find(right[i]);
      if (!left_id || !right_id) {
        return damaged(fmt::format("merge {} names a token that is not in the table", begin + i));
      }
      const auto result = find_joined(tables, index, {.left = left[i], .right = right[i]}, guess);
      if (!result) return damaged(fmt::format("merge {} makes a token that is not in the table", begin + i));
      guess = *result + 1;
      merges[i] = {.left = *left_id,
                   .right = *right_id,
                   .result = *result,
                   .result_bytes = static_cast<std::uint32_t>(bytes(*result).size())};
      bpe_.prefetch_merge(*left_id, *right_id);
    }
    for (std::size_t i = 0; i < count; ++i) bpe_.add_merge(merges[i]);
  }
  return {};
}

std::optional<TokenId> Vocabulary::find_joined(const VocabularyTables& tables, const TextIndex& index,
                                               const Parts& parts, TokenId guess) const {
  if (has(guess) && type(guess) == TokenType::kNormal) {
    const std::string_view text = tables.tokens[static_cast<std::size_t>(guess)];
    const bool is_joined = text.size() == parts.left.size() + parts.right.size() && text.starts_with(parts.left) &&
                           text.ends_with(parts.right);
    if (is_joined) return guess;
  }
  return index.find(std::string(parts.left).append(parts.right));
}

Status Vocabulary::read_ends(const VocabularyTables& tables) {
  if (!tables.eos_token_id) return damaged("no end-of-sequence token");
  if (*tables.eos_token_id >= size()) {
    return damaged(fmt::format("end-of-sequence token {} of {} tokens", *tables.eos_token_id, size()));
  }
  end_tokens_.push_back(static_cast<TokenId>(*tables.eos_token_id));
  // GGUF has room for one; Qwen3 ends with either (engine notes 4.2).
  for (const std::string_view text : {"<|im_end|>", "<|endoftext|>"}) {
    const auto id = added_.find(text);
    if (id && *id != end_tokens_.front()) end_tokens_.push_back(*id);
  }
  std::size_t first_padding = size();
  while (first_padding > 0 &&
         (types_[first_padding - 1] == TokenType::kUnused || is_padding_text(tables.tokens[first_padding - 1]))) {
    --first_padding;
  }
  first_padding_id_ = static_cast<TokenId>(first_padding);
  return {};
}

}  // namespace dormouse::text
