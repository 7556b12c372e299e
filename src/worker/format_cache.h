// What requests want their answers held to, compiled: a format, or the tools one of which has to be called. The same
// one comes again and again, and what its Matcher has met stays met. Keeps the last kFormats asked for; a job holds on
// to its own. Threads: any (requests are prepared on the loop and on the encoder's thread).
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "api/generation.h"
#include "text/tokenizer.h"
#include "worker/answer_constraint.h"

namespace dormouse::worker {

// Each holds 10 MiB at most: 5 of masks, 4 of states (grammar/constraint.h).
inline constexpr std::size_t kFormats = 16;

// The answer is not free.
[[nodiscard]] bool is_held(const api::GenerationRequest& request);
[[nodiscard]] bool must_call(const api::GenerationRequest& request);

class FormatCache {
 public:
  // `tokenizer` outlives it.
  explicit FormatCache(const text::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // Of a request that is_held(). A call comes before a format: who has to call a tool says nothing besides.
  // Cost: of the first one grammar::TokenTrie's 60 ms besides; a schema of 64 KiB takes some 10 ms.
  // Errors: invalid_value, grammar_too_complex; param: response_format, tools or tool_choice.
  api::ApiResult<AnswerFormat> get(const api::GenerationRequest& request);
  // get() will be a look-up.
  [[nodiscard]] bool has(const api::GenerationRequest& request);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<grammar::Matcher> matcher;
  };
  [[nodiscard]] const grammar::TokenTrie& trie();
  [[nodiscard]] std::list<Entry>::iterator find(const std::string& key);

  const text::Tokenizer& tokenizer_;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::unique_ptr<const grammar::TokenTrie> trie_;  // made when first needed: a wake must not wait for it
  std::list<Entry> entries_;                        // the last asked for first
};

}  // namespace dormouse::worker
