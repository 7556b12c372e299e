// Splits rows among a few threads that live for one call. For commands that run minutes; the engine has its own pool.
#pragma once

#include <cstdint>
#include <functional>

namespace dormouse::worker {

// The CPUs this process may run on (its affinity mask), at least 1.
[[nodiscard]] int default_thread_count();

// Calls work(begin, end) for consecutive ranges that cover [0, rows), on at most `threads` threads at once (this one
// included), and returns when all are done. `work` must be safe to run on disjoint ranges at once.
void parallel_rows(int threads, std::uint64_t rows, const std::function<void(std::uint64_t, std::uint64_t)>& work);

}  // namespace dormouse::worker
