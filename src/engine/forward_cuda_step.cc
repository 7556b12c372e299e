// A step of one row as one launch (kernels/cuda/decode_step.cuh).
#include <algorithm>
#include <span>
#include <vector>

#include "engine/forward_cuda.h"
#include "kernels/cuda/product_kernels.h"

namespace dormouse::engine {
namespace {

using cuda::Coding;
using cuda::Epilogue;
using cuda::Kernel;

constexpr cuda::KernelOfCoding kSteps = {Kernel::k_decode_step_k, Kernel::k_decode_step_q8_0,
                                         Kernel::k_decode_step_halves};

cuda::StepMatrix step_matrix(const Matrix& matrix) {
  return {.weights = matrix.data,
          .strip_bytes = matrix.strip_bytes,
          .type = static_cast<std::int32_t>(matrix.type),
          .strips = strips_of(matrix)};
}
cuda::StepLayer step_layer(const DeviceLayer& w) {
  return {.matrices = {step_matrix(w.q), step_matrix(w.k), step_matrix(w.v), step_matrix(w.attention_output),
                       step_matrix(w.gate), step_matrix(w.up), step_matrix(w.down)},
          .attention_norm = w.attention_norm,
          .ffn_norm = w.ffn_norm,
          .q_norm = w.q_norm,
          .k_norm = w.k_norm};
}

// Whether decode_step has kernels for all of a layer's matrices, of this coding.
bool multiplies(const DeviceLayer& w, Coding coding) {
  return std::ranges::all_of(
      std::initializer_list<const Matrix*>{&w.q, &w.k, &w.v, &w.attention_output, &w.gate, &w.up, &w.down},
      [&](const Matrix* matrix) {
        return cuda::coding_of(matrix->type) == coding && cuda::one_multiplies(matrix->type);
      });
}

// One a multiprocessor, and no more than the largest product has strips.
std::int32_t step_blocks(const cuda::DecodeStepArgs& args, const cuda::DeviceInfo& device) {
  std::int32_t most = 1;
  for (const cuda::StepProduct& product : args.products) most = std::max(most, product.strips);
  return std::min(most, device.multiprocessors);
}

}  // namespace

// Copies in the background, which before compute capability 8.0 there are none, are what it lives from.
bool CudaForward::has_whole_step() const {
  constexpr std::int32_t kMostQueriesAtOnce = 4;
  const cuda::DeviceInfo& device = device_->info();
  return device.runs_together && (device.compute_major >= 8 || device.is_emulated) &&
         config_->heads <= kMostQueriesAtOnce * config_->kv_heads &&
         std::ranges::all_of(weights_->layers, [&](const DeviceLayer& w) { return multiplies(w, step_coding()); });
}
Coding CudaForward::step_coding() const {
  return cuda::coding_of(weights_->layers.front().q.type);
}

// As many warps as the rings of find room beside what else a block needs.
Status CudaForward::prepare_whole_step() {
  if (!has_whole_step()) return {};
  std::vector<cuda::StepLayer> layers;
  for (const DeviceLayer& layer : weights_->layers) layers.push_back(step_layer(layer));
  const std::uint64_t bytes = layers.size() * sizeof(cuda::StepLayer);
  TRY(step_, DeviceBuffer::create(*device_, bytes + sizeof(std::uint32_t)));
  TRY_STATUS(device_->upload(step_.address(), layers.data(), bytes));
  TRY_STATUS(device_->fill_zero(step_.address() + bytes, sizeof(std::uint32_t)));
  const cuda::DecodeStepArgs args = step_args();
  const std::int32_t blocks = step_blocks(args, device_->info());
  for (std::int32_t warps = cuda::kMostStepWarps; warps > 0; warps -= cuda::kLoneWarps) {
    const std::int64_t wanted =
        cuda::step_work_bytes(args, step_coding(), blocks, warps) + warps * cuda::step_ring_bytes(step_coding());
    if (wanted > static_cast<std::int64_t>(device_->info().shared_bytes_per_block)) continue;
    step_warps_ = warps;
    break;
  }
  return device_->synchronize();
}

bool CudaForward::can_step_whole() const {
  return step_warps_ > 0 && plan_.rows() == 1 && plan_.has_lone_rows() && partial_bytes(1) <= kPartialBytes;
}

cuda::DecodeStepArgs CudaForward::step_args() const {
  const DeviceLayer& w = weights_->layers.front();
  const std::int32_t most_splits = splits();
  const auto strips = [](std::initializer_list<const Matrix*> matrices) {
    std::int32_t out = 0;
    for (const Matrix* matrix : matrices) out += strips_of(*matrix);
    return out;
  };
  return {.layers = step_.at<cuda::StepLayer>(),
          .arrivals = step_.at<std::uint32_t>(weights_->layers.size() * sizeof(cuda::StepLayer)),
          .products = {{.in = x_,
                        .out = qkv_,
                        .k = config_->hidden,
                        .first = cuda::kStepQ,
                        .strips = strips({&w.q, &w.k, &w.v}),
                        .epilogue = Epilogue::kStore},
                       {.in = attended_,
                        .out = x_,
                        .k = config_->q_dim(),
                        .first = cuda::kStepOutput,
                        .strips = strips({&w.attention_output}),
                        .epilogue = Epilogue::kAdd},
                       {.in = x_,
                        .out = ffn_,
                        .k = config_->hidden,
                        .first = cuda::kStepGate,
                        .strips = strips({&w.gate}),
                        .epilogue = Epilogue::kSwiglu},
                       {.in = ffn_,
                        .out = x_,
                        .k = config_->ffn,
                        .first = cuda::kStepDown,
                        .strips = strips({&w.down}),
                        .epilogue = Epilogue::kAdd}},
          .attend = {.step = rotate_args(0),
                     .out = attended_,
                     .partials = most_splits * cuda::kLoneWarps <= step_warps_ ? nullptr : partials_,
                     .max_splits = most_splits,
                     .scale = attention_scale()},
          .combine = combine_args(most_splits),
          .layer_count = config_->layers,
          .work_bytes = 0,
          .epsilon = config_->rms_epsilon};
}

Status CudaForward::step_whole() {
  cuda::DecodeStepArgs args = step_args();
  const std::int32_t blocks = step_blocks(args, device_->info());
  args.work_bytes = static_cast<std::int32_t>(cuda::step_work_bytes(args, step_coding(), blocks, step_warps_));
  return device_->launch(
      {.kernel = cuda::kernel_of(kSteps, step_coding()),
       .grid = {blocks, 1, 1},
       .threads = 32 * step_warps_,
       .shared_bytes = static_cast<std::size_t>(args.work_bytes + step_warps_ * cuda::step_ring_bytes(step_coding())),
       .args = &args,
       .together = true});
}

}  // namespace dormouse::engine
