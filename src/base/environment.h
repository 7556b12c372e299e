// What this process was started with.
#pragma once

#include <cstdlib>
#include <string>

namespace dormouse {

// Empty where it is not set, too. Threads: any, as long as nobody changes the environment meanwhile.
[[nodiscard]] inline std::string environment_variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace dormouse
