// What this machine can do at most: the two limits that bench measures a model against.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/lazy_memory.h"
#include "engine/thread_pool.h"

namespace dormouse::engine {

// What all threads together read of huge pages, in bursts just before and after the measured work: neighbours slow both
// down alike. The pool and the clock outlive it.
class ReadProbe {
 public:
  // Takes 256 MiB a thread. Errors: kOverloaded (no memory).
  static Result<ReadProbe> create(ThreadPool& pool, const Clock& clock);
  // GB/s of reading it all, each line asked for 1 KiB ahead as the kernels do. Some 16 ms: shorter ones measure how
  // soon a sleeping thread gets a CPU.
  double burst();
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  ReadProbe(ThreadPool& pool, const Clock& clock, LazyMemory memory, std::uint64_t bytes);
  ThreadPool* pool_;
  const Clock* clock_;
  LazyMemory memory_;
  std::uint64_t bytes_;
  std::vector<std::uint64_t> sums_;  // of what each thread read: nothing may be left out
};

// 10^12 operations a second of the fastest int8 product of this instruction set ("": the best this CPU has) on
// registers alone, all threads at once, best of 5; a multiply-add is two operations. 0 where its table does not tell.
// Errors: kInvalidArgument (isa).
[[nodiscard]] Result<double> int8_tops(const std::string& isa, ThreadPool& pool, const Clock& clock);

}  // namespace dormouse::engine
