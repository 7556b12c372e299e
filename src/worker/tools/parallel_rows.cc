#include "worker/tools/parallel_rows.h"

#include <algorithm>
#include <thread>
#include <vector>

namespace dormouse::worker {

int default_thread_count() {
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

void parallel_rows(int threads, std::uint64_t rows, const std::function<void(std::uint64_t, std::uint64_t)>& work) {
  const std::uint64_t parts = std::min<std::uint64_t>(static_cast<std::uint64_t>(std::max(threads, 1)), rows);
  if (parts == 0) return;
  std::vector<std::jthread> others;
  others.reserve(parts - 1);
  for (std::uint64_t i = 1; i < parts; ++i) {
    others.emplace_back([&work, begin = rows * i / parts, end = rows * (i + 1) / parts] { work(begin, end); });
  }
  work(0, rows / parts);
}  // the jthreads join here

}  // namespace dormouse::worker
