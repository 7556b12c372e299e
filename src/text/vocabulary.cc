#include "text/vocabulary.h"

#include <algorithm>
#include <utility>

#include "text/table_builder.h"

namespace dormouse::text {

AddedTokens::AddedTokens(std::span<const TokenId> ids, const TokenTexts& texts) : ids_(ids), texts_(texts) {
  for (const TokenId id : ids) first_bytes_.set(static_cast<std::uint8_t>(texts.of(id)[0]));
}

std::optional<TokenId> AddedTokens::longest_at(std::string_view text) const {
  // [begin, end) are the tokens that agree with the text in the first `depth` bytes.
  auto begin = ids_.begin();
  auto end = ids_.end();
  std::optional<TokenId> longest;
  for (std::size_t depth = 0; depth < text.size() && begin != end; ++depth) {
    // A token that ends here sorts first: it has no byte, which is less than any.
    const auto byte_of = [&](TokenId id) {
      const std::string_view token = texts_.of(id);
      return depth < token.size() ? static_cast<int>(static_cast<std::uint8_t>(token[depth])) : -1;
    };
    const int byte = static_cast<std::uint8_t>(text[depth]);
    begin = std::partition_point(begin, end, [&](TokenId id) { return byte_of(id) < byte; });
    end = std::partition_point(begin, end, [&](TokenId id) { return byte_of(id) == byte; });
    if (begin != end && texts_.size(*begin) == depth + 1) longest = *begin;
  }
  return longest;
}

std::optional<AddedToken> AddedTokens::next(std::string_view text, std::size_t from) const {
  for (std::size_t i = from; i < text.size(); ++i) {
    if (!first_bytes_[static_cast<std::uint8_t>(text[i])]) continue;
    const auto id = longest_at(text.substr(i));
    if (id) return AddedToken{.begin = i, .size = texts_.size(*id), .id = *id};
  }
  return std::nullopt;
}

std::optional<TokenId> AddedTokens::find(std::string_view text) const {
  if (text.empty()) return std::nullopt;
  const auto id = longest_at(text);
  if (!id || texts_.size(*id) != text.size()) return std::nullopt;
  return id;
}

Vocabulary::Vocabulary(const FlatTables& tables)
    : tables_(tables),
      bpe_({.byte_ids = tables_.header.byte_ids,
            .results = tables.results,
            .texts = tables.texts,
            .ranks = {.slots = tables.slots,
                      .rank_count = tables.header.merge_count,
                      .longest_probe = tables.header.longest_probe}}),
      added_(tables.added, tables.texts) {}

Result<std::unique_ptr<const Vocabulary>> Vocabulary::build(const VocabularyTables& tables) {
  TRY(std::vector<std::uint8_t> storage, build_tables(tables));
  TRY(const FlatTables flat, FlatTables::parse(storage));
  // The constructor is private, hence no make_unique.
  std::unique_ptr<Vocabulary> vocabulary(new Vocabulary(flat));
  vocabulary->storage_ = std::move(storage);  // its bytes stay where they are
  return std::unique_ptr<const Vocabulary>(std::move(vocabulary));
}

Result<std::unique_ptr<const Vocabulary>> Vocabulary::open(std::span<const std::uint8_t> bytes) {
  TRY(const FlatTables flat, FlatTables::parse(bytes));
  return std::unique_ptr<const Vocabulary>(new Vocabulary(flat));
}

}  // namespace dormouse::text
