#include "text/flat_tables.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "text/bpe.h"

namespace dormouse::text {
namespace {

Error damaged(const char* what) {
  return make_error(Code::kDataLoss, std::string("tokenizer tables: ") + what);
}

Status check_header(const TablesHeader& header, std::uint64_t bytes) {
  if (std::memcmp(header.magic, TablesHeader::kMagic, sizeof header.magic) != 0) return damaged("not tables");
  if (header.version != TablesHeader::kVersion) return damaged("another version");
  const std::uint32_t tokens = header.token_count;
  if (tokens == 0 || tokens > kMaxTokens || header.merge_count > kMaxMerges || header.added_count > tokens ||
      header.slot_bits < MergeRanks::kMinSlotBits || header.slot_bits > MergeRanks::kMaxSlotBits ||
      header.longest_probe > std::uint64_t{1} << header.slot_bits || header.zero[0] != 0 || header.zero[1] != 0) {
    return damaged("a count is out of range");
  }
  if (TablesLayout(header).end != bytes) return damaged("cut short or longer than built");
  if (header.first_padding_id < 0 || static_cast<std::uint32_t>(header.first_padding_id) > tokens) {
    return damaged("the padding is out of range");
  }
  if (header.end_count == 0 || header.end_count > TablesHeader::kMaxEndTokens) return damaged("no end tokens");
  for (std::uint32_t i = 0; i < TablesHeader::kMaxEndTokens; ++i) {
    if (static_cast<std::uint32_t>(header.end_tokens[i]) >= tokens) return damaged("an end token is out of range");
  }
  return {};
}

// Branch-free over the whole array: this is most of what opening costs.
bool offsets_never_fall(std::span<const std::uint32_t> offsets) {
  std::uint32_t falls = 0;
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) falls |= static_cast<std::uint32_t>(offsets[i] > offsets[i + 1]);
  return falls == 0;
}

Status check_arrays(const FlatTables& tables) {
  const std::span<const std::uint32_t> offsets = tables.texts.offsets;
  if (offsets.front() != 0 || offsets.back() != tables.texts.text.size() || !offsets_never_fall(offsets)) {
    return damaged("a token's bytes lie outside");
  }
  const auto is_normal = [&](TokenId id) {
    const auto index = static_cast<std::uint32_t>(id);
    return index < tables.types.size() && tables.types[index] == TokenType::kNormal;
  };
  // Not the ids of merged text alone: user text must not become an added token (ARCHITECTURE.md, invariant 4).
  if (!std::all_of(tables.results.begin(), tables.results.end(), is_normal)) {
    return damaged("a merge makes something that is not a normal token");
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const TokenId id = tables.header.byte_ids[byte];
    if (!is_normal(id) || tables.texts.size(id) != 1 || static_cast<std::uint8_t>(tables.texts.of(id)[0]) != byte) {
      return damaged("a byte's token is another");
    }
  }
  std::string_view previous;
  for (const TokenId id : tables.added) {
    const auto index = static_cast<std::uint32_t>(id);
    if (index >= tables.types.size() ||
        (tables.types[index] != TokenType::kControl && tables.types[index] != TokenType::kUserDefined)) {
      return damaged("an added token is not one");
    }
    const std::string_view text = tables.texts.of(id);
    if (text <= previous) return damaged("added tokens are out of order");
    previous = text;
  }
  return {};
}

template <typename T>
std::span<const T> array_at(std::span<const std::uint8_t> bytes, std::uint64_t offset, std::size_t count) {
  return {reinterpret_cast<const T*>(bytes.data() + offset), count};
}

}  // namespace

TablesLayout::TablesLayout(const TablesHeader& header) {
  const std::uint64_t tokens = header.token_count;
  slots = sizeof(TablesHeader);
  offsets = slots + (std::uint64_t{8} << header.slot_bits);
  results = offsets + 4 * (tokens + 1);
  added = results + 4 * std::uint64_t{header.merge_count};
  types = added + 4 * std::uint64_t{header.added_count};
  text = types + tokens;
  end = text + header.text_bytes;
}

Result<FlatTables> FlatTables::parse(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < sizeof(TablesHeader)) return damaged("shorter than its header");
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(std::uint64_t) != 0) {
    return make_error(Code::kInvalidArgument, "tokenizer tables: not at a multiple of 8");
  }
  FlatTables out;
  out.bytes = bytes;
  std::memcpy(&out.header, bytes.data(), sizeof out.header);
  TRY_STATUS(check_header(out.header, bytes.size()));
  const TablesLayout layout(out.header);
  const std::size_t tokens = out.header.token_count;
  out.slots = array_at<std::uint64_t>(bytes, layout.slots, std::size_t{1} << out.header.slot_bits);
  out.results = array_at<TokenId>(bytes, layout.results, out.header.merge_count);
  out.added = array_at<TokenId>(bytes, layout.added, out.header.added_count);
  out.types = array_at<TokenType>(bytes, layout.types, tokens);
  out.texts.offsets = array_at<std::uint32_t>(bytes, layout.offsets, tokens + 1);
  out.texts.text = {reinterpret_cast<const char*>(bytes.data() + layout.text), out.header.text_bytes};
  TRY_STATUS(check_arrays(out));
  return out;
}

}  // namespace dormouse::text
