#include "engine/cpu_budget.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace dormouse::engine {
namespace {

// A directory that looks like /sys/fs/cgroup, gone at the end.
class CgroupTree {
 public:
  CgroupTree() : root_(std::filesystem::temp_directory_path() / ("dormouse_cgroup_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  ~CgroupTree() { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  [[nodiscard]] std::string root() const { return root_.string(); }

 private:
  std::filesystem::path root_;
};

TEST(CpuBudget, ReadsVersionTwoAndTheSmallestAncestorWins) {
  const CgroupTree tree;
  tree.write("a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(read_cpu_quota(tree.root(), "0::/a/b\n"), std::nullopt);
  tree.write("a/cpu.max", "150000 100000\n");
  EXPECT_EQ(read_cpu_quota(tree.root(), "0::/a/b\n"), 1.5);
  tree.write("cpu.max", "50000 100000\n");
  EXPECT_EQ(read_cpu_quota(tree.root(), "0::/a/b\n"), 0.5);
  EXPECT_EQ(read_cpu_quota(tree.root(), "0::/\n"), 0.5);
  EXPECT_EQ(read_cpu_quota(tree.root(), "0::/gone/elsewhere\n"), 0.5);
}

TEST(CpuBudget, ReadsVersionOneAmongOtherControllers) {
  const CgroupTree tree;
  tree.write("cpu,cpuacct/x/cpu.cfs_quota_us", "400000\n");
  tree.write("cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(read_cpu_quota(tree.root(), "9:cpuset:/y\n4:cpu,cpuacct:/x\n0::/\n"), 4.0);
  tree.write("cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(read_cpu_quota(tree.root(), "4:cpu,cpuacct:/x\n"), std::nullopt);
  tree.write("cpu/cpu.cfs_quota_us", "100000");
  tree.write("cpu/cpu.cfs_period_us", "50000");
  EXPECT_EQ(read_cpu_quota(tree.root(), "1:cpu:/\n"), 2.0);
}

TEST(CpuBudget, NonsenseIsNoLimit) {
  const CgroupTree tree;
  for (const char* text :
       {"", "max", "100000", "abc def", "0 100000", "-5 100000", "100000 0", "99999999999999999999 1"}) {
    tree.write("cpu.max", text);
    EXPECT_EQ(read_cpu_quota(tree.root(), "0::/\n"), std::nullopt) << text;
  }
  for (const char* membership : {"", "\n\n", ":", "::", "no colons", "0:", "4:cpu"}) {
    EXPECT_EQ(read_cpu_quota(tree.root(), membership), std::nullopt) << membership;
  }
}

TEST(CpuBudget, ThreadsNeverExceedTheRoundedUpQuota) {
  EXPECT_EQ((CpuBudget{.affinity = 8, .quota = std::nullopt}).threads(), 8);
  EXPECT_EQ((CpuBudget{.affinity = 8, .quota = 1.5}).threads(), 2);
  EXPECT_EQ((CpuBudget{.affinity = 8, .quota = 0.1}).threads(), 1);
  EXPECT_EQ((CpuBudget{.affinity = 2, .quota = 64.0}).threads(), 2);
  EXPECT_EQ((CpuBudget{.affinity = 2, .quota = 1e300}).threads(), 2);
  EXPECT_GE(read_cpu_budget().threads(), 1);
}

}  // namespace
}  // namespace dormouse::engine
