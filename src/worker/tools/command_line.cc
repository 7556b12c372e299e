#include "worker/tools/command_line.h"

namespace dormouse::worker {

std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const bool is_help = app.exit(e) == 0;  // prints
    return is_help ? kExitDone : kExitUsage;
  }
  return std::nullopt;
}

int usage_error(std::string_view command, std::string_view what) {
  fmt::print(stderr, "dormouse-worker {}: {}\nRun with --help for more information.\n", command, what);
  return kExitUsage;
}

int failure(std::string_view command, const Error& error) {
  fmt::print(stderr, "dormouse-worker {}: {}\n", command, error.message);
  return kExitFailure;
}

}  // namespace dormouse::worker
