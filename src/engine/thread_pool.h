// The threads that compute. The caller of for_each works too, so a pool of n has n - 1 threads of its own.
// Owner: the engine; for_each from one thread at a time. Between calls threads spin for some 50 us (the next phase of a
// step follows within a few) and then block on a futex: an idle engine uses no CPU, and a quota is never spun away.
// A call waits for its tasks, not for the threads: one that has no CPU just now (a neighbour's, a quota's) and holds no
// task holds nobody up, and the others do its share.
// Invariants: (1) for_each returns after every task has returned; (2) it allocates nothing; (3) which thread runs a
// task is not defined, so a result may not depend on it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace dormouse::engine {

class ThreadPool {
 public:
  enum class Waiting { kSpinThenBlock, kBlock };

  // threads >= 1, the caller included.
  ThreadPool(std::int32_t threads, Waiting waiting);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] std::int32_t threads() const { return static_cast<std::int32_t>(workers_.size()) + 1; }

  // Calls task(index, thread) for each index in [0, count), thread in [0, threads()). Order: none.
  template <typename Task>
  void for_each(std::int32_t count, Task&& task) {
    using Plain = std::remove_reference_t<Task>;
    run(
        count,
        [](void* context, std::int32_t index, std::int32_t thread) { (*static_cast<Plain*>(context))(index, thread); },
        &task);
  }

 private:
  using Call = void (*)(void* context, std::int32_t index, std::int32_t thread);
  void run(std::int32_t count, Call call, void* context);
  void work(std::int32_t thread);
  void take_tasks(std::int32_t thread);
  template <typename Done>
  void spin(const Done& done) const;

  // The job; written while no task is unfinished, published by tasks_, read by who holds a task.
  Call call_ = nullptr;
  void* context_ = nullptr;
  std::int32_t count_ = 0;
  std::int32_t spin_rounds_ = 0;

  // Self-synchronised, each on its own cache line: tasks are taken while epoch_ is being watched.
  alignas(64) std::atomic<std::uint32_t> epoch_{0};  // number of the newest job
  // Epoch and number of tasks not yet taken, in one word: a thread that comes late cannot take a task of a job it has
  // not seen published.
  alignas(64) std::atomic<std::uint64_t> tasks_{0};
  alignas(64) std::atomic<std::int32_t> unfinished_{0};  // tasks of the job
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

}  // namespace dormouse::engine
