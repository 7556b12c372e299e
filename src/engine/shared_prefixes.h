// Which generated rows of a step have a prefix in common: their page tables begin with the same pages. Pure. What is
// shared are whole splits of attention (kernels/cuda/attention_args.h) before every row's own position, so that a row's
// result does not depend on who it shares with. Owner: DevicePlan; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sched/batch_plan.h"

namespace dormouse::engine {

struct PrefixGroup {
  std::int32_t begin = 0;  // of its members
  std::int32_t count = 0;
  std::int32_t splits = 0;  // that all of them share
  bool operator==(const PrefixGroup&) const = default;
};

class SharedPrefixes {
 public:
  // Below these a group reads less than the merging of its chains costs.
  static constexpr std::int32_t kFewestRows = 4;
  static constexpr std::int32_t kFewestSplits = 4;

  // Of at most so many entries with rows; memory is taken here.
  explicit SharedPrefixes(std::int32_t rows);

  // Looks at entries with one generated row each. A row is in one group at most; of the ways to group rows by a prefix,
  // the one with the most splits that need not be read. Cost: entries * pages compared, and a sort of the tables.
  void find(const sched::BatchPlan& plan);

  [[nodiscard]] std::span<const PrefixGroup> groups() const { return groups_; }
  // Group by group: numbers of generated rows, counted through the plan.
  [[nodiscard]] std::span<const std::int32_t> members() const { return members_; }

 private:
  struct Row {
    std::int32_t item;
    std::int32_t splits;  // before its position
    const sched::PageId* pages;
  };
  // Neighbours in order that share `splits` or more, from `begin` on.
  struct Open {
    std::int32_t begin;
    std::int32_t splits;
    std::int64_t inside;      // what the groups inside it save
    std::size_t first_group;  // of those
  };

  void collect(const sched::BatchPlan& plan);
  void group();
  std::int64_t close(std::int32_t end);

  std::vector<Row> rows_;
  std::vector<Open> open_;
  std::vector<PrefixGroup> groups_;
  std::vector<std::int32_t> members_;
};

// On how many warps of attend_shared's blocks the groups' rows are spread; 0: not worth it.
struct SharingDevice {
  std::int32_t multiprocessors = 0;
  std::int32_t kv_heads = 0;
  std::int32_t rows_a_warp = 0;
  std::int32_t most_warps = 0;  // that a block's shared memory has room for
};
[[nodiscard]] std::int32_t sharing_warps(std::span<const PrefixGroup> groups, const SharingDevice& device);
[[nodiscard]] std::int32_t shared_tiles(std::span<const PrefixGroup> groups, std::int32_t rows_a_tile);

}  // namespace dormouse::engine
