#include "cli/read_speed.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <numeric>
#include <span>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace dormouse::cli {
namespace {

// 4 MiB: some 0.3 ms, well under what a scheduler gives in one go.
constexpr std::size_t kSliceWords = (4U << 20) / sizeof(std::uint64_t);
constexpr int kMostThreads = 64;  // by then a socket's memory is what limits

// Eight sums that do not wait for each other.
std::uint64_t sum_of(std::span<const std::uint64_t> words) {
  std::uint64_t sums[8] = {};
  for (std::size_t i = 0; i + 8 <= words.size(); i += 8) {
    for (std::size_t k = 0; k < 8; ++k) sums[k] += words[i + k];
  }
  std::uint64_t out = 0;
  for (const std::uint64_t sum : sums) out += sum;
  return out;
}

// Bytes a second of the middle one of the slices: one during which the thread had to wait for its core says nothing of
// the memory.
double read_speed_of(std::span<const std::uint64_t> words, std::atomic<std::uint64_t>& total) {
  const SystemClock clock;
  std::vector<double> speeds;
  for (std::size_t at = 0; at + kSliceWords <= words.size(); at += kSliceWords) {
    const MonoTime begin = clock.now();
    total.fetch_add(sum_of(words.subspan(at, kSliceWords)), std::memory_order_relaxed);
    const double seconds = std::chrono::duration<double>(clock.now() - begin).count();
    speeds.push_back(static_cast<double>(kSliceWords * sizeof(std::uint64_t)) / std::max(seconds, 1e-9));
  }
  if (speeds.empty()) return 0;
  const auto middle = speeds.begin() + static_cast<std::ptrdiff_t>(speeds.size() / 2);
  std::nth_element(speeds.begin(), middle, speeds.end());
  return *middle;
}

}  // namespace

double measure_read_speed(int threads, std::int64_t available_bytes) {
  if (available_bytes < 4 * kReadBytes) return 0;
  const std::vector<std::uint64_t> words(kReadBytes / sizeof(std::uint64_t), 1);
  const auto parts = static_cast<std::size_t>(std::clamp(threads, 1, kMostThreads));
  const std::size_t part = words.size() / parts;
  std::atomic<std::uint64_t> total{0};  // relaxed: only that the sums are not dead code
  std::vector<double> speeds(parts, 0);
  {
    std::vector<std::jthread> readers;
    for (std::size_t i = 0; i < parts; ++i) {
      readers.emplace_back([&words, &total, &speeds, i, part] {
        speeds[i] = read_speed_of(std::span(words).subspan(i * part, part), total);
      });
    }
  }
  const double sum = std::accumulate(speeds.begin(), speeds.end(), 0.0);
  return total.load(std::memory_order_relaxed) > 0 ? sum : 0;
}

}  // namespace dormouse::cli
