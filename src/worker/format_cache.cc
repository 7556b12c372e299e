#include "worker/format_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/regex.h"
#include "text/tool_calls.h"
#include "worker/tool_format.h"

namespace dormouse::worker {
namespace {

using Kind = api::ResponseFormat::Kind;

Result<std::shared_ptr<const grammar::Grammar>> compile_format(const api::ResponseFormat& format) {
  switch (format.kind) {
    case Kind::kText: break;
    case Kind::kJsonObject: return grammar::compile_json_object();
    case Kind::kJsonSchema: return grammar::compile_json_schema(format.text);
    case Kind::kRegex: return grammar::compile_regex(format.text);
    case Kind::kGrammar: return grammar::compile_gbnf(format.text);
  }
  return make_error(Code::kInvalidArgument, "format: text is held to nothing");
}

std::uint64_t most_calls(const api::GenerationRequest& request) {
  const bool is_one = !request.parallel_tool_calls || request.tool_choice.kind == api::ToolChoice::Kind::kNamed;
  return is_one ? 1 : kMaxForcedCalls;
}

// What two requests have in common that are held to the same.
std::string key_of(const api::GenerationRequest& request) {
  if (!must_call(request)) return fmt::format("{} {}", static_cast<int>(request.format.kind), request.format.text);
  return fmt::format("calls {} {}\n{}", most_calls(request), request.tool_choice.name, fmt::join(request.tools, "\n"));
}

Result<std::shared_ptr<const grammar::Grammar>> compile(const api::GenerationRequest& request) {
  if (!must_call(request)) return compile_format(request.format);
  return compile_tool_calls(request.tools, request.tool_choice, most_calls(request));
}

api::ApiError refusal(const api::GenerationRequest& request, const Error& error) {
  const bool is_too_large = error.code == Code::kTooLarge;
  return {.code = is_too_large ? api::ErrorCode::kGrammarTooComplex : api::ErrorCode::kInvalidValue,
          .message = error.message,
          .param = must_call(request) ? "tools" : "response_format"};
}

}  // namespace

bool must_call(const api::GenerationRequest& request) {
  return request.tool_choice.kind != api::ToolChoice::Kind::kAuto;
}

bool is_held(const api::GenerationRequest& request) {
  return must_call(request) || request.format.kind != Kind::kText;
}

const grammar::TokenTrie& FormatCache::trie() {
  if (trie_ == nullptr) {
    trie_ = std::make_unique<const grammar::TokenTrie>(grammar_bytes(tokenizer_), tokenizer_.end_tokens());
  }
  return *trie_;
}

std::list<FormatCache::Entry>::iterator FormatCache::find(const std::string& key) {
  return std::find_if(entries_.begin(), entries_.end(), [&key](const Entry& entry) { return entry.key == key; });
}

bool FormatCache::has(const api::GenerationRequest& request) {
  const std::lock_guard lock(mutex_);
  return find(key_of(request)) != entries_.end();
}

api::ApiResult<AnswerFormat> FormatCache::get(const api::GenerationRequest& request) {
  if (must_call(request) && !(tokenizer_.find(text::kToolCallOpen) && tokenizer_.find(text::kToolCallClose))) {
    return tl::unexpected(api::ApiError{
        .code = api::ErrorCode::kInvalidValue, .message = "This model calls no tools.", .param = "tool_choice"});
  }
  std::string key = key_of(request);
  const std::lock_guard lock(mutex_);
  const auto known = find(key);
  if (known != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, known);
    return AnswerFormat{.matcher = known->matcher, .trie = &trie()};
  }
  Result<std::shared_ptr<const grammar::Grammar>> compiled = compile(request);
  if (!compiled.has_value()) return tl::unexpected(refusal(request, compiled.error()));
  auto matcher = std::make_shared<grammar::Matcher>(*std::move(compiled), trie());
  entries_.push_front({.key = std::move(key), .matcher = matcher});
  if (entries_.size() > kFormats) entries_.pop_back();
  return AnswerFormat{.matcher = std::move(matcher), .trie = &trie()};
}

}  // namespace dormouse::worker
