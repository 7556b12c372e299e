// What a shell asks when Tab is pressed (cli/completions.h), answered on standard output, a candidate a line.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace CLI {
class App;
}

namespace dormouse::cli {

// `words` are what is typed so far; a --data-dir among them says which server is asked for its deployments.
void complete_words(const CLI::App& app, Context context, const std::vector<std::string>& words);

}  // namespace dormouse::cli
