// The attention of CpuForward: which rows go together, and their tasks.
#include <algorithm>
#include <cmath>

#include "engine/forward_cpu.h"

namespace dormouse::engine {
namespace {

// Below, equal, above: as words in a dictionary.
int compare_pages(std::span<const sched::PageId> a, std::span<const sched::PageId> b) {
  const auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (x == a.end() || y == b.end()) return static_cast<int>(x != a.end()) - static_cast<int>(y != b.end());
  return *x < *y ? -1 : 1;
}

}  // namespace

// The prompt rows of an entry in pieces that one kernel call takes, where there is such a kernel; every other row
// alone.
void CpuForward::add_attention_items(std::int32_t row, const sched::PlanEntry& entry) {
  const auto rows = static_cast<std::int32_t>(entry.tokens.size());
  const std::int32_t group = config_.heads / config_.kv_heads;
  const bool has_kernel = kv_kernels_.prompt_attention != nullptr && config_.head_dim == kernels::kPromptHeadDim &&
                          group <= kernels::kPromptQueryRows;
  const std::int32_t prompts = has_kernel ? std::clamp(entry.prompt_length - entry.start_position, 0, rows) : 0;
  const std::int32_t piece = kernels::kPromptQueryRows / group;
  for (std::int32_t i = 0; i < prompts; i += piece) {
    attention_items_.push_back(
        {.row = row + i, .count = std::min(piece, prompts - i), .kind = AttentionItem::Kind::kPrompt});
  }
  for (std::int32_t i = prompts; i < rows; ++i) shared_rows_.push_back(row + i);
}

// Leading pages that both rows see.
std::int32_t CpuForward::common_pages(std::int32_t a, std::int32_t b) const {
  const std::span<const sched::PageId> x = pages_of(a);
  const std::span<const sched::PageId> y = pages_of(b);
  return static_cast<std::int32_t>(std::mismatch(x.begin(), x.end(), y.begin(), y.end()).first - x.begin());
}

// The pages a row sees.
std::span<const sched::PageId> CpuForward::pages_of(std::int32_t row) const {
  const auto index = static_cast<std::size_t>(row);
  return {pages_[index], static_cast<std::size_t>(positions_[index] / sched::kPageTokens + 1)};
}

// Rows whose sequences begin with the same pages (a common system prompt) walk these together, page by page: a page is
// read from memory once a step instead of once a row. Every other row alone. Rows sorted by pages: who shares is
// neighbours, whatever the tree of prompts.
void CpuForward::gather_shared_rows() {
  // As many groups as give each thread two tasks, but not of so few rows that nothing is saved.
  constexpr std::int32_t kFewRows = 8;
  const auto rows = static_cast<std::int32_t>(shared_rows_.size());
  const std::int32_t groups = (2 * pool_.threads() + config_.kv_heads - 1) / config_.kv_heads;
  const std::int32_t most = std::max(kFewRows, (rows + groups - 1) / groups);
  std::sort(shared_rows_.begin(), shared_rows_.end(), [this](std::int32_t a, std::int32_t b) {
    const int order = compare_pages(pages_of(a), pages_of(b));
    return order != 0 ? order < 0 : a < b;
  });
  for (std::int32_t begin = 0; begin < rows;) {
    std::int32_t end = begin + 1;
    std::int32_t together = 0;
    while (end < rows && end - begin < most) {
      const std::int32_t common =
          common_pages(shared_rows_[static_cast<std::size_t>(end - 1)], shared_rows_[static_cast<std::size_t>(end)]);
      if (common == 0) break;
      together = std::max(together, common);
      ++end;
    }
    if (end - begin == 1) {
      attention_items_.push_back({.row = shared_rows_[static_cast<std::size_t>(begin)]});
    } else {
      attention_items_.push_back(
          {.row = begin, .count = end - begin, .kind = AttentionItem::Kind::kShared, .pages = together});
    }
    begin = end;
  }
}

// Later pieces of a prompt see more tokens: they go first, so that no thread is left with a long one at the end.
void CpuForward::attend(std::int32_t layer, const KindFormats& formats) {
  const auto items = static_cast<std::int32_t>(attention_items_.size());
  // With many rows a thread takes all heads of one: they lie side by side, so the hardware's streams run on, and each
  // thread needs the address translations of its own rows only. 64 streams behind 288 tokens: 110 -> 117 tokens/s.
  const std::int32_t parts = items >= 8 * pool_.threads() ? 1 : config_.kv_heads;
  pool_.for_each(items * parts, [&](std::int32_t task, std::int32_t thread) {
    const AttentionItem& item = attention_items_[static_cast<std::size_t>(items - 1 - task / parts)];
    const std::int32_t count = config_.kv_heads / parts;
    for (std::int32_t i = 0; i < count; ++i) attend_item(layer, task % parts * count + i, item, thread);
  });
  pool_.for_each(rows_, [&](std::int32_t row, std::int32_t) {
    quantise_row(attended_, config_.q_dim(), row, formats.of(kinds_[static_cast<std::size_t>(row)]));
  });
}

void CpuForward::attend_item(std::int32_t layer, std::int32_t kv_head, const AttentionItem& item,
                             std::int32_t thread) const {
  if (item.kind == AttentionItem::Kind::kRow) {
    return attend_row(layer, kv_head, item.row, 0, kernels::AttentionArgs::kAllPages);
  }
  if (item.kind == AttentionItem::Kind::kShared) {
    const std::span rows =
        std::span(shared_rows_).subspan(static_cast<std::size_t>(item.row), static_cast<std::size_t>(item.count));
    for (std::int32_t page = 0; page < item.pages; ++page) {
      for (const std::int32_t row : rows) attend_row(layer, kv_head, row, page, page + 1);
    }
    for (const std::int32_t row : rows) {
      attend_row(layer, kv_head, row, item.pages, kernels::AttentionArgs::kAllPages);
    }
    return;
  }
  const std::int32_t group = config_.heads / config_.kv_heads;
  const std::int64_t offset =
      std::int64_t{item.row} * config_.q_dim() + std::int64_t{kv_head} * group * config_.head_dim;
  const auto row = static_cast<std::size_t>(item.row);
  kv_kernels_.prompt_attention({.out = attended_.floats + offset,
                                .q = q_ + offset,
                                .row_stride = config_.q_dim(),
                                .first_position = positions_[row],
                                .positions = item.count,
                                .queries = group,
                                .kv = cache_.head(layer, kv_head),
                                .page_stride = cache_.page_stride(),
                                .v_offset = cache_.v_offset(),
                                .pages = pages_[row],
                                .scale = 1.0F / std::sqrt(static_cast<float>(config_.head_dim)),
                                .scratch = scratch_ + thread * kernels::kMatmulScratchBytes});
}

// Pages [page_begin, page_end) of one row; nothing if it has none of them.
void CpuForward::attend_row(std::int32_t layer, std::int32_t kv_head, std::int32_t row, std::int32_t page_begin,
                            std::int32_t page_end) const {
  const std::int32_t token_count = positions_[static_cast<std::size_t>(row)] + 1;
  if (page_begin * sched::kPageTokens >= token_count) return;
  const std::int32_t group = config_.heads / config_.kv_heads;
  const std::int32_t head = kv_head * group;
  const std::int64_t offset = std::int64_t{row} * config_.q_dim() + std::int64_t{head} * config_.head_dim;
  kv_kernels_.attention({.out = attended_.floats + offset,
                         .q = q_ + offset,
                         .queries = group,
                         .head_dim = config_.head_dim,
                         .token_count = token_count,
                         .kv = cache_.head(layer, kv_head),
                         .page_stride = cache_.page_stride(),
                         .v_offset = cache_.v_offset(),
                         .pages = pages_[static_cast<std::size_t>(row)],
                         .scale = 1.0F / std::sqrt(static_cast<float>(config_.head_dim)),
                         .page_begin = page_begin,
                         .page_end = page_end,
                         .state = softmax_ + (std::int64_t{row} * config_.heads + head) * 2});
}

}  // namespace dormouse::engine
