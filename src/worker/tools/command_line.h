// What the offline commands do alike: parse with CLI11, say what is wrong, choose the exit code. Prints to stderr.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace dormouse::worker {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

// None: go on. Otherwise the exit code, with help or the mistake printed.
[[nodiscard]] std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv);
[[nodiscard]] int usage_error(std::string_view command, std::string_view what);
[[nodiscard]] int failure(std::string_view command, const Error& error);

// Exceptions come from std and CLI11 only (out of memory, a bad declaration); they end here.
template <typename Command>
[[nodiscard]] int run_command(Command command) {
  try {
    return command();
  } catch (const std::exception& e) {
    fmt::print(stderr, "internal error: {}\n", e.what());
    return kExitFailure;
  }
}

}  // namespace dormouse::worker
