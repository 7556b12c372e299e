// The end of a step on a device: the wanted rows' logits, and what of them comes to the host.
#include <algorithm>
#include <cstddef>

#include "engine/forward_cuda.h"

namespace dormouse::engine {
namespace {

using cuda::Epilogue;
using cuda::Kernel;

// The device's tokens are read where they were copied to.
static_assert(sizeof(TopToken) == sizeof(cuda::TopToken) && kTopTokens == cuda::kTopTokens);
static_assert(offsetof(TopToken, logit) == offsetof(cuda::TopToken, logit));

bool is_top(const RowLogits& row) {
  return !row.top.empty();
}
bool is_likeliest_enough(const sched::BatchPlan& plan) {
  return plan.logits_count > 0 && std::ranges::all_of(plan.entries, [](const sched::PlanEntry& entry) {
           return entry.likeliest_is_enough || entry.logits_rows() == 0;
         });
}

}  // namespace

// Pinning memory takes time at every start: as many rows as were ever wanted, doubling.
Status CudaForward::make_host_rows(std::int64_t rows) {
  if (rows <= host_logits_.rows) return {};
  Pinned larger;
  larger.device = device_;
  larger.rows = std::min<std::int64_t>(std::max(rows, 2 * host_logits_.rows), limits_.logits_rows);
  larger.data = device_->allocate_pinned(static_cast<std::uint64_t>(larger.rows) *
                                         static_cast<std::uint64_t>(config_->vocab) * sizeof(float));
  if (larger.data == nullptr) return make_error(Code::kOverloaded, "cuda: no host memory for the logits of a step");
  host_logits_ = std::move(larger);
  return {};
}

// Only the wanted rows go through the last norm and the largest matrix.
Status CudaForward::compute_logits(const std::function<Status(std::int32_t begin, std::int32_t rows)>& fetch) {
  const std::int32_t count = plan_.logits_count();
  const std::int32_t slice = logits_slice();
  for (std::int32_t begin = 0; begin < count; begin += slice) {
    const std::int32_t rows = std::min(slice, count - begin);
    TRY_STATUS(multiply({{&weights_->output, logits_, config_->vocab}},
                        {x_, weights_->output_norm, plan_.logits_index() + begin, rows}, Epilogue::kStore));
    TRY_STATUS(fetch(begin, rows));
  }
  return {};
}

Result<std::span<const float>> CudaForward::run(const sched::BatchPlan& plan) {
  TRY_STATUS(make_host_rows(plan.logits_count));
  TRY_STATUS(compute_rows(plan));
  const auto vocab = static_cast<std::size_t>(config_->vocab);
  TRY_STATUS(compute_logits([&](std::int32_t begin, std::int32_t rows) {
    return device_->download(host_logits_.floats() + static_cast<std::size_t>(begin) * vocab,
                             reinterpret_cast<cuda::DevicePointer>(logits_),
                             static_cast<std::uint64_t>(rows) * vocab * sizeof(float));
  }));
  TRY_STATUS(device_->synchronize());
  return std::span<const float>(host_logits_.floats(), static_cast<std::size_t>(plan_.logits_count()) * vocab);
}

std::int64_t CudaForward::found_bytes() const {
  return limits_.finds_top ? kTopTokens * sizeof(TopToken) : sizeof(sched::TokenId);
}

bool CudaForward::is_top_enough(const sched::PlanEntry& entry) const {
  return limits_.finds_top && entry.top_is_enough;
}

Result<std::span<const RowLogits>> CudaForward::run_rows(const sched::BatchPlan& plan) {
  if (!limits_.finds_top && is_likeliest_enough(plan)) return run_likeliest(plan);
  TRY_STATUS(place_rows(plan));
  TRY_STATUS(compute_rows(plan));
  std::int64_t fetched = 0;
  TRY_STATUS(compute_logits([&](std::int32_t begin, std::int32_t rows) -> Status {
    const auto slice =
        std::span<const RowLogits>(rows_).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(rows));
    if (std::ranges::any_of(slice, is_top)) TRY_STATUS(find_top(begin, rows));
    return fetch_whole(slice, fetched);
  }));
  if (std::ranges::any_of(rows_, is_top)) {
    TRY_STATUS(device_->download(host_found_.data, reinterpret_cast<cuda::DevicePointer>(top_),
                                 rows_.size() * static_cast<std::uint64_t>(found_bytes())));
  }
  TRY_STATUS(device_->synchronize());
  return rows_;
}

Result<std::span<const RowLogits>> CudaForward::run_likeliest(const sched::BatchPlan& plan) {
  TRY_STATUS(compute_rows(plan));
  TRY_STATUS(compute_logits([&](std::int32_t begin, std::int32_t rows) {
    const cuda::BestTokensArgs args{.out = likeliest_ + begin, .logits = logits_, .vocab = config_->vocab};
    return launch(Kernel::k_best_tokens, {rows}, 1024, 8 * 32, &args);
  }));
  const auto count = static_cast<std::size_t>(plan_.logits_count());
  TRY_STATUS(device_->download(host_found_.data, reinterpret_cast<cuda::DevicePointer>(likeliest_),
                               count * static_cast<std::uint64_t>(found_bytes())));
  TRY_STATUS(device_->synchronize());
  rows_.clear();
  for (const sched::TokenId token : std::span(host_found_.tokens(), count)) {
    rows_.push_back({.all = {}, .top = {}, .likeliest = token});
  }
  return rows_;
}

// Where on the host each row will be.
Status CudaForward::place_rows(const sched::BatchPlan& plan) {
  std::int64_t whole = 0;
  for (const sched::PlanEntry& entry : plan.entries) whole += is_top_enough(entry) ? 0 : entry.logits_rows();
  TRY_STATUS(make_host_rows(whole));
  const auto vocab = static_cast<std::size_t>(config_->vocab);
  const auto top_count = static_cast<std::size_t>(std::min(kTopTokens, ids()));
  const float* next_whole = host_logits_.floats();
  rows_.clear();
  for (const sched::PlanEntry& entry : plan.entries) {
    for (std::int32_t i = 0; i < entry.logits_rows(); ++i) {
      if (is_top_enough(entry)) {
        rows_.push_back({.all = {}, .top = std::span(host_found_.top() + rows_.size() * kTopTokens, top_count)});
        continue;
      }
      rows_.push_back({.all = std::span(next_whole, vocab), .top = {}});
      next_whole += vocab;
    }
  }
  return {};
}

// Of rows that are copied whole, too: it costs less than to leave them out.
Status CudaForward::find_top(std::int32_t begin, std::int32_t rows) {
  const cuda::TopTokensArgs args{.out = top_ + std::int64_t{begin} * kTopTokens,
                                 .parts = top_parts_,
                                 .logits = logits_,
                                 .vocab = config_->vocab,
                                 .ids = ids()};
  TRY_STATUS(
      launch(Kernel::k_top_of_parts, {rows, cuda::top_parts(ids())}, cuda::kTopThreads, cuda::kTopSharedBytes, &args));
  return launch(Kernel::k_top_tokens, {rows}, cuda::kTopThreads, cuda::kTopSharedBytes, &args);
}

// Neighbours at once. `fetched`: whole rows of this step that are copied already.
Status CudaForward::fetch_whole(std::span<const RowLogits> slice, std::int64_t& fetched) {
  for (auto begin = slice.begin(); begin != slice.end();) {
    begin = std::find_if_not(begin, slice.end(), is_top);
    const auto end = std::find_if(begin, slice.end(), is_top);
    if (begin == end) break;
    TRY_STATUS(device_->download(
        host_logits_.floats() + fetched * config_->vocab,
        reinterpret_cast<cuda::DevicePointer>(logits_ + (begin - slice.begin()) * config_->vocab),
        static_cast<std::uint64_t>(end - begin) * static_cast<std::uint64_t>(config_->vocab) * sizeof(float)));
    fetched += end - begin;
    begin = end;
  }
  return {};
}

}  // namespace dormouse::engine
