// What is left on disk of a running worker, so that the next gateway can end it if this one dies and the worker does
// not: one small file a worker, "pid start-time boot-id instance-id". A pid alone may have been given to somebody else
// by then; pid, start time and boot id together name one process for ever.
// Threads: any. Blocking.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"

namespace dormouse::fleet {

// Writes RUN/<name>.lease for a child that runs. Errors: kUnavailable and the like from the file system.
Status write_lease_file(const std::string& path, pid_t pid, const std::string& instance_id);

// Kills (SIGKILL, the whole group) every process a lease file in `directory` still names and waits up to 2 s for its
// end; removes the files and the workers' sockets. Returns how many were alive. Errors: kNotFound (no directory).
Result<int> sweep_left_over_workers(const std::string& directory);

}  // namespace dormouse::fleet
