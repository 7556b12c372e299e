#include "cli/usage_error.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>
#include <vector>

#include "catalog/image_name.h"
#include "cli/command_tree.h"

namespace dormouse::cli {
namespace {

constexpr std::size_t kLongestWord = 64;  // more was not meant to be one of ours, and need not be compared
constexpr std::size_t kMostEdits = 2;

// The verb that was being read, and its whole name: "dormouse keys create".
struct Place {
  const CLI::App* verb;
  std::string name;
};
Place place_of(const CLI::App& app) {
  Place out{&app, app.get_name()};
  while (!out.verb->get_subcommands().empty()) {
    out.verb = out.verb->get_subcommands().front();
    out.name += " " + out.verb->get_name();
  }
  return out;
}

// The nearest of those that are, or that begin like the word; empty: none is near.
std::string near_to(std::string_view word, const std::vector<std::string>& known) {
  if (word.size() > kLongestWord) return {};
  std::string best;
  std::size_t fewest = std::min(kMostEdits, word.size() / 2) + 1;
  for (const std::string& each : known) {
    const bool is_begun = word.size() > 2 && each.starts_with(word);
    const std::size_t edits = is_begun ? 0 : catalog::edit_distance(word, each);
    if (edits >= fewest) continue;
    fewest = edits;
    best = each;
  }
  return best;
}

class Words {
 public:
  Words(Place place, const Command& command, bool zh) : place_(std::move(place)), command_(command), zh_(zh) {}

  // A word that nothing takes.
  [[nodiscard]] std::string extra(std::string word) const {
    word = word.substr(0, word.find('='));
    const bool is_switch = word.starts_with('-') && word.size() > 1;
    const bool is_verb = !is_switch && !command_.commands.empty() && command_.positionals.empty();
    std::vector<std::string> known;
    if (is_verb) {
      for (const Command& each : command_.commands) known.push_back(each.name);
    } else if (is_switch) {
      for (const Switch& each : command_.switches) known.insert(known.end(), each.names.begin(), each.names.end());
    }
    const char* const en = is_switch ? "{} has no switch {}"
                           : is_verb ? "{} has no verb '{}'"
                                     : "{} takes no further word: '{}'";
    const char* const zh = is_switch ? "{} 没有选项 {}" : is_verb ? "{} 没有命令“{}”" : "{} 不接受多余的参数“{}”";
    std::string out = fmt::format(fmt::runtime(zh_ ? zh : en), place_.name, word);
    const std::string near = near_to(word, known);
    if (!near.empty()) out += fmt::format(fmt::runtime(zh_ ? "；是指 {} 吗？" : "; did you mean {}?"), near);
    return out;
  }

  // The parser's sentence "NAME: VALUE not in {a,b}", "NAME is required", ...; as it is where it is another.
  [[nodiscard]] std::string said(std::string_view text) const {
    const auto between = [text](std::string_view from, std::string_view to) -> std::string_view {
      const std::size_t begin = text.find(from);
      if (begin == std::string_view::npos) return {};
      const std::string_view rest = text.substr(begin + from.size());
      const std::size_t end = rest.find(to);
      return end == std::string_view::npos ? std::string_view() : rest.substr(0, end);
    };
    const std::string_view name = text.substr(0, text.find(':'));
    if (text.ends_with(" is required")) {
      return fmt::format(fmt::runtime(zh_ ? "{} 缺少 {}" : "{} needs {}"), place_.name,
                         text.substr(0, text.size() - std::string_view(" is required").size()));
    }
    if (const std::string_view value = between(": ", " not in {"); !value.empty()) {
      std::string choices;
      for (const char c : between(" not in {", "}"))
        choices += c == ',' ? std::string(zh_ ? "、" : ", ") : std::string(1, c);
      return fmt::format(fmt::runtime(zh_ ? "{}：“{}”不行，可选 {}" : "{}: '{}' is none of {}"), name, value, choices);
    }
    if (text.find(": At Most 1 ") != std::string_view::npos) {
      return fmt::format(fmt::runtime(zh_ ? "{} 只能写一次" : "{} may be given once"), name);
    }
    if (text.ends_with(" missing")) return fmt::format(fmt::runtime(zh_ ? "{} 后面要有值" : "{} wants a value"), name);
    constexpr std::string_view kNoNumber = "Could not convert: ";
    if (text.starts_with(kNoNumber)) {
      text.remove_prefix(kNoNumber.size());
      const std::size_t equals = text.find(" = ");
      const std::string_view value =
          text.substr(std::min(equals == std::string_view::npos ? text.size() : equals + 3, text.size()));
      return fmt::format(fmt::runtime(zh_ ? "{}：“{}”不是所需的数" : "{}: '{}' is no number of the kind it wants"),
                         text.substr(0, equals), value);
    }
    return std::string(text);
  }

 private:
  const Place place_;
  const Command& command_;
  const bool zh_;
};

}  // namespace

std::string usage_error_text(const CLI::App& app, const CLI::ParseError& error, Language language) {
  const bool zh = language == Language::kChinese;
  const Place place = place_of(app);
  Command command = read_tree(*place.verb);
  for (const Switch& each : read_tree(app).switches) command.switches.push_back(each);  // --lang, --data-dir
  const std::vector<std::string> extras = app.remaining(true);
  const auto is_kind = [&error](CLI::ExitCodes kind) { return error.get_exit_code() == static_cast<int>(kind); };
  const bool wants_verb = !command.commands.empty() && command.positionals.empty();
  if (extras.empty() && wants_verb && is_kind(CLI::ExitCodes::RequiredError)) return app.help();
  const Words words(place, command, zh);
  const bool is_extra = !extras.empty() && (wants_verb || is_kind(CLI::ExitCodes::ExtrasError));
  const std::string text = is_extra ? words.extra(extras.front()) : words.said(error.what());
  return fmt::format(fmt::runtime(zh ? "{}\n用法见 `{} --help`\n" : "{}\n`{} --help` shows how it is used\n"), text,
                     place.name);
}

}  // namespace dormouse::cli
