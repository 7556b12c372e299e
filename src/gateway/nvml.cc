#include "gateway/nvml.h"

#include <dlfcn.h>

#include <array>
#include <string_view>

namespace dormouse::gateway {
namespace {

// As nvml.h declares them (stable since version 4 of the library): 0 is success, everywhere.
using Device = void*;
struct Utilization {
  unsigned gpu;  // per cent
  unsigned memory;
};
struct Memory {
  unsigned long long total;  // bytes
  unsigned long long free;
  unsigned long long used;
};

template <typename Function>
bool find(void* handle, const char* name, Function*& out) {
  out = reinterpret_cast<Function*>(::dlsym(handle, name));
  return out != nullptr;
}

}  // namespace

struct Nvml::Functions {
  int (*init)();
  int (*shutdown)();
  int (*count)(unsigned*);
  int (*by_index)(unsigned, Device*);
  int (*name)(Device, char*, unsigned);
  int (*utilization)(Device, Utilization*);
  int (*memory)(Device, Memory*);
};

void Nvml::Unload::operator()(void* handle) const {
  ::dlclose(handle);
}

std::unique_ptr<Nvml> Nvml::open(const std::string& library) {
  std::unique_ptr<Nvml> out(new Nvml);
  out->handle_.reset(::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL));
  void* const handle = out->handle_.get();
  if (handle == nullptr) return nullptr;
  out->functions_ = std::make_unique<Functions>();
  Functions& f = *out->functions_;
  const bool is_whole =
      find(handle, "nvmlInit_v2", f.init) && find(handle, "nvmlShutdown", f.shutdown) &&
      find(handle, "nvmlDeviceGetCount_v2", f.count) && find(handle, "nvmlDeviceGetHandleByIndex_v2", f.by_index) &&
      find(handle, "nvmlDeviceGetName", f.name) && find(handle, "nvmlDeviceGetUtilizationRates", f.utilization) &&
      find(handle, "nvmlDeviceGetMemoryInfo", f.memory);
  if (!is_whole || f.init() != 0) return nullptr;
  out->is_initialised_ = true;
  return out;
}

Nvml::~Nvml() {
  if (is_initialised_) functions_->shutdown();
}

std::vector<GpuVitals> Nvml::read() const {
  constexpr unsigned kMostGpus = 64;
  std::vector<GpuVitals> out;
  unsigned count = 0;
  if (functions_->count(&count) != 0) return out;
  for (unsigned i = 0; i < count && i < kMostGpus; ++i) {
    Device device = nullptr;
    std::array<char, 96> name{};
    Utilization busy{};
    Memory memory{};
    if (functions_->by_index(i, &device) != 0 || functions_->utilization(device, &busy) != 0 ||
        functions_->memory(device, &memory) != 0) {
      continue;
    }
    if (functions_->name(device, name.data(), name.size() - 1) != 0) name[0] = '\0';
    out.push_back({.index = static_cast<int>(i),
                   .name = name.data(),
                   .busy = static_cast<double>(busy.gpu) / 100,
                   .memory_used_bytes = static_cast<std::int64_t>(memory.used),
                   .memory_total_bytes = static_cast<std::int64_t>(memory.total)});
  }
  return out;
}

}  // namespace dormouse::gateway
