// CHECK: a bug is a crash with file, line and the condition. Never reachable from a request, a file or a peer: those
// are Results. DCHECK is for hot loops and vanishes from release builds.
#pragma once

namespace dormouse {

[[noreturn]] void check_failed(const char* file, int line, const char* condition);

}  // namespace dormouse

#define CHECK(condition) ((condition) ? static_cast<void>(0) : ::dormouse::check_failed(__FILE__, __LINE__, #condition))

#ifdef DORMOUSE_DCHECK
#define DCHECK(condition) CHECK(condition)
#else
#define DCHECK(condition) static_cast<void>(sizeof(!(condition)))
#endif
