// How the states of a folder's model become one vector of a text: what sentence-transformers' files beside it say.
// Threads: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace dormouse::worker {

// llama.cpp's enum llama_pooling_type, of which a decoder has these two: qwen3.pooling_type.
enum class HfPooling : std::uint32_t { kMean = 1, kLast = 3 };

// nullopt: the folder has no modules.json. Errors: kInvalidArgument (another pooling; a module that changes the vector,
// which would be lost), kNotFound and kDataLoss (a missing or damaged file or field).
[[nodiscard]] Result<std::optional<HfPooling>> read_hf_pooling(const std::string& directory);

}  // namespace dormouse::worker
