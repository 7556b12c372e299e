#include "engine/engine_cuda.h"

namespace dormouse::engine {

Result<std::unique_ptr<Engine>> load_cuda(std::unique_ptr<cuda::Device> /*device*/, const gguf::File& /*file*/,
                                          const pack::PackedFile* /*packed*/, const EngineOptions& /*options*/,
                                          const Progress& /*progress*/) {
  return make_error(Code::kUnavailable, "the forward pass on a GPU is not in this build yet");
}

}  // namespace dormouse::engine
