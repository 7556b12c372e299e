#include "worker/tools/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "worker/tools/json_file.h"

namespace dormouse::worker {
namespace {

constexpr std::uint32_t kQwen3NormalTokens = 151643;
constexpr std::size_t kSmallTablePadding = 6;

struct AddedToken {
  std::string_view text;
  bool is_control = false;
};
// Qwen3's, in order of their ids. Source: its tokenizer_config.json.
constexpr std::array<AddedToken, 26> kAddedTokens{{
    {"<|endoftext|>", true},      {"<|im_start|>", true},
    {"<|im_end|>", true},         {"<|object_ref_start|>", true},
    {"<|object_ref_end|>", true}, {"<|box_start|>", true},
    {"<|box_end|>", true},        {"<|quad_start|>", true},
    {"<|quad_end|>", true},       {"<|vision_start|>", true},
    {"<|vision_end|>", true},     {"<|vision_pad|>", true},
    {"<|image_pad|>", true},      {"<|video_pad|>", true},
    {"<tool_call>", false},       {"</tool_call>", false},
    {"<|fim_prefix|>", false},    {"<|fim_middle|>", false},
    {"<|fim_suffix|>", false},    {"<|fim_pad|>", false},
    {"<|repo_name|>", false},     {"<|file_sep|>", false},
    {"<tool_response>", false},   {"</tool_response>", false},
    {"<think>", false},           {"</think>", false},
}};

// id as text -> is it special?
Status apply_special_flags(const JsonFile& file, Vocabulary& out) {
  for (const auto& [key, flag] : file.root().object()) {
    std::size_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id >= out.types.size() || !flag.is_bool()) {
      return make_error(Code::kDataLoss, file.name() + ": want token ids as keys and booleans as values");
    }
    out.types[id] = flag.get_bool() ? kTokenControl : kTokenUserDefined;
  }
  return {};
}

std::string utf8(std::uint32_t code) {  // below U+0800
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0U | (code >> 6)), static_cast<char>(0x80U | (code & 0x3FU))};
}

// GPT-2's spelling of the 256 bytes as visible characters, in its order: printable bytes as themselves, then the rest
// as U+0100 upward. That order is also their ids in every byte-level vocabulary.
std::vector<std::string> byte_spellings() {
  std::vector<std::string> printable;
  std::vector<std::string> others;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const bool is_printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    if (is_printable) {
      printable.push_back(utf8(byte));
    } else {
      others.push_back(utf8(0x100U + static_cast<std::uint32_t>(others.size())));
    }
  }
  printable.insert(printable.end(), others.begin(), others.end());
  return printable;
}

// The same bytes, those of running text first: small letters, space, capitals, then the rest.
std::vector<std::string> bytes_by_use(const std::vector<std::string>& bytes) {
  std::vector<std::string> out = bytes;
  const auto rank = [](const std::string& b) {
    if (b.size() == 1 && b[0] >= 'a' && b[0] <= 'z') return 0;
    if (b == utf8(0x120)) return 1;  // space
    if (b.size() == 1 && b[0] >= 'A' && b[0] <= 'Z') return 2;
    return 3;
  };
  std::stable_sort(out.begin(), out.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return out;
}

// `count` merges: all pairs of bytes in square shells (the first n*n pairs use the n most common bytes), then each pair
// and one more byte. 65,536 + 256 * 65,536 of them: more than any vocabulary asks for.
void add_merges(std::size_t count, const std::vector<std::string>& bytes, Vocabulary& out) {
  CHECK(count <= 65536 + 256 * std::size_t{65536});
  std::vector<std::string> pairs;
  const auto add = [&](const std::string& left, const std::string& right) {
    if (out.merges.size() == count) return false;
    std::string merge = left;
    merge += ' ';
    merge += right;
    out.merges.push_back(std::move(merge));
    out.tokens.push_back(left + right);
    return true;
  };
  for (std::size_t shell = 0; shell < bytes.size(); ++shell) {
    for (std::size_t i = 0; i <= 2 * shell; ++i) {
      const std::string& left = bytes[std::min(i, shell)];
      const std::string& right = bytes[std::min(2 * shell - i, shell)];
      if (!add(left, right)) return;
      pairs.push_back(left + right);
    }
  }
  for (const std::string& pair : pairs) {
    for (const std::string& byte : bytes) {
      if (!add(pair, byte)) return;
    }
  }
}

}  // namespace

Status place_token(std::string_view source, std::string_view text, std::int64_t id, TokenType type, Vocabulary& out) {
  if (id < 0 || static_cast<std::uint64_t>(id) >= out.tokens.size()) {
    return make_error(Code::kDataLoss, fmt::format("{}: a token has id {}, the model's table has the ids 0 to {}",
                                                   source, id, out.tokens.size() - 1));
  }
  const auto index = static_cast<std::size_t>(id);
  if (text.empty() || !out.tokens[index].empty()) {
    return make_error(Code::kDataLoss, fmt::format("{}: id {} is given twice or to an empty text", source, index));
  }
  out.tokens[index] = std::string(text);
  out.types[index] = type;
  return {};
}

Status place_tokens(std::string_view source, const JsonFields& ids_by_text, TokenType type, Vocabulary& out) {
  for (const auto& [text, id] : ids_by_text.object()) {
    if (!id.is_int64()) return make_error(Code::kDataLoss, fmt::format("{}: an id is not an integer", source));
    TRY_STATUS(place_token(source, text, id.get_int64(), type, out));
  }
  return {};
}

Result<std::vector<std::string>> parse_merges(std::string_view source, std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.empty() || line.starts_with("#version")) continue;
    if (std::count(line.begin(), line.end(), ' ') != 1) {
      return make_error(Code::kDataLoss, fmt::format("{}: merge {} is not two words", source, out.size()));
    }
    out.emplace_back(line);
  }
  return out;
}

void name_padding(Vocabulary& out) {
  for (std::size_t id = 0; id < out.tokens.size(); ++id) {
    if (!out.tokens[id].empty()) continue;
    out.tokens[id] = fmt::format("[PAD{}]", id);
    out.types[id] = kTokenUnused;
  }
}

Result<std::uint32_t> id_of(const Vocabulary& vocabulary, std::string_view text) {
  const auto at = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), text);
  if (at == vocabulary.tokens.end()) return make_error(Code::kDataLoss, fmt::format("vocabulary: no token {}", text));
  return static_cast<std::uint32_t>(at - vocabulary.tokens.begin());
}

Result<Vocabulary> read_vocabulary(const std::string& directory, std::uint32_t size) {
  Vocabulary out;
  out.tokens.resize(size);
  out.types.resize(size, kTokenUnused);
  TRY(const JsonFile normal, JsonFile::open(directory + "/vocab.json"));
  TRY(const JsonFile added, JsonFile::open(directory + "/qwen3_added_tokens.json"));
  TRY(const JsonFile flags, JsonFile::open(directory + "/qwen3_added_tokens_special_flag.json"));
  TRY_STATUS(place_tokens(normal.name(), normal.root(), kTokenNormal, out));
  TRY_STATUS(place_tokens(added.name(), added.root(), kTokenUserDefined, out));
  TRY_STATUS(apply_special_flags(flags, out));
  const std::string merges_path = directory + "/merges.txt";
  TRY(const MappedFile merges, open_text(merges_path));
  TRY(out.merges, parse_merges(merges_path, text_of(merges)));
  name_padding(out);
  TRY(out.end_of_turn_id, id_of(out, "<|im_end|>"));
  TRY(out.end_of_text_id, id_of(out, "<|endoftext|>"));
  return out;
}

Vocabulary make_vocabulary(std::uint32_t size) {
  const std::vector<std::string> bytes = byte_spellings();
  // A small table keeps a few padding rows too: what must be masked should be there to mask.
  constexpr std::size_t kQwen3Padding = kQwen3VocabularySize - kQwen3NormalTokens - kAddedTokens.size();
  const std::size_t padding = size == kQwen3VocabularySize ? kQwen3Padding : kSmallTablePadding;
  CHECK(size >= bytes.size() + kAddedTokens.size() + padding);
  Vocabulary out;
  out.tokens = bytes;
  add_merges(size - padding - kAddedTokens.size() - bytes.size(), bytes_by_use(bytes), out);
  out.types.assign(out.tokens.size(), kTokenNormal);
  out.end_of_text_id = static_cast<std::uint32_t>(out.tokens.size());
  out.end_of_turn_id = out.end_of_text_id + 2;
  for (const AddedToken& token : kAddedTokens) {
    out.tokens.emplace_back(token.text);
    out.types.push_back(token.is_control ? kTokenControl : kTokenUserDefined);
  }
  out.tokens.resize(size);
  out.types.resize(size, kTokenUnused);
  name_padding(out);
  return out;
}

}  // namespace dormouse::worker
