// A plan as a person reads it: tables, a chart, and what follows from them in words. No I/O.
#pragma once

#include <string>

#include "cli/plan_question.h"
#include "cli/table.h"
#include "cli/words.h"

namespace dormouse::cli {

inline constexpr std::int64_t kLeastGigabytes = 16;  // below it Qwen3-4B has little room beside its weights

inline constexpr std::size_t kTextColumns = 100;

[[nodiscard]] inline double hours(double seconds) {
  return seconds / 3'600;
}

enum class PlanFormat { kTerminal, kMarkdown };

// All of it.
[[nodiscard]] std::string plan_text(const PlanView& view, Language language, PlanFormat format);
// The rows alone, numbers without units, for a spreadsheet; money in whole units of the currency.
[[nodiscard]] std::string plan_csv(const PlanView& view);

// The paragraphs under the tables, each without a line's end: who wins and by how much, why, and what would have to
// change; and what looks wrong ("check this price").
struct PlanWords {
  std::string verdict;
  std::string why;
  std::string change;
  std::vector<std::string> warnings;
};
[[nodiscard]] PlanWords plan_words(const PlanView& view, Language language);

[[nodiscard]] std::string money_text(const PlanView& view, std::int64_t micros);
[[nodiscard]] std::string row_name(const PlanView& view, const planner::Row& row, Language language);

}  // namespace dormouse::cli
