// Makes a GGUF of a Qwen3 configuration filled with seeded noise: the size and shape of a model, none of its sense.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "worker/tools/model_configs.h"
#include "worker/tools/type_mix.h"

namespace dormouse::worker {

struct SynthOptions {
  SynthConfig config;
  FileTypeName file_type;
  std::uint64_t seed = 1;
  std::string vocabulary_directory;  // empty: a made-up vocabulary
  std::string_view chat_template;
  std::string out_path;
  int threads = 1;
};

struct SynthReport {
  std::uint64_t file_bytes = 0;
  std::uint64_t weights = 0;
  double seconds = 0;
};

// The same options give the same file, whatever the number of threads. Memory: about 64 MB and the vocabulary.
// Errors: those of gguf::Writer and read_vocabulary; kCancelled after SIGINT or SIGTERM (nothing is left).
[[nodiscard]] Result<SynthReport> synthesize(const SynthOptions& options);

}  // namespace dormouse::worker
