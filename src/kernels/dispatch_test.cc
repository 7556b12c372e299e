#include "kernels/dispatch.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "kernels/cpu_features.h"
#include "kernels/test_data.h"

namespace dormouse::kernels {
namespace {

TEST(Dispatch, ScalarIsAlwaysThereAndTheFastestIsLast) {
  const auto tables = supported_kernels();
  ASSERT_FALSE(tables.empty());
  EXPECT_STREQ(tables.front()->name, "scalar");
  ::unsetenv("DORMOUSE_ISA");
  const auto chosen = select_kernels("");
  ASSERT_TRUE(chosen.has_value());
  EXPECT_EQ(*chosen, tables.back());
}

TEST(Dispatch, ForcedNameWinsOverEnvironmentAndUnknownNamesAreErrors) {
  ::setenv("DORMOUSE_ISA", "scalar", 1);
  EXPECT_STREQ((*select_kernels(""))->name, "scalar");
  for (const KernelTable* table : supported_kernels()) EXPECT_EQ(*select_kernels(table->name), table);
  ::setenv("DORMOUSE_ISA", "mmx", 1);
  const auto unknown = select_kernels("");
  ::unsetenv("DORMOUSE_ISA");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, Code::kInvalidArgument);
  EXPECT_NE(unknown.error().message.find("mmx"), std::string::npos);
}

TEST(Dispatch, EveryTypeHasAKernelInEveryTable) {
  for (const KernelTable* table : supported_kernels()) {
    for (const TensorType type : kAllTypes) {
      for (const RowKind kind : {RowKind::kGenerated, RowKind::kPrompt}) {
        EXPECT_NE(product_for(*table, type, 256, kind).matmul, nullptr) << table->name;
      }
      // By shape alone: rows that are not whole blocks of 256 take the exact arithmetic.
      EXPECT_EQ(product_for(*table, type, 288, RowKind::kPrompt).matmul,
                product_for(*table, type, 288, RowKind::kGenerated).matmul);
    }
  }
}

TEST(Dispatch, ThePeakCountsEveryRound) {
  for (const KernelTable* table : supported_kernels()) {
    if (table->int8_peak == nullptr) continue;
    EXPECT_GT(table->int8_peak(1), 0) << table->name;
    EXPECT_EQ(table->int8_peak(7), 7 * table->int8_peak(1)) << table->name;
  }
}

TEST(CpuFeatures, AreDescribedByName) {
  EXPECT_EQ(describe_features(kFeatureAvx2 | kFeatureF16c), "avx2 f16c");
  EXPECT_EQ(describe_features(kFeatureDotprod | kFeatureI8mm), "dotprod i8mm");
  EXPECT_EQ(describe_features(0), "none");
}

}  // namespace
}  // namespace dormouse::kernels
