#include "text/tokenizer.h"

#include <utility>

#include "base/check.h"
#include "text/bpe.h"
#include "text/pretokenizer.h"
#include "text/vocabulary.h"

namespace dormouse::text {

struct Tokenizer::Impl {
  std::unique_ptr<const Vocabulary> vocabulary;

  // False: more than `max_ids` in `out`.
  bool encode_plain(std::string_view text, std::size_t max_ids, BpeScratch& scratch, std::vector<TokenId>& out) const {
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = next_piece_end(text, begin);
      vocabulary->bpe().encode(text.substr(begin, end - begin), {.max_ids = max_ids - out.size()}, scratch, out);
      if (out.size() > max_ids) return false;
      begin = end;
    }
    return true;
  }
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::from_tables(const VocabularyTables& tables) {
  auto impl = std::make_unique<Impl>();
  TRY(impl->vocabulary, Vocabulary::build(tables));
  return Tokenizer(std::move(impl));
}

Result<Tokenizer> Tokenizer::from_flat(std::span<const std::uint8_t> bytes) {
  auto impl = std::make_unique<Impl>();
  TRY(impl->vocabulary, Vocabulary::open(bytes));
  return Tokenizer(std::move(impl));
}

bool Tokenizer::encode_at_most(std::size_t max_ids, std::string_view text, SpecialTokens special,
                               std::vector<TokenId>& out) const {
  if (out.size() > max_ids) return false;
  BpeScratch scratch;
  std::size_t begin = 0;
  if (special == SpecialTokens::kParse) {
    while (const auto added = next_added(text, begin)) {
      if (!impl_->encode_plain(text.substr(begin, added->begin - begin), max_ids, scratch, out)) return false;
      out.push_back(added->id);
      if (out.size() > max_ids) return false;
      begin = added->begin + added->size;
    }
  }
  return impl_->encode_plain(text.substr(begin), max_ids, scratch, out);
}

void Tokenizer::encode(std::string_view text, SpecialTokens special, std::vector<TokenId>& out) const {
  const bool is_whole = encode_at_most(SIZE_MAX, text, special, out);
  DCHECK(is_whole);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, SpecialTokens special) const {
  std::vector<TokenId> ids;
  encode(text, special, ids);
  return ids;
}

std::optional<AddedToken> Tokenizer::next_added(std::string_view text, std::size_t from) const {
  return impl_->vocabulary->added().next(text, from);
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  const Vocabulary& vocabulary = *impl_->vocabulary;
  if (!vocabulary.has(id)) return {};
  const TokenType type = vocabulary.type(id);
  const bool is_text = type == TokenType::kNormal || type == TokenType::kUserDefined;
  return is_text ? vocabulary.bytes(id) : std::string_view{};
}

bool Tokenizer::is_special(TokenId id) const {
  return impl_->vocabulary->has(id) && impl_->vocabulary->type(id) == TokenType::kControl;
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string out;
  for (const TokenId id : ids) {
    if (impl_->vocabulary->has(id)) out.append(impl_->vocabulary->bytes(id));
  }
  return out;
}

std::span<const std::uint8_t> Tokenizer::flat() const {
  return impl_->vocabulary->flat();
}
std::int32_t Tokenizer::vocab_size() const {
  return static_cast<std::int32_t>(impl_->vocabulary->size());
}
std::int32_t Tokenizer::first_padding_id() const {
  return impl_->vocabulary->first_padding_id();
}
std::span<const TokenId> Tokenizer::end_tokens() const {
  return impl_->vocabulary->end_tokens();
}

std::optional<TokenId> Tokenizer::find(std::string_view token_bytes) const {
  if (const auto added = impl_->vocabulary->added().find(token_bytes)) return added;
  const std::vector<TokenId> ids = encode(token_bytes, SpecialTokens::kAsText);
  if (ids.size() != 1) return std::nullopt;
  return ids.front();
}

}  // namespace dormouse::text
