#include "engine/engine_cuda.h"

#include <chrono>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "engine/cpu_budget.h"
#include "engine/device_weights.h"
#include "engine/forward_cuda.h"
#include "engine/gpu_report.h"
#include "engine/kv_cache.h"
#include "engine/placement.h"
#include "engine/plan_check.h"
#include "engine/thread_pool.h"
#include "kernels/cuda/matmul_args.h"

namespace dormouse::engine {
namespace {

class CudaEngine final : public Engine {
 public:
  CudaEngine(std::unique_ptr<cuda::Device> device, ModelConfig config, const EngineOptions& options)
      : device_(std::move(device)),
        config_(std::move(config)),
        options_(options),
        isa_("cuda-sm" + std::to_string(10 * device_->info().compute_major + device_->info().compute_minor)) {}

  Status prepare(const gguf::File& file, const pack::PackedFile* packed, const Progress& progress) {
    ModelWeights host;
    if (packed != nullptr) {
      TRY(host, map_weights(file, *packed, config_));
      TRY_STATUS(check_for_device(config_, host));
    } else {
      ThreadPool pool(read_cpu_budget().threads(), ThreadPool::Waiting::kBlock);
      TRY(host, pack_weights(file, config_, pool, progress));
      TRY_STATUS(check_for_device(config_, host));
    }
    const SystemClock clock;
    const MonoTime begin = clock.now();
    TRY(weights_, upload_weights(*device_, host, progress));
    const MonoTime uploaded = clock.now();
    const bool finds_top = samples_on(device_->info(), options_.device_sampling, config_.vocab);
    const DevicePaths paths = options_.device_paths.value_or(tested_paths(device_->info()));
    TRY(CudaForward forward, CudaForward::create(*device_, config_, weights_,
                                                 {.rows = options_.max_batch_tokens,
                                                  .logits_rows = options_.max_logits_rows,
                                                  .sequences = options_.max_sequences,
                                                  .finds_top = finds_top,
                                                  .first_padding_id = options_.first_padding_id,
                                                  .paths = paths,
                                                  .pages = options_.kv_pages,
                                                  .kv_type = options_.kv_type}));
    // Also: nothing of `host` is read any more.
    TRY_STATUS(device_->synchronize());
    const std::chrono::duration<double, std::milli> upload = uploaded - begin;
    const std::chrono::duration<double, std::milli> buffers = clock.now() - uploaded;
    log_info(
        "event=device_ready upload_ms={:.0f} upload_gb_s={:.1f} buffers_ms={:.0f} weights_mb={} buffers_mb={} "
        "sampling={} paths={}",
        upload.count(), static_cast<double>(weights_.bytes) / upload.count() / 1e6, buffers.count(),
        weights_.bytes / 1'000'000, forward.bytes() / 1'000'000, finds_top ? "device" : "host", names_of(paths));
    forward_ = std::make_unique<CudaForward>(std::move(forward));
    return {};
  }

  [[nodiscard]] const ModelConfig& config() const override { return config_; }
  [[nodiscard]] const std::string& isa() const override { return isa_; }
  [[nodiscard]] std::int32_t threads() const override { return 1; }
  [[nodiscard]] std::uint64_t kv_bytes_per_token() const override {
    return engine::kv_bytes_per_token(config_, options_.kv_type);
  }

  Result<std::span<const float>> step(const sched::BatchPlan& plan) override {
    TRY_STATUS(check(plan));
    if (plan.token_count == 0) return std::span<const float>{};
    return forward_->run(plan);
  }
  Result<std::span<const RowLogits>> step_rows(const sched::BatchPlan& plan) override {
    TRY_STATUS(check(plan));
    if (plan.token_count == 0) return std::span<const RowLogits>{};
    return forward_->run_rows(plan);
  }

  // A device's memory is the process's as long as it lives; sleep ends the process.
  void drop_kv() override {}

 private:
  [[nodiscard]] Status check(const sched::BatchPlan& plan) const {
    return check_plan(plan, {.rows = options_.max_batch_tokens,
                             .logits_rows = options_.max_logits_rows,
                             .context = config_.context_length,
                             .pages = options_.kv_pages,
                             .vocab = config_.vocab});
  }

  std::unique_ptr<cuda::Device> device_;
  const ModelConfig config_;
  const EngineOptions options_;
  const std::string isa_;
  DeviceWeights weights_;
  std::unique_ptr<CudaForward> forward_;
};

}  // namespace

Result<std::unique_ptr<cuda::Device>> open_gpu(int ordinal, const std::optional<DevicePaths>& paths) {
  TRY(std::unique_ptr<cuda::Device> device, cuda::open_gpu(ordinal));
  if (!paths.value_or(tested_paths(device->info())).small_stacks) return device;
  const Status fitted = device->fit_stacks();
  if (!fitted.has_value()) log_warn("event=stacks_not_fitted reason=\"{}\"", fitted.error().message);
  return device;
}

bool samples_on(const cuda::DeviceInfo& device, DeviceSampling wish, std::int32_t vocab) {
  if (vocab > cuda::kMostTopIds || wish == DeviceSampling::kOff) return false;
  return wish == DeviceSampling::kOn || is_sampling_tested(device);
}

Result<std::unique_ptr<Engine>> load_cuda(std::unique_ptr<cuda::Device> device, const gguf::File& file,
                                          const pack::PackedFile* packed, const EngineOptions& options,
                                          const Progress& progress) {
  TRY(ModelConfig config, read_config(file));
  auto engine = std::make_unique<CudaEngine>(std::move(device), std::move(config), options);
  TRY_STATUS(engine->prepare(file, packed, progress));
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace dormouse::engine
