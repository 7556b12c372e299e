// The engine thread: loads the model, then runs the generator while there is work. Commands go in through a bounded
// queue, events come out by posts to the io_context, one post a step.
// Threads: start() to stop() from the io_context's thread; callbacks run there. The model belongs to the engine thread
// and lives until stop() has returned; its tokenizer may be read meanwhile.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "http/asio.h"
#include "worker/generator.h"
#include "worker/job_channel.h"
#include "worker/model.h"

namespace dormouse::worker {

// Requests that have not reached the scheduler yet; its own bound comes after. Above: kOverloaded.
inline constexpr std::size_t kMaxCommands = 4096;

struct EngineLoopEvents {
  std::function<void(double)> on_progress;
  std::function<void(const LoadedModel&)> on_ready;
  std::function<void(Error)> on_load_failed;  // the thread has ended
  std::function<void(Error)> on_fatal;        // the golden rows: nothing is computed any more
  std::function<void()> on_idle;              // the last job has ended
};

class EngineLoop {
 public:
  // Borrows the loop and the clock; the clock is asked on the engine thread.
  EngineLoop(asio::io_context& io, const Clock& clock, ModelLoader loader, GeneratorOptions options,
             EngineLoopEvents events);
  ~EngineLoop();
  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;

  void start();
  // Errors: kOverloaded (command queue full).
  Result<std::shared_ptr<JobChannel>> submit(Job job);
  // The job ends with the current step; its channel gets nothing more.
  // `ended` is called on the loop with what the job came to, once it takes no more steps; not if it was over for us.
  void cancel(JobId id, std::function<void(JobTotals)> ended = {});
  // Ends the thread after its current step (or its load). Blocks for that.
  void stop();
  [[nodiscard]] EngineSnapshot snapshot() const;

 private:
  struct Command {
    JobId id = 0;
    std::shared_ptr<Job> job;  // null: cancel
    std::function<void(JobTotals)> ended;
  };
  void run();
  void serve(LoadedModel& model);
  [[nodiscard]] bool wait_for_commands(bool idle, std::vector<Command>& out);
  void publish(const Generator& generator);
  void post_events(std::vector<JobEvent> events, bool now_idle);
  void deliver(std::vector<JobEvent> events, bool now_idle);

  asio::io_context& io_;
  const Clock& clock_;
  const ModelLoader loader_;
  const GeneratorOptions options_;
  // The io_context's.
  EngineLoopEvents events_;
  std::unordered_map<JobId, std::shared_ptr<JobChannel>> channels_;
  JobId next_id_ = 1;
  bool stopped_ = false;
  // Shared, under mutex_.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Command> commands_;
  EngineSnapshot snapshot_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace dormouse::worker
