#include "loadtest/prompts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>
#include <string_view>

namespace dormouse::loadtest {
namespace {

// Frequent English words: with a space before it each is one token of the vocabularies of Qwen, Llama and GPT.
constexpr std::array<std::string_view, 64> kWords{
    "time",  "year",   "people", "way",     "day",     "man",     "thing",    "woman",   "life",       "child",
    "world", "school", "state",  "family",  "student", "group",   "country",  "problem", "hand",       "part",
    "place", "case",   "week",   "company", "system",  "program", "question", "work",    "government", "number",
    "night", "point",  "home",   "water",   "room",    "mother",  "area",     "money",   "story",      "fact",
    "month", "lot",    "right",  "study",   "book",    "eye",     "job",      "word",    "business",   "issue",
    "side",  "kind",   "head",   "house",   "service", "friend",  "father",   "power",   "hour",       "game",
    "line",  "end",    "member", "law"};

std::string_view some_word(std::mt19937_64& random) {
  return kWords[random() % kWords.size()];
}

}  // namespace

std::string Prompts::text(std::int64_t number, std::int64_t words) const {
  std::mt19937_64 random(seed_ ^ (beginning_ == Beginning::kSame ? 0 : static_cast<std::uint64_t>(number) + 1));
  if (!lines_.empty()) {
    const std::string& line = lines_[static_cast<std::size_t>(number) % lines_.size()];
    if (beginning_ == Beginning::kSame) return line;
    return fmt::format("{} {} {}: {}", some_word(random), some_word(random), number, line);
  }
  std::string out;
  for (std::int64_t i = 0; i < std::max<std::int64_t>(words, 1); ++i) {
    if (i > 0) out += ' ';
    out += some_word(random);
  }
  return out;
}

}  // namespace dormouse::loadtest
