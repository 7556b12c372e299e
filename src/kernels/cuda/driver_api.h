// The part of the CUDA driver's ABI that we call, declared by ourselves: a build without CUDA's headers makes a worker
// that runs a card, and a machine without a card runs the same worker. The names behind an underscore and a version are
// those that cuda.h maps its functions to; a driver keeps every one it ever had, so dlsym is enough. Layouts follow
// CUDA 12's cuda.h and are the same in 13's. Threads: any, as the driver's own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace dormouse::cuda::driver {

struct ContextState;
struct ModuleState;
struct FunctionState;
struct StreamState;
struct GraphState;
struct GraphExecState;
using Context = ContextState*;
using Module = ModuleState*;
using Function = FunctionState*;
using Stream = StreamState*;
using Graph = GraphState*;
using GraphExec = GraphExecState*;
using Address = std::uint64_t;
using Gpu = int;

// CUresult
inline constexpr int kSuccess = 0;
inline constexpr int kOutOfMemory = 2;
inline constexpr int kStubLibrary = 34;
inline constexpr int kNoDevice = 100;
// CUdevice_attribute
inline constexpr int kMultiprocessors = 16;
inline constexpr int kL2Bytes = 38;
inline constexpr int kComputeMajor = 75;
inline constexpr int kComputeMinor = 76;
inline constexpr int kCooperativeLaunch = 95;
inline constexpr int kSharedBytesPerBlockOptIn = 97;
// CUlimit, CUctx_flags, CUstream_flags, CUstreamCaptureMode, CUfunction_attribute, CUlaunchAttributeID
inline constexpr int kStackLimit = 0;
inline constexpr unsigned kScheduleSpin = 1;
inline constexpr unsigned kStreamNonBlocking = 1;
inline constexpr int kCaptureRelaxed = 2;
inline constexpr int kLocalBytes = 3;
inline constexpr int kMaxDynamicSharedBytes = 8;
inline constexpr int kCooperative = 2;
inline constexpr int kProgrammaticStreamSerialization = 6;

struct LaunchAttribute {  // CUlaunchAttribute
  int id = 0;
  int padding = 0;
  std::int32_t value[16] = {};
};
static_assert(sizeof(LaunchAttribute) == 72);

struct LaunchConfig {  // CUlaunchConfig
  unsigned grid[3] = {};
  unsigned block[3] = {};
  unsigned shared_bytes = 0;
  Stream stream = nullptr;
  LaunchAttribute* attributes = nullptr;
  unsigned attribute_count = 0;
};
static_assert(sizeof(LaunchConfig) == 56);

// CALL(our name, the driver's symbol, its parameters); all return a CUresult.
#define DORMOUSE_CUDA_DRIVER_CALLS(CALL)                                                                           \
  CALL(init, cuInit, (unsigned flags))                                                                             \
  CALL(driver_version, cuDriverGetVersion, (int* version))                                                         \
  CALL(error_name, cuGetErrorName, (int code, const char** name))                                                  \
  CALL(error_text, cuGetErrorString, (int code, const char** text))                                                \
  CALL(gpu_count, cuDeviceGetCount, (int* count))                                                                  \
  CALL(gpu, cuDeviceGet, (Gpu * gpu, int ordinal))                                                                 \
  CALL(gpu_name, cuDeviceGetName, (char* name, int length, Gpu gpu))                                               \
  CALL(gpu_bytes, cuDeviceTotalMem_v2, (std::size_t * bytes, Gpu gpu))                                             \
  CALL(gpu_attribute, cuDeviceGetAttribute, (int* value, int attribute, Gpu gpu))                                  \
  CALL(set_context_flags, cuDevicePrimaryCtxSetFlags_v2, (Gpu gpu, unsigned flags))                                \
  CALL(retain_context, cuDevicePrimaryCtxRetain, (Context * context, Gpu gpu))                                     \
  CALL(release_context, cuDevicePrimaryCtxRelease_v2, (Gpu gpu))                                                   \
  CALL(set_current, cuCtxSetCurrent, (Context context))                                                            \
  CALL(set_limit, cuCtxSetLimit, (int limit, std::size_t value))                                                   \
  CALL(memory_info, cuMemGetInfo_v2, (std::size_t * free, std::size_t * total))                                    \
  CALL(allocate, cuMemAlloc_v2, (Address * address, std::size_t bytes))                                            \
  CALL(release, cuMemFree_v2, (Address address))                                                                   \
  CALL(allocate_host, cuMemHostAlloc, (void** memory, std::size_t bytes, unsigned flags))                          \
  CALL(release_host, cuMemFreeHost, (void* memory))                                                                \
  CALL(copy_to_device, cuMemcpyHtoDAsync_v2, (Address to, const void* from, std::size_t bytes, Stream stream))     \
  CALL(copy_to_host, cuMemcpyDtoHAsync_v2, (void* to, Address from, std::size_t bytes, Stream stream))             \
  CALL(fill, cuMemsetD8Async, (Address to, unsigned char value, std::size_t bytes, Stream stream))                 \
  CALL(load_module, cuModuleLoadData, (Module * module, const void* image))                                        \
  CALL(unload_module, cuModuleUnload, (Module module))                                                             \
  CALL(find_function, cuModuleGetFunction, (Function * function, Module module, const char* name))                 \
  CALL(set_function_attribute, cuFuncSetAttribute, (Function function, int attribute, int value))                  \
  CALL(function_attribute, cuFuncGetAttribute, (int* value, int attribute, Function function))                     \
  CALL(launch, cuLaunchKernelEx, (const LaunchConfig* config, Function function, void** parameters, void** extra)) \
  CALL(create_stream, cuStreamCreate, (Stream * stream, unsigned flags))                                           \
  CALL(destroy_stream, cuStreamDestroy_v2, (Stream stream))                                                        \
  CALL(synchronize, cuStreamSynchronize, (Stream stream))                                                          \
  CALL(begin_capture, cuStreamBeginCapture_v2, (Stream stream, int mode))                                          \
  CALL(end_capture, cuStreamEndCapture, (Stream stream, Graph * graph))                                            \
  CALL(instantiate, cuGraphInstantiateWithFlags, (GraphExec * exec, Graph graph, unsigned long long flags))        \
  CALL(upload_graph, cuGraphUpload, (GraphExec exec, Stream stream))                                               \
  CALL(launch_graph, cuGraphLaunch, (GraphExec exec, Stream stream))                                               \
  CALL(destroy_graph, cuGraphDestroy, (Graph graph))                                                               \
  CALL(destroy_graph_exec, cuGraphExecDestroy, (GraphExec exec))

struct Api {
#define DORMOUSE_CUDA_POINTER(name, symbol, parameters) int(*name) parameters = nullptr;
  DORMOUSE_CUDA_DRIVER_CALLS(DORMOUSE_CUDA_POINTER)
#undef DORMOUSE_CUDA_POINTER
  // Null before CUDA 12.4, whose drivers load kernels lazily where the user asked for it only.
  int (*load_function)(Function function) = nullptr;
};

// libcuda.so.1, opened once and never closed (it keeps threads of its own), and initialised. Errors: kNotFound (no
// driver; one too old; no GPU), kInternal (a driver that does not start: says its words).
[[nodiscard]] Result<Api> load();

// kOverloaded for out of memory, kInternal otherwise: "cuda: <doing>: <name> (<text>)".
[[nodiscard]] Error make_driver_error(const Api& api, int code, const std::string& doing);

}  // namespace dormouse::cuda::driver
