// The engine on a GPU. Its load, step and destructor run on the engine thread, as the device's calls do.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/weights.h"
#include "gguf/file.h"
#include "kernels/cuda/device.h"
#include "pack/packed_file.h"

namespace dormouse::engine {

// The machine's GPU `ordinal`, with the paths asked for that are of the whole context. Errors: as cuda::open_gpu().
[[nodiscard]] Result<std::unique_ptr<cuda::Device>> open_gpu(int ordinal, const std::optional<DevicePaths>& paths);

// As Engine::load(), on a device that is open: a card, or the emulation. Errors besides: kOverloaded (weights, buffers
// and pages do not fit the device's memory), and the device's own.
[[nodiscard]] Result<std::unique_ptr<Engine>> load_cuda(std::unique_ptr<cuda::Device> device, const gguf::File& file,
                                                        const pack::PackedFile* packed, const EngineOptions& options,
                                                        const Progress& progress);

// Whether this device finds a row's likeliest tokens: as asked for, by default only where that was tested, and never
// in a vocabulary of more ids than its kernels take.
[[nodiscard]] bool samples_on(const cuda::DeviceInfo& device, DeviceSampling wish, std::int32_t vocab);

}  // namespace dormouse::engine
