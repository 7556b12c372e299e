// The fleet's single writer: owns each deployment's policy object, its waiters, its timer and its instances, and is the
// only one who starts or stops anything. Callers never look at a state and then act: they ask (acquire, wake, sleep).
// Owner: apps. Threads: all of it on the io_context's one thread.
// Invariants (docs/life.md): the intent is durable before driver.start; at most one start in flight per deployment; a
// waiter gets exactly one answer; a lease keeps its instance from draining for idleness; what runs on this machine fits
// into the memory budget.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/clock.h"
#include "base/money.h"
#include "base/result.h"
#include "control/messages.h"
#include "fleet/driver.h"
#include "http/asio.h"
#include "http/message.h"
#include "http/server.h"
#include "ledger/ledger.h"
#include "policy/busy_meter.h"
#include "policy/schedule.h"

namespace dormouse::fleet {

// What an instance's time costs, by the ledger's number for it.
struct InstancePrice {
  std::int64_t version = 0;
  TimePrice by_time;
};

// What the supervisor needs to know of a deployment.
struct DeploymentSpec {
  std::string name;
  std::string model_path;
  std::string driver = "process";
  std::string instance_type;  // for the driver and for the bill; empty: this machine
  Nanoseconds idle_timeout = std::chrono::minutes(10);
  bool idle_auto = false;                     // idle_timeout is then a load's time, at least 30 s
  std::optional<Nanoseconds> keep_alive_max;  // as policy::LifeConfig has it
  std::vector<policy::Window> awake_windows;  // kept awake in these
  Nanoseconds billing_increment{0};           // what is paid whole: used up before it sleeps
  // Of an instance from its start to its end; nullopt: unknown. The first `base_instances` at a time have the base's.
  std::optional<InstancePrice> price;
  std::optional<InstancePrice> base_price;
  int base_instances = 0;
  std::int64_t memory_bytes = 0;  // of one instance, where it shares this machine's memory
  int min_instances = 0;
  int max_instances = 1;
  int max_waiters = 64;                                  // held while it wakes; past it kQueueFull
  std::int64_t max_waiting_tokens = 1'000'000;           // sum of their estimates; past it kQueueFull
  Nanoseconds max_wait = std::chrono::seconds(30);       // then kQueueTimeout
  Nanoseconds load_deadline = std::chrono::minutes(10);  // requested to ready; then it is killed and counts as failed
  Nanoseconds hang_after = std::chrono::seconds(10);     // silent with work pending: it is killed
  Nanoseconds exit_deadline = std::chrono::seconds(30);  // a stop not confirmed by then is repeated as a kill
  // A worker on another machine may be out of reach so long; then it ends itself and counts as lost.
  std::chrono::seconds lease_time_to_live{120};
  Nanoseconds scale_window = std::chrono::minutes(5);  // as policy::LifeConfig has it
  std::vector<std::string> worker_arguments;
  std::vector<std::string> adopt_arguments;  // as StartSpec has them; empty: our own engine
};

enum class RefusalReason {
  kUnknownDeployment,
  kQueueFull,
  kQueueTimeout,
  kLoadFailed,         // it did not start, or backs off after failures; retry_after says for how long
  kLedgerUnavailable,  // the intent could not be made durable
  kDraining,           // the gateway itself is shutting down
  kCancelled,          // the caller's own
};
[[nodiscard]] std::string_view to_string(RefusalReason reason);

struct Refusal {
  RefusalReason reason = RefusalReason::kLoadFailed;
  Nanoseconds retry_after{0};  // 0: no advice
  std::string detail;          // for the log, not for a client
};

// Why an instance that held a lease is no more.
enum class LossReason { kCrashed, kHung, kGoldenMismatch, kOutOfMemory, kStopped };

// A caller's way to stop waiting. Lives in the caller's frame, longer than the acquire() it was given to.
class Cancellation {
 public:
  void cancel();  // idempotent
  [[nodiscard]] bool is_cancelled() const { return cancelled_; }
  void on_cancel(std::function<void()> callback) { callback_ = std::move(callback); }

 private:
  bool cancelled_ = false;
  std::function<void()> callback_;
};

enum class LeaseOutcome {
  kCompleted,
  kClientGone,
  kWorkerFailed,  // the connection to the worker broke, or it answered 5xx
};

class Supervisor;

// The right to send one request to one instance. Give it back when the last byte of the answer has come.
class Lease {
 public:
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();  // release(kCompleted) if still held

  [[nodiscard]] const http::Address& address() const { return address_; }
  // What the worker wants to see as `Authorization: Bearer`; empty on a Unix socket, whose file mode says it all.
  [[nodiscard]] const std::string& token() const { return token_; }
  [[nodiscard]] const std::string& instance_id() const { return instance_id_; }
  [[nodiscard]] std::uint64_t epoch() const { return epoch_; }
  [[nodiscard]] bool woke() const { return woke_; }             // it had to wait for a start
  [[nodiscard]] Nanoseconds waited() const { return waited_; }  // from acquire() to now
  void release(LeaseOutcome outcome);
  // Of the instance's busy time: until now, or until its release.
  [[nodiscard]] policy::BusyMeter::Share share() const;
  [[nodiscard]] const std::optional<InstancePrice>& price() const { return price_; }
  // Its worker says what a request came to whose connection was closed (Supervisor::ended); others cannot.
  [[nodiscard]] bool tells_ends() const { return tells_ends_; }
  // After the connection broke: how the instance ended, once known; nullopt if it seems alive after `wait`.
  // kGoldenMismatch before the first byte: release, acquire again, send again, once.
  Task<std::optional<LossReason>> why_lost(std::chrono::milliseconds wait);

 private:
  friend class Supervisor;
  struct Anchor;  // lives as long as the supervisor: a release after that does nothing
  Lease() = default;
  std::weak_ptr<Anchor> anchor_;
  std::uint64_t ticket_ = 0;
  http::Address address_;
  std::string token_;
  std::string instance_id_;
  std::uint64_t epoch_ = 0;
  bool woke_ = false;
  Nanoseconds waited_{0};
  std::optional<InstancePrice> price_;
  std::shared_ptr<policy::BusyMeter> meter_;  // the instance's
  std::int64_t mark_ = 0;
  std::optional<policy::BusyMeter::Share> share_;  // once released
  const Clock* clock_ = nullptr;
  bool tells_ends_ = false;
};

using AcquireResult = tl::expected<Lease, Refusal>;

struct AcquireRequest {
  std::string deployment;
  std::int64_t tokens_estimate = 0;       // prompt + max_tokens: counts against max_waiting_tokens
  std::uint64_t prefix = 0;               // the prompt's beginning, hashed: an instance that served it is preferred
  std::optional<Nanoseconds> max_wait;    // shorter than the deployment's; nullopt: the deployment's
  std::optional<Nanoseconds> keep_alive;  // as policy::event::Request has it
  Cancellation* cancellation = nullptr;   // borrowed, may be null
};

// Which door a worker's call came in by.
enum class WorkerDoor {
  kLocal,   // run/admin.sock: its end of the channel is its end
  kRemote,  // --worker-listen, TLS: it may lose the channel and call again
};

// Where the time of a wake went, up to ready; the first token's is the request's.
struct WakeStages {
  Nanoseconds provider{0};  // asked, until the thing exists: a process, a machine, a job
  Nanoseconds boot{0};      // until its worker said hello
  Nanoseconds load{0};      // until it was ready
  [[nodiscard]] Nanoseconds whole() const { return provider + boot + load; }
};

// What an instance did with its time. The three together are what is paid for.
struct AwakeTime {
  Nanoseconds waking{0};  // requested to ready
  Nanoseconds busy{0};    // with at least one request
  Nanoseconds idle{0};
  AwakeTime& operator+=(const AwakeTime& other);
};

// Told on the loop, once each: what an instance's end would take from whoever counts. Members may be empty.
struct FleetObserver {
  std::function<void(const std::string& deployment, const std::string& cause, const WakeStages& stages)> on_wake;
  std::function<void(const std::string& deployment, const AwakeTime& awake)> on_end;
};

// For `ps`, /metrics and the console. A copy: it may inform, never gate.
struct InstanceStatus {
  std::string instance_id;
  std::string state;  // as DeploymentStatus::state
  std::uint64_t epoch = 0;
  std::string address;
  std::int64_t pid = 0;    // 0: not ours to know
  bool reachable = false;  // its control link stands
  std::string isa;
  Nanoseconds alive{0};
  Nanoseconds busy{0};  // with at least one request
  AwakeTime awake;
  std::int64_t context_length = 0;
  std::uint64_t generated_tokens = 0;
  std::int64_t running = 0;  // leases out
  WakeStages wake;           // once ready
  std::string note;          // what its driver last said: why a start takes long, why an end is not confirmed
  std::string because;       // why it was started: "request" | "wake" | "min" | "load"
};

struct DeploymentStatus {
  std::string name;
  std::string state;          // asleep starting loading ready draining stopping backoff failed
  std::string awake_because;  // "request" | "wake" | "min" | "window" | "load"; empty when asleep
  Nanoseconds in_state{0};
  double load_fraction = 0;  // while loading
  std::vector<InstanceStatus> instances;
  std::int64_t running = 0;  // leases out
  std::int64_t waiting = 0;
  double load = 0;                          // in instances' worth of work
  std::optional<Nanoseconds> idle_left;     // until it goes to sleep
  std::optional<Nanoseconds> backoff_left;  // until it may start again
  int consecutive_failures = 0;
  std::string failure;      // of the last failed start or crash; empty after a success
  std::uint64_t wakes = 0;  // starts that became ready, since the gateway started
};

struct SupervisorOptions {
  asio::io_context* io = nullptr;
  const Clock* clock = nullptr;
  ledger::Ledger* ledger = nullptr;                      // outlives the supervisor
  std::vector<std::pair<std::string, Driver*>> drivers;  // by name; outlive the supervisor
  std::uint64_t random_seed = 0;                         // of the backoff's jitter; 0: from the system
  // What instances of local drivers may take together; 0: no bound. Where one does not fit, the least recently used
  // idle deployment sleeps first.
  std::int64_t memory_budget = 0;
  std::vector<std::string> local_drivers = {"process"};
  FleetObserver observer;
};

class Supervisor final : public DriverEvents {
 public:
  explicit Supervisor(SupervisorOptions options);
  ~Supervisor() override;
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Adds, or changes in place what can be changed (timeouts, bounds, min). A new model_path stops the old instance when
  // it is idle and clears a failure. A new one takes back what an earlier gateway started for it on other machines.
  // The deployment must be in the ledger already. Errors: kInvalidArgument (driver).
  Status put(DeploymentSpec spec);
  // What an earlier gateway started and nobody has taken back is ended: of one deployment, which has changed since; or
  // of all, when every deployment is known.
  void end_survivors(const std::string& deployment);
  void end_survivors();
  // Drains and forgets it. Errors: kNotFound.
  Status remove(const std::string& name);
  // The model file changed on disk: a `failed` deployment may start again.
  void model_changed(const std::string& name);

  // Waits for a ready instance, waking one if need be. The only thing, beside wake() and min, that wakes.
  Task<AcquireResult> acquire(AcquireRequest request);

  // The wake verb: returns when ready. Clears `failed`. Errors: kNotFound, kUnavailable (did not start; the reason),
  // kDeadlineExceeded.
  Task<Status> wake(std::string name, Nanoseconds wait);
  // The sleep verb: new requests wait for the exit and wake it again; running ones finish. Returns when its memory is
  // back. Errors: kNotFound, kDeadlineExceeded.
  Task<Status> sleep(std::string name, Nanoseconds wait);

  // It sleeps as soon as nobody uses it: running requests finish, and what min keeps awake stays. Errors: kNotFound.
  Status unload(const std::string& name);

  [[nodiscard]] std::vector<DeploymentStatus> status() const;
  [[nodiscard]] bool has(const std::string& name) const;

  // GET /internal/worker: the control channel, for its whole life.
  Task<void> serve_control(http::Exchange& exchange, WorkerDoor door = WorkerDoor::kLocal);

  // After the connection of a request was closed: what its worker says it came to; nullopt: nothing within `wait`.
  Task<std::optional<control::Ended>> ended(std::string request_id, std::chrono::milliseconds wait);

  // Acts on every deadline that has passed, as if its timer had fired: for a loop whose clock is moved by hand.
  void tick();

  // Refuses new acquires, drains every instance, kills what is left after `grace`. When it returns nothing runs.
  Task<void> shutdown(Nanoseconds grace);

  void on_started(const std::string& instance_id) override;
  void on_start_failed(const std::string& instance_id, const Error& error) override;
  void on_exited(const std::string& instance_id, InstanceExit exit) override;
  void on_start_progress(const std::string& instance_id, const std::string& what) override;
  void on_stop_unconfirmed(const std::string& instance_id, const Error& why) override;

 private:
  friend class Lease;
  friend struct Lease::Anchor;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dormouse::fleet
