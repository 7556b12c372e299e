// How fast this machine reads its memory: what limits the tokens a second of a model on the CPU.
#pragma once

#include <cstdint>

namespace dormouse::cli {

// Bytes a second of plain reads by so many threads at once, each of its own part: the best of many samples of half a
// millisecond, every thread on a core of its own. Others' work on the cores makes samples slower, never faster,
// and between two turns of theirs is room for some; only memory that others read all the time is missing in the best.
// Takes half a second on an idle machine, at most 1.2 s and what it then takes to get the memory, kReadBytes of it.
// 0: not measured, less than four times that is available.
[[nodiscard]] double measure_read_speed(int threads, std::int64_t available_bytes);
// More than the largest caches hold.
inline constexpr std::int64_t kReadBytes = 512LL << 20;

// Does what else runs take enough of the cores to slow that measurement down? `load`: runnable tasks over the last
// minute, of this machine's cores.
[[nodiscard]] bool is_busy(double load, int cores);

}  // namespace dormouse::cli
