// Named places where a test may kill the process: DORMOUSE_CRASHPOINT="ledger.after_reserve:3" ends it with SIGKILL the
// third time that point is passed. Costs one relaxed load when unset. Threads: any.
#pragma once

namespace dormouse {

void crashpoint(const char* name);

}  // namespace dormouse
