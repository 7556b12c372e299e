// Holds one answer to its grammar while it is written: free while the model thinks, the grammar from where the content
// begins. Thinking may not end the answer: it would be one without content.
// Owner: the engine thread, one object a choice.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "grammar/constraint.h"
#include "text/tokenizer.h"

namespace dormouse::worker {

// What a job asks for; shared by its choices and by all jobs of the same format.
struct AnswerFormat {
  std::shared_ptr<grammar::Matcher> matcher;  // the engine thread's once the job is submitted
  const grammar::TokenTrie* trie = nullptr;   // the model's
};

// Where the model is when the answer begins.
enum class Thinking {
  kNone,    // at the content
  kMay,     // before it: <think>, or content at once
  kInside,  // the prompt ended with <think>
};

struct ThinkingTokens {
  std::optional<text::TokenId> think;
  std::optional<text::TokenId> end_think;
  std::optional<text::TokenId> gap;  // "\n\n", which models write between </think> and the content
};

class AnswerConstraint {
 public:
  AnswerConstraint(const AnswerFormat& format, Thinking thinking, ThinkingTokens tokens);

  // Valid until the next call here or of another answer of the same format. Errors: kTooLarge (grammar::kMaxWork).
  Result<grammar::TokenMask> allowed();
  // Errors: as Constraint::accept().
  Status accept(text::TokenId token);
  // Nothing may follow: the answer need not wait for an end token.
  [[nodiscard]] bool is_finished();

 private:
  enum class Part { kStart, kThinking, kGap, kContent };

  grammar::Constraint constraint_;
  const grammar::TokenTrie& trie_;
  const ThinkingTokens tokens_;
  Part part_;
  std::vector<std::uint64_t> own_mask_;  // where the grammar's is not the whole of it
};

}  // namespace dormouse::worker
