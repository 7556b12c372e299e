// The only fork in the tree. A child runs in its own process group, dies with its parent (PR_SET_PDEATHSIG), inherits
// only stdin=/dev/null, stdout/stderr and an allow-listed environment, and is watched through a pidfd.
// Threads: spawn from any; one Subprocess belongs to one thread. PDEATHSIG is bound to the thread that spawned: spawn
// from a thread that lives as long as the process.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace dormouse {

struct SubprocessOptions {
  // kGroup: between us and the program stands a process without a program, the group's leader. PDEATHSIG reaches direct
  // children only; when we are killed, the guard kills the whole group, grandchildren too. Its exit is the program's.
  // kGroupGently: then SIGTERM comes first and the kill 10 s later, for a program that has to end something elsewhere.
  enum class Guard { kNone, kGroup, kGroupGently };
  std::vector<std::string> argv;         // argv[0] is the path; no PATH search
  std::vector<std::string> environment;  // "NAME=value", complete: nothing is inherited
  int output_fd = -1;                    // the child's stdout and stderr; -1: /dev/null
  int error_fd = -1;                     // the child's stderr where it is to be apart; -1: where stdout goes
  Guard guard = Guard::kNone;
};

struct ExitStatus {
  int exit_code = -1;  // -1 when ended by a signal
  int signal = 0;      // 0 when it exited by itself
};

class Subprocess {
 public:
  // Errors: kNotFound (no such program), kOverloaded (EAGAIN, ENOMEM, EMFILE), kInternal. An exec that fails in the
  // child is reported here, not as exit code 127.
  static Result<Subprocess> spawn(const SubprocessOptions& options);

  Subprocess(Subprocess&& other) noexcept;
  Subprocess& operator=(Subprocess&& other) noexcept;
  // Kills the whole group and reaps, if still alive: nothing is left behind.
  ~Subprocess();

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Readable when the child has exited. Owned by this object.
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  // Sends to the process group. Gone already: no error.
  void signal_group(int signal_number) const;
  // Reaps if it has exited. Empty Result error kUnavailable: still running.
  Result<ExitStatus> try_wait();

 private:
  Subprocess() = default;
  void kill_and_reap() noexcept;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

// Reaps what has come to us as subreaper and has ended: processes that a child of ours left behind, in whatever group
// or session they made their own. Children that a Subprocess holds are left to it. Threads: any.
void reap_strangers();

}  // namespace dormouse
