// What a command line that cannot be meant is answered: which word, what was perhaps meant, where the rest stands. In
// the reader's language, where the parser has only English. Pure.
#pragma once

#include <string>

#include "cli/words.h"

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace dormouse::cli {

// `app` is the whole program, after the parse that failed with `error`. Ends in a line break. Without any verb it is
// the help of what has verbs.
[[nodiscard]] std::string usage_error_text(const CLI::App& app, const CLI::ParseError& error, Language language);

}  // namespace dormouse::cli
