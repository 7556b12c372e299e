#include "cli/command_tree.h"

#include <CLI/CLI.hpp>
#include <algorithm>

namespace dormouse::cli {
namespace {

// CLI11 keeps an allowed set only in the name of the type: "TEXT:{table,json}".
std::vector<std::string> choices_of(std::string_view type_name) {
  const std::size_t open = type_name.find('{');
  const std::size_t close = type_name.rfind('}');
  std::vector<std::string> out;
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return out;
  std::string_view rest = type_name.substr(open + 1, close - open - 1);
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    out.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return out;
}

Switch switch_of(const CLI::Option& option) {
  Switch out;
  for (const std::string& name : option.get_lnames()) out.names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) out.names.push_back("-" + name);
  out.description = option.get_description();
  out.takes = option.get_items_expected_max() == 0 ? Switch::Takes::kNothing : Switch::Takes::kValue;
  out.choices = choices_of(option.get_type_name());
  out.value_default = option.get_default_str();
  return out;
}

}  // namespace

bool Switch::has_name(std::string_view name) const {
  return std::find(names.begin(), names.end(), name) != names.end();
}

const Command* Command::find(std::string_view verb) const {
  const auto found =
      std::find_if(commands.begin(), commands.end(), [verb](const Command& c) { return c.name == verb; });
  return found == commands.end() ? nullptr : &*found;
}

// As deep as the verbs are: two levels.
Command read_tree(const CLI::App& app) {
  Command out;
  out.name = app.get_name();
  out.description = app.get_description();
  out.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    if (!option->get_positional()) {
      out.switches.push_back(switch_of(*option));
      continue;
    }
    out.positionals.push_back(
        {.name = option->get_name(true),
         .description = option->get_description(),
         .need = option->get_required() ? Positional::Need::kRequired : Positional::Need::kOptional,
         .count = option->get_items_expected_max() > 1 ? Positional::Count::kMany : Positional::Count::kOne});
  }
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App* v) { return !v->get_group().empty(); })) {
    out.commands.push_back(read_tree(*verb));
  }
  return out;
}

}  // namespace dormouse::cli
