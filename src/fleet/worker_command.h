// The one place that knows how a worker is called: its switches, where its lease token goes, and what of it a remote
// machine's first script needs. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fleet/driver.h"

namespace dormouse::fleet {

// What of a worker's command line depends on where it runs, not on what it serves.
struct WorkerPlace {
  std::string worker_path = "dormouse-worker";  // on the machine that runs it
  std::string listen;                           // unix:PATH or HOST:0
  std::string control;                          // unix:PATH or HOST:PORT
  std::string control_fingerprint;              // sha256:HEX; empty: a Unix socket needs none
  std::string packed_directory;                 // empty: no --packed-dir
  std::string golden_directory;                 // empty: no --golden-dir
};

// Where a worker finds its lease token.
inline constexpr std::string_view kLeaseVariable = "DORMOUSE_LEASE";
[[nodiscard]] std::string lease_entry(const std::string& lease_token);  // "NAME=token"

struct WorkerCommand {
  std::vector<std::string> argv;
  // "NAME=value", beside what else the worker may see: the lease token, never in an argument list.
  std::vector<std::string> environment;
};

[[nodiscard]] WorkerCommand worker_command(const StartSpec& spec, const WorkerPlace& place);

// One word for a POSIX shell, whatever is in it: in single quotes where it has to be.
[[nodiscard]] std::string shell_quoted(std::string_view word);
[[nodiscard]] std::string shell_quoted(const std::vector<std::string>& words);

// A shell script that exports the environment and becomes the worker. Secret.
[[nodiscard]] std::string worker_script(const WorkerCommand& command);

}  // namespace dormouse::fleet
