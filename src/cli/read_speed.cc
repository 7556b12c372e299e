#include "cli/read_speed.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstddef>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace dormouse::cli {
namespace {

// 8 MiB: some 0.6 ms, well under what a scheduler gives in one go, and long against the few microseconds it takes to
// begin together.
constexpr std::size_t kSliceWords = (8U << 20) / sizeof(std::uint64_t);
constexpr std::size_t kPageBytes = 4'096;
constexpr int kMostThreads = 64;  // by then a socket's memory is what limits
// A better sample is worth waiting for: a busy neighbour's turn is some milliseconds to some tens of them.
constexpr Nanoseconds kPatience = std::chrono::milliseconds(400);
constexpr double kBetter = 1.01;  // less is noise
constexpr Nanoseconds kLongestMeasurement = std::chrono::milliseconds(1'200);

// Each thread on a core of its own: who wakes another puts it on its own core otherwise, and on a busy machine the two
// take turns there (14 GB/s instead of 27 were measured so).
void stay_on_core(std::size_t thread) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  const auto count = static_cast<std::size_t>(CPU_COUNT(&allowed));
  if (count == 0) return;
  std::size_t left = thread % count;
  for (std::size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &allowed) || left-- > 0) continue;
    cpu_set_t mine;
    CPU_ZERO(&mine);
    CPU_SET(core, &mine);
    ::sched_setaffinity(0, sizeof mine, &mine);  // of this thread; where it may not, it runs where it is put
    return;
  }
}

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

// All threads begin a sample together, and it lasts until the last of them is done: one that had to wait for its core
// spoils it, as does one that had the memory to itself meanwhile.
class Samples {
 public:
  Samples(std::span<std::uint64_t> words, std::size_t threads)
      : words_(words),
        part_(words.size() / threads),
        slice_(std::min(part_, kSliceWords)),
        bytes_(static_cast<double>(threads * slice_ * sizeof(std::uint64_t))),
        between_(static_cast<std::ptrdiff_t>(threads), Judge{*this}) {}

  void read(std::size_t thread) {
    const std::span<std::uint64_t> own = words_.subspan(thread * part_, part_);
    stay_on_core(thread);
    for (std::size_t i = 0; i < own.size(); i += kPageBytes / sizeof(std::uint64_t)) own[i] = 1;  // the system fills in
    std::uint64_t sum = 0;
    std::size_t at = 0;
    for (between_.arrive_and_wait(); !is_over_; between_.arrive_and_wait()) {
      sum += sum_of(own.subspan(at, slice_));
      at = at + 2 * slice_ <= part_ ? at + slice_ : 0;
    }
    total_.fetch_add(sum, std::memory_order_relaxed);
  }

  [[nodiscard]] double best() const { return total_.load(std::memory_order_relaxed) > 0 ? best_ : 0; }

 private:
  // Called by one thread while the others wait.
  struct Judge {
    Samples& samples;
    void operator()() noexcept { samples.judge(); }
  };
  void judge() noexcept {
    const MonoTime now = clock_.now();
    const double seconds = std::chrono::duration<double>(now - sample_began_).count();
    const double speed = is_begun_ ? bytes_ / std::max(seconds, 1e-9) : 0;
    if (!is_begun_) begun_ = improved_ = now;
    if (speed > kBetter * best_) improved_ = now;
    best_ = std::max(best_, speed);
    is_over_ = now - improved_ > kPatience || now - begun_ > kLongestMeasurement;
    is_begun_ = true;
    sample_began_ = clock_.now();
  }

  const SystemClock clock_;
  const std::span<std::uint64_t> words_;
  const std::size_t part_;
  const std::size_t slice_;
  const double bytes_;                   // of a sample
  std::atomic<std::uint64_t> total_{0};  // relaxed: only that the sums are not dead code
  // These change between two samples only; the barrier orders them.
  MonoTime begun_;
  MonoTime sample_began_;
  MonoTime improved_;
  double best_ = 0;
  bool is_begun_ = false;
  bool is_over_ = false;
  std::barrier<Judge> between_;
};

}  // namespace

double measure_read_speed(int threads, std::int64_t available_bytes) {
  if (available_bytes < 4 * kReadBytes) return 0;
  constexpr std::size_t kWords = kReadBytes / sizeof(std::uint64_t);
  const std::unique_ptr<std::uint64_t[]> words = std::make_unique_for_overwrite<std::uint64_t[]>(kWords);
  const auto parts = static_cast<std::size_t>(std::clamp(threads, 1, kMostThreads));
  Samples samples(std::span(words.get(), kWords), parts);
  {
    std::vector<std::jthread> readers;
    for (std::size_t i = 0; i < parts; ++i) readers.emplace_back([&samples, i] { samples.read(i); });
  }
  return samples.best();
}

// Half of the cores taken: the threads of a sample seldom run at once.
bool is_busy(double load, int cores) {
  return load >= 0.5 * std::max(cores, 1);
}

}  // namespace dormouse::cli
