#include "engine/forward_cuda.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>

#include "base/check.h"
#include "engine/kv_cache.h"

namespace dormouse::engine {
namespace {

using cuda::Coding;
using cuda::coding_of;
using cuda::Epilogue;
using cuda::Kernel;

// For the splits of long contexts; a step whose splits need more walks them one after the other: the same bits.
constexpr std::int64_t kPartialBytes = std::int64_t{16} << 20;
// A block of attend_rows has a warp for each of so many splits at once.
constexpr std::int32_t kSplitsAtOnce = cuda::kSplitChains;
// attend_rest walks them where blocks do not fill the device: so many rounds take 2 us each.
constexpr std::int32_t kMostRounds = 4;

constexpr std::array kFew = {Kernel::k_matmul_few_k, Kernel::k_matmul_few_q8_0, Kernel::k_matmul_few_halves};
constexpr std::array kMiddle = {Kernel::k_matmul_middle_k, Kernel::k_matmul_middle_q8_0,
                                Kernel::k_matmul_middle_halves};
constexpr std::array kMany = {Kernel::k_matmul_many_k, Kernel::k_matmul_many_q8_0, Kernel::k_matmul_many_halves};

std::int64_t padded_rows(std::int64_t rows) {
  return (rows + cuda::kCodedRowMultiple - 1) / cuda::kCodedRowMultiple * cuda::kCodedRowMultiple;
}

// Whether matmul_one has this product.
bool fits_one(const cuda::MatmulArgs& args) {
  const auto parts = std::span(args.parts).first(static_cast<std::size_t>(args.part_count));
  return args.tokens == 1 && args.input != cuda::Input::kCoded && std::ranges::all_of(parts, [](const auto& part) {
           return cuda::one_multiplies(static_cast<TensorType>(part.type));
         });
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
  return out;
}

Status CudaForward::reserve() {
  const std::int64_t rows = limits_.rows;
  const std::int64_t coded_rows = padded_rows(std::max(limits_.rows, limits_.logits_rows));
  const std::int64_t widest = std::max({config_->hidden, config_->ffn, config_->q_dim()});
  std::uint64_t used = 0;
  const auto take = [&](std::int64_t count, std::int64_t bytes) {
    const std::uint64_t at = used;
    used += (static_cast<std::uint64_t>(count) * static_cast<std::uint64_t>(bytes) + 255) / 256 * 256;
    return at;
  };
  constexpr std::int64_t kFloat = sizeof(float);
  const std::uint64_t x = take(rows, config_->hidden * kFloat);
  const std::uint64_t qkv = take(rows, (config_->q_dim() + 2 * config_->kv_dim()) * kFloat);
  const std::uint64_t attended = take(rows, config_->q_dim() * kFloat);
  const std::uint64_t ffn = take(rows, config_->ffn * kFloat);
  const std::uint64_t logits = take(std::min(limits_.logits_rows, kLogitsSlice), config_->vocab * kFloat);
  const std::uint64_t partials = take(1, most_partial_bytes());
  const std::uint64_t found = take(limits_.logits_rows, found_bytes());
  const std::uint64_t top_parts = take(limits_.finds_top ? std::min(limits_.logits_rows, kLogitsSlice) : 0,
                                       cuda::top_parts(config_->vocab) * kTopTokens * sizeof(std::uint64_t));
  bool has_halves = coding_of(weights_->output.type) == Coding::kHalves;
  for (const DeviceLayer& layer : weights_->layers) {
    for (const Matrix* matrix : {&layer.q, &layer.k, &layer.v, &layer.attention_output, &layer.gate, &layer.down}) {
      has_halves = has_halves || coding_of(matrix->type) == Coding::kHalves;
    }
  }
  const std::uint64_t codes = take(coded_rows, widest * 2 * (has_halves ? 2 : 1));
  const std::uint64_t scales = take(coded_rows, widest / 32 * kFloat);
  const std::uint64_t sums16 = take(coded_rows, widest / 16 * 2);
  const std::uint64_t sums32 = take(coded_rows, widest / 16 * 2);
  TRY(scratch_, DeviceBuffer::create(*device_, used));
  const std::uint64_t kv_bytes = kv_bytes_per_token(*config_, limits_.kv_type) * sched::kPageTokens *
                                 static_cast<std::uint64_t>(std::max(limits_.pages, 1));
  TRY(kv_, DeviceBuffer::create(*device_, kv_bytes));
  // Tokens nobody has written count with weight zero: they must be numbers.
  TRY_STATUS(device_->fill_zero(kv_.address(), kv_bytes));
  bytes_ = used + kv_bytes;
  x_ = scratch_.at<float>(x);
  qkv_ = scratch_.at<float>(qkv);
  attended_ = scratch_.at<float>(attended);
  ffn_ = scratch_.at<float>(ffn);
  logits_ = scratch_.at<float>(logits);
  partials_ = scratch_.at<float>(partials);
  if (limits_.finds_top) {
    top_ = scratch_.at<cuda::TopToken>(found);
    top_parts_ = scratch_.at<std::uint64_t>(top_parts);
  } else {
    likeliest_ = scratch_.at<sched::TokenId>(found);
  }
  host_found_.device = device_;
  host_found_.data = device_->allocate_pinned(static_cast<std::uint64_t>(limits_.logits_rows * found_bytes()));
  if (host_found_.data == nullptr) return make_error(Code::kOverloaded, "cuda: no host memory for tokens");
  rows_.reserve(static_cast<std::size_t>(limits_.logits_rows));
  coded_ = {.codes = scratch_.at<std::uint16_t>(codes),
            .scales = scratch_.at<float>(scales),
            .sums16 = scratch_.at<std::uint16_t>(sums16),
            .sums32 = scratch_.at<std::uint16_t>(sums32),
            .rows = static_cast<std::int32_t>(coded_rows)};
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

cuda::KvPages CudaForward::kv_pages(std::int32_t layer) const {
  const bool is_q8 = limits_.kv_type == kernels::KvType::kQ8;
  const std::int64_t value_bytes = kernels::kv_head_halves(limits_.kv_type, config_->head_dim) * 2;
  const std::int64_t layer_bytes = 2 * value_bytes * config_->kv_heads;
  return {.memory = kv_.at<std::uint8_t>(),
          .page_bytes = layer_bytes * config_->layers,
          .layer_bytes = layer_bytes,
          .head_bytes = 2 * value_bytes,
          .value_bytes = value_bytes,
          .is_q8 = is_q8 ? 1 : 0,
          .layer = layer};
}

Status CudaForward::attend(std::int32_t layer) {
  const DeviceLayer& w = weights_->layers[static_cast<std::size_t>(layer)];
  const cuda::KvPages kv = kv_pages(layer);
  const std::int32_t stride = config_->q_dim() + 2 * config_->kv_dim();
  const cuda::RotateStoreArgs rotate{.q = qkv_,
                                     .k = qkv_ + config_->q_dim(),
                                     .v = qkv_ + config_->q_dim() + config_->kv_dim(),
                                     .q_norm = w.q_norm,
                                     .k_norm = w.k_norm,
                                     .rope = rope_.at<float>(),
                                     .kv = kv,
                                     .rows = plan_.step_rows(),
                                     .row_count = plan_.rows(),
                                     .heads = config_->heads,
                                     .kv_heads = config_->kv_heads,
                                     .head_dim = config_->head_dim,
                                     .qkv_stride = stride,
                                     .epsilon = config_->rms_epsilon};
  if (can_attend_alone()) return attend_alone(rotate);
  TRY_STATUS(launch(Kernel::k_rotate_store,
                    {plan_.rows(), cuda::rotate_store_blocks(config_->heads, config_->kv_heads)},
                    cuda::kRotateStoreThreads, 0, &rotate));
  if (plan_.generated() > 0) TRY_STATUS(attend_generated(kv));
  if (plan_.prompt_items() == 0) return {};
  const cuda::AttendPromptArgs prompt{.q = qkv_,
                                      .out = attended_,
                                      .items = plan_.prompt_rows(),
                                      .kv = kv,
                                      .rows = plan_.step_rows(),
                                      .heads = config_->heads,
                                      .kv_heads = config_->kv_heads,
                                      .head_dim = config_->head_dim,
                                      .qkv_stride = stride,
                                      .scale = 1.0F / std::sqrt(static_cast<float>(config_->head_dim))};
  return launch(
      Kernel::k_attend_prompt,
      {plan_.prompt_items(), config_->kv_heads, cuda::attend_prompt_groups(config_->heads, config_->kv_heads)},
      cuda::kAttendPromptThreads, cuda::attend_prompt_shared_bytes(config_->head_dim, kv.is_q8 != 0), &prompt);
}

std::int64_t CudaForward::partial_bytes(std::int32_t items, std::int32_t of_each) const {
  return std::int64_t{4} * items * config_->heads * of_each * cuda::partial_floats(config_->head_dim);
}

// A row that wants no logits is a prompt's, as a rule: a step with more generated rows does without.
std::int64_t CudaForward::most_partial_bytes() const {
  if (!limits_.paths.shared_prefixes) return kPartialBytes;
  const std::int32_t rows = std::min(limits_.rows, limits_.logits_rows);
  return std::max(kPartialBytes, partial_bytes(rows, cuda::kSplitChains));
}

// One launch for all saves time as long as little is to be read. A block of it has a multiprocessor to itself: in a
// third round of blocks attend_splits, which keeps more loads under way, would be ahead.
bool CudaForward::can_attend_alone() const {
  const std::int32_t rows = plan_.rows();
  const std::int32_t blocks = rows * config_->kv_heads * ((splits() + kSplitsAtOnce - 1) / kSplitsAtOnce);
  return rows <= cuda::kFewRows && plan_.has_lone_rows() && blocks <= 2 * device_->info().multiprocessors &&
         partial_bytes(rows) <= kPartialBytes;
}

// Norm, rotation, storing and attention in one launch; splits beyond a block's in another.
Status CudaForward::attend_alone(const cuda::RotateStoreArgs& step) {
  const std::int32_t rows = plan_.rows();
  const std::int32_t most_splits = splits();
  const bool is_whole = most_splits <= kSplitsAtOnce;
  // Two at least: their eight warps make the heads at once. A block is best alone on its multiprocessor.
  constexpr std::int32_t kFewestSplits = 2;
  const bool is_spread =
      !is_whole && rows * config_->kv_heads * most_splits <= kFewestSplits * device_->info().multiprocessors;
  const std::int32_t block_splits = is_spread ? kFewestSplits : std::clamp(most_splits, kFewestSplits, kSplitsAtOnce);
  const cuda::AttendLoneArgs args{.step = step,
                                  .out = attended_,
                                  .partials = is_whole ? nullptr : partials_,
                                  .max_splits = most_splits,
                                  .scale = 1.0F / std::sqrt(static_cast<float>(config_->head_dim))};
  const std::int32_t blocks = is_whole ? 1 : most_splits / block_splits;
  TRY_STATUS(launch(Kernel::k_attend_lone, {rows, config_->kv_heads, blocks}, block_splits * cuda::kLoneThreads,
                    cuda::attend_lone_shared_bytes(config_->head_dim, config_->heads / config_->kv_heads, block_splits),
                    &args));
  return is_whole ? Status{} : combine_splits(rows, most_splits);
}

Status CudaForward::attend_generated(const cuda::KvPages& kv) {
  const std::int32_t queries = config_->heads / config_->kv_heads;
  const std::int32_t most_splits = splits();
  const std::int32_t items = plan_.generated();
  const cuda::AttendRowsArgs args{.q = qkv_,
                                  .out = attended_,
                                  .partials = partials_,
                                  .items = plan_.generated_rows(),
                                  .kv = kv,
                                  .rows = plan_.step_rows(),
                                  .heads = config_->heads,
                                  .kv_heads = config_->kv_heads,
                                  .head_dim = config_->head_dim,
                                  .qkv_stride = config_->q_dim() + 2 * config_->kv_dim(),
                                  .max_splits = most_splits,
                                  .scale = 1.0F / std::sqrt(static_cast<float>(config_->head_dim)),
                                  .shared_splits = nullptr};
  const bool fills_device = items * config_->kv_heads >= 2 * device_->info().multiprocessors;
  if (can_share(items, fills_device)) return attend_shared(args);
  if (most_splits <= kSplitsAtOnce || fills_device || partial_bytes(items) > kPartialBytes) {
    return launch(Kernel::k_attend_rows, {items, config_->kv_heads}, cuda::kAttendRowsThreads,
                  cuda::attend_rows_shared_bytes(config_->head_dim, queries), &args);
  }
  TRY_STATUS(launch(Kernel::k_attend_splits, {items, config_->kv_heads, most_splits}, cuda::kAttendSplitsThreads,
                    cuda::attend_splits_shared_bytes(config_->head_dim, queries), &args));
  return combine_splits(items, most_splits);
}

// Worth it: SharedPrefixes and sharing_warps(). Here: whether the rest may be walked.
bool CudaForward::can_share(std::int32_t items, bool fills_device) const {
  return plan_.sharing_warps() > 0 && partial_bytes(items, cuda::kSplitChains) <= most_partial_bytes() &&
         (fills_device || plan_.most_private_splits() <= kMostRounds * kSplitsAtOnce);
}

Status CudaForward::attend_shared(const cuda::AttendRowsArgs& rows) {
  cuda::AttendSharedArgs args{.rows = rows,
                              .tiles = plan_.shared_tile_list(),
                              .members = plan_.shared_members(),
                              .warps = plan_.sharing_warps(),
                              .queries = rows.heads / rows.kv_heads};
  args.rows.max_splits = cuda::kSplitChains;
  args.rows.shared_splits = plan_.shared_splits();
  TRY_STATUS(launch(Kernel::k_attend_shared, {plan_.shared_tiles(), rows.kv_heads, cuda::kSplitChains},
                    cuda::kAttendSharedThreads, cuda::attend_shared_shared_bytes(rows.head_dim, args.warps), &args));
  return launch(Kernel::k_attend_rest, {plan_.generated(), rows.kv_heads}, cuda::kAttendRowsThreads,
                cuda::attend_rows_shared_bytes(rows.head_dim, args.queries), &args.rows);
}

Status CudaForward::combine_splits(std::int32_t items, std::int32_t most_splits) {
  const std::int32_t queries = config_->heads / config_->kv_heads;
  const cuda::CombineSplitsArgs combine{.partials = partials_,
                                        .out = attended_,
                                        .items = plan_.generated_rows(),
                                        .rows = plan_.step_rows(),
                                        .heads = config_->heads,
                                        .kv_heads = config_->kv_heads,
                                        .head_dim = config_->head_dim,
                                        .max_splits = most_splits};
  return launch(Kernel::k_combine_splits, {items, config_->kv_heads, queries}, cuda::kCombineSplitsThreads,
                cuda::combine_splits_shared_bytes(config_->head_dim), &combine);
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
  if (fits_one(args)) {
    cuda::MatmulArgs one = args;
    one.strips_a_block = cuda::one_strips_a_block(strips, device_->info().multiprocessors);
    return launch(Kernel::k_matmul_one_k, {cuda::blocks_across(one, one.strips_a_block)}, 32 * cuda::one_warps(tiles),
                  cuda::one_shared_bytes(units, tiles, args.input), &one);
  }
  std::int64_t shared = cuda::few_partial_bytes(units, args.tokens);
  if (args.input != cuda::Input::kCoded) shared += cuda::few_coded_bytes(args.k, args.coding);
  return launch(kFew[static_cast<std::size_t>(args.coding)], {strips}, 32 * cuda::few_warps(units), shared, &args);
}

bool CudaForward::has_wgmma(Coding coding) const {
  return device_->info().compute_major == 9 && coding == Coding::kK;
}

Status CudaForward::launch_many(const cuda::MatmulArgs& args) {
  const auto coding = static_cast<std::size_t>(args.coding);
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
    return launch(wide ? Kernel::k_matmul_wide_k : Kernel::k_matmul_narrow_k, {across, down}, shape.threads(),
                  shape.shared_bytes(), &args);
  }
  const bool many = fills(cuda::many_shape(args.coding));
  const cuda::ManyShape shape = many ? cuda::many_shape(args.coding) : cuda::middle_shape(args.coding);
  const auto [across, down] = blocks(shape);
  return launch((many ? kMany : kMiddle)[coding], {across, down}, shape.threads(), shape.shared_bytes(args.coding),
                &args);
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
