#include "kernels/cuda/driver_api.h"

#include <dlfcn.h>

#include <array>
#include <string>

namespace dormouse::cuda::driver {
namespace {

// Where containers put the host's driver when their linker has not been told.
constexpr std::array kLibraries = {"libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1"};

template <typename Pointer>
void find(void* library, const char* symbol, Pointer& out) {
  out = reinterpret_cast<Pointer>(::dlsym(library, symbol));
}

Result<void*> open_library() {
  std::string why;
  for (const char* name : kLibraries) {
    if (void* const library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL); library != nullptr) return library;
    const char* const text = ::dlerror();
    if (why.empty() && text != nullptr) why = text;
  }
  return make_error(Code::kNotFound, "no NVIDIA driver on this machine: " + why);
}

}  // namespace

Result<Api> load() {
  TRY(void* const library, open_library());
  Api api;
  const char* missing = nullptr;
#define DORMOUSE_CUDA_FIND(name, symbol, parameters) \
  find(library, #symbol, api.name);                  \
  if (api.name == nullptr) missing = #symbol;
  DORMOUSE_CUDA_DRIVER_CALLS(DORMOUSE_CUDA_FIND)
#undef DORMOUSE_CUDA_FIND
  find(library, "cuFuncLoad", api.load_function);
  if (missing != nullptr) {
    return make_error(Code::kNotFound, std::string("the NVIDIA driver is too old: it has no ") + missing);
  }
  const int code = api.init(0);
  if (code == kNoDevice) return make_error(Code::kNotFound, "the NVIDIA driver finds no GPU");
  if (code == kStubLibrary) {
    return make_error(Code::kNotFound, "no NVIDIA driver on this machine: libcuda.so.1 is the toolkit's stub");
  }
  if (code != kSuccess) return make_driver_error(api, code, "starting the driver");
  return api;
}

Error make_driver_error(const Api& api, int code, const std::string& doing) {
  const char* name = nullptr;
  const char* text = nullptr;
  if (api.error_name(code, &name) != kSuccess || name == nullptr) name = "unknown error";
  if (api.error_text(code, &text) != kSuccess || text == nullptr) text = "no explanation";
  return make_error(code == kOutOfMemory ? Code::kOverloaded : Code::kInternal,
                    "cuda: " + doing + ": " + name + " (" + std::to_string(code) + ", " + text + ")");
}

}  // namespace dormouse::cuda::driver
