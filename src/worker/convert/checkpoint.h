// The weights of a Hugging Face folder: model.safetensors, or the parts that model.safetensors.index.json lists.
// Invariants: (1) every part lies in the folder itself; (2) a name is in one part only, and where the index says.
// Threads: const from any. Views live as long as the checkpoint.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "worker/convert/safetensors.h"

namespace dormouse::worker {

inline constexpr std::size_t kCheckpointPartsMax = 1024;  // each is a mapping; Qwen3-32B has 17

struct CheckpointTensor {
  const SafetensorsFile* part = nullptr;
  const SafetensorsTensor* tensor = nullptr;
};

class Checkpoint {
 public:
  // Errors: kNotFound (no folder, no weights, a part is missing), kInvalidArgument (weights in another format),
  // kDataLoss (the index and the parts disagree), those of SafetensorsFile.
  static Result<Checkpoint> open(const std::string& directory);

  [[nodiscard]] const CheckpointTensor* find(std::string_view name) const;  // null: none
  [[nodiscard]] const std::unordered_map<std::string_view, CheckpointTensor>& tensors() const { return by_name_; }
  [[nodiscard]] std::span<const SafetensorsFile> parts() const { return parts_; }

 private:
  Checkpoint() = default;
  Status index_parts();

  std::vector<SafetensorsFile> parts_;
  std::unordered_map<std::string_view, CheckpointTensor> by_name_;  // keys view parts_
};

}  // namespace dormouse::worker
