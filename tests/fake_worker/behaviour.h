// What a fake worker does, as text: "load_ms=200,tokens_per_s=50,crash_at=5". Read from the environment variable
// DORMOUSE_FAKE and then from the model file, when that begins with "fake:" (so each deployment can have its own).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dormouse::fake {

struct Behaviour {
  std::int64_t load_ms = 0;
  std::int64_t tokens_per_s = 0;    // 0: as fast as they can be written
  std::int64_t tokens = 16;         // of an answer without max_tokens
  std::int64_t context = 4096;
  std::int64_t crash_at = -1;       // ends by SIGKILL when this many tokens have been sent, over all requests
  std::int64_t exit_at = -1;        // the same, by _exit(7)
  std::int64_t hang_at = -1;        // after this many tokens nothing moves any more, the step counter included
  std::int64_t slow_hello_ms = 0;   // connects, and is silent for so long
  std::int64_t crash_load_ms = -1;  // SIGKILL so long after the start
  bool hang_load = false;           // progress never ends
  bool fail_load = false;           // failed{model_invalid}, exit code 2
  bool ignore_sigterm = false;
  bool ignore_drain = false;
  bool ignore_stop = false;
  bool survive_eof = false;         // stays when the gateway is gone
  bool wrong_lease = false;
  bool garbage = false;             // not JSON instead of hello
  bool garbage_stream = false;      // a frame that is not JSON in the middle of an answer
  bool golden_mismatch = false;     // failed{golden_mismatch} and exit code 3 at the first request
  std::int64_t faulty_starts = 0;   // > 0: in its later starts (epochs) this worker is a good one
};

// Without its faults: what is left is load time, speed and sizes.
[[nodiscard]] Behaviour healthy(const Behaviour& behaviour);

// Errors: kInvalidArgument (an unknown key, not a number), naming it.
[[nodiscard]] Status apply(std::string_view text, Behaviour& behaviour);

}  // namespace dormouse::fake
