// Reads one streamed answer, piece by piece with the time it came, and knows when its first and last words were there.
// No I/O. Lenient as api::parse_chunk is: any server of the dialect.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/generation.h"
#include "http/sse.h"

namespace dormouse::loadtest {

// What an error body says, whichever server wrote it: {"error":{"message":...}}, {"error":...}, {"message":...} or
// {"detail":...}. Empty: nothing of the kind. Any bytes; not fit for a terminal yet.
[[nodiscard]] std::string error_words(std::string_view body);

class AnswerReader {
 public:
  // Bytes of the body, which came at `now_s` of any clock that only goes up.
  void push(std::string_view bytes, double now_s);

  // Whether it ended as an answer does: "[DONE]", or a finish_reason from servers that do not write it.
  [[nodiscard]] bool is_whole() const { return done_ || finished_; }
  // What the server said was wrong, in the middle of its stream.
  [[nodiscard]] const std::optional<std::string>& failure() const { return failure_; }
  // Whether there is an answer: text, or a finish_reason, for a model may choose to say nothing.
  [[nodiscard]] bool has_answer() const { return pieces_ > 0 || finished_; }
  // Pieces with text in them (of thinking and of tool calls too).
  [[nodiscard]] std::int64_t pieces() const { return pieces_; }
  [[nodiscard]] double first_s() const { return first_s_; }  // of the first piece; without one, of the finish_reason
  [[nodiscard]] double last_s() const { return last_s_; }
  [[nodiscard]] const std::optional<api::Usage>& usage() const { return usage_; }
  // Between each piece and the one before it.
  [[nodiscard]] const std::vector<double>& gaps_s() const { return gaps_s_; }

 private:
  void take(std::string_view json, double now_s);

  http::SseParser parser_;
  std::optional<api::Usage> usage_;
  std::optional<std::string> failure_;
  std::vector<double> gaps_s_;
  std::int64_t pieces_ = 0;
  double first_s_ = 0;
  double last_s_ = 0;
  bool finished_ = false;  // a finish_reason came
  bool done_ = false;      // [DONE] came
};

}  // namespace dormouse::loadtest
