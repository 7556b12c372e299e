#include "engine/forward_cpu.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/check.h"
#include "base/checked_int.h"
#include "kernels/layout.h"
#include "quant/codec.h"

namespace dormouse::engine {
namespace {

using kernels::ActivationFormat;

// Rows of a weight matrix per task. With many activation rows a task is a few panels, so that what is unpacked or kept
// in L2 serves them all; with few, larger chunks keep the memory streams long, as long as each thread gets several.
std::int32_t rows_per_task(std::int32_t matrix_rows, std::int32_t activation_rows, std::int32_t threads) {
  constexpr std::int32_t kPanel = 32;
  if (activation_rows > 64) return std::clamp(matrix_rows / (4 * threads) / kPanel * kPanel, kPanel, 16 * kPanel);
  return std::clamp(matrix_rows / (8 * threads) / kPanel * kPanel, kPanel, 8 * kPanel);
}

std::int32_t divide_up(std::int32_t a, std::int32_t b) {
  return (a + b - 1) / b;
}

// Hands out 64-byte aligned pieces of one reservation. With a null base it only counts.
class Carver {
 public:
  explicit Carver(std::uint8_t* base) : base_(base) {}

  template <typename T>
  void take(T*& out, std::int64_t rows, std::int64_t row_bytes) {
    const std::optional<std::int64_t> bytes = checked_mul(rows, row_bytes);
    const std::optional<std::int64_t> padded = bytes ? checked_add(*bytes, std::int64_t{4095}) : std::nullopt;
    const std::optional<std::int64_t> end = padded ? checked_add(used_, *padded / 4096 * 4096) : std::nullopt;
    if (!end) {
      overflowed_ = true;
      return;
    }
    out = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    used_ = *end;
  }
  [[nodiscard]] std::optional<std::uint64_t> bytes() const {
    if (overflowed_) return std::nullopt;
    return static_cast<std::uint64_t>(used_);
  }

 private:
  std::uint8_t* base_;
  std::int64_t used_ = 0;
  bool overflowed_ = false;
};

}  // namespace

CpuForward::CpuForward(const ModelConfig& config, const ModelWeights& weights, const kernels::KernelTable& table,
                       const KvCache& cache, ThreadPool& pool, Limits limits)
    : config_(config),
      weights_(weights),
      kernels_(table),
      kv_kernels_(table.kv(cache.type())),
      cache_(cache),
      pool_(pool),
      limits_(limits) {
  for (const LayerWeights& w : weights.layers) {
    layer_formats_.push_back({.attention_input = formats_of({&w.q, &w.k, &w.v}),
                              .attention_output = formats_of({&w.attention_output}),
                              .ffn_input = formats_of({&w.gate, &w.up}),
                              .ffn_activation = formats_of({&w.down})});
  }
  output_formats_ = formats_of({&weights.output});
  for (std::int32_t i = 0; i < config.head_dim / 2; ++i) {
    rope_frequencies_.push_back(std::pow(static_cast<double>(config.rope_theta), -2.0 * i / config.head_dim));
  }
  const auto rows = static_cast<std::size_t>(limits.rows);
  tokens_.resize(rows);
  positions_.resize(rows);
  pages_.resize(rows);
  kinds_.resize(rows);
  runs_.reserve(rows);
  attention_items_.reserve(rows);
  shared_rows_.reserve(rows);
  logits_runs_.reserve(static_cast<std::size_t>(limits.logits_rows));
  logits_rows_.resize(static_cast<std::size_t>(limits.logits_rows));
  logits_kinds_.resize(static_cast<std::size_t>(limits.logits_rows));
  hidden_rows_.reserve(rows);
}

Result<CpuForward> CpuForward::create(const ModelConfig& config, const ModelWeights& weights,
                                      const kernels::KernelTable& table, const KvCache& cache, ThreadPool& pool,
                                      Limits limits) {
  CpuForward out(config, weights, table, cache, pool, limits);
  TRY_STATUS(out.reserve());
  return out;
}

Status CpuForward::reserve() {
  const auto carve = [this](Carver carver) {
    const std::int64_t rows = limits_.rows;
    // Kernels may read activation rows up to the next whole tile.
    const std::int64_t either =
        divide_up(std::max(limits_.rows, limits_.logits_rows), kernels::kActivationRowMultiple) *
        std::int64_t{kernels::kActivationRowMultiple};
    constexpr std::int64_t kFloat = sizeof(float);
    const auto take_input = [&](Input& input, std::int64_t columns) {
      carver.take(input.floats, either, columns * kFloat);
      carver.take(input.bf16_tiles, either, kernels::activation_row_bytes(ActivationFormat::kBF16Tiles, columns));
      carver.take(input.q8_0, either, kernels::activation_row_bytes(ActivationFormat::kQ8_0, columns));
      carver.take(input.q8_k, either, kernels::activation_row_bytes(ActivationFormat::kQ8_K, columns));
      carver.take(input.q8_tiles, either, kernels::activation_row_bytes(ActivationFormat::kQ8Tiles, columns));
    };
    carver.take(x_, rows, config_.hidden * kFloat);
    carver.take(delta_, rows, config_.hidden * kFloat);
    take_input(normed_, config_.hidden);
    take_input(attended_, config_.q_dim());
    take_input(gate_, config_.ffn);
    carver.take(q_, rows, config_.q_dim() * kFloat);
    carver.take(k_, rows, config_.kv_dim() * kFloat);
    carver.take(v_, rows, config_.kv_dim() * kFloat);
    carver.take(up_, rows, config_.ffn * kFloat);
    carver.take(softmax_, rows, config_.heads * 2 * kFloat);
    carver.take(cosine_, rows, config_.head_dim / 2 * kFloat);
    carver.take(sine_, rows, config_.head_dim / 2 * kFloat);
    carver.take(logits_, limits_.logits_rows, config_.vocab * kFloat);
    carver.take(hidden_, rows, config_.hidden * kFloat);
    carver.take(scratch_, pool_.threads(), kernels::kMatmulScratchBytes);
    return carver.bytes();
  };
  const std::optional<std::uint64_t> bytes = carve(Carver(nullptr));
  if (!bytes) return make_error(Code::kOverloaded, "engine: the scratch of one batch exceeds the address space");
  TRY(memory_, LazyMemory::reserve(*bytes, LazyMemory::Pages::kHuge));
  CHECK(carve(Carver(memory_.data())) == bytes);
  return {};
}

CpuForward::KindFormats CpuForward::formats_of(std::initializer_list<const Matrix*> matrices) const {
  KindFormats out;
  const auto note = [](Formats& formats, ActivationFormat format) {
    formats.bf16_tiles = formats.bf16_tiles || format == ActivationFormat::kBF16Tiles;
    formats.q8_0 = formats.q8_0 || format == ActivationFormat::kQ8_0;
    formats.q8_k = formats.q8_k || format == ActivationFormat::kQ8_K;
    formats.q8_tiles = formats.q8_tiles || format == ActivationFormat::kQ8Tiles;
  };
  for (const Matrix* matrix : matrices) {
    for (std::size_t kind = 0; kind < kernels::kRowKinds; ++kind) {
      const auto row_kind = static_cast<kernels::RowKind>(kind);
      note(out.of_kind[kind], kernels::product_for(kernels_, matrix->type, matrix->columns, row_kind).format);
    }
  }
  return out;
}

std::span<const float> CpuForward::run(const sched::BatchPlan& plan) {
  place_rows(plan);
  embed();
  for (std::int32_t layer = 0; layer < config_.layers; ++layer) run_layer(layer);
  compute_hidden();
  return compute_logits();
}

// One transformer layer. The residual additions happen inside normalise(): x += delta, then the norm of x.
void CpuForward::run_layer(std::int32_t layer) {
  const LayerWeights& w = weights_.layers[static_cast<std::size_t>(layer)];
  const LayerFormats& formats = layer_formats_[static_cast<std::size_t>(layer)];
  normalise(w.attention_norm, formats.attention_input);
  multiply({{&w.q, q_}, {&w.k, k_}, {&w.v, v_}}, normed_, runs_);
  rotate_and_store(layer);
  attend(layer, formats.attention_output);
  multiply({{&w.attention_output, delta_}}, attended_, runs_);
  has_delta_ = true;
  normalise(w.ffn_norm, formats.ffn_input);
  feed_forward(w, formats);
}

void CpuForward::add_row(std::vector<Run>& runs, std::int32_t row, kernels::RowKind kind) const {
  if (runs.empty() || runs.back().kind != kind) runs.push_back({.begin = row, .end = row, .kind = kind});
  runs.back().end = row + 1;
}

void CpuForward::place_rows(const sched::BatchPlan& plan) {
  rows_ = 0;
  logits_count_ = 0;
  has_delta_ = false;
  runs_.clear();
  logits_runs_.clear();
  attention_items_.clear();
  shared_rows_.clear();
  hidden_rows_.clear();
  for (const sched::PlanEntry& entry : plan.entries) {
    add_attention_items(rows_, entry);
    for (std::size_t i = 0; i < entry.tokens.size(); ++i) {
      const auto row = static_cast<std::size_t>(rows_);
      tokens_[row] = entry.tokens[i];
      positions_[row] = entry.start_position + static_cast<std::int32_t>(i);
      pages_[row] = entry.pages.data();
      const bool is_prompt = positions_[row] < entry.prompt_length;
      kinds_[row] = is_prompt ? kernels::RowKind::kPrompt : kernels::RowKind::kGenerated;
      add_row(runs_, rows_, kinds_[row]);
      if (entry.wants_hidden) hidden_rows_.push_back(rows_);
      const bool last = i + 1 == entry.tokens.size();
      if (entry.wants_all_logits || (entry.wants_logits && last)) {
        add_row(logits_runs_, logits_count_, kinds_[row]);
        logits_kinds_[static_cast<std::size_t>(logits_count_)] = kinds_[row];
        logits_rows_[static_cast<std::size_t>(logits_count_++)] = rows_;
      }
      ++rows_;
    }
  }
  gather_shared_rows();
  mark_many(runs_, kinds_);
  mark_many(logits_runs_, logits_kinds_);
}

// Runs of many generated rows take the product made for them: the same bits.
void CpuForward::mark_many(std::span<Run> runs, std::span<kernels::RowKind> kinds) {
  for (Run& run : runs) {
    if (run.kind != kernels::RowKind::kGenerated || run.end - run.begin < kernels::kManyRows) continue;
    run.kind = kernels::RowKind::kGeneratedMany;
    for (std::int32_t row = run.begin; row < run.end; ++row) kinds[static_cast<std::size_t>(row)] = run.kind;
  }
}

// Angles in double: a float product of position and frequency is off by 2e-3 radians at position 40,000.
void CpuForward::embed() {
  const Matrix& embedding = weights_.embedding;
  pool_.for_each(rows_, [&](std::int32_t row, std::int32_t thread) {
    const std::int32_t token = tokens_[static_cast<std::size_t>(row)];
    std::uint8_t* packed_row = scratch_ + thread * kernels::kMatmulScratchBytes;
    kernels::unpack_row(embedding.type, embedding.data, token, config_.hidden, packed_row);
    quant::dequantize_row(embedding.type, packed_row, x_ + std::int64_t{row} * config_.hidden,
                          static_cast<std::size_t>(config_.hidden));
    const std::int64_t half = config_.head_dim / 2;
    const double position = positions_[static_cast<std::size_t>(row)];
    for (std::int64_t i = 0; i < half; ++i) {
      const double angle = position * rope_frequencies_[static_cast<std::size_t>(i)];
      cosine_[row * half + i] = static_cast<float>(std::cos(angle));
      sine_[row * half + i] = static_cast<float>(std::sin(angle));
    }
  });
}

void CpuForward::normalise(const std::vector<float>& norm, const KindFormats& formats) {
  const std::int64_t hidden = config_.hidden;
  pool_.for_each(rows_, [&](std::int32_t row, std::int32_t) {
    float* x = x_ + row * hidden;
    if (has_delta_) kernels_.add(x, delta_ + row * hidden, config_.hidden);
    kernels_.rms_norm(normed_.floats + row * hidden, x, norm.data(), config_.hidden, config_.rms_epsilon);
    quantise_row(normed_, config_.hidden, row, formats.of(kinds_[static_cast<std::size_t>(row)]));
  });
}

// A task is one KV head of one row with the query heads it serves: norm per head, then rotation, then the page.
void CpuForward::rotate_and_store(std::int32_t layer) {
  const LayerWeights& w = weights_.layers[static_cast<std::size_t>(layer)];
  const std::int32_t head_dim = config_.head_dim;
  const std::int32_t group = config_.heads / config_.kv_heads;
  pool_.for_each(rows_ * config_.kv_heads, [&](std::int32_t task, std::int32_t) {
    const std::int64_t row = task / config_.kv_heads;
    const std::int32_t kv_head = task % config_.kv_heads;
    const float* cosine = cosine_ + row * (head_dim / 2);
    const float* sine = sine_ + row * (head_dim / 2);
    for (std::int32_t i = 0; i < group; ++i) {
      float* q = q_ + row * config_.q_dim() + std::int64_t{kv_head * group + i} * head_dim;
      kernels_.rms_norm(q, q, w.q_norm.data(), head_dim, config_.rms_epsilon);
      kernels_.rope(q, cosine, sine, head_dim);
    }
    float* k = k_ + row * config_.kv_dim() + std::int64_t{kv_head} * head_dim;
    kernels_.rms_norm(k, k, w.k_norm.data(), head_dim, config_.rms_epsilon);
    kernels_.rope(k, cosine, sine, head_dim);
    const std::int32_t position = positions_[static_cast<std::size_t>(row)];
    const sched::PageId page = pages_[static_cast<std::size_t>(row)][position / sched::kPageTokens];
    std::uint16_t* k_page = cache_.head(layer, kv_head) + page * cache_.page_stride();
    const float* v = v_ + row * config_.kv_dim() + std::int64_t{kv_head} * head_dim;
    kv_kernels_.store(k_page, k_page + cache_.v_offset(), k, v, head_dim, position % sched::kPageTokens);
  });
}

// silu(gate(x)) * up(x), then down. Prompt rows may have one kernel for all but the last.
void CpuForward::feed_forward(const LayerWeights& w, const LayerFormats& formats) {
  const kernels::Swiglu swiglu = fused_swiglu(w);
  for (const Run& run : runs_) {
    if (swiglu != nullptr && run.kind == kernels::RowKind::kPrompt) {
      multiply_fused(w, swiglu, run);
    } else {
      multiply({{&w.gate, gate_.floats}, {&w.up, up_}}, normed_, {&run, 1});
      activate(formats.ffn_activation, run);
    }
  }
  multiply({{&w.down, delta_}}, gate_, runs_);
}

void CpuForward::activate(const KindFormats& formats, const Run& run) {
  pool_.for_each(run.end - run.begin, [&](std::int32_t index, std::int32_t) {
    const std::int32_t row = run.begin + index;
    kernels_.silu_mul(gate_.floats + std::int64_t{row} * config_.ffn, up_ + std::int64_t{row} * config_.ffn,
                      config_.ffn);
    quantise_row(gate_, config_.ffn, row, formats.of(run.kind));
  });
}

// Null: gate and up differ in type, or have no such kernel, or down wants another form.
kernels::Swiglu CpuForward::fused_swiglu(const LayerWeights& w) const {
  using kernels::RowKind;
  if (w.gate.type != w.up.type || w.gate.rows % 256 != 0) return nullptr;
  const kernels::Product down = kernels::product_for(kernels_, w.down.type, w.down.columns, RowKind::kPrompt);
  if (down.format != ActivationFormat::kQ8Tiles) return nullptr;
  return kernels::swiglu_for(kernels_, w.gate.type, w.gate.columns);
}

void CpuForward::multiply_fused(const LayerWeights& w, kernels::Swiglu swiglu, const Run& run) {
  pool_.for_each(w.gate.rows / 256, [&](std::int32_t block, std::int32_t thread) {
    swiglu({.gate = w.gate.data,
            .up = w.up.data,
            .strip_bytes = w.gate.strip_bytes,
            .block_begin = block,
            .block_end = block + 1,
            .k = w.gate.columns,
            .activations = normed_.q8_tiles,
            .first_row = run.begin,
            .m = run.end - run.begin,
            .out = gate_.q8_tiles,
            .out_columns = w.gate.rows,
            .scratch = scratch_ + thread * kernels::kMatmulScratchBytes});
  });
}

void CpuForward::quantise_row(const Input& input, std::int32_t k, std::int32_t row, Formats formats) const {
  const float* values = input.floats + std::int64_t{row} * k;
  if (formats.q8_0) {
    kernels_.quantize_q8_0(input.q8_0 + row * kernels::activation_row_bytes(ActivationFormat::kQ8_0, k), values, k);
  }
  if (formats.q8_k) {
    kernels_.quantize_q8_k(input.q8_k + row * kernels::activation_row_bytes(ActivationFormat::kQ8_K, k), values, k);
  }
  if (formats.bf16_tiles) kernels_.quantize_bf16_tiles(input.bf16_tiles, row, values, k);
  if (formats.q8_tiles) kernels_.quantize_q8_tiles(input.q8_tiles, row, values, k);
}

// All products share one input and one phase. Threads split the rows of the matrices, never k.
void CpuForward::multiply(std::initializer_list<Product> products, const Input& input, std::span<const Run> runs) {
  const std::int32_t rows = runs.back().end - runs.front().begin;
  std::int32_t tasks = 0;
  for (const Product& product : products) {
    tasks += divide_up(product.matrix->rows, rows_per_task(product.matrix->rows, rows, pool_.threads()));
  }
  pool_.for_each(tasks, [&](std::int32_t task, std::int32_t thread) {
    for (const Product& product : products) {
      const std::int32_t step = rows_per_task(product.matrix->rows, rows, pool_.threads());
      const std::int32_t count = divide_up(product.matrix->rows, step);
      if (task >= count) {
        task -= count;
        continue;
      }
      const std::int32_t end = std::min(task * step + step, product.matrix->rows);
      for (const Run& run : runs) multiply_rows(product, input, run, task * step, end, thread);
      return;
    }
  });
}

void CpuForward::multiply_rows(const Product& product, const Input& input, const Run& run, std::int32_t row_begin,
                               std::int32_t row_end, std::int32_t thread) const {
  const Matrix& matrix = *product.matrix;
  const kernels::Product kernel = kernels::product_for(kernels_, matrix.type, matrix.columns, run.kind);
  const std::int64_t row_bytes = kernel.format == ActivationFormat::kF32
                                     ? std::int64_t{matrix.columns} * static_cast<std::int64_t>(sizeof(float))
                                     : kernels::activation_row_bytes(kernel.format, matrix.columns);
  const std::uint8_t* activations = nullptr;
  switch (kernel.format) {
    case ActivationFormat::kF32: activations = reinterpret_cast<const std::uint8_t*>(input.floats); break;
    case ActivationFormat::kBF16Tiles: activations = input.bf16_tiles; break;
    case ActivationFormat::kQ8_0: activations = input.q8_0; break;
    case ActivationFormat::kQ8_K: activations = input.q8_k; break;
    case ActivationFormat::kQ8Tiles: activations = input.q8_tiles; break;
  }
  const bool whole = kernels::is_tiled(kernel.format);
  kernel.matmul({.weights = matrix.data,
                 .strip_bytes = matrix.strip_bytes,
                 .row_begin = row_begin,
                 .row_end = row_end,
                 .k = matrix.columns,
                 .activations = activations + (whole ? 0 : run.begin * row_bytes),
                 .activation_row_bytes = row_bytes,
                 .m = run.end - run.begin,
                 .first_row = run.begin,
                 .out = product.out + std::int64_t{run.begin} * matrix.rows,
                 .out_stride = matrix.rows,
                 .scratch = scratch_ + thread * kernels::kMatmulScratchBytes});
}

// The rows that a matrix of logits would read, as floats.
void CpuForward::compute_hidden() {
  const std::int64_t hidden = config_.hidden;
  pool_.for_each(static_cast<std::int32_t>(hidden_rows_.size()), [&](std::int32_t index, std::int32_t) {
    const std::int64_t row = hidden_rows_[static_cast<std::size_t>(index)];
    kernels_.add(x_ + row * hidden, delta_ + row * hidden, config_.hidden);
    kernels_.rms_norm(hidden_ + index * hidden, x_ + row * hidden, weights_.output_norm.data(), config_.hidden,
                      config_.rms_epsilon);
  });
}

std::span<const float> CpuForward::hidden() const {
  return {hidden_, hidden_rows_.size() * static_cast<std::size_t>(config_.hidden)};
}

// Only the wanted rows go through the last norm and the largest matrix.
std::span<const float> CpuForward::compute_logits() {
  const std::int64_t hidden = config_.hidden;
  pool_.for_each(logits_count_, [&](std::int32_t index, std::int32_t) {
    const std::int64_t row = logits_rows_[static_cast<std::size_t>(index)];
    kernels_.add(x_ + row * hidden, delta_ + row * hidden, config_.hidden);
    float* normed = normed_.floats + index * hidden;
    kernels_.rms_norm(normed, x_ + row * hidden, weights_.output_norm.data(), config_.hidden, config_.rms_epsilon);
    quantise_row(normed_, config_.hidden, index, output_formats_.of(logits_kinds_[static_cast<std::size_t>(index)]));
  });
  if (logits_count_ > 0) multiply({{&weights_.output, logits_}}, normed_, logits_runs_);
  return {logits_, static_cast<std::size_t>(logits_count_) * static_cast<std::size_t>(config_.vocab)};
}

}  // namespace dormouse::engine
