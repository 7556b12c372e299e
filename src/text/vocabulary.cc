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

// Multiply and fold over 8 bytes at a time; only used while loading, on texts of 2 to 40 bytes.
std::uint64_t hash_text(std::string_view text) {
  constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15ULL;
  std::uint64_t hash = text.size() * kFactor;
  const auto mix = [&](std::uint64_t word) {
    hash = (hash ^ word) * kFactor;
    hash ^= hash >> 32;
  };
  const char* at = text.data();
  std::size_t left = text.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    mix(word);
  }
  if (left >= 4) {
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + left - 4, 4);
    mix((static_cast<std::uint64_t>(high) << 32) | low);
  } else if (left > 0) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint64_t>(static_cast<std::uint8_t>(at[i])); };
    mix((byte(0) << 16) | (byte(left / 2) << 8) | byte(left - 1));
  }
  return hash * kFactor;
}

// Byte-level text to bytes. False: a character outside the alphabet.
bool append_decoded(std::string_view text, std::string& out) {
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
    out.push_back(static_cast<char>(kByteAlphabet.byte_of[code_point]));
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
      : tokens_(tokens), slots_(std::bit_ceil(tokens.size() * 3 / 2 + 1), kEmpty) {}

  // False: it is there already.
  bool insert(TokenId id) {
    const std::string_view text = tokens_[static_cast<std::size_t>(id)];
    const std::uint64_t hash = hash_text(text);
    std::size_t slot = hash & (slots_.size() - 1);
    while (slots_[slot] != kEmpty) {
      if (is(slots_[slot], hash, text)) return false;
      slot = (slot + 1) & (slots_.size() - 1);
    }
    slots_[slot] = (hash & kTagMask) | static_cast<std::uint64_t>(id);
    return true;
  }

  [[nodiscard]] std::optional<TokenId> find(std::string_view text) const {
    const std::uint64_t hash = hash_text(text);
    std::size_t slot = hash & (slots_.size() - 1);
    while (slots_[slot] != kEmpty) {
      if (is(slots_[slot], hash, text)) return id_of(slots_[slot]);
      slot = (slot + 1) & (slots_.size() - 1);
    }
    return std::nullopt;
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  // The low 24 bits hold the id (kMaxTokens is 2^20, so no entry is all ones), the rest is of the hash.
  static constexpr std::uint64_t kTagMask = ~((std::uint64_t{1} << 24) - 1);

  static TokenId id_of(std::uint64_t slot) { return static_cast<TokenId>(slot & ~kTagMask); }
  [[nodiscard]] bool is(std::uint64_t slot, std::uint64_t hash, std::string_view text) const {
    return (slot & kTagMask) == (hash & kTagMask) && tokens_[static_cast<std::size_t>(id_of(slot))] == text;
  }

  std::span<const std::string_view> tokens_;
  std::vector<std::uint64_t> slots_;
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
  arena_.reserve(total);
  offsets_.reserve(tables.tokens.size() + 1);
  types_.reserve(tables.tokens.size());
  std::vector<std::pair<std::string, TokenId>> added;
  for (std::size_t i = 0; i < tables.tokens.size(); ++i) {
    const std::string_view text = tables.tokens[i];
    const auto id = static_cast<TokenId>(i);
    if (tables.types[i] < 1 || tables.types[i] > 5) {
      return damaged(fmt::format("token {} is of type {}, want 1 to 5", i, tables.types[i]));
    }
    const auto type = static_cast<TokenType>(tables.types[i]);
    offsets_.push_back(static_cast<std::uint32_t>(arena_.size()));
    types_.push_back(type);
    if (type != TokenType::kUnused && text.empty()) return damaged(fmt::format("token {} is empty", i));
    if (type == TokenType::kNormal) {
      if (!append_decoded(text, arena_)) return damaged(fmt::format("token {} is not byte-level text", i));
      if (!index.insert(id)) return damaged(fmt::format("token {} is there twice", i));
      continue;
    }
    arena_.append(text);
    if (type == TokenType::kControl || type == TokenType::kUserDefined) added.emplace_back(text, id);
  }
  offsets_.push_back(static_cast<std::uint32_t>(arena_.size()));
  return added_.assign(std::move(added));
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
  std::string joined;
  // Trained tables list the results in the order of the merges, so the next id is nearly always the answer.
  std::size_t guess = 0;
  for (std::size_t rank = 0; rank < tables.merges.size(); ++rank) {
    const std::string_view merge = tables.merges[rank];
    const std::size_t space = merge.find(' ');
    if (space == std::string_view::npos || space == 0 || space + 1 == merge.size()) {
      return damaged(fmt::format("merge {} is not two tokens with a space between", rank));
    }
    const std::string_view left = merge.substr(0, space);
    const std::string_view right = merge.substr(space + 1);
    const auto left_id = index.find(left);
    const auto right_id = index.find(right);
    if (!left_id || !right_id) return damaged(fmt::format("merge {} names a token that is not in the table", rank));

    const bool is_guess = guess < types_.size() && types_[guess] == TokenType::kNormal &&
                          tables.tokens[guess].size() == left.size() + right.size() &&
                          tables.tokens[guess].starts_with(left) && tables.tokens[guess].ends_with(right);
    std::optional<TokenId> result = static_cast<TokenId>(guess);
    if (!is_guess) {
      joined.assign(left).append(right);
      result = index.find(joined);
      if (!result) return damaged(fmt::format("merge {} makes a token that is not in the table", rank));
    }
    bpe_.add_merge({.left = *left_id,
                    .right = *right_id,
                    .result = *result,
                    .result_bytes = static_cast<std::uint32_t>(bytes(*result).size())});
    guess = static_cast<std::size_t>(*result) + 1;
  }
  return {};
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
