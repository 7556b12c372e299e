// How fast this machine reads its memory: what limits the tokens a second of a model on the CPU.
#pragma once

#include <cstdint>

namespace dormouse::cli {

// Bytes a second of plain reads by so many threads at once, each of its own part. Takes a fifth of a second on an idle
// machine, and kReadBytes of memory for that long. 0: not measured, less than four times that is available.
[[nodiscard]] double measure_read_speed(int threads, std::int64_t available_bytes);
// Several times the largest caches.
inline constexpr std::int64_t kReadBytes = 512LL << 20;

}  // namespace dormouse::cli
