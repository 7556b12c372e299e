#include "engine/forward_cuda.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>

#include "base/check.h"
#include "engine/kv_cache.h"
#include "kernels/cuda/product_kernels.h"

namespace dormouse::engine {
namespace {

using cuda::Coding;
using cuda::coding_of;
using cuda::Epilogue;
using cuda::Kernel;

std::int64_t padded_rows(std::int64_t rows) {
  return (rows + cuda::kCodedRowMultiple - 1) / cuda::kCodedRowMultiple * cuda::kCodedRowMultiple;
}

// Whether a matmul_one kernel has this product.
bool fits_one(const cuda::MatmulArgs& args, const DevicePaths& paths) {
  if (args.tokens != 1 || args.input == cuda::Input::kCoded) return false;
  if (args.coding != Coding::kK && !paths.one_row) return false;
  const auto parts = std::span(args.parts).first(static_cast<std::size_t>(args.part_count));
  return std::ranges::all_of(parts,
                             [](const auto& part) { return cuda::one_multiplies(static_cast<TensorType>(part.type)); });
}

// What attend_shared is launched with on this device.
SharingDevice sharing_device(const cuda::DeviceInfo& device, const ModelConfig& config, const DevicePaths& paths) {
  SharingDevice out{.multiprocessors = device.multiprocessors,
                    .kv_heads = config.kv_heads,
                    .rows_a_warp = cuda::shared_rows_a_warp(config.heads / config.kv_heads),
                    .most_warps = 0};
  if (!paths.shared_prefixes) return out;
  out.most_warps = cuda::kAttendSharedThreads / 32;
  const auto fits = [&] {
    return static_cast<std::size_t>(cuda::attend_shared_shared_bytes(config.head_dim, out.most_warps)) <=
           device.shared_bytes_per_block;
  };
  while (out.most_warps > 0 && !fits()) out.most_warps /= 2;
  return out;
}

}  // namespace

CudaForward::Pinned::Pinned(Pinned&& other) noexcept
    : device(other.device), data(std::exchange(other.data, nullptr)), rows(other.rows) {}
CudaForward::Pinned& CudaForward::Pinned::operator=(Pinned&& other) noexcept {
  std::swap(device, other.device);
  std::swap(data, other.data);
  std::swap(rows, other.rows);
  return *this;
}
CudaForward::Pinned::~Pinned() {
  if (data != nullptr) device->release_pinned(data);
}

CudaForward::CudaForward(cuda::Device& device, const ModelConfig& config, const DeviceWeights& weights, Limits limits,
                         DevicePlan plan)
    : device_(&device), config_(&config), weights_(&weights), limits_(limits), plan_(std::move(plan)) {}

Result<CudaForward> CudaForward::create(cuda::Device& device, const ModelConfig& config, const DeviceWeights& weights,
                                        Limits limits) {
  const std::int32_t pages = (config.context_length + sched::kPageTokens - 1) / sched::kPageTokens;
  TRY(DevicePlan plan, DevicePlan::create(device, {.rows = limits.rows,
                                                   .logits_rows = limits.logits_rows,
                                                   .pages_per_sequence = std::min(pages, std::max(limits.pages, 1)),
                                                   .sharing = sharing_device(device.info(), config, limits.paths)}));
  CudaForward out(device, config, weights, limits, std::move(plan));
  TRY_STATUS(out.reserve());
  TRY_STATUS(out.make_rope_table());
  if (limits.paths.whole_step) TRY_STATUS(out.prepare_whole_step());
  return out;
}

// Logits of so many rows are computed and fetched at a time: of all sequences of a step, up to the limit, or of as many
// as find room where the layers' activations were.
std::int32_t CudaForward::logits_slice() const {
  const std::int64_t free = std::int64_t{limits_.rows} * row_floats() / config_->vocab;
  const auto wanted = std::max<std::int64_t>(free, limits_.sequences);
  return static_cast<std::int32_t>(
      std::clamp<std::int64_t>(wanted, 1, std::min(limits_.logits_rows, kMostLogitsSlice)));
}
// Of one row, what of a layer's activations is alive at once: queries, keys, values and what they attend to, or the
// feed-forward's.
std::int64_t CudaForward::row_floats() const {
  return std::max<std::int64_t>(2 * config_->q_dim() + 2 * config_->kv_dim(), config_->ffn);
}
bool CudaForward::has_halves() const {
  const auto is_halves = [](const Matrix& matrix) { return coding_of(matrix.type) == Coding::kHalves; };
  return is_halves(weights_->output) || std::ranges::any_of(weights_->layers, [&](const DeviceLayer& layer) {
           return is_halves(layer.q) || is_halves(layer.k) || is_halves(layer.v) || is_halves(layer.attention_output) ||
                  is_halves(layer.gate) || is_halves(layer.down);
         });
}

// Two places serve several uses in turn, as a kernel begins to write when all before it have ended: a layer's
// activations, then the step's logits; and a product's coded rows, then an attention's partials.
Status CudaForward::reserve() {
  const std::int64_t rows = limits_.rows;
  const std::int64_t coded_rows = padded_rows(std::max(limits_.rows, limits_.logits_rows));
  const std::int64_t widest = std::max({config_->hidden, config_->ffn, config_->q_dim()});
  constexpr std::int64_t kFloat = sizeof(float);
  std::uint64_t used = 0;
  std::uint64_t most = 0;
  const auto take = [&](std::int64_t count, std::int64_t bytes) {
    const std::uint64_t at = used;
    used += (static_cast<std::uint64_t>(count) * static_cast<std::uint64_t>(bytes) + 255) / 256 * 256;
    most = std::max(most, used);
    return at;
  };
  const std::uint64_t x = take(rows, config_->hidden * kFloat);
  const std::uint64_t found = take(limits_.logits_rows, found_bytes());
  const std::uint64_t top_parts = take(limits_.finds_top ? logits_slice() : 0,
                                       cuda::top_parts(config_->vocab) * kTopTokens * sizeof(std::uint64_t));
  const std::uint64_t activations = used;
  take(rows, row_floats() * kFloat);
  used = activations;
  take(logits_slice(), config_->vocab * kFloat);
  const std::uint64_t codes = used = most;
  take(1, most_partial_bytes());
  used = codes;
  take(coded_rows, widest * 2 * (has_halves() ? 2 : 1));
  const std::uint64_t scales = take(coded_rows, widest / 32 * kFloat);
  const std::uint64_t sums16 = take(coded_rows, widest / 16 * 2);
  const std::uint64_t sums32 = take(coded_rows, widest / 16 * 2);
  TRY(scratch_, DeviceBuffer::create(*device_, most));
  bytes_ = most;
  x_ = scratch_.at<float>(x);
  qkv_ = ffn_ = logits_ = scratch_.at<float>(activations);
  attended_ = qkv_ + rows * (config_->q_dim() + 2 * config_->kv_dim());
  partials_ = scratch_.at<float>(codes);
  if (limits_.finds_top) {
    top_ = scratch_.at<cuda::TopToken>(found);
    top_parts_ = scratch_.at<std::uint64_t>(top_parts);
  } else {
    likeliest_ = scratch_.at<sched::TokenId>(found);
  }
  coded_ = {.codes = scratch_.at<std::uint16_t>(codes),
            .scales = scratch_.at<float>(scales),
            .sums16 = scratch_.at<std::uint16_t>(sums16),
            .sums32 = scratch_.at<std::uint16_t>(sums32),
            .rows = static_cast<std::int32_t>(coded_rows)};
  TRY_STATUS(reserve_kv());
  return reserve_host();
}

Status CudaForward::reserve_kv() {
  const std::uint64_t bytes = kv_bytes_per_token(*config_, limits_.kv_type) * sched::kPageTokens *
                              static_cast<std::uint64_t>(std::max(limits_.pages, 1));
  TRY(kv_, DeviceBuffer::create(*device_, bytes));
  bytes_ += bytes;
  // Tokens nobody has written count with weight zero: they must be numbers.
  return device_->fill_zero(kv_.address(), bytes);
}

Status CudaForward::reserve_host() {
  host_found_.device = device_;
  host_found_.data = device_->allocate_pinned(static_cast<std::uint64_t>(limits_.logits_rows * found_bytes()));
  if (host_found_.data == nullptr) return make_error(Code::kOverloaded, "cuda: no host memory for tokens");
  rows_.reserve(static_cast<std::size_t>(limits_.logits_rows));
  return make_host_rows(std::min(limits_.logits_rows, cuda::kFewRows));
}

Status CudaForward::make_rope_table() {
  const std::int32_t half = config_->head_dim / 2;
  const std::int32_t positions = std::min(config_->context_length, std::max(limits_.pages, 1) * sched::kPageTokens);
  TRY(rope_, DeviceBuffer::create(*device_, static_cast<std::uint64_t>(positions) * static_cast<std::uint64_t>(half) *
                                                2 * sizeof(float)));
  std::vector<double> frequencies;
  for (std::int32_t i = 0; i < half; ++i) {
    frequencies.push_back(std::pow(static_cast<double>(config_->rope_theta), -2.0 * i / config_->head_dim));
  }
  // In the scratch: nobody needs them again.
  TRY_STATUS(device_->upload(scratch_.address(), frequencies.data(), frequencies.size() * sizeof(double)));
  const cuda::RopeTableArgs args{
      .out = rope_.at<float>(), .frequencies = scratch_.at<double>(), .positions = positions, .half_dim = half};
  TRY_STATUS(
      launch(Kernel::k_rope_table, {cuda::rope_table_blocks(positions, half)}, cuda::kRopeTableThreads, 0, &args));
  return device_->synchronize();
}

Status CudaForward::compute_rows(const sched::BatchPlan& plan) {
  TRY_STATUS(plan_.upload(plan));
  return can_be_recorded() ? run_recorded() : compute();
}

// Splits of the longest generated row, up to a power of two: few recordings serve every length.
std::int32_t CudaForward::splits() const {
  return static_cast<std::int32_t>(std::bit_ceil(static_cast<std::uint32_t>(cuda::splits_of(plan_.longest()))));
}

bool CudaForward::can_be_recorded() const {
  return plan_.rows() <= cuda::kFewRows && plan_.has_lone_rows();
}

Status CudaForward::run_recorded() {
  Recording& recording = recordings_[{plan_.rows(), splits()}];
  if (recording.number >= 0) return device_->replay(recording.number);
  if (!recording.seen) {
    recording.seen = true;
    return compute();
  }
  TRY_STATUS(device_->begin_recording());
  TRY_STATUS(compute());
  TRY(recording.number, device_->end_recording());
  return device_->replay(recording.number);
}

Status CudaForward::compute() {
  const Matrix& embedding = weights_->embedding;
  const cuda::EmbedArgs args{.out = x_,
                             .tokens = plan_.tokens(),
                             .weights = embedding.data,
                             .strip_bytes = embedding.strip_bytes,
                             .type = static_cast<std::int32_t>(embedding.type),
                             .columns = config_->hidden};
  TRY_STATUS(launch(Kernel::k_embed_rows, {plan_.rows()}, 256, 0, &args));
  if (can_step_whole()) return step_whole();
  for (std::int32_t layer = 0; layer < config_->layers; ++layer) TRY_STATUS(compute_layer(layer));
  return {};
}

Status CudaForward::compute_layer(std::int32_t layer) {
  const DeviceLayer& w = weights_->layers[static_cast<std::size_t>(layer)];
  const std::int32_t rows = plan_.rows();
  const std::int32_t stride = config_->q_dim() + 2 * config_->kv_dim();
  TRY_STATUS(multiply({{&w.q, qkv_, stride},
                       {&w.k, qkv_ + config_->q_dim(), stride},
                       {&w.v, qkv_ + config_->q_dim() + config_->kv_dim(), stride}},
                      {x_, w.attention_norm, nullptr, rows}, Epilogue::kStore));
  TRY_STATUS(attend(layer));
  TRY_STATUS(
      multiply({{&w.attention_output, x_, config_->hidden}}, {attended_, nullptr, nullptr, rows}, Epilogue::kAdd));
  TRY_STATUS(multiply({{&w.gate, ffn_, config_->ffn}, {&w.up, ffn_, config_->ffn}}, {x_, w.ffn_norm, nullptr, rows},
                      Epilogue::kSwiglu));
  return multiply({{&w.down, x_, config_->hidden}}, {ffn_, nullptr, nullptr, rows}, Epilogue::kAdd);
}

// One launch for all products of one coding; kSwiglu's two are alike (check_for_device).
Status CudaForward::multiply(std::initializer_list<Product> products, const Source& source, Epilogue epilogue) {
  for (const Coding coding : {Coding::kK, Coding::kQ8_0, Coding::kHalves}) {
    cuda::MatmulArgs args{};
    for (const Product& product : products) {
      const Matrix& matrix = *product.matrix;
      if (coding_of(matrix.type) != coding) continue;
      args.k = matrix.columns;
      args.parts[args.part_count++] = {.weights = matrix.data,
                                       .out = product.out,
                                       .strip_bytes = matrix.strip_bytes,
                                       .type = static_cast<std::int32_t>(matrix.type),
                                       .strips = strips_of(matrix),
                                       .rows = matrix.rows,
                                       .out_stride = product.out_stride};
    }
    if (args.part_count == 0) continue;
    args.coding = coding;
    args.epilogue = epilogue;
    args.tokens = source.rows;
    args.epsilon = config_->rms_epsilon;
    if (source.rows == 1 && (source.row_index == nullptr || plan_.rows() == 1)) {
      args.x = source.x;
      args.norm = source.norm;
      args.input = source.norm == nullptr ? cuda::Input::kPlain : cuda::Input::kNorm;
      TRY_STATUS(launch_few(args));
    } else {
      TRY_STATUS(multiply_coded(args, source));
    }
  }
  return {};
}

Status CudaForward::multiply_coded(cuda::MatmulArgs& args, const Source& source) {
  const cuda::QuantiseArgs quantise{.x = source.x,
                                    .norm = source.norm,
                                    .row_index = source.row_index,
                                    .out = coded_,
                                    .x_stride = args.k,
                                    .k = args.k,
                                    .coding = args.coding,
                                    .permuted = source.rows > cuda::kFewRows && has_wgmma(args.coding) ? 1 : 0,
                                    .epsilon = config_->rms_epsilon};
  TRY_STATUS(launch(Kernel::k_quantise_rows, {source.rows}, 256, args.k / 64, &quantise));
  args.coded = coded_;
  args.input = cuda::Input::kCoded;
  return source.rows <= cuda::kFewRows ? launch_few(args) : launch_many(args);
}

Status CudaForward::launch_few(const cuda::MatmulArgs& args) {
  const std::int32_t strips = cuda::blocks_across(args, 1);
  const std::int32_t tiles = args.k / 256;
  const std::int32_t units = tiles * (args.epilogue == Epilogue::kSwiglu ? 2 : 1);
  const std::int64_t one_shared = cuda::one_shared_bytes(args.coding, units, tiles, args.input);
  if (fits_one(args, limits_.paths) && std::cmp_less_equal(one_shared, device_->info().shared_bytes_per_block)) {
    cuda::MatmulArgs one = args;
    one.strips_a_block = cuda::one_strips_a_block(args.coding, strips, device_->info().multiprocessors);
    return launch(cuda::kernel_of(cuda::kOne, args.coding), {cuda::blocks_across(one, one.strips_a_block)},
                  32 * cuda::one_warps(args.coding, tiles), one_shared, &one);
  }
  std::int64_t shared = cuda::few_partial_bytes(units, args.tokens);
  if (args.input != cuda::Input::kCoded) shared += cuda::few_coded_bytes(args.k, args.coding);
  return launch(cuda::kernel_of(cuda::kFew, args.coding), {strips}, 32 * cuda::few_warps(units), shared, &args);
}

bool CudaForward::has_wgmma(Coding coding) const {
  return device_->info().compute_major == 9 && (coding == Coding::kK || limits_.paths.wide_products);
}

Status CudaForward::launch_many(const cuda::MatmulArgs& args) {
  const auto blocks = [&](const auto& shape) {
    return std::pair(cuda::blocks_across(args, shape.strips_a_block(args.epilogue)),
                     (args.tokens + shape.tokens() - 1) / shape.tokens());
  };
  // The large shapes unpack weights for 128 rows at once, but leave multiprocessors without work where there are fewer
  // blocks than those.
  const auto fills = [&](const auto& shape) {
    const auto [across, down] = blocks(shape);
    return across * down >= device_->info().multiprocessors;
  };
  if (has_wgmma(args.coding)) {
    const bool wide = fills(cuda::kWideShape);
    const cuda::WideShape shape = wide ? cuda::kWideShape : cuda::kNarrowShape;
    const auto [across, down] = blocks(shape);
    return launch(cuda::kernel_of(wide ? cuda::kWide : cuda::kNarrow, args.coding), {across, down}, shape.threads(),
                  shape.shared_bytes(args.coding), &args);
  }
  const bool many = fills(cuda::many_shape(args.coding));
  const cuda::ManyShape shape = many ? cuda::many_shape(args.coding) : cuda::middle_shape(args.coding);
  const auto [across, down] = blocks(shape);
  return launch(cuda::kernel_of(many ? cuda::kMany : cuda::kMiddle, args.coding), {across, down}, shape.threads(),
                shape.shared_bytes(args.coding), &args);
}

Status CudaForward::launch(Kernel kernel, std::initializer_list<std::int64_t> grid, int threads,
                           std::int64_t shared_bytes, const void* args) {
  cuda::Launch launch{.kernel = kernel,
                      .threads = threads,
                      .shared_bytes = static_cast<std::size_t>(shared_bytes),
                      .args = args,
                      .overlaps_previous = true};
  std::size_t axis = 0;
  for (const std::int64_t size : grid) launch.grid[axis++] = static_cast<int>(size);
  return device_->launch(launch);
}

}  // namespace dormouse::engine
