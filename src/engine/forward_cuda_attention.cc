// Attention of a step on a device: which of its kernels a step's rows take.
#include <algorithm>
#include <cmath>

#include "engine/forward_cuda.h"
#include "engine/kv_cache.h"

namespace dormouse::engine {
namespace {

using cuda::Kernel;

// A block of attend_rows has a warp for each of so many splits at once.
constexpr std::int32_t kSplitsAtOnce = cuda::kSplitChains;
// attend_rest walks them where blocks do not fill the device: so many rounds take 2 us each.
constexpr std::int32_t kMostRounds = 4;

}  // namespace

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

cuda::RotateStoreArgs CudaForward::rotate_args(std::int32_t layer) const {
  const DeviceLayer& w = weights_->layers[static_cast<std::size_t>(layer)];
  return {.q = qkv_,
          .k = qkv_ + config_->q_dim(),
          .v = qkv_ + config_->q_dim() + config_->kv_dim(),
          .q_norm = w.q_norm,
          .k_norm = w.k_norm,
          .rope = rope_.at<float>(),
          .kv = kv_pages(layer),
          .rows = plan_.step_rows(),
          .row_count = plan_.rows(),
          .heads = config_->heads,
          .kv_heads = config_->kv_heads,
          .head_dim = config_->head_dim,
          .qkv_stride = config_->q_dim() + 2 * config_->kv_dim(),
          .epsilon = config_->rms_epsilon};
}

float CudaForward::attention_scale() const {
  return 1.0F / std::sqrt(static_cast<float>(config_->head_dim));
}

Status CudaForward::attend(std::int32_t layer) {
  const cuda::RotateStoreArgs rotate = rotate_args(layer);
  const cuda::KvPages& kv = rotate.kv;
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
                                      .qkv_stride = rotate.qkv_stride,
                                      .scale = attention_scale()};
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
                                  .scale = attention_scale()};
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
                                  .scale = attention_scale(),
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

cuda::CombineSplitsArgs CudaForward::combine_args(std::int32_t most_splits) const {
  return {.partials = partials_,
          .out = attended_,
          .items = plan_.generated_rows(),
          .rows = plan_.step_rows(),
          .heads = config_->heads,
          .kv_heads = config_->kv_heads,
          .head_dim = config_->head_dim,
          .max_splits = most_splits};
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
  const cuda::CombineSplitsArgs combine = combine_args(most_splits);
  return launch(Kernel::k_combine_splits, {items, config_->kv_heads, queries}, cuda::kCombineSplitsThreads,
                cuda::combine_splits_shared_bytes(config_->head_dim), &combine);
}

}  // namespace dormouse::engine
