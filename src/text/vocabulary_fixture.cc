#include "text/vocabulary_fixture.h"

#include <boost/json.hpp>
#include <charconv>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "text/byte_alphabet.h"

namespace dormouse::text {

namespace {

std::vector<std::string> read_lines(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(std::move(line));
  return lines;
}

std::string alphabet_text(std::size_t byte) {
  const unsigned code_point = kByteAlphabet.code_point_of[byte];
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xC0 | (code_point >> 6)), static_cast<char>(0x80 | (code_point & 0x3F))};
}

}  // namespace

std::string read_whole_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

VocabularyTables VocabularyFixture::tables() const {
  token_views.assign(tokens.begin(), tokens.end());
  merge_views.assign(merges.begin(), merges.end());
  return {.model = "gpt2",
          .pre = "qwen2",
          .tokens = token_views,
          .types = types,
          .merges = merge_views,
          .eos_token_id = eos};
}

VocabularyFixture small_vocabulary(const std::string& source_dir) {
  VocabularyFixture out;
  const std::string folder = source_dir + "/tests/golden/text";
  for (const std::string& line : read_lines(folder + "/small_vocab.txt")) {
    CHECK(line.size() > 2 && line[1] == '\t');
    out.types.push_back(line[0] - '0');
    out.tokens.push_back(line.substr(2));
    if (out.tokens.back() == "<|im_end|>") out.eos = out.tokens.size() - 1;
  }
  out.merges = read_lines(folder + "/small_merges.txt");
  CHECK(out.eos != 0);
  return out;
}

std::optional<VocabularyFixture> real_vocabulary(const std::string& source_dir) {
  const std::string folder = source_dir + "/../shared/data/tokenizer";
  const std::string vocab = read_whole_file(folder + "/vocab.json");
  if (vocab.empty()) return std::nullopt;
  VocabularyFixture out;
  out.tokens.resize(151936);
  out.types.assign(out.tokens.size(), 1);
  const auto place = [&](const boost::json::value& json, std::int64_t type) {
    for (const auto& [token, id] : json.as_object()) {
      out.tokens.at(static_cast<std::size_t>(id.as_int64())) = token;
      out.types.at(static_cast<std::size_t>(id.as_int64())) = type;
    }
  };
  place(boost::json::parse(vocab), 1);
  place(boost::json::parse(read_whole_file(folder + "/qwen3_added_tokens.json")), 4);
  const auto special = boost::json::parse(read_whole_file(folder + "/qwen3_added_tokens_special_flag.json"));
  for (std::size_t id = 0; id < out.tokens.size(); ++id) {
    const auto* flag = special.as_object().if_contains(std::to_string(id));
    // The converter also calls control what looks like it: <|fim_prefix|>.
    if (flag != nullptr && (flag->as_bool() || out.tokens[id].starts_with("<|"))) out.types[id] = 3;
    if (out.tokens[id].empty()) {
      out.tokens[id] = "[PAD" + std::to_string(id) + "]";
      out.types[id] = 5;
    }
  }
  out.merges = read_lines(folder + "/merges.txt");
  out.merges.erase(out.merges.begin());  // "#version: 0.2"
  out.eos = 151645;
  return out;
}

VocabularyFixture tiny_vocabulary() {
  VocabularyFixture out;
  for (std::size_t byte = 0; byte < 256; ++byte) out.tokens.push_back(alphabet_text(byte));
  const std::vector<std::pair<std::string, std::string>> merges = {{"a", "a"},
                                                                   {"aa", "aa"},
                                                                   {"aaaa", "aaaa"},
                                                                   {"a", "b"},
                                                                   {"aa", "b"},
                                                                   {"b", "aa"},
                                                                   {"aaaa", "b"},
                                                                   {"h", "e"},
                                                                   {"\u0120", "t"},
                                                                   {"\u0120t", "he"},
                                                                   {"i", "m"},
                                                                   {"im", "_"},
                                                                   {"<", "|"},
                                                                   {"|", ">"},
                                                                   {"\u0120", "\u0120"},
                                                                   {"\u00e4", "\u00bd"},
                                                                   {"\u00e4\u00bd", "\u0142"},
                                                                   {"\u00cc", "\u0123"}};
  for (const auto& [left, right] : merges) {
    out.merges.push_back(left + " " + right);
    out.tokens.push_back(left + right);
  }
  out.types.assign(out.tokens.size(), 1);
  for (const auto& [text, type] : {std::pair<const char*, int>{"<|im_end|>", 3}, {"<|im_start|>", 3}, {"<think>", 4}}) {
    out.tokens.emplace_back(text);
    out.types.push_back(type);
  }
  out.eos = out.tokens.size() - 3;
  return out;
}

}  // namespace dormouse::text
