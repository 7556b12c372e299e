// Runs a command that answers: its stdout kept whole up to a bound, the end of its stderr, a deadline, and its whole
// process group killed at the end whatever happened. Never a shell.
// Threads: the io_context's. The loop is never blocked but by fork itself.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/subprocess.h"
#include "http/asio.h"

namespace dormouse::fleet {

struct CommandOptions {
  std::vector<std::string> argv;         // argv[0]: a path, or a name looked up in the environment's PATH
  std::vector<std::string> environment;  // "NAME=value", complete
  std::chrono::milliseconds timeout{60'000};
  std::size_t output_limit = 1U << 20;  // bytes of stdout; beyond: killed, kTooLarge
};

struct CommandOutput {
  std::string output;
  std::string errors;  // the last 2 KB of stderr
  ExitStatus exit;     // not 0: for the caller to judge
};

// The file that `name` means: itself if it has a '/', else the first executable of that name in the environment's PATH.
// Errors: kNotFound, naming it.
[[nodiscard]] Result<std::string> find_program(const std::string& name, const std::vector<std::string>& environment);

// One line of what a failed command said, for messages: control characters out, at most 200 bytes.
[[nodiscard]] std::string last_words(std::string_view text);

// That `what` was run and did not exit with 0: how, and its last words.
[[nodiscard]] Error exit_error(const std::string& what, const CommandOutput& answer);

class CommandRunner {
 public:
  explicit CommandRunner(asio::io_context& io);
  ~CommandRunner();  // closes
  CommandRunner(const CommandRunner&) = delete;
  CommandRunner& operator=(const CommandRunner&) = delete;

  // Errors: kNotFound (no such program), kDeadlineExceeded, kTooLarge, kCancelled (closed), kOverloaded (no process to
  // be had), kInternal. The task may outlive the runner.
  [[nodiscard]] Task<Result<CommandOutput>> run(CommandOptions options);
  // Kills what runs; every run ends with kCancelled.
  void close();

 private:
  struct State;
  static Task<Result<CommandOutput>> run_command(std::shared_ptr<State> state, CommandOptions options);
  std::shared_ptr<State> state_;
};

}  // namespace dormouse::fleet
