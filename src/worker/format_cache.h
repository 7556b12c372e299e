// Formats that requests ask for, compiled: the same one comes again and again, and what its Matcher has met stays met.
// Keeps the last kFormats asked for; a job holds on to its own.
// Threads: any (requests are prepared on the loop and on the encoder's thread).
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>

#include "api/generation.h"
#include "text/tokenizer.h"
#include "worker/answer_constraint.h"

namespace dormouse::worker {

// Each holds 10 MiB at most: 5 of masks, 4 of states (grammar/constraint.h).
inline constexpr std::size_t kFormats = 16;

class FormatCache {
 public:
  // `tokenizer` outlives it.
  explicit FormatCache(const text::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // Cost: of the first one grammar::TokenTrie's 60 ms besides; a schema of 64 KiB takes some 10 ms.
  // Errors: invalid_value, grammar_too_complex; param: response_format.
  api::ApiResult<AnswerFormat> get(const api::ResponseFormat& format);
  // get() will be a look-up.
  [[nodiscard]] bool has(const api::ResponseFormat& format);

 private:
  struct Entry {
    api::ResponseFormat format;
    std::shared_ptr<grammar::Matcher> matcher;
  };
  [[nodiscard]] const grammar::TokenTrie& trie();
  [[nodiscard]] std::list<Entry>::iterator find(const api::ResponseFormat& format);

  const text::Tokenizer& tokenizer_;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::unique_ptr<const grammar::TokenTrie> trie_;  // made when first needed: a wake must not wait for it
  std::list<Entry> entries_;                        // the last asked for first
};

}  // namespace dormouse::worker
