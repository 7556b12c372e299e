#include "engine/forward_cpu.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/check.h"
#include "base/checked_int.h"
#include "kernels/dispatch.h"
#include "quant/codec.h"

namespace dormouse::engine {
namespace {

using kernels::ActivationFormat;

// Rows of a weight matrix per task: a multiple of the kernels' tile. With many activation rows a tile is work enough
// (0.4 ms at 512 rows of 4B); with few, larger chunks keep the memory streams long, as long as each thread gets
// several.
std::int32_t rows_per_task(std::int32_t matrix_rows, std::int32_t activation_rows, std::int32_t threads) {
  constexpr std::int32_t kTile = kernels::kRowTile;
  if (activation_rows >= 16) return kTile;
  return std::clamp(matrix_rows / (8 * threads) / kTile * kTile, kTile, 8 * kTile);
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
    : config_(config), weights_(weights), kernels_(table), cache_(cache), pool_(pool), limits_(limits) {
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
  logits_rows_.resize(static_cast<std::size_t>(limits.logits_rows));
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
    const std::int64_t either = std::max(limits_.rows, limits_.logits_rows);
    const std::int64_t widest = std::max({config_.hidden, config_.q_dim(), config_.ffn});
    constexpr std::int64_t kFloat = sizeof(float);
    carver.take(x_, rows, config_.hidden * kFloat);
    carver.take(delta_, rows, config_.hidden * kFloat);
    carver.take(normed_, either, config_.hidden * kFloat);
    carver.take(q_, rows, config_.q_dim() * kFloat);
    carver.take(k_, rows, config_.kv_dim() * kFloat);
    carver.take(v_, rows, config_.kv_dim() * kFloat);
    carver.take(attended_, rows, config_.q_dim() * kFloat);
    carver.take(gate_, rows, config_.ffn * kFloat);
    carver.take(up_, rows, config_.ffn * kFloat);
    carver.take(cosine_, rows, config_.head_dim / 2 * kFloat);
    carver.take(sine_, rows, config_.head_dim / 2 * kFloat);
    carver.take(logits_, limits_.logits_rows, config_.vocab * kFloat);
    carver.take(q8_0_, either, kernels::activation_row_bytes(ActivationFormat::kQ8_0, widest));
    carver.take(q8_k_, either, kernels::activation_row_bytes(ActivationFormat::kQ8_K, widest));
    scratch_stride_ = (kernels::matmul_scratch_bytes(widest) + 4095) / 4096 * 4096;
    carver.take(scratch_, pool_.threads(), scratch_stride_);
    return carver.bytes();
  };
  const std::optional<std::uint64_t> bytes = carve(Carver(nullptr));
  if (!bytes) return make_error(Code::kOverloaded, "engine: the scratch of one batch exceeds the address space");
  TRY(memory_, LazyMemory::reserve(*bytes, LazyMemory::Pages::kSmall));
  CHECK(carve(Carver(memory_.data())) == bytes);
  return {};
}

CpuForward::Formats CpuForward::formats_of(std::initializer_list<const Matrix*> matrices) {
  Formats out;
  for (const Matrix* matrix : matrices) {
    const ActivationFormat format = kernels::activation_format(matrix->type);
    out.q8_0 = out.q8_0 || format == ActivationFormat::kQ8_0;
    out.q8_k = out.q8_k || format == ActivationFormat::kQ8_K;
  }
  return out;
}

std::span<const float> CpuForward::run(const sched::BatchPlan& plan) {
  place_rows(plan);
  embed();
  for (std::int32_t layer = 0; layer < config_.layers; ++layer) run_layer(layer);
  return compute_logits();
}

// One transformer layer. The residual additions happen inside normalise(): x += delta, then the norm of x.
void CpuForward::run_layer(std::int32_t layer) {
  const LayerWeights& w = weights_.layers[static_cast<std::size_t>(layer)];
  const LayerFormats& formats = layer_formats_[static_cast<std::size_t>(layer)];
  normalise(w.attention_norm, formats.attention_input);
  multiply({{&w.q, q_}, {&w.k, k_}, {&w.v, v_}}, normed_, rows_);
  rotate_and_store(layer);
  attend(layer, formats.attention_output);
  multiply({{&w.attention_output, delta_}}, attended_, rows_);
  has_delta_ = true;
  normalise(w.ffn_norm, formats.ffn_input);
  multiply({{&w.gate, gate_}, {&w.up, up_}}, normed_, rows_);
  activate(formats.ffn_activation);
  multiply({{&w.down, delta_}}, gate_, rows_);
}

void CpuForward::place_rows(const sched::BatchPlan& plan) {
  rows_ = 0;
  logits_count_ = 0;
  has_delta_ = false;
  for (const sched::PlanEntry& entry : plan.entries) {
    for (std::size_t i = 0; i < entry.tokens.size(); ++i) {
      const auto row = static_cast<std::size_t>(rows_);
      tokens_[row] = entry.tokens[i];
      positions_[row] = entry.start_position + static_cast<std::int32_t>(i);
      pages_[row] = entry.pages.data();
      const bool last = i + 1 == entry.tokens.size();
      if (entry.wants_all_logits || (entry.wants_logits && last)) {
        logits_rows_[static_cast<std::size_t>(logits_count_++)] = rows_;
      }
      ++rows_;
    }
  }
}

// Angles in double: a float product of position and frequency is off by 2e-3 radians at position 40,000.
void CpuForward::embed() {
  const Matrix& embedding = weights_.embedding;
  pool_.for_each(rows_, [&](std::int32_t row, std::int32_t) {
    const std::int64_t token = tokens_[static_cast<std::size_t>(row)];
    quant::dequantize_row(embedding.type, embedding.data + token * embedding.row_bytes,
                          x_ + std::int64_t{row} * config_.hidden, static_cast<std::size_t>(config_.hidden));
    const std::int64_t half = config_.head_dim / 2;
    const double position = positions_[static_cast<std::size_t>(row)];
    for (std::int64_t i = 0; i < half; ++i) {
      const double angle = position * rope_frequencies_[static_cast<std::size_t>(i)];
      cosine_[row * half + i] = static_cast<float>(std::cos(angle));
      sine_[row * half + i] = static_cast<float>(std::sin(angle));
    }
  });
}

void CpuForward::normalise(const std::vector<float>& norm, Formats formats) {
  const std::int64_t hidden = config_.hidden;
  pool_.for_each(rows_, [&](std::int32_t row, std::int32_t) {
    float* x = x_ + row * hidden;
    if (has_delta_) kernels_.add(x, delta_ + row * hidden, config_.hidden);
    kernels_.rms_norm(normed_ + row * hidden, x, norm.data(), config_.hidden, config_.rms_epsilon);
    quantise_row(normed_ + row * hidden, config_.hidden, row, formats);
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
    kernels_.store_kv(k_page, k_page + cache_.v_offset(), k, v, head_dim, position % sched::kPageTokens);
  });
}

void CpuForward::attend(std::int32_t layer, Formats formats) {
  const std::int32_t head_dim = config_.head_dim;
  const std::int32_t group = config_.heads / config_.kv_heads;
  const float scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
  pool_.for_each(rows_ * config_.kv_heads, [&](std::int32_t task, std::int32_t) {
    const std::int64_t row = task / config_.kv_heads;
    const std::int32_t kv_head = task % config_.kv_heads;
    const std::int64_t offset = row * config_.q_dim() + std::int64_t{kv_head} * group * head_dim;
    kernels_.attention({.out = attended_ + offset,
                        .q = q_ + offset,
                        .queries = group,
                        .head_dim = head_dim,
                        .token_count = positions_[static_cast<std::size_t>(row)] + 1,
                        .kv = cache_.head(layer, kv_head),
                        .page_stride = cache_.page_stride(),
                        .v_offset = cache_.v_offset(),
                        .pages = pages_[static_cast<std::size_t>(row)],
                        .scale = scale});
  });
  pool_.for_each(rows_, [&](std::int32_t row, std::int32_t) {
    quantise_row(attended_ + std::int64_t{row} * config_.q_dim(), config_.q_dim(), row, formats);
  });
}

void CpuForward::activate(Formats formats) {
  pool_.for_each(rows_, [&](std::int32_t row, std::int32_t) {
    float* gate = gate_ + std::int64_t{row} * config_.ffn;
    kernels_.silu_mul(gate, up_ + std::int64_t{row} * config_.ffn, config_.ffn);
    quantise_row(gate, config_.ffn, row, formats);
  });
}

void CpuForward::quantise_row(const float* values, std::int32_t k, std::int32_t row, Formats formats) {
  if (formats.q8_0) {
    kernels_.quantize_q8_0(q8_0_ + row * kernels::activation_row_bytes(ActivationFormat::kQ8_0, k), values, k);
  }
  if (formats.q8_k) {
    kernels_.quantize_q8_k(q8_k_ + row * kernels::activation_row_bytes(ActivationFormat::kQ8_K, k), values, k);
  }
}

// All products share one input and one phase. Threads split the rows of the matrices, never k.
void CpuForward::multiply(std::initializer_list<Product> products, const float* input, std::int32_t rows) {
  std::int32_t tasks = 0;
  for (const Product& product : products) {
    tasks += divide_up(product.matrix->rows, rows_per_task(product.matrix->rows, rows, pool_.threads()));
  }
  pool_.for_each(tasks, [&](std::int32_t task, std::int32_t thread) {
    for (const Product& product : products) {
      const Matrix& matrix = *product.matrix;
      const std::int32_t step = rows_per_task(matrix.rows, rows, pool_.threads());
      const std::int32_t count = divide_up(matrix.rows, step);
      if (task >= count) {
        task -= count;
        continue;
      }
      const ActivationFormat format = kernels::activation_format(matrix.type);
      const auto* floats = reinterpret_cast<const std::uint8_t*>(input);
      const std::uint8_t* quantised = format == ActivationFormat::kQ8_0 ? q8_0_ : q8_k_;
      kernels::matmul_for(kernels_, matrix.type)(
          {.weights = matrix.data,
           .weight_row_bytes = matrix.row_bytes,
           .row_begin = task * step,
           .row_end = std::min(task * step + step, matrix.rows),
           .k = matrix.columns,
           .activations = format == ActivationFormat::kF32 ? floats : quantised,
           .activation_row_bytes = format == ActivationFormat::kF32
                                       ? std::int64_t{matrix.columns} * static_cast<std::int64_t>(sizeof(float))
                                       : kernels::activation_row_bytes(format, matrix.columns),
           .m = rows,
           .out = product.out,
           .out_stride = matrix.rows,
           .scratch = scratch_ + thread * scratch_stride_});
      return;
    }
  });
}

// Only the wanted rows go through the last norm and the largest matrix.
std::span<const float> CpuForward::compute_logits() {
  const std::int64_t hidden = config_.hidden;
  pool_.for_each(logits_count_, [&](std::int32_t index, std::int32_t) {
    const std::int64_t row = logits_rows_[static_cast<std::size_t>(index)];
    kernels_.add(x_ + row * hidden, delta_ + row * hidden, config_.hidden);
    float* normed = normed_ + index * hidden;
    kernels_.rms_norm(normed, x_ + row * hidden, weights_.output_norm.data(), config_.hidden, config_.rms_epsilon);
    quantise_row(normed, config_.hidden, index, output_formats_);
  });
  if (logits_count_ > 0) multiply({{&weights_.output, logits_}}, normed_, logits_count_);
  return {logits_, static_cast<std::size_t>(logits_count_) * static_cast<std::size_t>(config_.vocab)};
}

}  // namespace dormouse::engine
