// The Qwen3 dense forward pass on CPU threads: one checked plan in, logits out. All buffers are reserved at create();
// run() allocates nothing. Owner: the engine; one thread calls, the pool's threads help. Batch invariance: every phase
// computes each row by itself, in an order fixed by kernels.h and by the row's kind (prompt or generated); what is
// shared between rows is only the reading of weights.
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
#include "kernels/dispatch.h"
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
  // Of that run: [plan.hidden_count, hidden]; valid until the next one.
  [[nodiscard]] std::span<const float> hidden() const;

 private:
  // Which forms of an input its matrices need; floats are always there.
  struct Formats {
    bool bf16_tiles = false;
    bool q8_0 = false;
    bool q8_k = false;
    bool q8_tiles = false;
  };
  // One for each kind of row.
  struct KindFormats {
    Formats of_kind[kernels::kRowKinds];
    [[nodiscard]] Formats of(kernels::RowKind kind) const { return of_kind[static_cast<std::size_t>(kind)]; }
  };
  // Neighbouring rows of one kind: what one kernel call takes.
  struct Run {
    std::int32_t begin = 0;
    std::int32_t end = 0;
    kernels::RowKind kind = kernels::RowKind::kGenerated;
  };
  struct LayerFormats {
    KindFormats attention_input, attention_output, ffn_input, ffn_activation;
  };
  // The rows of one input in every form its matrices want: [max(rows, logits_rows), bytes of a row of the widest].
  struct Input {
    float* floats = nullptr;  // [rows, columns]
    std::uint8_t* bf16_tiles = nullptr;
    std::uint8_t* q8_0 = nullptr;
    std::uint8_t* q8_k = nullptr;
    std::uint8_t* q8_tiles = nullptr;
  };
  // Rows whose attention is one task a KV head: one row, some prompt rows of one sequence, or rows of several sequences
  // that share pages.
  struct AttentionItem {
    std::int32_t row = 0;  // kShared: into shared_rows_
    std::int32_t count = 1;
    enum class Kind : std::uint8_t { kRow, kPrompt, kShared } kind = Kind::kRow;
    std::int32_t pages = 0;  // kShared: so many are walked together
  };
  struct Product {
    const Matrix* matrix;
    float* out;  // [rows, matrix->rows]
  };

  CpuForward(const ModelConfig& config, const ModelWeights& weights, const kernels::KernelTable& table,
             const KvCache& cache, ThreadPool& pool, Limits limits);
  Status reserve();
  [[nodiscard]] KindFormats formats_of(std::initializer_list<const Matrix*> matrices) const;
  void add_row(std::vector<Run>& runs, std::int32_t row, kernels::RowKind kind) const;
  static void mark_many(std::span<Run> runs, std::span<kernels::RowKind> kinds);

  // One phase each: every thread has finished it before the next begins.
  void place_rows(const sched::BatchPlan& plan);
  void embed();
  void run_layer(std::int32_t layer);
  void normalise(const std::vector<float>& norm, const KindFormats& formats);
  void rotate_and_store(std::int32_t layer);
  void attend(std::int32_t layer, const KindFormats& formats);
  void attend_item(std::int32_t layer, std::int32_t kv_head, const AttentionItem& item, std::int32_t thread) const;
  void attend_row(std::int32_t layer, std::int32_t kv_head, std::int32_t row, std::int32_t page_begin,
                  std::int32_t page_end) const;
  void add_attention_items(std::int32_t row, const sched::PlanEntry& entry);
  void gather_shared_rows();
  [[nodiscard]] std::span<const sched::PageId> pages_of(std::int32_t row) const;
  [[nodiscard]] std::int32_t common_pages(std::int32_t a, std::int32_t b) const;
  void feed_forward(const LayerWeights& w, const LayerFormats& formats);
  void activate(const KindFormats& formats, const Run& run);
  [[nodiscard]] kernels::Swiglu fused_swiglu(const LayerWeights& w) const;
  void multiply_fused(const LayerWeights& w, kernels::Swiglu swiglu, const Run& run);
  void multiply(std::initializer_list<Product> products, const Input& input, std::span<const Run> runs);
  void multiply_rows(const Product& product, const Input& input, const Run& run, std::int32_t row_begin,
                     std::int32_t row_end, std::int32_t thread) const;
  void compute_hidden();
  std::span<const float> compute_logits();
  void quantise_row(const Input& input, std::int32_t k, std::int32_t row, Formats formats) const;

  const ModelConfig& config_;
  const ModelWeights& weights_;
  const kernels::KernelTable& kernels_;
  const kernels::KvKernels& kv_kernels_;
  const KvCache& cache_;
  ThreadPool& pool_;
  const Limits limits_;
  std::vector<LayerFormats> layer_formats_;
  KindFormats output_formats_;
  std::vector<double> rope_frequencies_;  // [head_dim / 2]

  // The plan, row by row.
  std::int32_t rows_ = 0;
  std::int32_t logits_count_ = 0;
  bool has_delta_ = false;
  std::vector<sched::TokenId> tokens_;          // [rows]
  std::vector<std::int32_t> positions_;         // [rows]
  std::vector<kernels::RowKind> kinds_;         // [rows]
  std::vector<kernels::RowKind> logits_kinds_;  // [logits_rows]
  std::vector<Run> runs_;                       // of rows
  std::vector<Run> logits_runs_;                // of logits rows
  std::vector<const sched::PageId*> pages_;     // [rows], of the row's sequence
  std::vector<AttentionItem> attention_items_;
  std::vector<std::int32_t> shared_rows_;  // in order of their pages
  std::vector<std::int32_t> logits_rows_;  // [logits_count]
  std::vector<std::int32_t> hidden_rows_;  // in plan order; reserved

  // Scratch, all inside memory_; rows are contiguous, so a step of one token touches a few pages only.
  LazyMemory memory_;
  float* x_ = nullptr;               // [rows, hidden], the residual stream
  float* delta_ = nullptr;           // [rows, hidden], what the last block adds to it
  Input normed_;                     // hidden columns
  float* q_ = nullptr;               // [rows, heads, head_dim]
  float* k_ = nullptr;               // [rows, kv_heads, head_dim]
  float* v_ = nullptr;               // [rows, kv_heads, head_dim]
  Input attended_;                   // heads * head_dim columns
  Input gate_;                       // ffn columns; floats: gate, then silu(gate) * up
  float* up_ = nullptr;              // [rows, ffn]
  float* softmax_ = nullptr;         // [rows, heads, 2], between the parts of an attention
  float* cosine_ = nullptr;          // [rows, head_dim / 2]
  float* sine_ = nullptr;            // [rows, head_dim / 2]
  float* logits_ = nullptr;          // [logits_rows, vocab]
  float* hidden_ = nullptr;          // [rows, hidden], of those that want it
  std::uint8_t* scratch_ = nullptr;  // [threads, kernels::kMatmulScratchBytes]
};

}  // namespace dormouse::engine
