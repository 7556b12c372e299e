#include "engine/thread_pool.h"

#include "base/check.h"
#include "kernels/cpu_features.h"

namespace dormouse::engine {
namespace {

// A PAUSE takes 15 to 50 ns on the CPUs we know: 1,500 of them are 25 to 75 us, longer than any serial part of a step
// and far shorter than a scheduler's time slice.
constexpr std::int32_t kSpinRounds = 1500;

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
  while (true) {
    const std::int32_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count_) return;
    call_(context_, index, thread);
  }
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
  next_.store(0, std::memory_order_relaxed);
  busy_.store(static_cast<std::int32_t>(workers_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);  // publishes the five stores above
  epoch_.notify_all();
  take_tasks(0);
  spin([this] { return busy_.load(std::memory_order_acquire) == 0; });
  for (std::int32_t busy = busy_.load(std::memory_order_acquire); busy != 0;
       busy = busy_.load(std::memory_order_acquire)) {
    busy_.wait(busy, std::memory_order_acquire);
  }
}

void ThreadPool::work(std::int32_t thread) {
  std::uint32_t seen = 0;
  while (true) {
    spin([this, seen] { return epoch_.load(std::memory_order_acquire) != seen; });
    epoch_.wait(seen, std::memory_order_acquire);
    ++seen;  // run() waits for every worker, so no epoch can be missed
    if (stopping_.load(std::memory_order_relaxed)) return;
    take_tasks(thread);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
  }
}

}  // namespace dormouse::engine
