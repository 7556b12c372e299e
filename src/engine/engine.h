// One loaded model that carries out batch plans. Owned by the worker's engine thread: load, step and the destructor run
// there. Nothing in here allocates during step(); a "no free page" is the scheduler's state and never reaches the
// engine.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/config.h"
#include "engine/device_paths.h"
#include "engine/row_logits.h"
#include "engine/weights.h"
#include "gguf/file.h"
#include "kernels/kernels.h"
#include "sched/batch_plan.h"

namespace dormouse::engine {

// Whether a GPU finds a row's likeliest tokens (PlanEntry::top_is_enough) or rows come whole; kAuto: where that ran.
enum class DeviceSampling : std::uint8_t { kAuto, kOn, kOff };

struct EngineOptions {
  std::int32_t max_batch_tokens = 512;  // rows of one step
  std::int32_t max_logits_rows = 256;   // rows that may want logits in one step
  std::int32_t max_sequences = 256;     // of one step; a GPU keeps room for the logits of so many rows, 128 at most
  std::int32_t kv_pages = 0;            // pages of sched::kPageTokens tokens; address space now, memory at first touch
  kernels::KvType kv_type = kernels::KvType::kF16;
  std::int32_t threads = 0;  // 0: what the affinity mask and the cgroup's cpu quota allow
  std::string isa;           // "" : the best this CPU has; otherwise forced, error if it cannot
  // cpu, cuda:N, or auto: the first GPU if there is one and the model fits it, the CPU otherwise, said in the log.
  std::string device = "cpu";
  DeviceSampling device_sampling = DeviceSampling::kAuto;
  std::optional<DevicePaths> device_paths;  // none: those that ran on a card of its kind
  // Ids from here on stand for nothing: they are never among a row's likeliest tokens.
  std::int32_t first_padding_id = std::numeric_limits<std::int32_t>::max();
};

class Engine {
 public:
  // Borrows `file` and `packed`, which must outlive the engine: weights are used where they lie in the packed file's
  // mapping. Without one (null) they are packed into memory first, which takes seconds for a large model.
  // Errors: kInvalidArgument (not a Qwen3 dense model; names what; q8 keys and values that its heads do not allow),
  // kDataLoss (a tensor is missing, or has a wrong shape or type), kInvalidArgument (isa, device), kOverloaded (no
  // memory), kNotFound (no such GPU, no driver, or a build without kernels for it).
  static Result<std::unique_ptr<Engine>> load(const gguf::File& file, const pack::PackedFile* packed,
                                              const EngineOptions& options, const Progress& progress);
  virtual ~Engine() = default;

  [[nodiscard]] virtual const ModelConfig& config() const = 0;
  [[nodiscard]] virtual const std::string& isa() const = 0;
  [[nodiscard]] virtual std::int32_t threads() const = 0;
  // Bytes of KV cache one token takes.
  [[nodiscard]] virtual std::uint64_t kv_bytes_per_token() const = 0;

  // Computes one plan. logits: [plan.logits_count, vocab_size] row-major, rows in plan order; valid until the next
  // step. A row's logits are bit-identical whatever else is in the plan and however its prompt was chunked. Errors:
  // kInvalidArgument (plan over the options' bounds: a bug of the caller, reported, not fatal).
  virtual Result<std::span<const float>> step(const sched::BatchPlan& plan) = 0;
  // As step(), row by row: [plan.logits_count]. Where an entry says that the likeliest tokens are enough, a device that
  // samples gives these, with the bits that step() gives, and copies nothing else. One that does not gives the
  // likeliest where that is enough for every row of the plan, whole rows otherwise; the CPU always gives whole rows.
  virtual Result<std::span<const RowLogits>> step_rows(const sched::BatchPlan& plan);
  // What the last step() computed for entries that want it: [plan.hidden_count, hidden] row-major, rows in plan order,
  // valid until the next step; as independent of the plan as logits are. Only where gives_hidden(): elsewhere a plan
  // with such an entry is refused.
  [[nodiscard]] virtual std::span<const float> hidden() const { return {}; }
  [[nodiscard]] virtual bool gives_hidden() const { return false; }
  // Gives the KV memory back to the system (MADV_DONTNEED); contents are lost.
  virtual void drop_kv() = 0;

 protected:
  std::vector<RowLogits> rows_;  // reserved by who loads
};

}  // namespace dormouse::engine
