// A model that is fed a given text instead of what it would say ("teacher forcing"), to look at its logits. Owner: a
// command or a test. Threads: the owner's; the engine's own help. A copy with the weights in F32 is the measure of
// what quantised arithmetic loses: `generated` rows of float weights are computed in floats.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "gguf/file.h"
#include "pack/packed_file.h"
#include "sched/batch_plan.h"

namespace dormouse::worker {

// Which rows a text's tokens are (sched::PlanEntry::prompt_length): as if generated, or as if sent with a request.
enum class Arithmetic { kGenerated, kPrompt };

struct ForcedModelOptions {
  std::string isa;             // as EngineOptions
  std::string device = "cpu";  // as EngineOptions
  kernels::KvType kv_type = kernels::KvType::kF16;
  std::int32_t threads = 0;      // as EngineOptions
  std::string packed_directory;  // where its packed file lies; empty: beside the model
  Arithmetic arithmetic = Arithmetic::kGenerated;
  std::int32_t context = 0;  // tokens of the longest text
  std::int32_t rows = 512;   // of one feed() at most
};

class ForcedModel {
 public:
  // Uses the packed file where there is one, packs into memory otherwise. Errors: those of gguf::File::open and
  // Engine::load; kInvalidArgument (context beyond the model's: says both).
  static Result<ForcedModel> open(const std::string& path, const ForcedModelOptions& options);

  // Computes tokens[begin, end) of a text, at their positions; [0, begin) was fed before, without a feed() of another
  // text between. Returns [end - begin, vocab] logits, or nothing for kNone; valid until the next feed(). Bits do not
  // depend on how a text is cut. REQUIRES: begin < end <= tokens.size() <= context; end - begin <= rows.
  enum class Logits { kNone, kAll };
  Result<std::span<const float>> feed(std::span<const sched::TokenId> tokens, std::int32_t begin, std::int32_t end,
                                      Logits logits);

  [[nodiscard]] const gguf::File& file() const { return *file_; }
  [[nodiscard]] engine::Engine& engine() const { return *engine_; }
  [[nodiscard]] std::int32_t vocab() const { return engine_->config().vocab; }

 private:
  ForcedModel() = default;
  // The engine borrows both files: on the heap, so that a ForcedModel may move.
  std::unique_ptr<const gguf::File> file_;
  std::unique_ptr<const pack::PackedFile> packed_;
  std::unique_ptr<engine::Engine> engine_;
  ForcedModelOptions options_;
  std::vector<sched::PageId> pages_;
};

// A directory of its own for as long as the object lives; removed with all that is in it.
class TemporaryFolder {
 public:
  // In $TMPDIR, else /tmp. Errors: errno's.
  static Result<TemporaryFolder> create();
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&& other) noexcept;
  ~TemporaryFolder();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  TemporaryFolder() = default;
  std::string path_;  // empty: moved away
};

// Whether every weight is F32, F16 or BF16: then `generated` rows are exact as the file is.
[[nodiscard]] bool has_float_weights(const gguf::File& file);
// Writes `from` with its weights decoded to F32 into `folder`; the new file's path. Cost: 4 bytes a weight of disk.
// Errors: those of quantize_file.
[[nodiscard]] Result<std::string> copy_as_floats(const std::string& from, const std::string& folder);

}  // namespace dormouse::worker
