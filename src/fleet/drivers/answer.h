// Reading what a provider's command printed. Pure; the text is untrusted and may be anything.
//
// A reading is written
//   json:/Path/To/Field      a value by path; `*` goes through a list or an object, `[Key=Name]` picks the member of a
//                            list whose Key is Name: json:/Tags/[Key=dormouse]/Value
//   column:N                 the N-th word of a line, from 1
//   between:BEFORE|AFTER     the text between the two; an empty AFTER: to the end of the line
// and may go on with " between:BEFORE|AFTER", which reads on in what the first part found.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dormouse::fleet {

struct Between {
  std::string before;
  std::string after;
};

struct Reading {
  enum class Kind { kJson, kColumn, kBetween };
  Kind kind = Kind::kJson;
  std::vector<std::string> path;  // kJson
  std::size_t column = 1;         // kColumn
  Between between;                // kBetween
  std::optional<Between> then;    // on what the first part found

  // Errors: kInvalidArgument, saying what is wrong.
  static Result<Reading> parse(std::string_view text);
};

enum class AnswerForm { kJson, kText };

// What a command printed, taken apart once.
class Answer {
 public:
  // Errors: kDataLoss (not JSON, more than one document, nested too deep).
  static Result<Answer> parse(std::string text, AnswerForm form);
  ~Answer();
  Answer(Answer&&) noexcept;
  Answer& operator=(Answer&&) noexcept;

  // The first value of the whole answer. Nullopt: not there, or no text, number or truth value.
  [[nodiscard]] std::optional<std::string> value(const Reading& reading) const;

  // The rows, each read with `fields` (null: nothing), in order: of JSON what `rows` leads to, of text the lines that
  // are not blank. Errors: kDataLoss (the first step of `rows` is not there: this is no list, not an empty one).
  using Row = std::vector<std::optional<std::string>>;
  [[nodiscard]] Result<std::vector<Row>> rows(const Reading& rows, const std::vector<const Reading*>& fields) const;
  [[nodiscard]] std::vector<Row> lines(const std::vector<const Reading*>& fields) const;

 private:
  struct Parsed;
  Answer();
  std::unique_ptr<Parsed> parsed_;
};

}  // namespace dormouse::fleet
