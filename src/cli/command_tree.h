// The verbs and switches as data: what completions and the man page are made of, read from the parser itself, so that
// neither can say what the program does not know.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace dormouse::cli {

struct Switch {
  std::vector<std::string> names;  // "--format", "-y"
  std::string description;
  enum class Takes { kNothing, kValue } takes = Takes::kNothing;
  std::vector<std::string> choices;  // of its value, where only some are allowed
  std::string value_default;         // empty: none is said

  [[nodiscard]] bool has_name(std::string_view name) const;
};

struct Positional {
  std::string name;  // "IMAGE"
  std::string description;
  enum class Need { kRequired, kOptional } need = Need::kOptional;
  enum class Count { kOne, kMany } count = Count::kOne;
};

struct Command {
  std::string name;
  std::string description;
  std::string footer;  // examples
  std::vector<Switch> switches;
  std::vector<Positional> positionals;
  std::vector<Command> commands;

  [[nodiscard]] const Command* find(std::string_view verb) const;  // null: it has none of that name
};

// What is hidden from --help is left out.
[[nodiscard]] Command read_tree(const CLI::App& app);

}  // namespace dormouse::cli
