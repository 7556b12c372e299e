// A batch plan as arrays for the device: one block of bytes in pinned memory, copied whole before a step. The arrays
// lie at fixed places, so that a recorded step finds the next plan's numbers where it looks for this one's. Owner:
// CudaForward.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "engine/device_weights.h"
#include "engine/shared_prefixes.h"
#include "kernels/cuda/device.h"
#include "sched/batch_plan.h"

namespace dormouse::engine {

class DevicePlan {
 public:
  struct Limits {
    std::int32_t rows = 0;
    std::int32_t logits_rows = 0;
    std::int32_t pages_per_sequence = 0;
    SharingDevice sharing;  // most_warps 0: shared prefixes are not looked for
  };
  // Errors: kOverloaded.
  static Result<DevicePlan> create(cuda::Device& device, Limits limits);
  DevicePlan(DevicePlan&& other) noexcept;
  DevicePlan& operator=(DevicePlan&&) = delete;
  ~DevicePlan();

  // Lays the plan out and enqueues the copy. The plan is within the limits.
  Status upload(const sched::BatchPlan& plan);

  [[nodiscard]] std::int32_t rows() const { return rows_; }
  [[nodiscard]] std::int32_t logits_count() const { return logits_count_; }
  // Generated rows, one attention item each; and the prompts' items, kPromptRows neighbouring rows at most.
  [[nodiscard]] std::int32_t generated() const { return generated_; }
  [[nodiscard]] std::int32_t prompt_items() const { return prompt_items_; }
  // Each entry is one generated row: no row sees another of this step.
  [[nodiscard]] bool has_lone_rows() const { return generated_ == rows_ && entries_ == rows_; }
  // Tokens that the generated row with the most looks at.
  [[nodiscard]] std::int32_t longest() const { return longest_; }

  // Warps of an attend_shared block that have rows; 0: the step's rows share too little.
  [[nodiscard]] std::int32_t sharing_warps() const { return sharing_warps_; }
  [[nodiscard]] std::int32_t shared_tiles() const { return shared_tiles_; }
  // Splits behind the shared ones, of the generated row with the most.
  [[nodiscard]] std::int32_t most_private_splits() const { return most_private_splits_; }

  // On the device.
  [[nodiscard]] const std::int32_t* tokens() const { return device_at(kTokens); }
  [[nodiscard]] const std::int32_t* logits_index() const { return device_at(kLogits); }
  [[nodiscard]] const std::int32_t* generated_rows() const { return device_at(kGenerated); }
  [[nodiscard]] const cuda::PromptItem* prompt_rows() const {
    return reinterpret_cast<const cuda::PromptItem*>(device_at(kPrompt));
  }
  [[nodiscard]] const std::int32_t* shared_splits() const { return device_at(kSharedSplits); }
  [[nodiscard]] const std::int32_t* shared_members() const { return device_at(kSharedMembers); }
  [[nodiscard]] const cuda::SharedTile* shared_tile_list() const {
    return reinterpret_cast<const cuda::SharedTile*>(device_at(kSharedTiles));
  }
  [[nodiscard]] cuda::StepRows step_rows() const {
    return {.positions = device_at(kPositions), .page_begin = device_at(kPageBegin), .pages = device_at(kPages)};
  }

 private:
  enum Array {
    kTokens,
    kPositions,
    kPageBegin,
    kLogits,
    kGenerated,
    kPrompt,
    kSharedSplits,
    kSharedMembers,
    kSharedTiles,
    kPages,
    kArrays
  };

  DevicePlan(cuda::Device& device, Limits limits);
  [[nodiscard]] const std::int32_t* device_at(Array array) const { return memory_.at<std::int32_t>() + begin_[array]; }
  [[nodiscard]] std::int32_t* host_at(Array array) const { return host_ + begin_[array]; }
  void add_entry(const sched::PlanEntry& entry);
  void add_prompt_items(std::int32_t first_row, std::int32_t count);
  void share_prefixes(const sched::BatchPlan& plan);
  void add_shared_tiles(const PrefixGroup& group);

  cuda::Device* device_;
  Limits limits_;
  DeviceBuffer memory_;
  std::int32_t* host_ = nullptr;  // pinned
  std::int64_t begin_[kArrays + 1] = {};
  std::int32_t entries_ = 0;
  std::int32_t rows_ = 0;
  std::int32_t logits_count_ = 0;
  std::int32_t generated_ = 0;
  std::int32_t prompt_items_ = 0;
  std::int32_t longest_ = 0;
  std::int64_t pages_used_ = 0;
  SharedPrefixes prefixes_;
  std::int32_t sharing_warps_ = 0;
  std::int32_t shared_tiles_ = 0;
  std::int32_t most_private_splits_ = 0;
};

}  // namespace dormouse::engine
