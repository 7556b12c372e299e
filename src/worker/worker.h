// One worker process: loads a model, serves it, reports to the gateway that started it, and ends. Its exit is the
// model's sleep.
// Life: loading -> ready -> (draining) -> exit. It listens from the start and answers 503 model_loading until ready.
// Ends: 0 after a drain, a stop or the loss of its gateway (control_link.h); 1 it could not listen; 2 the model could
// not be loaded; 3 the golden rows were wrong. Threads: the io_context's; the engine has its own thread (EngineLoop).
#pragma once

#include <csignal>
#include <functional>
#include <memory>
#include <optional>

#include "http/asio.h"
#include "http/server.h"
#include "worker/build_version.h"
#include "worker/control_link.h"
#include "worker/engine_loop.h"
#include "worker/options.h"
#include "worker/service.h"

namespace dormouse::worker {

class Worker {
 public:
  // on_exit: called once, on the loop, with the exit code, when there is nothing left to do. Whoever is called may end
  // the process at once; the socket file is gone by then.
  Worker(asio::io_context& io, ServeOptions options, ModelLoader loader, std::function<void(int)> on_exit);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Listens, dials the gateway, begins to load. Errors: kAlreadyExists, kPermissionDenied, kInvalidArgument (address).
  Status start();
  // Refuses new requests, finishes what runs, then exits with 0. A second time: stops.
  void drain();
  // Exits with 0 now.
  void stop();

  [[nodiscard]] const http::Address& address() const { return door_.address; }
  [[nodiscard]] ServiceState state() const { return service_.state; }
  [[nodiscard]] EngineLoop& engine() { return engine_; }

 private:
  [[nodiscard]] EngineLoopEvents engine_events();
  Status dial_gateway();
  void end_orphaned();
  void become_ready(const LoadedModel& model);
  void fail(const char* code, const Error& error, int exit_code);
  void exit_if_quiet();
  void exit_with(int code);
  Task<void> report_stats();

  asio::io_context& io_;
  const ServeOptions options_;
  std::function<void(int)> on_exit_;
  MonoTime started_;
  Service service_;
  EngineLoop engine_;
  http::Server server_;
  DataDoor door_;
  std::optional<ControlLink> link_;
  asio::steady_timer stats_timer_;
  asio::steady_timer orphan_timer_;
  bool exiting_ = false;
  StatsNews news_;
};

// Exit codes of a worker: 0 asked to end, 1 could not listen, 2 the model could not be loaded (or wrong usage), 3 it
// computed wrongly or its weights are damaged, 74 (EX_IOERR) a model file was cut short under its mapping.
inline constexpr int kExitFileCut = 74;

// Runs a worker until it ends; installs the signal handlers (TERM and INT drain, a second one stops). Returns the exit
// code.
int run_worker(ServeOptions options, ModelLoader loader);

}  // namespace dormouse::worker
