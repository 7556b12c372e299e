// What the program's exit code says, as --help, the man page and docs/cli.md tell it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cli/words.h"

namespace dormouse::cli {

struct ExitCode {
  int code = 0;
  std::string_view english;
  std::string_view chinese;
};

// Ascending.
[[nodiscard]] std::span<const ExitCode> exit_codes();
// "Exit codes: 0 done, ...", in lines of at most so many columns.
[[nodiscard]] std::string exit_codes_text(Language language, std::size_t columns);

}  // namespace dormouse::cli
