// The program `dormouse`: picks the verb and runs it. Returns the exit code.
#pragma once

namespace dormouse::cli {

int run_dormouse(int argc, const char* const* argv, const char* const* environment);

}  // namespace dormouse::cli
