// Perplexity of a model on a text, and how far it lies from a reference on the same text. Convention (llama.cpp's): the
// text is cut into windows of `context` tokens, what is left over is not used; each window is computed from an empty
// KV cache, and the tokens at positions context / 2 + 1 ... context - 1 are scored, each given all before it in the
// window. So every scored token has at least half a window of context.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "worker/tools/forced_model.h"
#include "worker/tools/prediction.h"

namespace dormouse::worker {

inline constexpr std::int32_t kMinWindowTokens = 8;

struct PerplexityOptions {
  std::string file;
  std::string text_path;  // UTF-8
  // The reference's weights, computed in floats: `generated` arithmetic of F32, F16 or BF16 weights; others are decoded
  // to F32 in a temporary folder first (4 bytes a weight). "self": `file`. Empty: no reference.
  std::string against;
  std::string packed_directory;
  std::string isa;                       // of `file`
  std::string device = "cpu";            // of `file`, as EngineOptions; the reference is computed on the CPU
  std::string reference_isa = "scalar";  // every table has the same bits there; scalar is the specification
  std::string kv_type = "fp16";          // of `file`; the reference's are fp16
  Arithmetic arithmetic = Arithmetic::kGenerated;
  std::int32_t context = 512;  // >= kMinWindowTokens
  std::int32_t threads = 0;    // 0: as Engine
};

struct PerplexityResult {
  struct Against {
    Estimate perplexity;  // the reference's own
    Distance distance;
  };
  std::string isa;
  std::int32_t threads = 0;
  std::int64_t windows = 0;
  std::int64_t tokens_scored = 0;
  std::int64_t tokens_computed = 0;  // fed to `file`
  double seconds = 0;                // that took, without reference and statistics
  Estimate perplexity;
  std::optional<Against> against;
};

// Tokens of `tokens_total` are done; an error ends the measurement with it.
using PerplexityProgress = std::function<Status(std::uint64_t tokens_done, std::uint64_t tokens_total)>;

// Errors, besides those of ForcedModel::open and copy_as_floats: kNotFound, kPermissionDenied (the text),
// kInvalidArgument (text not UTF-8 or shorter than a window; vocabularies that differ), kDataLoss (a logit is not a
// finite number: which window), whatever `progress` returned.
[[nodiscard]] Result<PerplexityResult> measure_perplexity(const PerplexityOptions& options,
                                                          const PerplexityProgress& progress);

}  // namespace dormouse::worker
