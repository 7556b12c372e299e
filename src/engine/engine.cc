#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "engine/cpu_budget.h"
#include "engine/engine_cuda.h"
#include "engine/forward_cpu.h"
#include "engine/kv_cache.h"
#include "engine/placement.h"
#include "engine/plan_check.h"
#include "engine/thread_pool.h"
#include "engine/weights.h"
#include "kernels/dispatch.h"

namespace dormouse::engine {
namespace {

// Far above any sensible batch; keeps row counts times model widths inside 64 bits.
constexpr std::int32_t kMaxBatchTokens = 1 << 16;
constexpr std::int32_t kMaxThreads = 1024;

Status check_options(const EngineOptions& options) {
  const auto check = [](const char* name, std::int32_t value, std::int32_t min, std::int32_t max) -> Status {
    if (value >= min && value <= max) return {};
    return make_error(Code::kInvalidArgument, std::string("engine: ") + name + " is " + std::to_string(value) +
                                                  ", want " + std::to_string(min) + ".." + std::to_string(max));
  };
  TRY_STATUS(check("max_batch_tokens", options.max_batch_tokens, 1, kMaxBatchTokens));
  TRY_STATUS(check("max_logits_rows", options.max_logits_rows, 1, kMaxBatchTokens));
  TRY_STATUS(check("threads", options.threads, 0, kMaxThreads));
  return {};
}

struct Threads {
  std::int32_t count;
  ThreadPool::Waiting waiting;
};

// Never more than the quota allows, whatever was asked for. More threads than CPUs may be asked for (tests do), but
// then a spinning thread would keep the one it waits for off the CPU.
Threads choose_threads(std::int32_t wanted) {
  const CpuBudget budget = read_cpu_budget();
  const std::int32_t allowed = budget.threads();
  if (wanted == 0) return {allowed, ThreadPool::Waiting::kSpinThenBlock};
  const std::int32_t count = budget.quota ? std::min(wanted, allowed) : wanted;
  return {count, count <= allowed ? ThreadPool::Waiting::kSpinThenBlock : ThreadPool::Waiting::kBlock};
}

// Page tables for the weights, in slices, on every thread: the only pass over the file at load. 32 MiB are 8,192 small
// pages, about 2 ms when they are in the page cache, or 16 huge ones.
void populate(const pack::PackedFile& packed, ThreadPool& pool, const Progress& progress) {
  if (packed.mapping() == nullptr) return;
  constexpr std::uint64_t kSlice = 32U << 20;
  const std::uint64_t begin = packed.data_offset();
  const std::uint64_t size = packed.mapping()->bytes().size();
  const auto slices = static_cast<std::int32_t>((size - std::min(begin, size) + kSlice - 1) / kSlice);
  std::atomic<std::int32_t> done{0};
  pool.for_each(slices, [&](std::int32_t slice, std::int32_t thread) {
    packed.mapping()->populate(begin + static_cast<std::uint64_t>(slice) * kSlice, kSlice);
    const std::int32_t finished = done.fetch_add(1, std::memory_order_relaxed) + 1;
    if (thread == 0 && progress) progress(static_cast<double>(finished) / slices);
  });
  if (progress) progress(1.0);
}

class CpuEngine final : public Engine {
 public:
  CpuEngine(ModelConfig config, const kernels::KernelTable& table, KvCache cache, const EngineOptions& options,
            Threads threads)
      : config_(std::move(config)),
        table_(table),
        isa_(table.name),
        cache_(std::move(cache)),
        options_(options),
        pool_(threads.count, threads.waiting) {
    rows_.reserve(static_cast<std::size_t>(options.max_logits_rows));
  }

  Status prepare(const gguf::File& file, const pack::PackedFile* packed, const Progress& progress) {
    if (packed != nullptr) {
      TRY(weights_, map_weights(file, *packed, config_));
      populate(*packed, pool_, progress);
    } else {
      TRY(weights_, pack_weights(file, config_, pool_, progress));
    }
    TRY(CpuForward forward,
        CpuForward::create(config_, weights_, table_, cache_, pool_,
                           {.rows = options_.max_batch_tokens, .logits_rows = options_.max_logits_rows}));
    forward_ = std::make_unique<CpuForward>(std::move(forward));
    return {};
  }

  [[nodiscard]] const ModelConfig& config() const override { return config_; }
  [[nodiscard]] const std::string& isa() const override { return isa_; }
  [[nodiscard]] std::int32_t threads() const override { return pool_.threads(); }
  [[nodiscard]] std::uint64_t kv_bytes_per_token() const override {
    return engine::kv_bytes_per_token(config_, cache_.type());
  }

  Result<std::span<const float>> step(const sched::BatchPlan& plan) override {
    TRY_STATUS(check_plan(plan, {.rows = options_.max_batch_tokens,
                                 .logits_rows = options_.max_logits_rows,
                                 .context = config_.context_length,
                                 .pages = cache_.pages(),
                                 .vocab = config_.vocab,
                                 .gives_hidden = true}));
    if (plan.token_count == 0) return std::span<const float>{};
    return forward_->run(plan);
  }

  [[nodiscard]] std::span<const float> hidden() const override { return forward_->hidden(); }
  [[nodiscard]] bool gives_hidden() const override { return true; }
  void drop_kv() override { cache_.drop(); }

 private:
  const ModelConfig config_;
  const kernels::KernelTable& table_;
  const std::string isa_;
  const KvCache cache_;
  const EngineOptions options_;
  ThreadPool pool_;
  ModelWeights weights_;
  std::unique_ptr<CpuForward> forward_;
};

Result<std::unique_ptr<Engine>> load_cpu(const gguf::File& file, const pack::PackedFile* packed,
                                         const EngineOptions& options, const Progress& progress) {
  TRY(const kernels::KernelTable* table, kernels::select_kernels(options.isa));
  TRY(ModelConfig config, read_config(file));
  TRY(KvCache cache, KvCache::create(config, options.kv_pages, options.kv_type));
  auto engine = std::make_unique<CpuEngine>(std::move(config), *table, std::move(cache), options,
                                            choose_threads(options.threads));
  TRY_STATUS(engine->prepare(file, packed, progress));
  return std::unique_ptr<Engine>(std::move(engine));
}

Result<std::unique_ptr<Engine>> open_and_load(DeviceName name, const gguf::File& file, const pack::PackedFile* packed,
                                              const EngineOptions& options, const Progress& progress) {
  TRY(std::unique_ptr<cuda::Device> device, open_gpu(name.ordinal, options.device_paths));
  log_info("event=device chosen=cuda:{} name=\"{}\"", name.ordinal, device->info().name);
  return load_cuda(std::move(device), file, packed, options, progress);
}

}  // namespace

Result<std::span<const RowLogits>> Engine::step_rows(const sched::BatchPlan& plan) {
  TRY(const std::span<const float> logits, step(plan));
  const auto vocab = static_cast<std::size_t>(config().vocab);
  rows_.clear();
  for (std::size_t begin = 0; begin < logits.size(); begin += vocab) {
    rows_.push_back({.all = logits.subspan(begin, vocab), .top = {}});
  }
  return rows_;
}

Result<std::unique_ptr<Engine>> Engine::load(const gguf::File& file, const pack::PackedFile* packed,
                                             const EngineOptions& options, const Progress& progress) {
  TRY_STATUS(check_options(options));
  TRY(const DeviceName device, parse_device(options.device));
  if (device.kind == DeviceName::Kind::kCpu) return load_cpu(file, packed, options, progress);
  Result<std::unique_ptr<Engine>> on_gpu = open_and_load(device, file, packed, options, progress);
  if (on_gpu.has_value() || device.kind == DeviceName::Kind::kCuda) return on_gpu;
  log_info("event=device chosen=cpu reason=\"{}\"", on_gpu.error().message);
  return load_cpu(file, packed, options, progress);
}

}  // namespace dormouse::engine
