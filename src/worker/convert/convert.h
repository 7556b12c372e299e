// Turns the Hugging Face folder of a dense Qwen3 into one GGUF file, tensor by tensor.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "worker/tools/type_mix.h"

namespace dormouse::worker {

struct ConvertOptions {
  std::string directory;
  std::string out_path;
  FileTypeName file_type;
  std::string name;  // general.name
  int threads = 1;
};

struct ConvertReport {
  std::uint64_t in_bytes = 0;  // of all parts
  std::uint64_t out_bytes = 0;
  std::uint64_t weights = 0;
  std::uint64_t tensor_bytes = 0;
  double seconds = 0;
};

// Keys and tensor names as llama.cpp's converter writes them. A type below 16 bits gives the very bytes of a conversion
// to F16 and quantize_file after it. The same folder gives the same file, whatever the number of threads. Memory: about
// 100 MB, the vocabulary, and one tensor of the mapped weights. On error nothing is left at out_path.
// Errors: those of Checkpoint, read_hf_config, read_hf_tokenizer, TensorRecoder and gguf::Writer; kNotFound and
// kDataLoss (a tensor that is missing or has another shape), kInvalidArgument (a tensor that a dense Qwen3 does not
// have; out_path is a folder or one of the parts; a name that is no printable UTF-8).
[[nodiscard]] Result<ConvertReport> convert_checkpoint(const ConvertOptions& options);

}  // namespace dormouse::worker
