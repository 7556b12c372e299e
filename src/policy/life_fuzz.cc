// Any bytes are a walk of events; the invariants of policy/life.h are CHECKs.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "policy/life_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  dormouse::policy::LifeConfig config;
  config.max_waiters = 1 + data[0] % 8;
  config.max_instances = 1 + data[1] / 2 % 3;
  config.min_instances = data[1] % 2;
  dormouse::policy::LifeWalk walk(config);
  for (std::size_t i = 2; i + 1 < size; i += 2) CHECK(walk.step(data[i], data[i + 1]));
  CHECK(walk.finish());
  return 0;
}
