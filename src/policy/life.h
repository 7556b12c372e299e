// The life of one deployment's instances as a pure state machine: events in, effects out. No clock, no I/O, no threads:
// time and randomness come with each event, so a test (or the planner) can replay years in a second.
// Each instance goes this way; how many there are is decided in life.cc, by what waits and by policy/demand.h:
//
//  asleep -> starting -> loading -> ready -> draining -> stopping -> asleep
//               |           |         |                      ^
//               |           +---------+-- kill --------------+        backoff, failed: asleep with a reason
//
// Owner: one object a deployment, held by fleet/supervisor (one thread).
// Invariants, walked at random by life_test.cc and life_fuzz.cc:
//  1. At most one start is in flight, and none while another instance is on its way down; instances never exceed max.
//  2. Every Request gets exactly one Grant or Refuse, unless it left before.
//  3. Nobody waits beyond its deadline, and never more than max_waiters wait.
//  4. An instance is never drained for idleness while it loads or a lease of it is out; none is drained for want of
//  load
//     while another loads.
//  5. Grants name a ready instance that can be reached and has room.
//  6. Between two starts of a second or later instance for load lies scale_window at least.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "policy/demand.h"

namespace dormouse::policy {

enum class State { kAsleep, kStarting, kLoading, kReady, kDraining, kStopping, kBackoff, kFailed };
[[nodiscard]] std::string_view to_string(State state);

struct LifeConfig {
  Nanoseconds idle_timeout = std::chrono::minutes(10);  // from the end of the last request
  bool idle_auto = false;                               // then idle_timeout is the last load's time, at least 30 s
  std::optional<Nanoseconds> keep_alive_max;            // of a caller's own wish; nullopt: the idle timeout
  int min_instances = 0;                                // > 0: kept awake
  int max_instances = 1;                                // 0: nothing may run
  // What is paid whole (an hour that is billed when it begins): an idle instance stays until shortly before the next.
  Nanoseconds billing_increment{0};
  // Autoscaling. An instance is at its target with `utilisation` of its sequences or its KV tokens taken, or with so
  // much work that it needs `backlog` for it at the rate it has shown.
  double utilisation = 0.7;
  Nanoseconds backlog = std::chrono::seconds(30);
  // Load changes the number of instances as seldom: between two starts of a second or later one for load, how long one
  // must not have been needed before it goes, and how long it must have been there (10 x its load time at least).
  Nanoseconds scale_window = std::chrono::minutes(5);  // five minutes at most
  int max_waiters = 64;
  std::int64_t max_waiting_tokens = 1'000'000;
  Nanoseconds max_wait = std::chrono::seconds(30);
  Nanoseconds load_deadline = std::chrono::minutes(10);  // from the start to ready
  Nanoseconds drain_deadline = std::chrono::minutes(5);  // running requests, after the sleep verb; then they are cut
  Nanoseconds exit_deadline = std::chrono::seconds(30);  // a stop that is not confirmed is repeated as a kill
  // Hang (requirement R-04): work is pending and the worker says nothing for hang_silent; or it talks, but its steps
  // stand still for max(hang_silent, 5 x what it says a slow step takes). Until it knows, max(hang_stalled, 5 x the
  // longest step seen): one step of 512 prompt tokens of a 4B model takes 40 s where a CPU does 100 GFLOP/s.
  Nanoseconds hang_silent = std::chrono::seconds(10);
  Nanoseconds hang_stalled = std::chrono::seconds(60);
  Nanoseconds backoff_first = std::chrono::seconds(1);  // doubles up to backoff_max; the wait is uniform in (0, it]
  Nanoseconds backoff_max = std::chrono::seconds(60);
  int failures_to_give_up = 5;                        // in a row; then kFailed until Wake or ModelChanged
  Nanoseconds good_after = std::chrono::seconds(60);  // ready for so long: failures are forgotten
  // A worker that may dial again (another machine) keeps its place for so long after its channel broke.
  Nanoseconds lease_time_to_live = std::chrono::seconds(120);
};

using Ticket = std::uint64_t;      // of one request, from Request to Release
using InstanceId = std::uint64_t;  // its epoch: grows with each start

enum class Cause { kRequest, kWake, kMin, kLoad };
[[nodiscard]] std::string_view to_string(Cause cause);
enum class Phase { kRequested, kUp, kReady, kDrain, kDown };

namespace event {
struct Request {
  Ticket ticket = 0;
  std::int64_t tokens = 0;
  std::optional<Nanoseconds> max_wait;  // if shorter than the configuration's
  std::uint64_t prefix = 0;             // of its prompt, hashed: who has served it before has its pages; 0: unknown
  // Idle time to sleep after, instead of the timeout and until the next request; negative: the longest allowed.
  std::optional<Nanoseconds> keep_alive = std::nullopt;
};
struct Leave {  // a waiter goes away
  Ticket ticket = 0;
};
struct Release {  // a granted request has ended
  Ticket ticket = 0;
  bool completed = true;  // the worker did its part
};
struct KeepAlive {  // a caller's last word without a request: 0 lets it sleep as soon as nobody uses it
  Nanoseconds idle{0};
};
struct Wake {};  // the verb: also clears kFailed and a backoff
struct Sleep {};
struct Evict {};  // another model needs the memory: an idle instance goes; the next request wakes it again
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
  std::int64_t max_sequences = 0;  // at once; 0: without bound
  std::int64_t kv_tokens = 0;      // 0: not known
};
enum class Fault { kFailed, kGoldenMismatch, kOutOfMemory };
struct WorkerFailed {  // the worker's own report; its exit follows, or is enforced
  InstanceId instance = 0;
  Fault fault = Fault::kFailed;
  std::string message;
};
enum class Whereabouts { kLocal, kRemote };
struct LinkLost {  // a worker of another machine may call again within lease_time_to_live
  InstanceId instance = 0;
  Whereabouts where = Whereabouts::kLocal;
};
struct LinkBack {  // it called again, with the same lease
  InstanceId instance = 0;
};
// One that an earlier gateway started, of another machine. If it was ready, its channel is lost: its worker may call.
struct TakenBack {
  InstanceId instance = 0;
  Phase reached = Phase::kReady;  // kRequested, kUp or kReady
  Cause cause = Cause::kRequest;
  Nanoseconds alive{0};  // since it was requested
  Nanoseconds busy{0};
  Nanoseconds lost_for{0};  // how long nobody has heard of it
};
struct Exited {
  InstanceId instance = 0;
  std::string how;             // "exit 1", "signal 9": for people
  bool out_of_memory = false;  // the system ended it for want of memory
};
struct Stats {
  InstanceId instance = 0;
  std::uint64_t steps = 0;
  std::int64_t pending = 0;  // running + waiting sequences
  std::uint64_t tokens = 0;  // of prompts and answers, since its start
  Nanoseconds slow_step{0};  // what a slow step (p99, or one full of prompt) takes there; 0: it does not know
};
struct Tick {};
struct Configure {
  LifeConfig config;
};
struct ModelChanged {};
struct Shutdown {};  // for good: nothing starts any more
}  // namespace event

using Event =
    std::variant<event::Request, event::Leave, event::Release, event::KeepAlive, event::Wake, event::Sleep,
                 event::Evict, event::IntentDurable, event::IntentFailed, event::Started, event::StartFailed,
                 event::Ready, event::WorkerFailed, event::LinkLost, event::LinkBack, event::TakenBack, event::Exited,
                 event::Stats, event::Tick, event::Configure, event::ModelChanged, event::Shutdown>;

enum class Refused { kQueueFull, kQueueTimeout, kLoadFailed, kLedgerUnavailable, kDraining };

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
struct InstanceView {
  InstanceId id = 0;
  State state = State::kStarting;
  Cause cause = Cause::kRequest;
  std::int64_t leases = 0;
  Nanoseconds alive{0};
  Nanoseconds busy{0};
  bool is_reachable = true;  // false: its channel broke, and it may return
};
struct LifeStatus {
  State state = State::kAsleep;         // of the instance that is furthest on its way to serve
  MonoTime since;                       // of the state
  std::vector<InstanceView> instances;  // that exist, oldest first
  std::int64_t leases = 0;
  std::int64_t waiting = 0;
  std::int64_t waiting_tokens = 0;
  double load = 0;                    // in instances' worth of work
  std::optional<MonoTime> sleeps_at;  // the last one
  std::optional<MonoTime> backoff_until;
  int consecutive_failures = 0;
  std::string failure;
  std::uint64_t wakes = 0;
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
  [[nodiscard]] bool has(InstanceId id) const;
  [[nodiscard]] bool has_any() const { return !instances_.empty(); }
  [[nodiscard]] const LifeConfig& config() const { return config_; }

 private:
  enum class Stage { kIntent, kStarting, kLoading, kReady, kDraining, kStopping };
  // What the end of the instance means.
  enum class Ending { kNone, kSleep, kLoadFailed, kCrashed };

  struct Waiter {
    Ticket ticket = 0;
    std::int64_t tokens = 0;
    std::uint64_t prefix = 0;
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
    Nanoseconds load_time{0};  // requested to ready
    bool is_outdated = false;  // its model changed: drained when idle
    std::int64_t max_sequences = 0;
    std::int64_t leases = 0;
    std::vector<std::uint64_t> prefixes;  // served last, newest at the end
    std::optional<MonoTime> lost_since;   // its channel broke
    std::optional<MonoTime> busy_since;
    Nanoseconds busy{0};
    // Hang detection.
    std::uint64_t steps = 0;
    MonoTime steps_moved_at;
    MonoTime heard_at;     // of it, or of a grant to it
    bool pending = false;  // as it said; a grant sets it until it says otherwise
    Nanoseconds longest_step{0};
    Nanoseconds slow_step{0};
    // Its rate under load, between two Stats.
    std::uint64_t tokens = 0;
    MonoTime tokens_at;
    bool was_saturated = false;
  };
  struct LeaseRecord {
    InstanceId instance = 0;
    std::int64_t tokens = 0;
  };

  void on(const event::Request& e, Now now);
  void on(const event::Leave& e, Now now);
  void on(const event::Release& e, Now now);
  void on(const event::KeepAlive& e, Now now);
  void on(const event::Wake& e, Now now);
  void on(const event::Sleep& e, Now now);
  void on(const event::Evict& e, Now now);
  void on(const event::IntentDurable& e, Now now);
  void on(const event::IntentFailed& e, Now now);
  void on(const event::Started& e, Now now);
  void on(const event::StartFailed& e, Now now);
  void on(const event::Ready& e, Now now);
  void on(const event::WorkerFailed& e, Now now);
  void on(const event::LinkLost& e, Now now);
  void on(const event::LinkBack& e, Now now);
  void on(const event::TakenBack& e, Now now);
  void on(const event::Exited& e, Now now);
  void on(const event::Stats& e, Now now);
  void on(const event::Tick& e, Now now);
  void on(const event::Configure& e, Now now);
  void on(const event::ModelChanged& e, Now now);
  void on(const event::Shutdown& e, Now now);

  void decide(Now now);
  void decide_shutdown(MonoTime now);
  void decide_ready(MonoTime now);
  void decide_start(MonoTime now);
  void scale_down(MonoTime now);
  void expire(Now now);
  void expire(Instance& i, MonoTime now);
  void expire_waiters(MonoTime now);
  [[nodiscard]] Instance* find(InstanceId id);
  [[nodiscard]] int count(Stage first, Stage last) const;  // instances in these stages
  [[nodiscard]] bool is_rising() const { return count(Stage::kIntent, Stage::kLoading) > 0; }
  [[nodiscard]] std::optional<Cause> wanted(MonoTime now);
  [[nodiscard]] bool holds_waiters_through_backoff() const;
  [[nodiscard]] Nanoseconds idle_timeout() const;
  [[nodiscard]] std::optional<MonoTime> idle_deadline(const Instance& i) const;
  [[nodiscard]] std::optional<MonoTime> sleeps_at() const;
  [[nodiscard]] bool is_watched(const Instance& i) const;  // for a hang
  [[nodiscard]] MonoTime hang_deadline(const Instance& i) const;
  [[nodiscard]] std::optional<MonoTime> deadline_of(const Instance& i) const;
  [[nodiscard]] double load() const;
  [[nodiscard]] Instance* place_for(std::uint64_t prefix);
  void start(Cause cause, MonoTime now);
  void drain(Instance& i, std::string reason, MonoTime now);
  void stop(Instance& i, Ending ending, std::string reason, bool kill, MonoTime now);
  static void enter(Instance& i, Stage stage, MonoTime now);
  void gone(Instance& i, Now now);
  void forget(InstanceId id);
  void failed(std::string why, Now now);
  void refuse_all(Refused reason, Nanoseconds retry_after);
  void grant_all(MonoTime now);
  void grant(const Waiter& w, Instance& i, MonoTime now);
  void span(const Instance& i, Phase phase, MonoTime now, std::string reason);
  static void mark_busy(Instance& i, MonoTime now);
  [[nodiscard]] static Nanoseconds busy(const Instance& i, MonoTime now);
  [[nodiscard]] static State state_of(Stage stage);
  void learn_rate(Instance& i, const event::Stats& e, MonoTime now);

  LifeConfig config_;
  std::vector<Instance> instances_;  // oldest first
  std::vector<Waiter> waiters_;      // in order of arrival
  std::map<Ticket, LeaseRecord> leases_;
  std::int64_t outstanding_tokens_ = 0;  // of waiters and leases
  InstanceId last_instance_ = 0;
  std::optional<MonoTime> backoff_until_;
  std::optional<MonoTime> ledger_retry_at_;  // min and load ask again then
  bool given_up_ = false;
  bool last_failure_was_crash_ = false;
  int consecutive_failures_ = 0;
  std::string failure_;
  bool wake_wanted_ = false;               // the verb, until one is ready
  std::optional<Nanoseconds> keep_alive_;  // of the last request
  bool suspended_ = false;                 // the sleep verb, against min: until a request or the wake verb
  bool shutdown_ = false;
  std::uint64_t wakes_ = 0;
  MonoTime since_;
  MonoTime looked_at_;  // the last event
  State last_state_ = State::kAsleep;
  // Autoscaling: what one instance takes, as the last one ready said and as they have shown.
  Demand demand_;
  std::int64_t max_sequences_ = 0;
  std::int64_t kv_tokens_ = 0;
  double tokens_per_second_ = 0;
  Nanoseconds load_time_{0};  // the last one's
  std::optional<MonoTime> last_load_start_;
  std::vector<Effect> effects_;  // of the event being handled
};

}  // namespace dormouse::policy
