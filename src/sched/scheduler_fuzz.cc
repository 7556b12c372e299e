// Fuzz target: any order of submit, step, cancel and abandon keeps the scheduler's invariants.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "sched/scheduler_walk_test.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Small caps, so that few bytes reach every state. Long inputs only repeat themselves.
  if (size > 4096) return 0;
  dormouse::sched::SchedulerWalk walk({.max_sequences = 6,
                                       .max_batch_tokens = 48,
                                       .max_logits_rows = 10,
                                       .kv_pages = 14,
                                       .speculation = dormouse::sched::Speculation::kNgram,
                                       .max_waiting = 12,
                                       .max_waiting_tokens = 4000});
  CHECK(walk.run({data, size}).empty());
  return 0;
}
