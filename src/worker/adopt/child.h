// The adopted server's process: started in a group of its own, its output passed on as it comes, its end reported, its
// whole group gone afterwards.
// Threads: the io_context's, which must be the thread that lives as long as the process (base/subprocess.h).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/subprocess.h"
#include "http/asio.h"

namespace dormouse::worker::adopt {

// Of our own environment, what somebody else's program may see: PATH, HOME, LANG, TZ, TMPDIR, LC_*, OMP_*, CUDA_*; then
// `extra`, which wins. Nothing of ours (DORMOUSE_*): there may be tokens in it.
[[nodiscard]] std::vector<std::string> child_environment(const char* const* ours,
                                                         const std::vector<std::string>& extra);
// `name` itself where it has a slash, else the first executable of that name in `path` ("/usr/bin:/bin").
// Errors: kNotFound, naming both.
[[nodiscard]] Result<std::string> find_program(const std::string& name, std::string_view path);

struct ChildOptions {
  std::vector<std::string> argv;           // argv[0] is a path
  std::vector<std::string> environment;    // complete
  std::chrono::milliseconds grace{5'000};  // SIGTERM to SIGKILL
  SubprocessOptions::Guard on_our_death = SubprocessOptions::Guard::kGroup;
};

struct ChildEvents {
  std::function<void(std::string_view)> on_output;  // stdout and stderr, by chunk
  std::function<void(ExitStatus)> on_exit;          // once; the child may be destroyed from inside
};

class Child {
 public:
  // Errors: as Subprocess::spawn.
  static Result<std::unique_ptr<Child>> start(asio::io_context& io, ChildOptions options, ChildEvents events);
  // Kills and reaps what still runs; no callbacks any more.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // SIGTERM to the group, SIGKILL after the grace. Once; on_exit follows.
  void stop();
  [[nodiscard]] pid_t pid() const;
  // The end of what it wrote, whole lines, at most 2 KiB.
  [[nodiscard]] std::string last_words() const;

 private:
  struct Impl;
  explicit Child(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // shared with the handlers that wait, which hold weak pointers
};

}  // namespace dormouse::worker::adopt
