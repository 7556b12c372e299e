#include "engine/shared_prefixes.h"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/attention_args.h"

namespace dormouse::engine {
namespace {

constexpr std::int32_t kSplitPages = cuda::kSplitTokens / cuda::kPageTokens;

}  // namespace

SharedPrefixes::SharedPrefixes(std::int32_t rows) {
  const auto count = static_cast<std::size_t>(rows);
  rows_.reserve(count);
  open_.reserve(count);
  groups_.reserve(count);
  members_.reserve(count);
}

void SharedPrefixes::find(const sched::BatchPlan& plan) {
  groups_.clear();
  members_.clear();
  collect(plan);
  if (static_cast<std::int32_t>(rows_.size()) < kFewestRows) return;
  // Any order will do in which tables with the same beginning are neighbours: that of their bytes.
  std::ranges::sort(rows_, [](const Row& a, const Row& b) {
    const auto bytes = static_cast<std::size_t>(std::min(a.splits, b.splits) * kSplitPages) * sizeof(sched::PageId);
    const int order = std::memcmp(a.pages, b.pages, bytes);
    if (order != 0) return order < 0;
    return a.splits != b.splits ? a.splits < b.splits : a.item < b.item;
  });
  group();
  for (PrefixGroup& one : groups_) {
    const auto first = static_cast<std::int32_t>(members_.size());
    for (std::int32_t i = 0; i < one.count; ++i) {
      members_.push_back(rows_[static_cast<std::size_t>(one.begin + i)].item);
    }
    one.begin = first;
  }
}

void SharedPrefixes::collect(const sched::BatchPlan& plan) {
  rows_.clear();
  std::int32_t items = 0;
  for (const sched::PlanEntry& entry : plan.entries) {
    const auto count = static_cast<std::int32_t>(entry.tokens.size());
    const std::int32_t generated = count - std::clamp(entry.prompt_length - entry.start_position, 0, count);
    const std::int32_t splits = (entry.start_position + count - 1) / cuda::kSplitTokens;
    if (generated == 1 && splits >= kFewestSplits) {
      rows_.push_back({.item = items, .splits = splits, .pages = entry.pages.data()});
    }
    items += generated;
  }
}

// Neighbours' common splits, and from them every run that has a prefix in common, the longest prefixes innermost: a
// run's own prefix is taken if all its rows save more with it than the groups inside it do with theirs.
void SharedPrefixes::group() {
  open_.clear();
  const auto count = static_cast<std::int32_t>(rows_.size());
  for (std::int32_t i = 1; i <= count; ++i) {
    std::int32_t common = 0;
    if (i < count) {
      const Row& a = rows_[static_cast<std::size_t>(i - 1)];
      const Row& b = rows_[static_cast<std::size_t>(i)];
      const std::int32_t pages = std::min(a.splits, b.splits) * kSplitPages;
      common =
          static_cast<std::int32_t>(std::mismatch(a.pages, a.pages + pages, b.pages).first - a.pages) / kSplitPages;
    }
    Open next = {.begin = i - 1, .splits = common, .inside = 0, .first_group = groups_.size()};
    while (!open_.empty() && open_.back().splits > common) {
      next.begin = open_.back().begin;
      next.first_group = open_.back().first_group;
      const std::int64_t saved = close(i);
      if (!open_.empty() && open_.back().splits >= common) {
        open_.back().inside += saved;
      } else {
        next.inside = saved;
      }
    }
    const bool is_new = open_.empty() || open_.back().splits < common;
    if (is_new && common >= kFewestSplits) open_.push_back(next);
  }
}

// The innermost run ends before `end`. What it saves.
std::int64_t SharedPrefixes::close(std::int32_t end) {
  const Open run = open_.back();
  open_.pop_back();
  const std::int32_t count = end - run.begin;
  const std::int64_t own = count < kFewestRows ? 0 : std::int64_t{count - 1} * run.splits;
  if (own <= run.inside) return run.inside;
  groups_.resize(run.first_group);
  groups_.push_back({.begin = run.begin, .count = count, .splits = run.splits});
  return own;
}

std::int32_t shared_tiles(std::span<const PrefixGroup> groups, std::int32_t rows_a_tile) {
  std::int32_t tiles = 0;
  for (const PrefixGroup& group : groups) tiles += (group.count + rows_a_tile - 1) / rows_a_tile;
  return tiles;
}

// A chain of S / 4 splits is one block's, however few rows there are. Each of the S costs 300 cycles with two warps,
// 430 with four, 700 with eight: 256 a warp for 32 KiB of shared memory, 700 for barriers and what does not overlap,
// four chains at once. Read by each row, one is 1,500 cycles of one of M multiprocessors for a row and KV head (fp16 on
// an H200; q8 800; T4 7,000 and 3,700, where shared memory has half the bandwidth), rows * kv_heads / M times. From M /
// 2 on two warps win everywhere, by a quarter at least. More warps bring keys and values fewer times, which counts once
// blocks fill the device.
std::int32_t sharing_warps(std::span<const PrefixGroup> groups, const SharingDevice& device) {
  std::int32_t rows = 0;
  for (const PrefixGroup& group : groups) rows += group.count;
  if (2 * rows * device.kv_heads < device.multiprocessors) return 0;
  constexpr std::int32_t kFewestWarps = 2;
  std::int32_t warps = device.most_warps;
  const auto blocks = [&] {
    return shared_tiles(groups, warps * device.rows_a_warp) * device.kv_heads * cuda::kSplitChains;
  };
  while (warps > kFewestWarps && blocks() < device.multiprocessors) warps /= 2;
  return warps;
}

}  // namespace dormouse::engine
