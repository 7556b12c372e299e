// `dormouse`: the always-on gateway and its command line.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "cli/cli.h"

int main(int argc, char** argv) {
  // A client that leaves is an error code, not a signal.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return dormouse::cli::run_dormouse(argc, argv, environ);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dormouse: %s\n", error.what());
    return 1;
  }
}
