// NVIDIA's management library, loaded at run time: a machine without it has no GPUs to tell of, and this program needs
// none to start. Threads: one at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gateway/vitals.h"

namespace dormouse::gateway {

class Nvml {
 public:
  // Null: no such library, one that lacks what is asked of it, or no driver behind it. May take a second where the
  // driver is not loaded; `library` as dlopen takes it.
  static std::unique_ptr<Nvml> open(const std::string& library);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  // In NVML's order. One that cannot be read is left out.
  [[nodiscard]] std::vector<GpuVitals> read() const;

 private:
  struct Functions;
  struct Unload {
    void operator()(void* handle) const;
  };
  Nvml() = default;
  std::unique_ptr<void, Unload> handle_;
  std::unique_ptr<Functions> functions_;
  bool is_initialised_ = false;
};

}  // namespace dormouse::gateway
