// Tokens of one answer in, text out: whole UTF-8 characters, reasoning and tool calls apart from content, nothing of a
// stop string.
// PURE. Owner: the engine thread, one object a choice.
// Invariants: (1) what has been given out never has to be taken back: text that may still become a stop string or half
// a character waits; (2) the stop string itself and all after it are never given out; (3) <think>, <tool_call> and
// their ends are seen as tokens, never as text, so quoted tags in an answer change nothing.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/tool_calls.h"
#include "text/utf8_stream.h"

namespace dormouse::worker {

enum class ThinkingStart {
  kNever,      // raw completion: the tags are text like any other
  kInContent,  // a first <think> opens the reasoning
  kInside,     // the prompt ended with <think>
};

// Finds the first of several strings in a growing text. Holds back the longest tail that could begin one.
class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}
  // Returns what can be given out now. After a match everything is swallowed.
  [[nodiscard]] std::string push(std::string_view text);
  // The end of the text: what was held back after all.
  [[nodiscard]] std::string finish();
  [[nodiscard]] bool matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool matched_ = false;
};

struct OutputOptions {
  ThinkingStart thinking = ThinkingStart::kNever;
  std::optional<text::TokenId> think;  // the model's <think>, </think>
  std::optional<text::TokenId> end_think;
  std::vector<std::string> stops;  // looked for in the content, not in reasoning and calls
  // The model's <tool_call>, </tool_call>. None: the request has no tools, and the tags are text.
  std::optional<text::TokenId> tool_call;
  std::optional<text::TokenId> end_tool_call;
  int max_calls = std::numeric_limits<int>::max();  // the answer stops behind that many
};

struct OutputPiece {
  std::string content;
  std::string reasoning;
  std::vector<text::ToolCallPiece> calls;
};

class OutputText {
 public:
  explicit OutputText(OutputOptions options);

  // `bytes`: the token's, as Tokenizer::token_bytes gives them.
  [[nodiscard]] OutputPiece push(text::TokenId token, std::string_view bytes);
  // No more tokens: half a character becomes U+FFFD, held-back text comes out unless a stop string matched.
  [[nodiscard]] OutputPiece finish();
  [[nodiscard]] bool stopped() const { return stops_.matched() || calls_.ended() >= options_.max_calls; }
  [[nodiscard]] bool is_reasoning() const { return part_ == Part::kReasoning; }
  [[nodiscard]] bool has_calls() const { return calls_.begun() > 0; }
  [[nodiscard]] std::int64_t reasoning_tokens() const { return reasoning_tokens_; }

 private:
  enum class Part { kStart, kReasoning, kContent };
  [[nodiscard]] std::string reasoning_text(std::string_view text);
  void push_content(std::string_view text, OutputPiece& out);
  void push_free(const std::string& text, OutputPiece& out);
  static void add(text::ToolCallText text, OutputPiece& out);
  bool push_tag(text::TokenId token, OutputPiece& out);

  const OutputOptions options_;
  text::Utf8Stream utf8_;
  StopMatcher stops_;
  text::ToolCallParser calls_;
  Part part_;
  bool trim_ = false;          // newlines at the start of a part belong to the template, not to the text
  std::string held_newlines_;  // at the end of reasoning, likewise
  std::int64_t reasoning_tokens_ = 0;
};

}  // namespace dormouse::worker
