// How an instance comes to be and goes: the seam between the supervisor and processes, batch systems, clusters.
// Threads: everything, callbacks included, on the supervisor's loop. A driver never calls back from inside start/stop.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace dormouse::fleet {

struct StartSpec {
  std::string instance_id;  // UUIDv7; the idempotency key: starting it twice starts one
  std::string deployment;
  std::string model_path;
  std::string instance_type;  // what to rent, in the provider's words; empty: what the driver's configuration says
  // Secret; proves to the gateway that the worker is the one we started, and to the worker that a request is ours. Goes
  // into its environment as DORMOUSE_LEASE, never into argv, which everybody on the machine may read.
  std::string lease_token;
  std::uint64_t epoch = 0;
  std::chrono::seconds lease_time_to_live{120};  // for a worker on another machine: --lease-ttl
  std::vector<std::string> worker_arguments;         // further switches, after ours
  // Somebody else's engine: what follows `dormouse-worker adopt` and our switches, instead of `serve` with the model
  // and worker_arguments (catalog/runtimes.h makes it). Empty: our own.
  std::vector<std::string> adopt_arguments;
};

// How an instance ended, as the driver saw it.
struct InstanceExit {
  int exit_code = -1;  // -1: by a signal, or unknown
  int signal = 0;
  bool out_of_memory = false;  // by the system, for want of memory
};

class DriverEvents {
 public:
  virtual ~DriverEvents() = default;
  // The thing exists; the worker says itself when it is ready.
  virtual void on_started(const std::string& instance_id) = 0;
  virtual void on_start_failed(const std::string& instance_id, const Error& error) = 0;
  // Confirmed: its memory is back. Comes once for each on_started and each resume(), whoever ended it.
  virtual void on_exited(const std::string& instance_id, InstanceExit exit) = 0;
  // Between start and on_started, for people: why it takes long ("PENDING: Resources"). Any number of times.
  virtual void on_start_progress(const std::string& /*instance_id*/, const std::string& /*what*/) {}
  // It was told to end and nobody confirms that it did: it may still cost money. The driver goes on trying and calls
  // again with the latest reason; on_exited comes when it is confirmed at last.
  virtual void on_stop_unconfirmed(const std::string& /*instance_id*/, const Error& /*why*/) {}
};

enum class StopMode {
  kGraceful,  // asks (SIGTERM), after the grace period kills
  kKill,      // now
};

class Driver {
 public:
  virtual ~Driver() = default;
  // Once, before anything else. `events` outlives the driver's use.
  virtual void attach(DriverEvents& events) = 0;
  virtual void start(StartSpec spec) = 0;
  // An instance that an earlier gateway asked for, `age` ago: looked for, never made. on_started when it
  // is found to run, on_exited when it has ended. Before the loop runs, so that no reconciling sees a stranger. Not for
  // drivers whose instances die with the gateway.
  virtual void resume(const std::string& /*instance_id*/, Nanoseconds /*age*/) {}
  virtual void stop(const std::string& instance_id, StopMode mode) = 0;  // unknown: nothing happens
  [[nodiscard]] virtual std::vector<std::string> list() const = 0;       // instance ids that exist
  // The worker has said hello: proof that it runs, sooner than asking the provider again. May come at any time.
  virtual void worker_joined(const std::string& /*instance_id*/) {}
};

}  // namespace dormouse::fleet
