// What this machine can do at most: the two limits that bench measures a model against.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "engine/thread_pool.h"

namespace dormouse::engine {

// What all threads together read of huge pages, in GB/s, each line asked for 1 KiB ahead as the kernels do: 256 MiB
// each, best of 5. Errors: kOverloaded (no memory).
[[nodiscard]] Result<double> read_bandwidth(ThreadPool& pool, const Clock& clock);

// 10^12 operations a second of the fastest int8 product of this instruction set ("": the best this CPU has) on
// registers alone, all threads at once, best of 5; a multiply-add is two operations. 0 where its table does not tell.
// Errors: kInvalidArgument (isa).
[[nodiscard]] Result<double> int8_tops(const std::string& isa, ThreadPool& pool, const Clock& clock);

}  // namespace dormouse::engine
