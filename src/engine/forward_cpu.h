// The Qwen3 dense forward pass on CPU threads: one checked plan in, logits out. All buffers are reserved at create();
// run() allocates nothing. Owner: the engine; one thread calls, the pool's threads help. Batch invariance: every phase
// computes each row by itself, in an order fixed by kernels.h; what is shared between rows is only the reading of
// weights.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/config.h"
#include "engine/kv_cache.h"
#include "engine/lazy_memory.h"
#include "engine/thread_pool.h"
#include "engine/weights.h"
#include "kernels/kernels.h"
#include "sched/batch_plan.h"

namespace dormouse::engine {

class CpuForward {
 public:
  struct Limits {
    std::int32_t rows = 0;         // of one plan
    std::int32_t logits_rows = 0;  // of one plan
  };
  // Borrows everything for as long as it lives. Errors: kOverloaded (scratch cannot be reserved).
  static Result<CpuForward> create(const ModelConfig& config, const ModelWeights& weights,
                                   const kernels::KernelTable& table, const KvCache& cache, ThreadPool& pool,
                                   Limits limits);

  // The plan is within limits and its ids and pages are valid (engine.cc checks). [plan.logits_count, vocab]; valid
  // until the next run.
  std::span<const float> run(const sched::BatchPlan& plan);

 private:
  // Which quantised forms of an input its matrices need; floats are always there.
  struct Formats {
    bool q8_0 = false;
    bool q8_k = false;
  };
  struct LayerFormats {
    Formats attention_input, attention_output, ffn_input, ffn_activation;
  };
  struct Product {
    const Matrix* matrix;
    float* out;  // [rows, matrix->rows]
  };

  CpuForward(const ModelConfig& config, const ModelWeights& weights, const kernels::KernelTable& table,
             const KvCache& cache, ThreadPool& pool, Limits limits);
  Status reserve();
  static Formats formats_of(std::initializer_list<const Matrix*> matrices);

  // One phase each: every thread has finished it before the next begins.
  void place_rows(const sched::BatchPlan& plan);
  void embed();
  void run_layer(std::int32_t layer);
  void normalise(const std::vector<float>& norm, Formats formats);
  void rotate_and_store(std::int32_t layer);
  void attend(std::int32_t layer, Formats formats);
  void activate(Formats formats);
  void multiply(std::initializer_list<Product> products, const float* input, std::int32_t rows);
  std::span<const float> compute_logits();
  void quantise_row(const float* values, std::int32_t k, std::int32_t row, Formats formats);

  const ModelConfig& config_;
  const ModelWeights& weights_;
  const kernels::KernelTable& kernels_;
  const KvCache& cache_;
  ThreadPool& pool_;
  const Limits limits_;
  std::vector<LayerFormats> layer_formats_;
  Formats output_formats_;
  std::vector<double> rope_frequencies_;  // [head_dim / 2]

  // The plan, row by row.
  std::int32_t rows_ = 0;
  std::int32_t logits_count_ = 0;
  bool has_delta_ = false;
  std::vector<sched::TokenId> tokens_;       // [rows]
  std::vector<std::int32_t> positions_;      // [rows]
  std::vector<const sched::PageId*> pages_;  // [rows], of the row's sequence
  std::vector<std::int32_t> logits_rows_;    // [logits_count]

  // Scratch, all inside memory_; rows are contiguous, so a step of one token touches a few pages only.
  LazyMemory memory_;
  float* x_ = nullptr;               // [rows, hidden], the residual stream
  float* delta_ = nullptr;           // [rows, hidden], what the last block adds to it
  float* normed_ = nullptr;          // [max(rows, logits_rows), hidden]
  float* q_ = nullptr;               // [rows, heads, head_dim]
  float* k_ = nullptr;               // [rows, kv_heads, head_dim]
  float* v_ = nullptr;               // [rows, kv_heads, head_dim]
  float* attended_ = nullptr;        // [rows, heads, head_dim]
  float* gate_ = nullptr;            // [rows, ffn]
  float* up_ = nullptr;              // [rows, ffn]
  float* cosine_ = nullptr;          // [rows, head_dim / 2]
  float* sine_ = nullptr;            // [rows, head_dim / 2]
  float* logits_ = nullptr;          // [logits_rows, vocab]
  std::uint8_t* q8_0_ = nullptr;     // [max(rows, logits_rows), row bytes of the widest input]
  std::uint8_t* q8_k_ = nullptr;     // the same for Q8_K
  std::uint8_t* scratch_ = nullptr;  // [threads, scratch_stride_]
  std::int64_t scratch_stride_ = 0;
};

}  // namespace dormouse::engine
