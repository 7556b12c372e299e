#include "ledger/writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/crashpoint.h"
#include "base/log.h"
#include "base/unique_fd.h"

namespace dormouse::ledger {
namespace {

// Bounds how long one commit may hold up the next arrival; far above what a fsync of 1-10 ms collects.
constexpr std::size_t kMaxGroup = 512;
constexpr std::chrono::seconds kRetryPeriod{1};

std::string ballast_path(const Options& options) {
  return options.path + ".ballast";
}

}  // namespace

Writer::Writer(Store store, const Options& options)
    : store_(std::move(store)),
      options_(options),
      last_commit_mono_(options.clock->now()),
      last_commit_wall_(options.clock->wall()) {
  const Status taken = take_ballast();
  if (!taken.has_value()) {
    log_warn("event=ledger_ballast_missing error=\"{}\"", taken.error().message);
    ballast_wanted_ = false;  // a file system without room for it from the start: work without
  }
  thread_ = std::thread([this] { run(); });
}

Writer::~Writer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  store_.checkpoint_wal();
}

void Writer::enqueue(Body body, Done done) {
  Status refusal = validate(body);
  if (refusal.has_value()) {
    const std::lock_guard lock(mutex_);
    if (health_.damaged && !must_land(body)) {
      refusal = make_error(Code::kDataLoss, "ledger: damaged");
    } else if (stopping_) {
      refusal = make_error(Code::kCancelled, "ledger: closing");
    } else if (queue_.size() >= options_.max_queued && !must_land(body)) {
      refusal = make_error(Code::kOverloaded, "ledger: queue is full");
    } else {
      // The first lazy one starts the second after which it is written at the latest.
      const bool wakes = !is_lazy(body) || queue_.empty();
      if (!is_lazy(body)) ++urgent_;
      queue_.push_back({std::move(body), std::move(done), options_.clock->wall(), {}});
      if (wakes) wake_.notify_one();
      return;
    }
  }
  if (!done) return;
  if (!options_.post) return done(std::move(refusal));
  options_.post([done = std::move(done), refusal = std::move(refusal)] { done(refusal); });
}

Health Writer::health() const {
  const std::lock_guard lock(mutex_);
  Health out = health_;
  out.queued = static_cast<std::int64_t>(queue_.size());
  return out;
}

void Writer::mark_damaged() {
  const std::lock_guard lock(mutex_);
  health_.damaged = true;
}

void Writer::run() {
  while (true) {
    std::vector<Command> group;
    bool stopping = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty() || is_degraded(); });
      // Degraded, or with nothing but lazy commands: a second, unless somebody comes who waits.
      wake_.wait_for(lock, kRetryPeriod, [this] { return stopping_ || urgent_ > 0; });
      stopping = stopping_ && queue_.empty();
      const std::size_t count = std::min(queue_.size(), kMaxGroup);
      const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(count);
      group.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
      queue_.erase(queue_.begin(), end);
      urgent_ -= static_cast<std::size_t>(
          std::count_if(group.begin(), group.end(), [](const Command& c) { return !is_lazy(c.body); }));
    }
    // At every chance, not by a clock: setting the ballast aside on a full disk fails within microseconds.
    if (is_degraded()) try_to_recover();
    if (!group.empty()) commit_group(std::move(group));
    if (stopping) break;
  }
  if (!retained_.empty()) {
    log_error("event=ledger_lost_settlements count={} note=\"recovery settles them as interrupted\"", retained_.size());
  }
}

void Writer::commit_group(std::vector<Command> group) {
  Status status = try_commit(group);
  if (status.has_value()) {
    publish(true, group.size());
    for (const Command& command : group) {
      if (std::holds_alternative<Reservation>(command.body)) crashpoint("ledger.after_reserve");
      if (std::holds_alternative<Settlement>(command.body)) crashpoint("ledger.after_settle");
    }
    answer(group);
    return;
  }
  if (!is_degraded()) {  // once, not for every request that meets the full disk
    log_error("event=ledger_commit_failed commands={} error=\"{}\"", group.size(), status.error().message);
  }
  fail_group(group, status.error());
}

bool Writer::is_degraded() const {
  return !retained_.empty() || (ballast_wanted_ && ballast_ == Ballast::kReleased);
}

// Everything in one transaction. An error here is fatal to the group; a command's own error is its outcome.
Status Writer::try_commit(std::vector<Command>& group) {
  const auto attempt = [&]() -> Status {
    if (is_degraded()) {
      // Degraded: what must land may use the space the ballast left; nothing new is taken on.
      for (const Command& command : group) {
        if (!must_land(command.body)) return make_error(Code::kUnavailable, "ledger: the disk is full");
      }
    }
    TRY_STATUS(store_.begin());
    for (Command& command : group) {
      command.outcome = store_.apply(command.body, command.at);
      if (!command.outcome.has_value() && is_fatal(command.outcome.error())) return command.outcome;
    }
    const MonoTime mono = options_.clock->now();
    const WallTime wall = options_.clock->wall();
    const std::int64_t jump_us = (wall.us - last_commit_wall_.us) - (mono - last_commit_mono_).count() / 1000;
    TRY_STATUS(store_.commit(wall, jump_us));
    last_commit_mono_ = mono;
    last_commit_wall_ = wall;
    return {};
  };
  Status status = attempt();
  if (!status.has_value()) store_.rollback();
  if (status.has_value()) crashpoint("ledger.after_commit");
  return status;
}

// Ballast away, then what must land once more on its own; what then still does not is kept.
void Writer::fail_group(std::vector<Command>& group, const Error& error) {
  release_ballast();
  std::vector<Command> landing;
  std::vector<Command> refused;
  for (Command& command : group) {
    (must_land(command.body) ? landing : refused).push_back(std::move(command));
  }
  publish(false, 0);  // before the answers: who hears of a failure and looks, sees it
  for (Command& command : refused) command.outcome = Error(error);
  answer(refused);
  if (landing.empty()) return;
  if (try_commit(landing).has_value()) {
    publish(false, landing.size());
    return answer(landing);
  }
  for (Command& command : landing) {
    command.outcome = Error(error);
    retained_.push_back({command.body, nullptr, command.at, {}});
  }
  publish(false, 0);
  answer(landing);
}

void Writer::try_to_recover() {
  if (!retained_.empty()) {
    std::vector<Command> group = std::move(retained_);
    retained_.clear();
    if (!try_commit(group).has_value()) {
      retained_ = std::move(group);
      return;
    }
    log_info("event=ledger_retained_landed commands={}", group.size());
    publish(false, group.size());
  }
  if (ballast_wanted_ && !take_ballast().has_value()) return;
  log_info("event=ledger_recovered");
  publish(true, 0);
}

Status Writer::take_ballast() {
  if (options_.ballast_bytes <= 0) {
    ballast_ = Ballast::kHeld;
    return {};
  }
  const std::string path = ballast_path(options_);
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.is_open()) return errno_error(path, errno);
  const int failure = ::posix_fallocate(fd.get(), 0, options_.ballast_bytes);
  if (failure != 0) {
    ::unlink(path.c_str());
    return errno_error(path, failure);
  }
  ballast_ = Ballast::kHeld;
  return {};
}

void Writer::release_ballast() {
  if (options_.ballast_bytes > 0) ::unlink(ballast_path(options_).c_str());
  ballast_ = Ballast::kReleased;
}

void Writer::answer(std::vector<Command>& group) {
  struct Answered {
    Done done;
    Status status;
  };
  auto answered = std::make_shared<std::vector<Answered>>();
  for (Command& command : group) {
    if (!command.done) continue;
    answered->push_back({std::move(command.done), command.outcome});
    command.done = nullptr;
  }
  if (answered->empty()) return;
  const auto call_all = [answered] {
    for (Answered& a : *answered) a.done(std::move(a.status));
  };
  if (options_.post) {
    options_.post(call_all);
  } else {
    call_all();
  }
}

void Writer::publish(bool writable, std::size_t committed) {
  const std::lock_guard lock(mutex_);
  health_.writable = writable;
  health_.unsettled_retries = static_cast<std::int64_t>(retained_.size());
  if (committed == 0) return;
  ++health_.commits;
  health_.commands += committed;
}

}  // namespace dormouse::ledger
