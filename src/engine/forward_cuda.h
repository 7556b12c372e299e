// The Qwen3 dense forward pass as launches on a device: one checked plan in, logits out. All memory is taken at
// create(). A step of up to kFewRows generated rows is recorded the second time its shape comes up and replayed from
// then on: 180 launches become one. Batch invariance: every kernel computes each row by itself in an order fixed by the
// row's position and kind (kernels/cuda/matmul_args.h, attention_args.h).
// Owner: the engine; one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/config.h"
#include "engine/device_paths.h"
#include "engine/device_plan.h"
#include "engine/device_weights.h"
#include "engine/row_logits.h"
#include "kernels/cuda/device.h"
#include "kernels/kernels.h"
#include "sched/batch_plan.h"

namespace dormouse::engine {

class CudaForward {
 public:
  struct Limits {
    std::int32_t rows = 0;
    std::int32_t logits_rows = 0;
    std::int32_t sequences = 0;  // of a step: what a step without prompts wants the logits of
    bool finds_top = false;      // top_tokens.cuh where a row's entry allows it
    std::int32_t first_padding_id = 0;
    DevicePaths paths;
    std::int32_t pages = 0;
    kernels::KvType kv_type = kernels::KvType::kF16;
  };
  // Borrows the device, the config and the weights. Errors: kOverloaded (the device's memory), the device's.
  static Result<CudaForward> create(cuda::Device& device, const ModelConfig& config, const DeviceWeights& weights,
                                    Limits limits);
  CudaForward(CudaForward&&) noexcept = default;

  // [plan.logits_count, vocab], valid until the next run. The plan is checked. Errors: the device's.
  Result<std::span<const float>> run(const sched::BatchPlan& plan);
  // [plan.logits_count], likewise, as Engine::step_rows().
  Result<std::span<const RowLogits>> run_rows(const sched::BatchPlan& plan);
  // Bytes of device memory besides the weights.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  struct Product {
    const Matrix* matrix;
    float* out;
    std::int32_t out_stride;
  };
  // The rows a product reads: floats, their norm if they have one, and which of them.
  struct Source {
    const float* x;
    const float* norm;
    const std::int32_t* row_index;
    std::int32_t rows;
  };
  // Host memory from the device's own allocator.
  struct Pinned {
    cuda::Device* device = nullptr;
    void* data = nullptr;
    std::int64_t rows = 0;
    Pinned() = default;
    [[nodiscard]] float* floats() const { return static_cast<float*>(data); }
    [[nodiscard]] TopToken* top() const { return static_cast<TopToken*>(data); }
    [[nodiscard]] sched::TokenId* tokens() const { return static_cast<sched::TokenId*>(data); }
    Pinned(Pinned&& other) noexcept;
    Pinned& operator=(Pinned&& other) noexcept;
    ~Pinned();
  };

  CudaForward(cuda::Device& device, const ModelConfig& config, const DeviceWeights& weights, Limits limits,
              DevicePlan plan);
  // For the splits of long contexts; a step whose splits need more walks them one after the other: the same bits.
  static constexpr std::int64_t kPartialBytes = std::int64_t{16} << 20;
  // 128 rows of 152 K floats are 78 MB of a card's memory.
  static constexpr std::int32_t kMostLogitsSlice = 128;

  [[nodiscard]] std::int32_t logits_slice() const;
  [[nodiscard]] std::int64_t row_floats() const;
  [[nodiscard]] bool has_halves() const;
  Status reserve();
  Status reserve_kv();
  Status reserve_host();
  Status make_rope_table();
  Status compute();
  Status compute_layer(std::int32_t layer);
  Status attend(std::int32_t layer);
  [[nodiscard]] cuda::RotateStoreArgs rotate_args(std::int32_t layer) const;
  [[nodiscard]] cuda::CombineSplitsArgs combine_args(std::int32_t most_splits) const;
  [[nodiscard]] float attention_scale() const;
  Status prepare_whole_step();
  [[nodiscard]] bool has_whole_step() const;
  [[nodiscard]] cuda::Coding step_coding() const;
  [[nodiscard]] bool can_step_whole() const;
  [[nodiscard]] cuda::DecodeStepArgs step_args() const;
  Status step_whole();
  [[nodiscard]] bool can_attend_alone() const;
  Status attend_alone(const cuda::RotateStoreArgs& step);
  Status attend_generated(const cuda::KvPages& kv);
  Status combine_splits(std::int32_t items, std::int32_t most_splits);
  // Of attention's partials: in splits, and the chains of shared prefixes.
  [[nodiscard]] std::int64_t partial_bytes(std::int32_t items) const { return partial_bytes(items, splits()); }
  [[nodiscard]] std::int64_t partial_bytes(std::int32_t items, std::int32_t of_each) const;
  [[nodiscard]] std::int64_t most_partial_bytes() const;
  [[nodiscard]] bool can_share(std::int32_t items, bool fills_device) const;
  Status attend_shared(const cuda::AttendRowsArgs& rows);
  Status compute_rows(const sched::BatchPlan& plan);
  // Slice by slice: logits of `rows` rows from `begin` on are in logits_ when `fetch` is called.
  Status compute_logits(const std::function<Status(std::int32_t begin, std::int32_t rows)>& fetch);
  Result<std::span<const RowLogits>> run_likeliest(const sched::BatchPlan& plan);
  [[nodiscard]] bool is_top_enough(const sched::PlanEntry& entry) const;
  Status place_rows(const sched::BatchPlan& plan);
  Status find_top(std::int32_t begin, std::int32_t rows);
  Status fetch_whole(std::span<const RowLogits> slice, std::int64_t& fetched);
  Status multiply(std::initializer_list<Product> products, const Source& source, cuda::Epilogue epilogue);
  Status multiply_coded(cuda::MatmulArgs& args, const Source& source);
  Status launch_few(const cuda::MatmulArgs& args);
  [[nodiscard]] bool has_wgmma(cuda::Coding coding) const;
  Status launch_many(const cuda::MatmulArgs& args);
  Status launch(cuda::Kernel kernel, std::initializer_list<std::int64_t> grid, int threads, std::int64_t shared_bytes,
                const void* args);
  [[nodiscard]] cuda::KvPages kv_pages(std::int32_t layer) const;
  [[nodiscard]] std::int32_t splits() const;
  // Of a row's logits, those that stand for a token.
  [[nodiscard]] std::int32_t ids() const { return std::min(config_->vocab, limits_.first_padding_id); }
  // What is copied of a row that is not copied whole.
  [[nodiscard]] std::int64_t found_bytes() const;
  [[nodiscard]] bool can_be_recorded() const;
  Status run_recorded();
  Status make_host_rows(std::int64_t rows);

  cuda::Device* device_;
  const ModelConfig* config_;
  const DeviceWeights* weights_;
  Limits limits_;
  DevicePlan plan_;
  std::uint64_t bytes_ = 0;

  DeviceBuffer rope_;  // [context, head_dim / 2, 2]
  DeviceBuffer kv_;    // attention_args.h, KvPages
  DeviceBuffer scratch_;
  DeviceBuffer step_;            // of decode_step: [layers] StepLayer, then a word for its barriers
  std::int32_t step_warps_ = 0;  // of its blocks; 0: this model or device cannot
  // Inside scratch_.
  float* x_ = nullptr;         // [rows, hidden], the residual stream
  float* qkv_ = nullptr;       // [rows, q_dim + 2 * kv_dim]
  float* attended_ = nullptr;  // [rows, q_dim]
  float* ffn_ = nullptr;       // [rows, ffn], silu(gate) * up; where qkv_ is
  float* logits_ = nullptr;    // [logits_slice(), vocab], where qkv_, attended_ and ffn_ are
  float* partials_ = nullptr;  // most_partial_bytes(), where coded_ is
  cuda::CodedRows coded_{};
  // One of the two, by limits_.finds_top.
  cuda::TopToken* top_ = nullptr;        // [logits_rows, kTopTokens]
  sched::TokenId* likeliest_ = nullptr;  // [logits_rows]
  std::uint64_t* top_parts_ = nullptr;   // [logits_slice(), parts of a row, kTopTokens]; none beside likeliest_
  Pinned host_logits_;                   // the whole rows of a step
  Pinned host_found_;                    // as top_ or likeliest_
  std::vector<RowLogits> rows_;          // reserved

  // Of lone rows, by rows and splits: how often run, and the recording once there is one.
  struct Recording {
    bool seen = false;
    int number = -1;
  };
  std::map<std::pair<std::int32_t, std::int32_t>, Recording> recordings_;
};

}  // namespace dormouse::engine
