// One adopted server in one process: starts it, waits until it can serve, stands in front of it, reports to the gateway
// that started us, and ends with it.
// Life: starting -> ready -> (draining) -> exit, told as `dormouse-worker serve` tells it. It listens from the start
// and answers 503 model_loading until ready. Ends: 0 after a drain, a stop or the loss of its local gateway; 1 it could
// not listen; 2 the server could not be started, died or was not ready in time; 4 it died when it was ready. Invariant:
// no exit while the child's process group has members; the exit code is given after they are gone. Threads: the
// io_context's, which must be the thread that lives as long as the process.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "http/asio.h"
#include "http/server.h"
#include "worker/adopt/child.h"
#include "worker/adopt/container.h"
#include "worker/adopt/front.h"
#include "worker/adopt/options.h"
#include "worker/control_link.h"

namespace dormouse::worker::adopt {

inline constexpr int kExitNotStarted = 2;
inline constexpr int kExitUpstreamDied = 4;

struct AdopterEvents {
  std::function<void(std::string_view)> on_output;  // what the child writes, by chunk
  std::function<void(int)> on_exit;                 // once, on the loop: nothing is left to do
};

class Adopter {
 public:
  // `environment`: our own, as execve takes it; see child_environment.
  Adopter(asio::io_context& io, AdoptOptions options, const char* const* environment, AdopterEvents events);
  ~Adopter();
  Adopter(const Adopter&) = delete;
  Adopter& operator=(const Adopter&) = delete;

  // Listens, dials the gateway, starts the child; a child that cannot be started is told like one that died. Errors:
  // kAlreadyExists, kPermissionDenied, kInvalidArgument (addresses), kUnavailable (no free port).
  Status start();
  // Refuses new requests, finishes what runs, ends the child, then exits with 0. A second time: stop().
  void drain();
  // Ends the child now, whatever runs, then exits with 0. A second time: the child is killed.
  void stop();

  [[nodiscard]] const http::Address& address() const { return door_.address; }
  [[nodiscard]] FrontState state() const { return front_.state; }

 private:
  Status dial_gateway();
  Status start_server();
  Status start_child();
  Status launch(ChildOptions child);
  Task<void> start_container(std::shared_ptr<Container> container, std::shared_ptr<bool> abandoned);
  Task<void> end_container(std::shared_ptr<Container> container, std::shared_ptr<bool> abandoned);
  Task<void> become_ready(std::shared_ptr<bool> abandoned);
  void announce();
  void child_ended(ExitStatus status);
  void fail(const Error& error, int exit_code);
  void end_orphaned();
  void end_child(int exit_code);
  void end_child_if_quiet();
  void exit_with(int code);
  Task<void> report(std::shared_ptr<bool> abandoned);

  asio::io_context& io_;
  AdoptOptions options_;
  const char* const* environment_;
  AdopterEvents events_;
  MonoTime started_;
  Front front_;
  http::Server server_;
  DataDoor door_;
  std::optional<ControlLink> link_;
  asio::steady_timer report_timer_;
  asio::steady_timer orphan_timer_;
  std::unique_ptr<Child> child_;
  std::shared_ptr<Container> container_;  // null: a program. Shared with the coroutines that wait for its engine
  std::shared_ptr<bool> abandoned_ = std::make_shared<bool>(false);  // of our own coroutines: this is over or gone
  std::optional<int> exit_code_;                                     // decided: the child is on its way out
  bool saying_last_word_ = false;                                    // it ends with end_child()
  bool ending_container_ = false;
  bool exiting_ = false;
  StatsNews news_;
};

// Runs an adopter until it ends; installs the signal handlers (TERM and INT drain, a second one stops). Returns the
// exit code.
int run_adopter(AdoptOptions options, const char* const* environment);

}  // namespace dormouse::worker::adopt
