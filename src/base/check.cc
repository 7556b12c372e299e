#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace dormouse {

void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "event=check_failed at=%s:%d condition=\"%s\"\n", file, line, condition);
  std::abort();
}

}  // namespace dormouse
