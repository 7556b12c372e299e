// The adopted server as a container of podman or docker: the program's words become `run` of a pinned image, and the
// few calls of the engine around it: remove what a killed one left, look for the image, pull it, stop, remove.
// `run` itself is a Child like any program: the engine's client, attached, which hands SIGTERM on to the container.
// Invariant: who holds the address we listen on owns the container's name (it is made of both), so that removing a
// leftover of that name never takes somebody else's. Threads: the io_context's.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/asio.h"
#include "worker/adopt/child.h"
#include "worker/adopt/options.h"

namespace dormouse::worker::adopt {

struct ContainerPlan {
  std::string engine;  // a path
  std::string name;
  std::string image;
  std::vector<std::string> run;          // complete: engine, "run", ..., image, the words behind --
  std::vector<std::string> environment;  // of the engine's client, not of the container
  std::chrono::milliseconds pull_deadline{0};
};

// `options.upstream` is set; `door`: where we listen. {model} becomes the path inside, where its folder is mounted
// read-only; a name that is no path (a repository's) is handed on. {host} is 0.0.0.0 inside, and what the options say
// where they ask for the host's network.
// Errors: kNotFound (no engine, no such model file), kInvalidArgument (placeholders; a ':' in the model's folder).
[[nodiscard]] Result<ContainerPlan> plan_container(const AdoptOptions& options, const http::Address& door,
                                                   const char* const* environment);
// What ended before it was ready, in an error: kAlreadyExists where its port is taken, else kUnavailable.
[[nodiscard]] Error container_death(const ContainerPlan& plan, std::string message, const std::string& last_words);

// What a pull says, thinned out: the last line of what came, at most one in two seconds, without control characters.
class PullProgress {
 public:
  // The line to log now, "" for none.
  [[nodiscard]] std::string take(std::string_view text, MonoTime now);

 private:
  std::string line_;
  bool line_ended_ = false;
  bool told_any_ = false;
  MonoTime told_;
};

class Container {
 public:
  Container(asio::io_context& io, const Clock& clock, ContainerPlan plan)
      : io_(io), clock_(clock), plan_(std::move(plan)) {}
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  // The coroutine that waits for one of these holds the container.
  // Removes a leftover of our name and sees to it that the image is there.
  // Errors: kUnavailable (it cannot be pulled, with the engine's last words), kDeadlineExceeded (the engine hangs),
  // kCancelled (end).
  Task<Status> prepare();
  // Stops and removes the container, if `run` was begun. What fails is logged: there is nobody left to tell.
  Task<void> end();
  // end() does not wait any more: SIGKILL.
  void hurry();
  // What prepare() waits for is given up.
  void interrupt();

  void set_running() { was_run_ = true; }
  [[nodiscard]] bool is_pulling() const { return is_pulling_; }
  [[nodiscard]] bool is_over() const { return is_over_; }
  [[nodiscard]] const ContainerPlan& plan() const { return plan_; }

 private:
  struct Answer {
    ExitStatus status;
    std::string words;
  };
  using Output = std::function<void(std::string_view)>;
  Task<Result<Answer>> ask(std::vector<std::string> words, std::chrono::milliseconds deadline, Output output);
  Task<Status> pull();

  asio::io_context& io_;
  const Clock& clock_;
  const ContainerPlan plan_;
  std::weak_ptr<asio::steady_timer> waiting_;  // of the call that runs; cancelled: it is given up
  bool is_pulling_ = false;
  bool was_run_ = false;
  bool is_ending_ = false;
  bool is_hurried_ = false;
  bool is_patient_ = false;  // what end() waits for may be cut short; a removal may not
  bool is_over_ = false;
};

}  // namespace dormouse::worker::adopt
