// Turns a GGUF of floats into one of a smaller type, tensor by tensor, by llama.cpp's mixes.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "worker/tools/type_mix.h"

namespace dormouse::worker {

struct QuantizeOptions {
  std::string in_path;
  std::string out_path;
  FileTypeName file_type;
  bool allow_requantize = false;  // take block-quantised input too: its error adds to the new one
  int threads = 1;
};

struct QuantizeReport {
  std::uint64_t in_bytes = 0;
  std::uint64_t out_bytes = 0;
  std::uint64_t weights = 0;
  std::uint64_t tensor_bytes = 0;
  double seconds = 0;
};

// Metadata is copied unchanged, but general.file_type and general.quantization_version (and general.alignment, which
// becomes 32). The same input gives the same output, whatever the number of threads. Memory: about 100 MB.
// Errors: kInvalidArgument (same file; quantised input; not a Qwen3-like file), kDataLoss (a weight that is not finite,
// a damaged input), those of gguf::Writer, kCancelled after SIGINT or SIGTERM. On error nothing is left at out_path.
[[nodiscard]] Result<QuantizeReport> quantize_file(const QuantizeOptions& options);

}  // namespace dormouse::worker
