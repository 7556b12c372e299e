// What a worker calls itself in its hello, whichever engine it runs.
#pragma once

namespace dormouse::worker {

inline constexpr const char* kBuildVersion = "0.1.0";

}  // namespace dormouse::worker
