#include "fleet/drivers/remote_driver.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/log.h"
#include "fleet/drivers/reconcile.h"

namespace dormouse::fleet {

namespace {

// One instance from start() to its confirmed end. Shared by the map and the coroutine that lives it.
struct Machine {
  Machine(asio::io_context& io, StartSpec s) : spec(std::move(s)), wake(io) {}
  StartSpec spec;
  asio::steady_timer wake;  // cancelled when something happened
  std::string id;           // the provider's; empty: not known
  MonoTime created_at;      // when the last create had answered
  InstanceExit exit;        // as the provider told it
  bool perhaps_made = false;
  bool is_resumed = false;  // an earlier gateway asked for it
  bool stop_requested = false;
  bool joined = false;
  bool vanished = false;
  bool seen = false;     // by status, since the last create
  bool running = false;  // on_started was called
  bool end_noted = false;
};

const std::string kAnyId;

bool is_alive(const Sighting& sighting) {
  return sighting.state != MachineState::kStopped;
}

}  // namespace

struct RemoteDriver::Impl {
  Impl(RemoteOptions o, std::unique_ptr<Provider> p)
      : options(std::move(o)), provider(std::move(p)), reconciler(options.visible_after), next_look(*options.io) {}

  using Self = std::shared_ptr<Impl>;
  using Instance = std::shared_ptr<Machine>;
  static Task<void> live(Self self, Instance machine);
  static Task<Status> bring_up(const Self& self, const Instance& machine);
  static Task<Status> find_again(const Self& self, const Instance& machine);
  static Task<CreateVerdict> create_one(const Self& self, const Instance& machine, std::size_t kind, Error* error);
  static Task<CreateVerdict> look_for_lost(const Self& self, const Instance& machine,
                                           std::chrono::milliseconds at_least);
  static Task<Status> wait_running(const Self& self, const Instance& machine);
  static Task<void> take_down(const Self& self, const Instance& machine);
  static Task<void> pause(const Instance& machine, std::chrono::milliseconds duration);
  static Task<void> wait_for_end(const Self& self, const Instance& machine);
  static Task<void> reconcile_loop(Self self);
  static Task<void> reconcile_once(const Self& self);

  void know(const Instance& machine);
  void adopt(Machine& machine, const std::string& id);
  void now_running(Machine& machine);
  void progress(Machine& machine, const Sighting& sighting, std::string* last);
  void note_end(Machine& machine, const Sighting& sighting);
  void finish(const Instance& machine, const Status& up);
  [[nodiscard]] bool over(const Machine& machine) const { return closed || machine.stop_requested; }
  [[nodiscard]] std::chrono::milliseconds backoff(int attempt) const {
    const auto doubled = options.backoff_first * (1 << std::min(attempt, 16));
    return std::min<std::chrono::milliseconds>(doubled, options.backoff_most);
  }

  const RemoteOptions options;
  const std::unique_ptr<Provider> provider;
  Reconciler reconciler;
  asio::steady_timer next_look;
  DriverEvents* events = nullptr;
  std::map<std::string, Instance> machines;
  bool closed = false;
};

RemoteDriver::RemoteDriver(RemoteOptions options, std::unique_ptr<Provider> provider)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(provider))) {}

RemoteDriver::~RemoteDriver() {
  impl_->closed = true;
  impl_->provider->close();
  impl_->next_look.cancel();
  for (const auto& [id, machine] : impl_->machines) machine->wake.cancel();
  impl_->machines.clear();
}

void RemoteDriver::attach(DriverEvents& events) {
  impl_->events = &events;
  asio::co_spawn(*impl_->options.io, Impl::reconcile_loop(impl_), asio::detached);
}

void RemoteDriver::start(StartSpec spec) {
  if (impl_->machines.contains(spec.instance_id)) return;  // the idempotency key: it is on its way or runs
  auto machine = std::make_shared<Machine>(*impl_->options.io, std::move(spec));
  impl_->know(machine);
  asio::co_spawn(*impl_->options.io, Impl::live(impl_, std::move(machine)), asio::detached);
}

void RemoteDriver::resume(const std::string& instance_id, Nanoseconds age) {
  StartSpec spec;
  spec.instance_id = instance_id;
  auto machine = std::make_shared<Machine>(*impl_->options.io, std::move(spec));
  machine->is_resumed = true;
  machine->perhaps_made = true;
  machine->created_at = impl_->options.clock->now() + (-age);
  impl_->know(machine);
  asio::co_spawn(*impl_->options.io, Impl::live(impl_, std::move(machine)), asio::detached);
}

void RemoteDriver::Impl::know(const Instance& machine) {
  machines.emplace(machine->spec.instance_id, machine);
  reconciler.know(machine->spec.instance_id, options.clock->now());
}

void RemoteDriver::stop(const std::string& instance_id, StopMode /*mode*/) {
  const auto found = impl_->machines.find(instance_id);
  if (found == impl_->machines.end()) return;
  if (std::exchange(found->second->stop_requested, true)) return;
  found->second->wake.cancel();
}

std::vector<std::string> RemoteDriver::list() const {
  std::vector<std::string> out;
  for (const auto& [id, machine] : impl_->machines) out.push_back(id);
  return out;
}

void RemoteDriver::worker_joined(const std::string& instance_id) {
  const auto found = impl_->machines.find(instance_id);
  if (found == impl_->machines.end()) return;
  found->second->joined = true;
  found->second->wake.cancel();
}

// May end early: whoever cancels the timer has changed something to look at.
Task<void> RemoteDriver::Impl::pause(const Instance& machine, std::chrono::milliseconds duration) {
  machine->wake.expires_after(duration);
  co_await machine->wake.async_wait(kTuple);
}

void RemoteDriver::Impl::adopt(Machine& machine, const std::string& id) {
  machine.id = id;
  reconciler.set_id(machine.spec.instance_id, id);
  log_info("event={} driver={} instance={} id=\"{}\"", machine.is_resumed ? "machine_found_again" : "machine_made",
           options.name, machine.spec.instance_id, id);
}

// From here on its absence is an exit; what reconcile noted while it came up no longer counts.
void RemoteDriver::Impl::now_running(Machine& machine) {
  machine.running = true;
  reconciler.forget(machine.spec.instance_id);
  reconciler.know(machine.spec.instance_id, options.clock->now());
  reconciler.set_id(machine.spec.instance_id, machine.id);
}

Task<void> RemoteDriver::Impl::live(Self self, Instance machine) {
  // Never from inside start(): co_spawn runs up to here at once.
  co_await pause(machine, std::chrono::milliseconds(0));
  if (self->closed) co_return;
  Task<Status> rising = machine->is_resumed ? find_again(self, machine) : bring_up(self, machine);
  const Status up = co_await std::move(rising);
  if (self->closed) co_return;
  if (up.has_value()) {
    self->now_running(*machine);
    self->events->on_started(machine->spec.instance_id);
    co_await wait_for_end(self, machine);
    if (self->closed) co_return;
  }
  co_await take_down(self, machine);
  if (!self->closed) self->finish(machine, up);
}

// Once: why a machine that nobody told to end has ended is known only while the provider still shows it.
void RemoteDriver::Impl::note_end(Machine& machine, const Sighting& sighting) {
  if (!sighting.exit.has_value() || machine.end_noted) return;
  machine.end_noted = true;
  machine.exit = *sighting.exit;
  log_info("event=machine_ended driver={} instance={} exit_code={} signal={} state=\"{}\"", options.name,
           machine.spec.instance_id, machine.exit.exit_code, machine.exit.signal, sighting.detail);
}

void RemoteDriver::Impl::finish(const Instance& machine, const Status& up) {
  const std::string id = machine->spec.instance_id;
  reconciler.forget(id);
  machines.erase(id);
  log_info("event=machine_gone driver={} instance={} id=\"{}\"", options.name, id, machine->id);
  if (up.has_value() || machine->is_resumed) return events->on_exited(id, machine->exit);
  events->on_start_failed(id, up.error());
}

Task<void> RemoteDriver::Impl::wait_for_end(const Self& self, const Instance& machine) {
  while (!self->over(*machine) && !machine->vanished) co_await pause(machine, std::chrono::hours(1));
}

// Kinds in order; a kind that failed leaves nothing before the next is tried.
Task<Status> RemoteDriver::Impl::bring_up(const Self& self, const Instance& machine) {
  Error error = make_error(Code::kCancelled, "stopped before it ran");
  if (self->options.look_before_create == LookBeforeCreate::kYes) {
    const CreateVerdict found = co_await look_for_lost(self, machine, std::chrono::milliseconds(0));
    if (found == CreateVerdict::kUnknown && !self->over(*machine)) {
      co_return make_error(Code::kUnavailable, "the provider does not say whether it is there already");
    }
  }
  const std::size_t kinds = self->provider->kinds(machine->spec);
  for (std::size_t kind = 0; kind < kinds && !self->over(*machine); ++kind) {
    if (machine->id.empty()) {
      const CreateVerdict verdict = co_await create_one(self, machine, kind, &error);
      if (verdict == CreateVerdict::kUnknown) break;  // neither made nor not made: no further machine may be asked for
      if (verdict != CreateVerdict::kCreated) continue;
    }
    const Status running = co_await wait_running(self, machine);
    if (running.has_value()) co_return Status();
    error = running.error();
    if (self->over(*machine)) break;
    log_warn("event=machine_failed driver={} instance={} kind={} error=\"{}\"", self->options.name,
             machine->spec.instance_id, kind, error.message);
    co_await take_down(self, machine);
    machine->id.clear();
    self->reconciler.set_id(machine->spec.instance_id, "");
  }
  co_return error;
}

// Gone only if the provider says so when it must show what it made. One that does not answer keeps it: it is known, and
// its machine's end is seen by reconciling, or its worker's by the lease.
Task<Status> RemoteDriver::Impl::find_again(const Self& self, const Instance& machine) {
  const Nanoseconds age = self->options.clock->now() - machine->created_at;
  const auto late = std::chrono::ceil<std::chrono::milliseconds>(self->options.visible_after - age);
  // One poll at least, and so two answers.
  const CreateVerdict found = co_await look_for_lost(self, machine, std::max(late, self->options.poll_interval));
  if (found == CreateVerdict::kCreated) co_return co_await wait_running(self, machine);
  if (self->over(*machine)) co_return make_error(Code::kCancelled, "stopped before it was found again");
  if (found == CreateVerdict::kUnknown) co_return Status();
  machine->perhaps_made = false;
  co_return make_error(Code::kUnavailable, "its machine is gone");
}

// kCreated with machine->id, or with *error: kRefused (nothing made) or kUnknown.
Task<CreateVerdict> RemoteDriver::Impl::create_one(const Self& self, const Instance& machine, std::size_t kind,
                                                   Error* error) {
  for (int attempt = 0; attempt < self->options.create_attempts && !self->over(*machine); ++attempt) {
    if (attempt > 0) co_await pause(machine, self->backoff(attempt - 1));
    if (self->over(*machine)) break;
    machine->perhaps_made = true;
    machine->seen = false;
    const CreateOutcome outcome = co_await self->provider->create(machine->spec, kind);
    machine->created_at = self->options.clock->now();  // made at any time up to now
    if (outcome.verdict == CreateVerdict::kCreated) {
      self->adopt(*machine, outcome.id);
      co_return CreateVerdict::kCreated;
    }
    *error = outcome.error;
    log_warn("event=create_failed driver={} instance={} attempt={} error=\"{}\"", self->options.name,
             machine->spec.instance_id, attempt + 1, outcome.error.message);
    if (outcome.verdict == CreateVerdict::kUnknown) {
      const CreateVerdict found = co_await look_for_lost(self, machine, self->options.visible_after);
      if (found != CreateVerdict::kTryAgain) co_return found;
    }
    machine->perhaps_made = false;
    if (outcome.verdict == CreateVerdict::kRefused) break;
  }
  co_return CreateVerdict::kRefused;
}

// Asks by our id until something is shown (kCreated), or nothing has been shown for `at_least` and at least twice
// (kTryAgain), or the start is over or its time is up with no answer to be had (kUnknown).
Task<CreateVerdict> RemoteDriver::Impl::look_for_lost(const Self& self, const Instance& machine,
                                                      std::chrono::milliseconds at_least) {
  const MonoTime begin = self->options.clock->now();
  const int wanted = at_least.count() > 0 ? 2 : 1;
  for (int answers = 0; !self->over(*machine);) {
    const Nanoseconds waited = self->options.clock->now() - begin;  // when asked: what the answer is about
    const Result<std::vector<Sighting>> shown = co_await self->provider->status(machine->spec.instance_id, kAnyId);
    if (self->over(*machine)) break;
    if (shown.has_value()) {
      const auto alive = std::find_if(shown->begin(), shown->end(), is_alive);
      if (alive != shown->end()) {
        machine->perhaps_made = true;
        if (machine->created_at.ns == 0) machine->created_at = begin;
        self->adopt(*machine, alive->id);
        co_return CreateVerdict::kCreated;
      }
      if (++answers >= wanted && waited >= at_least) co_return CreateVerdict::kTryAgain;
    }
    if (waited >= self->options.start_timeout) break;
    co_await pause(machine, self->options.poll_interval);
  }
  co_return CreateVerdict::kUnknown;
}

void RemoteDriver::Impl::progress(Machine& machine, const Sighting& sighting, std::string* last) {
  const std::string text = sighting.detail.empty() ? std::string(to_string(sighting.state)) : sighting.detail;
  if (text == *last) return;
  *last = text;
  log_info("event=machine_progress driver={} instance={} state=\"{}\"", options.name, machine.spec.instance_id, text);
  events->on_start_progress(machine.spec.instance_id, text);
}

Task<Status> RemoteDriver::Impl::wait_running(const Self& self, const Instance& machine) {
  std::string last;
  int missed = 0;
  const MonoTime begin = self->options.clock->now();
  while (!self->over(*machine)) {
    const Nanoseconds waited = self->options.clock->now() - begin;
    const Result<std::vector<Sighting>> shown = co_await self->provider->status(machine->spec.instance_id, machine->id);
    if (self->over(*machine)) break;
    if (machine->joined) co_return Status();
    if (shown.has_value()) {
      const auto mine =
          std::find_if(shown->begin(), shown->end(), [&machine](const Sighting& s) { return s.id == machine->id; });
      missed = mine == shown->end() ? missed + 1 : 0;
      if (mine != shown->end()) {
        machine->seen = true;
        self->progress(*machine, *mine, &last);
        if (mine->state == MachineState::kRunning) co_return Status();
        if (mine->state != MachineState::kStarting) {
          co_return make_error(Code::kUnavailable, "the machine does not start: " + last);
        }
      } else if (missed >= 2 && (machine->seen || waited >= self->options.visible_after)) {
        co_return make_error(Code::kUnavailable, "the machine was gone before it ran");
      }
    }
    if (waited >= self->options.start_timeout) {
      const std::string state = shown.has_value() ? last : shown.error().message;
      co_return make_error(Code::kDeadlineExceeded, "the machine does not run in time; last known: " + state);
    }
    co_await pause(machine, self->options.poll_interval);
    if (machine->joined) co_return Status();
  }
  co_return make_error(Code::kCancelled, "stopped before it ran");
}

// Returns when nothing of the instance is alive, however long that takes.
Task<void> RemoteDriver::Impl::take_down(const Self& self, const Instance& machine) {
  int absent = 0;
  const MonoTime begin = self->options.clock->now();
  for (int attempt = 0; machine->perhaps_made && !self->closed;) {
    const Nanoseconds age = self->options.clock->now() - machine->created_at;  // when asked
    Error why = make_error(Code::kUnavailable, "the provider still shows it as alive");
    const Result<std::vector<Sighting>> shown = co_await self->provider->status(machine->spec.instance_id, machine->id);
    if (self->closed) co_return;
    int alive = 0;
    bool stopped = false;
    bool refused = !shown.has_value();
    if (refused) why = shown.error();
    const std::vector<Sighting> sightings = shown.has_value() ? *shown : std::vector<Sighting>();
    for (const Sighting& sighting : sightings) {
      machine->seen = true;
      self->note_end(*machine, sighting);
      stopped = stopped || sighting.state == MachineState::kStopped;
      if (!is_alive(sighting)) continue;
      ++alive;
      const Status told = co_await self->provider->destroy(sighting.instance, sighting.id);
      if (self->closed) co_return;
      if (told.has_value()) continue;
      refused = true;
      why = told.error();
    }
    absent = shown.has_value() && alive == 0 ? absent + 1 : 0;
    const bool late = !machine->seen && age < self->options.visible_after;
    if (absent > 0 && (stopped || (absent >= 2 && !late))) break;
    // A machine we have the id of need not be shown to be told to end.
    if (alive == 0 && !machine->id.empty() && (late || !shown.has_value())) {
      const Status told = co_await self->provider->destroy(machine->spec.instance_id, machine->id);
      if (self->closed) co_return;
      if (!told.has_value()) why = told.error();
      refused = refused || !told.has_value();
    }
    const bool waiting = absent > 0;  // gone at the first look: only the second is missing
    const bool too_long = self->options.clock->now() - begin >= self->options.stop_patience;
    if (!waiting && ++attempt >= self->options.report_after && (refused || too_long)) {
      log_error("event=stop_unconfirmed driver={} instance={} id=\"{}\" attempts={} error=\"{}\"", self->options.name,
                machine->spec.instance_id, machine->id, attempt, why.message);
      self->events->on_stop_unconfirmed(machine->spec.instance_id, why);
    }
    co_await pause(machine, waiting ? self->options.poll_interval : self->backoff(std::max(attempt - 1, 0)));
  }
  machine->perhaps_made = false;
}

Task<void> RemoteDriver::Impl::reconcile_loop(Self self) {
  while (!self->closed) {
    co_await reconcile_once(self);
    if (self->closed) co_return;
    const MonoTime asked = self->options.clock->now();
    const News news = co_await self->provider->wait_for_news(self->options.reconcile_interval);
    if (self->closed) co_return;
    if (news == News::kChanged) co_await reconcile_once(self);  // and soon again: what is gone is gone twice
    if (self->closed) co_return;
    const Nanoseconds left = asked + self->options.reconcile_interval - self->options.clock->now();
    const auto rest = std::max(std::chrono::ceil<std::chrono::milliseconds>(left), std::chrono::milliseconds(0));
    self->next_look.expires_after(news == News::kChanged ? self->options.poll_interval : rest);
    co_await self->next_look.async_wait(kTuple);
  }
}

Task<void> RemoteDriver::Impl::reconcile_once(const Self& self) {
  const MonoTime asked = self->options.clock->now();
  const Result<std::vector<Sighting>> listed = co_await self->provider->list();
  if (self->closed) co_return;
  if (!listed.has_value()) {
    log_warn("event=reconcile_failed driver={} error=\"{}\"", self->options.name, listed.error().message);
    co_return;
  }
  const std::vector<ReconcileAction> actions = self->reconciler.observe(*listed, asked);
  for (const ReconcileAction& action : actions) {
    if (action.kind == ReconcileAction::Kind::kVanished) {
      const auto found = self->machines.find(action.instance);
      if (found == self->machines.end() || !found->second->running) continue;
      found->second->vanished = true;
      found->second->wake.cancel();
      continue;
    }
    const bool stranger = action.kind == ReconcileAction::Kind::kEndStranger;
    log_warn("event={} driver={} instance={} id=\"{}\"", stranger ? "stranger_ended" : "duplicate_ended",
             self->options.name, action.instance, action.id);
    const Status told = co_await self->provider->destroy(action.instance, action.id);
    if (self->closed) co_return;
    if (!told.has_value()) {
      log_error("event=stop_unconfirmed driver={} instance={} id=\"{}\" error=\"{}\"", self->options.name,
                action.instance, action.id, told.error().message);
    }
  }
}

}  // namespace dormouse::fleet
