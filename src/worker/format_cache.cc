#include "worker/format_cache.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/regex.h"

namespace dormouse::worker {
namespace {

using Kind = api::ResponseFormat::Kind;

Result<std::shared_ptr<const grammar::Grammar>> compile(const api::ResponseFormat& format) {
  switch (format.kind) {
    case Kind::kText: break;
    case Kind::kJsonObject: return grammar::compile_json_object();
    case Kind::kJsonSchema: return grammar::compile_json_schema(format.text);
    case Kind::kRegex: return grammar::compile_regex(format.text);
    case Kind::kGrammar: return grammar::compile_gbnf(format.text);
  }
  return make_error(Code::kInvalidArgument, "format: text is held to nothing");
}

}  // namespace

// Without the thinking tags: an answer's content opens no thoughts (output_text.h looks for them as tokens).
const grammar::TokenTrie& FormatCache::trie() {
  if (trie_ == nullptr) {
    std::vector<std::string_view> bytes;
    for (text::TokenId id = 0; id < tokenizer_.first_padding_id(); ++id) bytes.push_back(tokenizer_.token_bytes(id));
    for (const std::string_view tag : {"<think>", "</think>"}) {
      const std::optional<text::TokenId> id = tokenizer_.find(tag);
      if (id.has_value()) bytes[static_cast<std::size_t>(*id)] = {};
    }
    trie_ = std::make_unique<const grammar::TokenTrie>(bytes, tokenizer_.end_tokens());
  }
  return *trie_;
}

std::list<FormatCache::Entry>::iterator FormatCache::find(const api::ResponseFormat& format) {
  return std::find_if(entries_.begin(), entries_.end(), [&format](const Entry& entry) {
    return entry.format.kind == format.kind && entry.format.text == format.text;
  });
}

bool FormatCache::has(const api::ResponseFormat& format) {
  const std::lock_guard lock(mutex_);
  return find(format) != entries_.end();
}

api::ApiResult<AnswerFormat> FormatCache::get(const api::ResponseFormat& format) {
  const std::lock_guard lock(mutex_);
  const auto known = find(format);
  if (known != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, known);
    return AnswerFormat{.matcher = known->matcher, .trie = &trie()};
  }
  Result<std::shared_ptr<const grammar::Grammar>> compiled = compile(format);
  if (!compiled.has_value()) {
    const bool is_too_large = compiled.error().code == Code::kTooLarge;
    return tl::unexpected(
        api::ApiError{.code = is_too_large ? api::ErrorCode::kGrammarTooComplex : api::ErrorCode::kInvalidValue,
                      .message = std::move(compiled).error().message,
                      .param = "response_format"});
  }
  auto matcher = std::make_shared<grammar::Matcher>(*std::move(compiled), trie());
  entries_.push_front({.format = format, .matcher = matcher});
  if (entries_.size() > kFormats) entries_.pop_back();
  return AnswerFormat{.matcher = std::move(matcher), .trie = &trie()};
}

}  // namespace dormouse::worker
