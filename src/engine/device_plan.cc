#include "engine/device_plan.h"

#include <algorithm>
#include <utility>

namespace dormouse::engine {

DevicePlan::DevicePlan(cuda::Device& device, Limits limits)
    : device_(&device), limits_(limits), prefixes_(limits.sharing.most_warps > 0 ? limits.rows : 0) {
  const std::int64_t rows = limits.rows;
  const std::int64_t sharing = limits.sharing.most_warps > 0 ? rows : 0;
  // An entry has a row at least, so there are never more page tables than rows, or tiles.
  const std::int64_t lengths[kArrays] = {
      rows,     rows,    rows,    limits.logits_rows, rows,
      2 * rows, sharing, sharing, 3 * sharing,        rows * limits.pages_per_sequence};
  for (std::size_t i = 0; i < kArrays; ++i) begin_[i + 1] = begin_[i] + (lengths[i] + 3) / 4 * 4;
}

DevicePlan::DevicePlan(DevicePlan&& other) noexcept
    : device_(other.device_),
      limits_(other.limits_),
      memory_(std::move(other.memory_)),
      host_(std::exchange(other.host_, nullptr)),
      prefixes_(std::move(other.prefixes_)) {
  std::copy(std::begin(other.begin_), std::end(other.begin_), std::begin(begin_));
}

DevicePlan::~DevicePlan() {
  if (host_ != nullptr) device_->release_pinned(host_);
}

Result<DevicePlan> DevicePlan::create(cuda::Device& device, Limits limits) {
  DevicePlan out(device, limits);
  const auto bytes = static_cast<std::uint64_t>(out.begin_[kArrays]) * sizeof(std::int32_t);
  TRY(out.memory_, DeviceBuffer::create(device, bytes));
  out.host_ = static_cast<std::int32_t*>(device.allocate_pinned(bytes));
  if (out.host_ == nullptr) return make_error(Code::kOverloaded, "cuda: no host memory for a step's plan");
  return out;
}

Status DevicePlan::upload(const sched::BatchPlan& plan) {
  rows_ = logits_count_ = generated_ = prompt_items_ = longest_ = 0;
  pages_used_ = 0;
  entries_ = static_cast<std::int32_t>(plan.entries.size());
  for (const sched::PlanEntry& entry : plan.entries) add_entry(entry);
  share_prefixes(plan);
  const std::int64_t words = begin_[kPages] + pages_used_;
  return device_->upload(memory_.address(), host_, static_cast<std::uint64_t>(words) * sizeof(std::int32_t));
}

void DevicePlan::add_entry(const sched::PlanEntry& entry) {
  const auto count = static_cast<std::int32_t>(entry.tokens.size());
  const std::int32_t first = rows_;
  const std::int32_t prompt = std::clamp(entry.prompt_length - entry.start_position, 0, count);
  for (std::int32_t i = 0; i < count; ++i, ++rows_) {
    host_at(kTokens)[rows_] = entry.tokens[static_cast<std::size_t>(i)];
    host_at(kPositions)[rows_] = entry.start_position + i;
    host_at(kPageBegin)[rows_] = static_cast<std::int32_t>(pages_used_);
    if (i >= prompt) host_at(kGenerated)[generated_++] = rows_;
    if (entry.wants_all_logits || (entry.wants_logits && i + 1 == count)) host_at(kLogits)[logits_count_++] = rows_;
  }
  if (count > prompt) longest_ = std::max(longest_, entry.start_position + count);
  add_prompt_items(first, prompt);
  const std::int32_t pages = (entry.start_position + count + sched::kPageTokens - 1) / sched::kPageTokens;
  std::copy_n(entry.pages.begin(), pages, host_at(kPages) + pages_used_);
  pages_used_ += pages;
}

void DevicePlan::add_prompt_items(std::int32_t first_row, std::int32_t count) {
  auto* items = reinterpret_cast<cuda::PromptItem*>(host_at(kPrompt));
  for (std::int32_t begin = 0; begin < count; begin += cuda::kPromptRows) {
    items[prompt_items_++] = {.row = first_row + begin, .count = std::min(cuda::kPromptRows, count - begin)};
  }
}

void DevicePlan::share_prefixes(const sched::BatchPlan& plan) {
  sharing_warps_ = shared_tiles_ = most_private_splits_ = 0;
  // Steps of few rows are recorded, and a recording's launches are always the same.
  if (limits_.sharing.most_warps == 0 || rows_ <= cuda::kFewRows) return;
  prefixes_.find(plan);
  sharing_warps_ = engine::sharing_warps(prefixes_.groups(), limits_.sharing);
  if (sharing_warps_ == 0) return;
  std::fill_n(host_at(kSharedSplits), generated_, 0);
  std::ranges::copy(prefixes_.members(), host_at(kSharedMembers));
  for (const PrefixGroup& group : prefixes_.groups()) add_shared_tiles(group);
  for (std::int32_t item = 0; item < generated_; ++item) {
    const std::int32_t tokens = host_at(kPositions)[host_at(kGenerated)[item]] + 1;
    most_private_splits_ = std::max(most_private_splits_, cuda::splits_of(tokens) - host_at(kSharedSplits)[item]);
  }
}

void DevicePlan::add_shared_tiles(const PrefixGroup& group) {
  auto* tiles = reinterpret_cast<cuda::SharedTile*>(host_at(kSharedTiles));
  const std::int32_t rows_a_tile = sharing_warps_ * limits_.sharing.rows_a_warp;
  for (std::int32_t begin = 0; begin < group.count; begin += rows_a_tile) {
    tiles[shared_tiles_++] = {
        .begin = group.begin + begin, .count = std::min(rows_a_tile, group.count - begin), .splits = group.splits};
  }
  for (std::int32_t i = group.begin; i < group.begin + group.count; ++i) {
    host_at(kSharedSplits)[host_at(kSharedMembers)[i]] = group.splits;
  }
}

}  // namespace dormouse::engine
