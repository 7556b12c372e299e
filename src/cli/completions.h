// Completion in bash, zsh and fish: each shell's script is a few lines and asks this program, which reads the words
// typed so far against its own verbs and switches.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_tree.h"

namespace dormouse::cli {

struct Candidate {
  std::string text;
  std::string description;  // empty: none
  friend bool operator==(const Candidate&, const Candidate&) = default;
};

// Words only this machine knows.
enum class Names { kDeployments, kImages, kInstanceTypes, kRuleKeys };
using NamesOf = std::function<std::vector<std::string>(Names)>;

// `words` are those behind the program's name; the last is the one at the cursor, perhaps empty. Nothing where a file
// or a text of one's own is wanted: shells then complete file names.
[[nodiscard]] std::vector<Candidate> complete(const Command& root, const std::vector<std::string>& words,
                                              const NamesOf& names_of);

// The argument that makes the program complete instead of anything else: `dormouse complete-words WORD ...`.
inline constexpr std::string_view kCompleteWords = "complete-words";
// nullopt: no such shell. "bash", "zsh", "fish".
[[nodiscard]] std::optional<std::string> completion_script(std::string_view shell);

}  // namespace dormouse::cli
