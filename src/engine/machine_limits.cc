#include "engine/machine_limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>
#include <utility>

#include "kernels/dispatch.h"

namespace dormouse::engine {
namespace {

constexpr std::int64_t kBytesPerThread = 256 << 20;
// Slices of 1 MiB, so that a thread that loses its CPU does not decide a burst alone.
constexpr std::int64_t kSlice = 1 << 20;

double seconds_since(const Clock& clock, MonoTime begin) {
  return std::chrono::duration<double>(clock.now() - begin).count();
}

std::uint64_t sum_of_slice(const std::uint8_t* slice) {
  const auto* at = reinterpret_cast<const std::uint64_t*>(slice);
  std::uint64_t sum[8] = {};
  for (std::int64_t j = 0; j < kSlice / 8; j += 8) {
    __builtin_prefetch(at + j + 128);
    for (int l = 0; l < 8; ++l) sum[l] += at[j + l];
  }
  return std::accumulate(sum, sum + 8, std::uint64_t{0});
}

}  // namespace

ReadProbe::ReadProbe(ThreadPool& pool, const Clock& clock, LazyMemory memory, std::uint64_t bytes)
    : pool_(&pool),
      clock_(&clock),
      memory_(std::move(memory)),
      bytes_(bytes),
      sums_(static_cast<std::size_t>(pool.threads())) {}

Result<ReadProbe> ReadProbe::create(ThreadPool& pool, const Clock& clock) {
  const std::int64_t bytes = kBytesPerThread * pool.threads();
  TRY(LazyMemory memory, LazyMemory::reserve(static_cast<std::uint64_t>(bytes), LazyMemory::Pages::kHuge));
  pool.for_each(static_cast<std::int32_t>(bytes / kSlice),
                [&](std::int32_t i, std::int32_t) { std::memset(memory.data() + i * kSlice, 1, kSlice); });
  return ReadProbe(pool, clock, std::move(memory), static_cast<std::uint64_t>(bytes));
}

double ReadProbe::burst() {
  const MonoTime begin = clock_->now();
  pool_->for_each(static_cast<std::int32_t>(static_cast<std::int64_t>(bytes_) / kSlice),
                  [&](std::int32_t i, std::int32_t thread) {
                    sums_[static_cast<std::size_t>(thread)] += sum_of_slice(memory_.data() + i * kSlice);
                  });
  return static_cast<double>(bytes_) / seconds_since(*clock_, begin) / 1e9;
}

Result<double> int8_tops(const std::string& isa, ThreadPool& pool, const Clock& clock) {
  TRY(const kernels::KernelTable* const table, kernels::select_kernels(isa));
  if (table->int8_peak == nullptr) return 0;
  constexpr std::int64_t kOperations = 20'000'000'000;  // a thread: some milliseconds where a tile product is the unit
  constexpr std::int32_t kPieces = 16;
  constexpr int kRounds = 5;
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
