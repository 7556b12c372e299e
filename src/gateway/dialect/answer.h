// How one dialect writes one answer, as text: no I/O, no clock, no ledger. One object a request.
// Order of calls: on_chunk*, then closing (streaming) or whole (not). Streaming bytes go out as they come back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/generation.h"
#include "base/money.h"
#include "http/sse.h"

namespace dormouse::gateway {

// What is known when the last token has come.
struct AnswerSummary {
  api::Usage usage;
  double generation_s = 0;    // sent to the worker until the last token
  double prompt_s = 0;        // sent to the worker until the first token
  double total_s = 0;         // accepted until the last token
  double wake_s = 0;          // held while an instance woke
  double first_token_s = 0;   // accepted until the first token
  std::optional<Money> cost;  // of its share of an instance's busy time; nullopt: no price is known
};

// What a dialect's streams are made of; server-sent events unless it says otherwise.
struct StreamForm {
  std::string_view content_type = "text/event-stream";
  std::string_view silence = http::kSseComment;  // says nothing; may stand between any two pieces
};

class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;
  [[nodiscard]] virtual StreamForm form() const { return {}; }
  // What the caller's request calls that which is a chat's `messages` on the way to the worker.
  [[nodiscard]] virtual std::string_view prompt_field() const { return "messages"; }
  // Streaming: what ends an answer that broke off. After it comes nothing, and no [DONE].
  [[nodiscard]] virtual std::string broken_off(const api::ApiError& error) const;
  // One chunk from the worker. Streaming: the bytes for the caller, maybe none. Not streaming: keeps it, returns none.
  [[nodiscard]] virtual std::string on_chunk(const api::ParsedChunk& chunk) = 0;
  // Streaming: everything after the last token, [DONE] included.
  [[nodiscard]] virtual std::string closing(const AnswerSummary& summary) = 0;
  // Not streaming: the body.
  [[nodiscard]] virtual std::string whole(const AnswerSummary& summary) = 0;
  // Forgets what came so far: the request is sent again to another instance.
  virtual void reset() = 0;
};

// The pieces of each choice put together.
class ChoiceCollector {
 public:
  void add(const api::Delta& delta);
  void clear() { choices_.clear(); }
  [[nodiscard]] const std::vector<api::Delta>& choices() const { return choices_; }

 private:
  std::vector<api::Delta> choices_;  // by index
};

// True when a delta says anything a caller could see.
[[nodiscard]] bool has_content(const api::Delta& delta);
}  // namespace dormouse::gateway
