// A safetensors file, read without a copy: a header of JSON that says where each tensor lies, and the tensors.
//   header bytes u64 (little endian), header: {"name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
//   ...,
//   "__metadata__": {...}}, then the data; offsets count from its start.
// Invariants of an open file: (1) each tensor's bytes lie in the file and are as many as its shape and type want;
// (2) no two overlap and the data has no holes, as the format demands; (3) names are unique and printable; (4) shapes
// have 1 to 4 dimensions, none of them 0. Source: the format's own description (safetensors 0.4) and its validator.
// Threads: const from any. Views live as long as the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "base/tensor_type.h"

namespace dormouse::worker {

// The header of a 5 GB part of Qwen3-14B has 30 kB; the format's own limit is 100 MB.
inline constexpr std::size_t kSafetensorsHeaderMax = 16U << 20;
inline constexpr std::size_t kSafetensorsDimensionsMax = 4;

struct SafetensorsTensor {
  std::string name;
  TensorType type = TensorType::kF32;  // F32, F16 or BF16
  std::vector<std::uint64_t> shape;    // outermost first
  std::span<const std::uint8_t> bytes;
};

class SafetensorsFile {
 public:
  // Errors: those of MappedFile; kDataLoss (damaged; names the file, the tensor and the field), kTooLarge (header),
  // kInvalidArgument (a type of weights that is not read).
  static Result<SafetensorsFile> open(const std::string& path);
  // Bytes that outlive it; name: how errors call them. The fuzz target's door.
  static Result<SafetensorsFile> parse(std::string name, std::span<const std::uint8_t> bytes);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::span<const SafetensorsTensor> tensors() const { return tensors_; }  // in the order of their bytes
  // Takes a tensor's bytes out of this process's memory; they come back at the next touch.
  void release(const SafetensorsTensor& tensor) const;

 private:
  SafetensorsFile() = default;

  std::string name_;
  std::optional<MappedFile> mapping_;
  std::vector<SafetensorsTensor> tensors_;
};

}  // namespace dormouse::worker
