// The life of one deployment's instance as a pure state machine: events in, effects out. No clock, no I/O, no threads:
// time and randomness come with each event, so a test (or the planner) can replay years in a second.
//
//  asleep -> starting -> loading -> ready -> draining -> stopping -> asleep
//               |           |         |                      ^
//               |           +---------+-- kill --------------+        backoff, failed: asleep with a reason
//
// Owner: one object a deployment, held by fleet/supervisor (one thread).
// Invariants, walked at random by life_test.cc and life_fuzz.cc:
//  1. At most one instance exists, from WriteIntent to Exited, StartFailed or IntentFailed; a start never overlaps one.
//  2. Every Request gets exactly one Grant or Refuse, unless it left before.
//  3. Nobody waits beyond its deadline, and never more than max_waiters wait.
//  4. An instance is never drained for idleness while it loads or a lease is out.
//  5. Grants name the ready instance only.
//  6. While the link to a remote instance is lost nothing is granted; past its lease's time to live it is stopped.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"

namespace dormouse::policy {

enum class State { kAsleep, kStarting, kLoading, kReady, kDraining, kStopping, kBackoff, kFailed };
[[nodiscard]] std::string_view to_string(State state);

struct LifeConfig {
  Nanoseconds idle_timeout = std::chrono::minutes(10);  // from the end of the last request
  int min_instances = 0;                                // > 0: kept awake
  int max_instances = 1;                                // 0: nothing may run; more than 1 counts as 1 for now
  int max_waiters = 64;
  std::int64_t max_waiting_tokens = 1'000'000;
  Nanoseconds max_wait = std::chrono::seconds(30);
  Nanoseconds load_deadline = std::chrono::minutes(10);  // from the start to ready
  Nanoseconds drain_deadline = std::chrono::minutes(5);  // running requests, after the sleep verb; then they are cut
  Nanoseconds exit_deadline = std::chrono::seconds(30);  // a stop that is not confirmed is repeated as a kill
  // Hang (requirement R-04): work is pending and the worker says nothing for hang_silent; or it talks, but its steps
  // stand still for max(hang_stalled, 5 x the longest step seen). Stalled is longer, because one step of 512 prompt
  // tokens of a 4B model takes 40 s where a CPU does 100 GFLOP/s.
  Nanoseconds hang_silent = std::chrono::seconds(10);
  Nanoseconds hang_stalled = std::chrono::seconds(60);
  // A remote instance may be out of reach so long and serve on afterwards; then its lease is over, and it ends itself.
  Nanoseconds lease_time_to_live = std::chrono::seconds(120);
  Nanoseconds backoff_first = std::chrono::seconds(1);  // doubles up to backoff_max; the wait is uniform in (0, it]
  Nanoseconds backoff_max = std::chrono::seconds(60);
  int failures_to_give_up = 5;                          // in a row; then kFailed until Wake or ModelChanged
  Nanoseconds good_after = std::chrono::seconds(60);    // ready for so long: failures are forgotten
};

using Ticket = std::uint64_t;      // of one request, from Request to Release
using InstanceId = std::uint64_t;  // its epoch: grows with each start

namespace event {
struct Request {
  Ticket ticket = 0;
  std::int64_t tokens = 0;
  std::optional<Nanoseconds> max_wait;  // if shorter than the configuration's
};
struct Leave {  // a waiter goes away
  Ticket ticket = 0;
};
struct Release {  // a granted request has ended
  Ticket ticket = 0;
  bool completed = true;  // the worker did its part
};
struct Wake {};  // the verb: also clears kFailed and a backoff
struct Sleep {};
struct IntentDurable {
  InstanceId instance = 0;
};
struct IntentFailed {  // the ledger did not take it: nothing was started
  InstanceId instance = 0;
};
struct Started {
  InstanceId instance = 0;
};
struct StartFailed {
  InstanceId instance = 0;
  std::string message;
};
struct Ready {
  InstanceId instance = 0;
};
enum class Fault { kFailed, kGoldenMismatch };
struct WorkerFailed {  // the worker's own report; its exit follows, or is enforced
  InstanceId instance = 0;
  Fault fault = Fault::kFailed;
  std::string message;
};
enum class Whereabouts { kLocal, kRemote };
struct LinkLost {
  InstanceId instance = 0;
  Whereabouts where = Whereabouts::kLocal;
};
struct LinkBack {  // it called again, with the same lease
  InstanceId instance = 0;
};
struct Exited {
  InstanceId instance = 0;
  std::string how;  // "exit 1", "signal 9": for people
};
struct Stats {
  InstanceId instance = 0;
  std::uint64_t steps = 0;
  std::int64_t pending = 0;  // running + waiting sequences
};
struct Tick {};
struct Configure {
  LifeConfig config;
};
struct ModelChanged {};
struct Shutdown {};  // for good: nothing starts any more
}  // namespace event

using Event = std::variant<event::Request, event::Leave, event::Release, event::Wake, event::Sleep,
                           event::IntentDurable, event::IntentFailed, event::Started, event::StartFailed, event::Ready,
                           event::WorkerFailed, event::LinkLost, event::LinkBack, event::Exited, event::Stats,
                           event::Tick, event::Configure, event::ModelChanged, event::Shutdown>;

enum class Refused { kQueueFull, kQueueTimeout, kLoadFailed, kLedgerUnavailable, kDraining };
enum class Cause { kRequest, kWake, kMin };
[[nodiscard]] std::string_view to_string(Cause cause);
enum class Phase { kRequested, kUp, kReady, kDrain, kDown };

namespace effect {
struct WriteIntent {  // answer with IntentDurable or IntentFailed
  InstanceId instance = 0;
  Cause cause = Cause::kRequest;
};
struct Start {  // answer with Started or StartFailed, later Exited
  InstanceId instance = 0;
};
struct TellDrain {
  InstanceId instance = 0;
};
struct Stop {  // answer with Exited
  InstanceId instance = 0;
  bool kill = false;
};
struct Grant {
  Ticket ticket = 0;
  InstanceId instance = 0;
  bool woke = false;
  Nanoseconds waited{0};
};
struct Refuse {
  Ticket ticket = 0;
  Refused reason = Refused::kLoadFailed;
  Nanoseconds retry_after{0};
};
struct Span {  // for the ledger
  InstanceId instance = 0;
  Phase phase = Phase::kRequested;
  Nanoseconds since_request{0};
  Nanoseconds busy{0};  // so far: time with at least one lease out
  std::string reason;
};
}  // namespace effect

using Effect = std::variant<effect::WriteIntent, effect::Start, effect::TellDrain, effect::Stop, effect::Grant,
                            effect::Refuse, effect::Span>;

struct Now {
  MonoTime mono;
  std::uint64_t random = 0;  // uniform; used when an instance fails
};

// What people and metrics may know; never read to decide.
struct LifeStatus {
  State state = State::kAsleep;
  MonoTime since;  // of the state
  std::optional<InstanceId> instance;
  Cause cause = Cause::kRequest;  // of the instance
  std::int64_t leases = 0;
  std::int64_t waiting = 0;
  std::int64_t waiting_tokens = 0;
  std::optional<MonoTime> sleeps_at;
  std::optional<MonoTime> backoff_until;
  int consecutive_failures = 0;
  std::string failure;
  std::uint64_t wakes = 0;
  Nanoseconds alive{0};  // of the instance
  Nanoseconds busy{0};
};

class Life {
 public:
  // `last_instance`: the greatest id ever used; the first start gets the next one.
  Life(LifeConfig config, InstanceId last_instance, MonoTime now);

  // Effects are to be carried out in order. Any event is allowed at any time; one that concerns an instance or a ticket
  // that is no more changes nothing.
  std::vector<Effect> handle(const Event& event, Now now);
  // When to send Tick at the latest; nullopt: not needed.
  [[nodiscard]] std::optional<MonoTime> next_deadline() const;
  [[nodiscard]] LifeStatus status(MonoTime now) const;
  [[nodiscard]] State state() const;
  [[nodiscard]] const LifeConfig& config() const { return config_; }

 private:
  enum class Stage { kIntent, kStarting, kLoading, kReady, kDraining, kStopping };
  // What the end of the instance means.
  enum class Ending { kNone, kSleep, kLoadFailed, kCrashed };

  struct Waiter {
    Ticket ticket = 0;
    std::int64_t tokens = 0;
    MonoTime since;
    MonoTime give_up_at;
    bool woke = false;
  };
  struct Instance {
    InstanceId id = 0;
    Stage stage = Stage::kIntent;
    Ending ending = Ending::kNone;
    Cause cause = Cause::kRequest;
    std::string reason;  // of its end, for the ledger
    std::string fault;   // the same for people
    MonoTime requested_at;
    MonoTime stage_since;
    MonoTime idle_since;
    std::optional<MonoTime> busy_since;
    Nanoseconds busy{0};
    std::optional<MonoTime> link_lost_at;  // of a remote one, until it is back
    // Hang detection.
    std::uint64_t steps = 0;
    MonoTime steps_moved_at;
    MonoTime heard_at;      // of it, or of a grant to it
    bool pending = false;   // as it said; a grant sets it until it says otherwise
    Nanoseconds longest_step{0};
  };

  void on(const event::Request& e, Now now);
  void on(const event::Leave& e, Now now);
  void on(const event::Release& e, Now now);
  void on(const event::Wake& e, Now now);
  void on(const event::Sleep& e, Now now);
  void on(const event::IntentDurable& e, Now now);
  void on(const event::IntentFailed& e, Now now);
  void on(const event::Started& e, Now now);
  void on(const event::StartFailed& e, Now now);
  void on(const event::Ready& e, Now now);
  void on(const event::WorkerFailed& e, Now now);
  void on(const event::LinkLost& e, Now now);
  void on(const event::LinkBack& e, Now now);
  void on(const event::Exited& e, Now now);
  void on(const event::Stats& e, Now now);
  void on(const event::Tick& e, Now now);
  void on(const event::Configure& e, Now now);
  void on(const event::ModelChanged& e, Now now);
  void on(const event::Shutdown& e, Now now);

  void decide(Now now);
  void expire(Now now);
  void expire_waiters(MonoTime now);
  [[nodiscard]] bool is_instance(InstanceId id) const { return instance_.has_value() && instance_->id == id; }
  [[nodiscard]] std::optional<Cause> wanted() const;
  [[nodiscard]] bool holds_waiters_through_backoff() const;
  [[nodiscard]] std::optional<MonoTime> idle_deadline() const;
  [[nodiscard]] MonoTime hang_deadline() const;
  [[nodiscard]] bool is_serving() const;
  [[nodiscard]] bool may_hang() const;
  void expire_link(Now now);
  void start(Cause cause, MonoTime now);
  void drain(std::string reason, MonoTime now);
  void stop(Ending ending, std::string reason, bool kill, MonoTime now);
  void enter(Stage stage, MonoTime now);
  void gone(Now now);
  void failed(std::string why, Now now);
  void refuse_all(Refused reason, Nanoseconds retry_after);
  void grant_all(MonoTime now);
  void span(Phase phase, MonoTime now, std::string reason);
  void mark_busy(MonoTime now);
  [[nodiscard]] Nanoseconds busy(MonoTime now) const;

  LifeConfig config_;
  std::optional<Instance> instance_;
  std::vector<Waiter> waiters_;        // in order of arrival
  std::map<Ticket, InstanceId> leases_;
  InstanceId last_instance_ = 0;
  std::optional<MonoTime> backoff_until_;
  std::optional<MonoTime> ledger_retry_at_;  // min asks again then
  bool given_up_ = false;
  bool last_failure_was_crash_ = false;
  int consecutive_failures_ = 0;
  std::string failure_;
  bool wake_wanted_ = false;  // the verb, until it is ready
  bool suspended_ = false;    // the sleep verb, against min: until a request or the wake verb
  bool restart_ = false;      // a changed model: drain when idle
  bool shutdown_ = false;
  std::uint64_t wakes_ = 0;
  MonoTime since_;
  State last_state_ = State::kAsleep;
  std::vector<Effect> effects_;  // of the event being handled
};

}  // namespace dormouse::policy
