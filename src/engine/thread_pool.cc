#include "engine/thread_pool.h"

#include "base/check.h"
#include "kernels/cpu_features.h"

namespace dormouse::engine {
namespace {

// A PAUSE takes 15 to 50 ns on the CPUs we know: 1,500 of them are 25 to 75 us, longer than any serial part of a step
// and far shorter than a scheduler's time slice.
constexpr std::int32_t kSpinRounds = 1500;

// Of tasks_.
std::int32_t left_of(std::uint64_t tasks) {
  return static_cast<std::int32_t>(tasks & 0xFFFFFFFFU);
}

}  // namespace

ThreadPool::ThreadPool(std::int32_t threads, Waiting waiting)
    : spin_rounds_(waiting == Waiting::kSpinThenBlock ? kSpinRounds : 0) {
  CHECK(threads >= 1);
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  for (std::int32_t thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { work(thread); });
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

template <typename Done>
void ThreadPool::spin(const Done& done) const {
  for (std::int32_t round = 0; round < spin_rounds_ && !done(); ++round) kernels::cpu_relax();
}

void ThreadPool::take_tasks(std::int32_t thread) {
  std::int32_t finished = 0;
  std::uint64_t seen = tasks_.load(std::memory_order_acquire);
  while (left_of(seen) > 0) {
    // A failure reloads `seen`. A success holds a task of a job that cannot end before it: the job's fields stand
    // still.
    if (!tasks_.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire)) continue;
    call_(context_, count_ - left_of(seen), thread);
    ++finished;
    seen = tasks_.load(std::memory_order_acquire);
  }
  if (finished > 0 && unfinished_.fetch_sub(finished, std::memory_order_acq_rel) == finished) unfinished_.notify_one();
}

void ThreadPool::run(std::int32_t count, Call call, void* context) {
  // One task, or nobody to share with: waking a thread costs more than it brings.
  if (count <= 1 || workers_.empty()) {
    for (std::int32_t index = 0; index < count; ++index) call(context, index, 0);
    return;
  }
  call_ = call;
  context_ = context;
  count_ = count;
  unfinished_.store(count, std::memory_order_relaxed);
  const std::uint32_t epoch = epoch_.load(std::memory_order_relaxed) + 1;
  tasks_.store((std::uint64_t{epoch} << 32) | static_cast<std::uint32_t>(count), std::memory_order_release);
  epoch_.store(epoch, std::memory_order_release);
  epoch_.notify_all();
  take_tasks(0);
  spin([this] { return unfinished_.load(std::memory_order_acquire) == 0; });
  for (std::int32_t left = unfinished_.load(std::memory_order_acquire); left != 0;
       left = unfinished_.load(std::memory_order_acquire)) {
    unfinished_.wait(left, std::memory_order_acquire);
  }
}

void ThreadPool::work(std::int32_t thread) {
  std::uint32_t seen = 0;
  while (true) {
    spin([this, seen] { return epoch_.load(std::memory_order_acquire) != seen; });
    epoch_.wait(seen, std::memory_order_acquire);
    seen = epoch_.load(std::memory_order_acquire);  // jobs may have come and gone meanwhile
    if (stopping_.load(std::memory_order_relaxed)) return;
    take_tasks(thread);
  }
}

}  // namespace dormouse::engine
