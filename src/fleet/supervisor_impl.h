// Inside the supervisor: the slots (one a deployment), what waits on them, and how a policy's effects become deeds.
// Included by fleet/*.cc only. Threads: the io_context's one.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "control/messages.h"
#include "fleet/supervisor.h"
#include "fleet/told_ends.h"
#include "http/websocket.h"
#include "policy/life.h"
#include "policy/memory.h"

namespace dormouse::fleet {

inline constexpr std::chrono::seconds kProgressPeriod{10};  // what a crash of the gateway may cost a span

// Woken by every change of a slot; look at what you wait for before and after.
struct Observer {
  explicit Observer(asio::io_context& io) : timer(io) {}
  asio::steady_timer timer;
};

// The gateway's end of one worker's channel. Shared with the coroutines that write to it.
struct Link {
  std::unique_ptr<http::WebSocket> socket;
  WorkerDoor door = WorkerDoor::kLocal;
};

// What the policy does not need to know about an instance.
struct InstanceRecord {
  std::string instance_id;
  std::string lease_sha256;  // what a hello is held against
  std::string lease_token;   // empty: taken back, and its worker has not called yet
  std::string driver;
  std::optional<http::Address> address;
  std::shared_ptr<Link> link;
  bool is_stopping = false;  // the driver has been asked to end it: its hello comes too late
  std::int64_t pid = 0;
  bool is_started = false;  // the driver has been asked
  std::string note;         // of its driver, for people
  MonoTime asked_at;        // the driver
  std::optional<MonoTime> up_at;
  std::optional<MonoTime> hello_at;
  WakeStages wake;
  std::optional<InstancePrice> price;
  std::shared_ptr<policy::BusyMeter> meter;
  control::Ready ready;
  control::Stats stats;
  double load_fraction = 0;
  std::string cause;         // why it was started
  bool has_been_ready = false;
};

// A caller in acquire(); lives in that coroutine's frame.
struct PendingAcquire {
  explicit PendingAcquire(asio::io_context& io) : done(io) {}
  asio::steady_timer done;  // cancelled when `result` is set
  std::optional<AcquireResult> result;
};

struct Slot {
  Slot(asio::io_context& io, DeploymentSpec s, policy::Life l) : spec(std::move(s)), life(std::move(l)), timer(io) {}

  DeploymentSpec spec;
  policy::Life life;
  asio::steady_timer timer;
  std::optional<MonoTime> armed_for;
  std::map<policy::InstanceId, InstanceRecord> instances;
  std::map<policy::Ticket, PendingAcquire*> pending;
  std::set<Observer*> observers;
  MonoTime last_used;  // a grant or the end of a request
  bool is_in_window = false;
  bool removed = false;
};

// A start that waits for memory.
struct WaitingStart {
  std::string name;
  policy::InstanceId id = 0;
};

// What an earlier gateway left; here until its deployment takes it back or nobody does.
struct SurvivorRecord {
  ledger::Survivor found;
  MonoTime requested_at;
  MonoTime unwatched_since;  // its worker's lease runs from here
};

// Alive as long as the supervisor: what callbacks and coroutines hold weakly.
struct Lease::Anchor {
  explicit Anchor(Supervisor::Impl* owner) : impl(owner) {}
  Supervisor::Impl* impl;
};

// effects.cc
[[nodiscard]] AwakeTime awake_time(const InstanceRecord& record, Nanoseconds alive, Nanoseconds busy);

// What the policy is told of a deployment, inside or outside its awake windows. effects.cc
[[nodiscard]] std::shared_ptr<policy::BusyMeter> make_meter(const std::optional<InstancePrice>& price);
[[nodiscard]] policy::LifeConfig life_config(const DeploymentSpec& spec, bool is_in_window);

struct Supervisor::Impl {
  Impl(Supervisor& owner, SupervisorOptions o);

  // The one way in: an event to a slot's policy, then its effects, in order.
  void dispatch(const std::string& name, const policy::Event& event);
  void carry_out(Slot& slot, const policy::effect::WriteIntent& e);
  void carry_out(Slot& slot, const policy::effect::Start& e);
  void carry_out(Slot& slot, const policy::effect::TellDrain& e);
  void carry_out(Slot& slot, const policy::effect::Stop& e);
  void carry_out(Slot& slot, const policy::effect::Grant& e);
  void carry_out(Slot& slot, const policy::effect::Refuse& e);
  void carry_out(Slot& slot, const policy::effect::Span& e);

  Slot* find(const std::string& name);
  Driver* find_driver(const std::string& name);
  // memory_gate.cc: starts wait here while they do not fit.
  void start_when_it_fits(Slot& slot, policy::InstanceId id);
  void admit_waiting_starts();
  bool forget_waiting_start(const std::string& name, policy::InstanceId id);
  [[nodiscard]] std::vector<policy::Resident> residents() const;
  [[nodiscard]] bool is_local(const std::string& driver) const;
  void start_now(Slot& slot, policy::InstanceId id);
  void post_event(const std::string& name, policy::Event event);
  void note(const std::string& instance_id, std::string text);
  void note_ready(InstanceRecord& record, const std::string& deployment) const;
  // take_back.cc
  void resume_survivors();
  std::vector<SurvivorRecord> take_survivors(const std::string& deployment);
  void take_back(Slot& slot);
  void let_go(const SurvivorRecord& survivor, const std::string& reason);
  void confirm_survivor(const std::string& instance_id);
  void record_end(const std::string& instance_id, ledger::SpanPhase phase, std::int64_t since_us,
                  const std::string& reason);
  // awake_windows.cc
  void configure(Slot& slot);      // the policy hears of the spec, as it is now
  void apply_window(Slot& slot);  // and of a window that has opened or closed
  [[nodiscard]] bool window_is_open(const Slot& slot) const;
  void arm_schedule();
  void arm(Slot& slot);
  void wake_observers(Slot& slot);
  void send(const std::shared_ptr<Link>& link, const control::Message& message);
  void release(policy::Ticket ticket, LeaseOutcome outcome);
  void kill_instances(const std::string& name);
  void remember_end(const std::string& instance_id, LossReason reason);
  void arm_progress();
  void record_progress();
  [[nodiscard]] DeploymentStatus status_of(const Slot& slot) const;
  // Coroutines hold the anchor weakly across every await: it must not outlive the supervisor in their frames.
  static Task<void> run_link(std::weak_ptr<Lease::Anchor> anchor, std::string name, policy::InstanceId id,
                             std::shared_ptr<Link> link);
  [[nodiscard]] std::chrono::milliseconds link_silence(WorkerDoor door) const;
  // Slot and instance a hello belongs to; nullptr: its lease, epoch or address is not ours.
  Slot* check_hello(const control::Hello& hello, std::string& why_not);
  std::optional<std::pair<std::string, policy::InstanceId>> admit(const std::string& text,
                                                                  const std::shared_ptr<Link>& link,
                                                                  const std::string& peer);
  // The first word to a remote one that was let in; it may have been missed.
  void welcome(const std::string& name, policy::InstanceId id, const std::shared_ptr<Link>& link);
  void hear(const std::string& name, policy::InstanceId id, const control::Message& message);
  // Waits for a change of the slot, until `until`. False: the time is over, or the slot or the supervisor is gone.
  // The slot's life as it is; nullopt: slot or supervisor is gone.
  static std::optional<policy::LifeStatus> peek(const std::weak_ptr<Lease::Anchor>& anchor, const std::string& name);
  static Task<bool> changed(std::weak_ptr<Lease::Anchor> anchor, std::string name, MonoTime until);

  const SupervisorOptions options;
  ToldEnds ends_told;
  std::shared_ptr<Lease::Anchor> anchor;
  std::map<std::string, std::unique_ptr<Slot>> slots;
  std::map<std::string, std::pair<std::string, policy::InstanceId>> by_instance;  // instance id -> slot, epoch
  std::map<policy::Ticket, std::string> leases;                                   // -> slot
  std::map<std::string, std::uint64_t> last_epochs;
  std::vector<std::pair<std::string, LossReason>> ends;  // the last 64, oldest first
  std::vector<WaitingStart> waiting_starts;
  std::vector<SurvivorRecord> survivors;
  std::map<std::string, MonoTime> leaving_survivors;  // instance id -> when it was requested
  asio::steady_timer progress_timer;
  asio::steady_timer schedule_timer;
  bool schedule_armed = false;
  bool progress_armed = false;
  bool dispatching = false;
  policy::Ticket next_ticket = 1;
  std::mt19937_64 random;
};

}  // namespace dormouse::fleet
