#include "cli/completions.h"

#include <algorithm>
#include <array>
#include <utility>

namespace dormouse::cli {
namespace {

constexpr std::array<std::pair<std::string_view, Names>, 8> kNamed{{{"NAME", Names::kDeployments},
                                                                    {"--deployment", Names::kDeployments},
                                                                    {"--cold", Names::kDeployments},
                                                                    {"--measured", Names::kDeployments},
                                                                    {"IMAGE", Names::kImages},
                                                                    {"--model", Names::kImages},
                                                                    {"--on", Names::kInstanceTypes},
                                                                    {"KEY=VALUE", Names::kRuleKeys}}};

// Bash breaks words at '=' and ':' and would replace only what is behind the last of them: what stands before it is
// taken off again.
constexpr std::string_view kBash = R"(# bash completion for dormouse
_dormouse() {
  local cur words cword line
  if ! _get_comp_words_by_ref -n =: cur words cword 2>/dev/null; then
    words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]}
  fi
  COMPREPLY=()
  while IFS=$'\t' read -r line _; do COMPREPLY+=("$line"); done \
    < <("${words[0]}" complete-words "${words[@]:1:cword-1}" "$cur" 2>/dev/null)
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
  declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$cur"
  local before=${cur%"${cur##*=}"}
  [[ $COMP_WORDBREAKS == *=* && -n $before ]] && COMPREPLY=("${COMPREPLY[@]#"$before"}")
  return 0
}
complete -o default -F _dormouse dormouse
)";

constexpr std::string_view kZsh = R"(#compdef dormouse
_dormouse() {
  local line
  local -a found
  for line in "${(@f)$("${words[1]}" complete-words "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -z $line ]] && continue
    found+=("${${line%%$'\t'*}//:/\\:}${${line#*$'\t'}:+:${line#*$'\t'}}")
  done
  if (( ${#found} )); then _describe -o dormouse found; else _files; fi
}
if [[ $funcstack[1] == _dormouse ]]; then _dormouse "$@"; else compdef _dormouse dormouse; fi
)";

constexpr std::string_view kFish = R"(# fish completion for dormouse
function __dormouse_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] complete-words $words[2..-1] 2>/dev/null)
    if set -q found[1]
        string join \n -- $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c dormouse -f -a '(__dormouse_complete)'
)";

struct Place {
  std::vector<const Command*> path;  // the program, its verb, the verb's verb
  std::size_t positional_count = 0;  // of the last one, typed so far
  const Switch* waiting = nullptr;   // for its value
  bool only_positionals = false;     // behind "--"
};

const Switch* find_switch(const Place& place, std::string_view name) {
  for (const Command* command : place.path) {
    for (const Switch& each : command->switches) {
      if (each.has_name(name)) return &each;
    }
  }
  return nullptr;
}

void read_word(Place& place, const std::string& word) {
  if (place.waiting != nullptr) {
    place.waiting = nullptr;
    return;
  }
  if (word == "--") {
    place.only_positionals = true;
    return;
  }
  if (!place.only_positionals && word.starts_with('-')) {
    const Switch* const found = find_switch(place, word);
    if (found != nullptr && found->takes == Switch::Takes::kValue) place.waiting = found;
    return;
  }
  const Command* const verb = place.positional_count == 0 ? place.path.back()->find(word) : nullptr;
  if (verb == nullptr) {
    ++place.positional_count;
    return;
  }
  place.path.push_back(verb);
}

void add_matching(std::vector<Candidate>& out, std::string_view begin, Candidate candidate) {
  if (candidate.text.starts_with(begin)) out.push_back(std::move(candidate));
}

void add_names(std::vector<Candidate>& out, std::string_view begin, std::string_view what, const NamesOf& names_of) {
  for (const auto& [name, kind] : kNamed) {
    if (name != what) continue;
    for (std::string& each : names_of(kind)) add_matching(out, begin, {std::move(each), {}});
  }
}

std::vector<Candidate> values_of(const Switch& wanted, std::string_view begin, const NamesOf& names_of) {
  std::vector<Candidate> out;
  for (const std::string& choice : wanted.choices) add_matching(out, begin, {choice, {}});
  for (const std::string& name : wanted.names) add_names(out, begin, name, names_of);
  return out;
}

std::vector<Candidate> switches_of(const Place& place, std::string_view begin) {
  std::vector<Candidate> out;
  for (auto command = place.path.rbegin(); command != place.path.rend(); ++command) {
    for (const Switch& each : (*command)->switches) {
      if (each.names.empty() || find_switch(place, each.names.front()) == nullptr) continue;
      const bool is_there =
          std::any_of(out.begin(), out.end(), [&each](const Candidate& c) { return each.has_name(c.text); });
      if (!is_there) add_matching(out, begin, {each.names.front(), each.description});
    }
  }
  return out;
}

}  // namespace

std::vector<Candidate> complete(const Command& root, const std::vector<std::string>& words, const NamesOf& names_of) {
  if (words.empty()) return {};
  Place place{.path = {&root}};
  for (std::size_t i = 0; i + 1 < words.size(); ++i) read_word(place, words[i]);
  const std::string& last = words.back();
  if (place.waiting != nullptr) return values_of(*place.waiting, last, names_of);
  if (!place.only_positionals && last.starts_with('-')) {
    const std::size_t equals = last.find('=');
    if (equals == std::string::npos) return switches_of(place, last);
    const Switch* const found = find_switch(place, last.substr(0, equals));
    if (found == nullptr) return {};
    std::vector<Candidate> out = values_of(*found, std::string_view(last).substr(equals + 1), names_of);
    for (Candidate& each : out) each.text.insert(0, last, 0, equals + 1);
    return out;
  }
  const Command& command = *place.path.back();
  std::vector<Candidate> out;
  if (place.positional_count == 0) {
    for (const Command& verb : command.commands) add_matching(out, last, {verb.name, verb.description});
  }
  if (command.positionals.empty()) return out;
  const Positional& final = command.positionals.back();
  if (place.positional_count >= command.positionals.size() && final.count == Positional::Count::kOne) return out;
  const std::size_t index = std::min(place.positional_count, command.positionals.size() - 1);
  add_names(out, last, command.positionals[index].name, names_of);
  return out;
}

std::optional<std::string> completion_script(std::string_view shell) {
  if (shell == "bash") return std::string(kBash);
  if (shell == "zsh") return std::string(kZsh);
  if (shell == "fish") return std::string(kFish);
  return std::nullopt;
}

}  // namespace dormouse::cli
