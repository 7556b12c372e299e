// Where a model computes, and what it takes of a GPU's memory. Pure functions. Threads: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/config.h"
#include "engine/engine.h"
#include "gguf/file.h"

namespace dormouse::engine {

struct DeviceName {
  enum class Kind : std::uint8_t { kCpu, kCuda, kAuto };  // kAuto: a GPU if there is one and the model fits
  Kind kind = Kind::kCpu;
  int ordinal = 0;  // of the GPU; kAuto: the first
};
// "cpu", "cuda:N", "cuda" (the first), "auto". Errors: kInvalidArgument.
[[nodiscard]] Result<DeviceName> parse_device(std::string_view name);

// auto, on, off. Errors: kInvalidArgument.
[[nodiscard]] Result<DeviceSampling> parse_device_sampling(std::string_view name);

// auto (none), all, none, or names out of one-row, shared-prefixes, whole-step, wide-products, small-stacks, with
// commas between. Errors: kInvalidArgument.
[[nodiscard]] Result<std::optional<DevicePaths>> parse_device_paths(std::string_view names);
// The other way round; "none" where there is none.
[[nodiscard]] std::string names_of(const DevicePaths& paths);

// Device memory beside the KV pages and the context: packed weights, buffers of a step, and what the driver takes later
// (recordings, kernels' own memory). An upper bound from shapes alone; the engine allocates what it needs.
[[nodiscard]] std::uint64_t gpu_bytes_beside_kv(const gguf::File& file, const ModelConfig& config,
                                                const EngineOptions& options);

}  // namespace dormouse::engine
