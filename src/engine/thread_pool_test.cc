#include "engine/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

namespace dormouse::engine {
namespace {

// Goal: every index exactly once, all done on return, thread numbers in range; many short rounds, so that a thread that
// is late for one round meets the next. Method: counters per index; both ways of waiting; more threads than CPUs.
TEST(ThreadPool, RunsEveryTaskExactlyOnceInEveryRound) {
  for (const auto waiting : {ThreadPool::Waiting::kSpinThenBlock, ThreadPool::Waiting::kBlock}) {
    for (const std::int32_t threads : {1, 2, 5}) {
      ThreadPool pool(threads, waiting);
      EXPECT_EQ(pool.threads(), threads);
      std::vector<std::atomic<int>> hits(97);
      std::atomic<bool> bad_thread{false};
      for (int round = 1; round <= 300; ++round) {
        const std::int32_t count = round % 98;
        for (auto& hit : hits) hit = 0;
        pool.for_each(count, [&](std::int32_t index, std::int32_t thread) {
          hits[static_cast<std::size_t>(index)].fetch_add(1);
          if (thread < 0 || thread >= threads) bad_thread = true;
        });
        for (std::int32_t i = 0; i < 97; ++i) ASSERT_EQ(hits[static_cast<std::size_t>(i)], i < count ? 1 : 0);
      }
      EXPECT_FALSE(bad_thread);
    }
  }
}

TEST(ThreadPool, PlainWritesOfTasksAreSeenByTheCaller) {
  ThreadPool pool(3, ThreadPool::Waiting::kSpinThenBlock);
  std::vector<int> values(1000);
  for (int round = 1; round <= 100; ++round) {
    pool.for_each(1000, [&](std::int32_t index, std::int32_t) { values[static_cast<std::size_t>(index)] += index; });
  }
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], 100 * i);
}

// A thread that is held up in one task leaves all others to the rest. Method: the worker's first task ends when the
// caller has done the other 63; were any of them reserved for the worker, the round would never end.
TEST(ThreadPool, AThreadThatIsHeldUpDoesNotKeepTasksFromTheOthers) {
  ThreadPool pool(2, ThreadPool::Waiting::kBlock);
  std::atomic<std::int32_t> done{0};
  for (int round = 0; round < 200; ++round) {
    done = 0;
    pool.for_each(64, [&](std::int32_t, std::int32_t thread) {
      if (thread == 1) {
        while (done.load() < 63) std::this_thread::yield();
      }
      done.fetch_add(1);
    });
    ASSERT_EQ(done.load(), 64);
  }
}

TEST(ThreadPool, StartsAndStopsWithoutEverWorking) {
  for (int round = 0; round < 20; ++round) ThreadPool pool(4, ThreadPool::Waiting::kSpinThenBlock);
}

}  // namespace
}  // namespace dormouse::engine
