#include "engine/machine_limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>
#include <vector>

#include "engine/lazy_memory.h"
#include "kernels/dispatch.h"

namespace dormouse::engine {
namespace {

constexpr int kRounds = 5;

double seconds_since(const Clock& clock, MonoTime begin) {
  return std::chrono::duration<double>(clock.now() - begin).count();
}

}  // namespace

// Slices of 1 MiB, so that a thread that loses its CPU does not decide the result alone.
Result<double> read_bandwidth(ThreadPool& pool, const Clock& clock) {
  constexpr std::int64_t kBytes = 256 << 20;
  constexpr std::int64_t kSlice = 1 << 20;
  constexpr std::int64_t kWords = kSlice / 8;
  const std::int64_t total = kBytes * pool.threads();
  TRY(const LazyMemory memory, LazyMemory::reserve(static_cast<std::uint64_t>(total), LazyMemory::Pages::kHuge));
  const auto slices = static_cast<std::int32_t>(total / kSlice);
  pool.for_each(slices, [&](std::int32_t i, std::int32_t) { std::memset(memory.data() + i * kSlice, 1, kSlice); });
  double best = 0;
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(pool.threads()));
  for (int round = 0; round < kRounds; ++round) {
    const MonoTime begin = clock.now();
    pool.for_each(slices, [&](std::int32_t i, std::int32_t thread) {
      const auto* at = reinterpret_cast<const std::uint64_t*>(memory.data() + i * kSlice);
      std::uint64_t sum[8] = {};
      for (std::int64_t j = 0; j < kWords; j += 8) {
        __builtin_prefetch(at + j + 128);
        for (int l = 0; l < 8; ++l) sum[l] += at[j + l];
      }
      sums[static_cast<std::size_t>(thread)] += std::accumulate(sum, sum + 8, std::uint64_t{0});
    });
    best = std::max(best, static_cast<double>(total) / seconds_since(clock, begin) / 1e9);
  }
  if (sums[0] == 0) return make_error(Code::kInternal, "bench: the memory read as zeros");
  return best;
}

Result<double> int8_tops(const std::string& isa, ThreadPool& pool, const Clock& clock) {
  TRY(const kernels::KernelTable* const table, kernels::select_kernels(isa));
  if (table->int8_peak == nullptr) return 0;
  constexpr std::int64_t kOperations = 20'000'000'000;  // a thread: some milliseconds where a tile product is the unit
  constexpr std::int32_t kPieces = 16;
  const std::int64_t rounds = std::max<std::int64_t>(kOperations / kPieces / table->int8_peak(1), 1);
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<std::int64_t> operations{0};
    const MonoTime begin = clock.now();
    pool.for_each(kPieces * pool.threads(),
                  [&](std::int32_t, std::int32_t) { operations += table->int8_peak(rounds); });
    best = std::max(best, static_cast<double>(operations) / seconds_since(clock, begin) / 1e12);
  }
  return best;
}

}  // namespace dormouse::engine
