#include "worker/engine_loop.h"

#include <boost/asio/post.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "base/log.h"
#include "worker/pack_check.h"

namespace dormouse::worker {

EngineLoop::EngineLoop(asio::io_context& io, const Clock& clock, ModelLoader loader, GeneratorOptions options,
                       EngineLoopEvents events)
    : io_(io), clock_(clock), loader_(std::move(loader)), options_(options), events_(std::move(events)) {}

EngineLoop::~EngineLoop() {
  stop();
}

void EngineLoop::start() {
  thread_ = std::thread([this] {
    try {
      run();
    } catch (const std::exception& e) {
      asio::post(io_, [this, text = std::string(e.what())] {
        events_.on_fatal(make_error(Code::kInternal, "engine thread: " + text));
      });
    }
  });
}

void EngineLoop::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  stopped_ = true;
  if (thread_.joinable()) thread_.join();
  for (auto& [id, channel] : channels_) channel->close();
  channels_.clear();
}

Result<std::shared_ptr<JobChannel>> EngineLoop::submit(Job job) {
  const JobId id = next_id_++;
  {
    const std::lock_guard lock(mutex_);
    if (commands_.size() >= kMaxCommands) return make_error(Code::kOverloaded, "engine: command queue full");
    commands_.push_back({.id = id, .job = std::make_shared<Job>(std::move(job)), .ended = {}});
  }
  wake_.notify_one();
  auto channel = std::make_shared<JobChannel>(io_, id);
  channels_.emplace(id, channel);
  return channel;
}

void EngineLoop::cancel(JobId id, std::function<void(JobTotals)> ended) {
  const auto channel = channels_.find(id);
  if (channel == channels_.end()) return;  // it has ended by itself
  channel->second->close();
  channels_.erase(channel);
  {
    // Not bounded: at most one for each accepted job.
    const std::lock_guard lock(mutex_);
    commands_.push_back({.id = id, .job = nullptr, .ended = std::move(ended)});
  }
  wake_.notify_one();
}

EngineSnapshot EngineLoop::snapshot() const {
  const std::lock_guard lock(mutex_);
  return snapshot_;
}

// The engine thread from here on, except deliver().
void EngineLoop::run() {
  const LoadProgress progress = [this](double fraction) {
    asio::post(io_, [this, fraction] { events_.on_progress(fraction); });
  };
  Result<LoadedModel> model = loader_(progress);
  if (!model.has_value()) {
    asio::post(io_, [this, error = model.error()] { events_.on_load_failed(error); });
    return;
  }
  serve(*model);
}

void EngineLoop::serve(LoadedModel& model) {
  Generator generator(model, options_, clock_);
  publish(generator);
  asio::post(io_, [this, &model] {
    if (!stopped_) events_.on_ready(model);  // after stop() the model is gone
  });
  // After ready, so that a first token does not wait for it.
  std::optional<PackCheck> check;
  if (model.packed != nullptr) {
    check.emplace(*model.packed,
                  [this](const Error& error) { asio::post(io_, [this, error] { events_.on_fatal(error); }); });
  }
  std::vector<Command> commands;
  while (wait_for_commands(generator.idle(), commands)) {
    for (Command& command : commands) {
      if (command.job != nullptr) {
        generator.submit(command.id, std::move(*command.job));
        continue;
      }
      const JobTotals totals = generator.cancel(command.id);
      if (command.ended) asio::post(io_, [ended = std::move(command.ended), totals] { ended(totals); });
    }
    // Also before the step: it may be a long one, and who watches must see that work is pending.
    if (!commands.empty()) publish(generator);
    commands.clear();
    const Status stepped = generator.step();
    publish(generator);
    if (!stepped.has_value()) {
      asio::post(io_, [this, error = stepped.error()] { events_.on_fatal(error); });
      // The model stays until stop(): a handler may be reading its tokenizer.
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_; });
      return;
    }
    post_events(generator.take_events(), generator.idle());
  }
}

// Blocks only when idle. False: stop.
bool EngineLoop::wait_for_commands(bool idle, std::vector<Command>& out) {
  std::unique_lock lock(mutex_);
  if (idle) wake_.wait(lock, [this] { return stopping_ || !commands_.empty(); });
  if (stopping_) return false;
  for (Command& command : commands_) out.push_back(std::move(command));
  commands_.clear();
  return true;
}

void EngineLoop::publish(const Generator& generator) {
  const EngineSnapshot snapshot = generator.snapshot();
  const std::lock_guard lock(mutex_);
  snapshot_ = snapshot;
}

void EngineLoop::post_events(std::vector<JobEvent> events, bool now_idle) {
  if (events.empty() && !now_idle) return;
  asio::post(io_, [this, events = std::move(events), now_idle]() mutable { deliver(std::move(events), now_idle); });
}

void EngineLoop::deliver(std::vector<JobEvent> events, bool now_idle) {
  for (JobEvent& event : events) {
    const auto found = channels_.find(event.job);
    if (found == channels_.end()) continue;  // cancelled meanwhile
    // push() may end in cancel(), which erases the entry.
    const std::shared_ptr<JobChannel> channel = found->second;
    channel->push(std::move(event));
  }
  if (now_idle && events_.on_idle) events_.on_idle();
}

}  // namespace dormouse::worker
