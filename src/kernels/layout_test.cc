#include "kernels/layout.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "kernels/test_data.h"

namespace dormouse::kernels {
namespace {

// Goal: packing is a permutation of bits for every type, with rows and columns that do not fill whole tiles.
// Method: random bytes, packed and read back row by row.
TEST(Layout, UnpackingGivesTheFilesOwnBytes) {
  std::mt19937 random(test_seed());
  for (const TensorType type : kAllTypes) {
    for (const std::int32_t columns : {256, 768, 288}) {
      if (columns % static_cast<std::int32_t>(traits(type).block_elements) != 0) continue;
      for (const std::int32_t rows : {1, 15, 16, 37}) {
        const std::vector<std::uint8_t> source = make_weights(type, rows, columns, random, true);
        const auto row_bytes = static_cast<std::int64_t>(source.size()) / rows;
        std::vector<std::uint8_t> packed(static_cast<std::size_t>(packed_matrix_bytes(type, rows, columns)), 0xEE);
        pack_strips({.type = type, .data = source.data(), .row_bytes = row_bytes, .rows = rows, .columns = columns}, 0,
                    (rows + kTileRows - 1) / kTileRows, packed.data());
        std::vector<std::uint8_t> row(static_cast<std::size_t>(row_bytes));
        for (std::int32_t r = 0; r < rows; ++r) {
          unpack_row(type, packed.data(), r, columns, row.data());
          ASSERT_TRUE(std::equal(row.begin(), row.end(), source.begin() + r * row_bytes))
              << traits(type).name << " row " << r << " of " << rows << " x " << columns;
        }
      }
    }
  }
}

// Goal: whole tiles cost exactly what the format costs, so reading all weights takes no more bytes than the file has.
TEST(Layout, TilesHaveTheFilesSize) {
  for (const TensorType type : kAllTypes) {
    const TensorTypeTraits t = traits(type);
    EXPECT_EQ(packed_matrix_bytes(type, 48, 512), std::int64_t{48} * 512 / t.block_elements * t.block_bytes) << t.name;
  }
}

}  // namespace
}  // namespace dormouse::kernels
