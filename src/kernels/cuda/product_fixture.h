// Products in the emulation: weights, rows and the launches the engine would make. Test code only.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "kernels/cuda/coding.cuh"
#include "kernels/cuda/emulator.h"
#include "kernels/cuda/matmul_few.cuh"
#include "kernels/cuda/matmul_many.cuh"
#include "kernels/cuda/matmul_one.cuh"
#include "kernels/cuda/matmul_one_halves.cuh"
#include "kernels/cuda/matmul_one_q8_0.cuh"
#include "kernels/cuda/matmul_wide.cuh"
#include "kernels/cuda/matmul_wide_rest.cuh"
#include "kernels/test_data.h"

namespace dormouse::cuda {

// Rows as quantise_rows leaves them.
struct CodedBuffer {
  std::vector<std::uint16_t> codes, sums16, sums32;
  std::vector<float> scales;
  CodedRows rows;

  CodedBuffer(std::int32_t count, std::int32_t k) {
    const auto padded =
        static_cast<std::size_t>((count + kCodedRowMultiple - 1) / kCodedRowMultiple * kCodedRowMultiple);
    codes.assign(2 * padded * static_cast<std::size_t>(k), 0xFFFF);
    sums16.assign(padded * static_cast<std::size_t>(k) / 16, 0xFFFF);
    sums32 = sums16;
    scales.assign(padded * static_cast<std::size_t>(k) / 32, NAN);
    rows = {.codes = codes.data(),
            .scales = scales.data(),
            .sums16 = sums16.data(),
            .sums32 = sums32.data(),
            .rows = static_cast<std::int32_t>(padded)};
  }
};

inline void run_kernel(int grid_x, int grid_y, int threads, std::int64_t shared, const std::function<void()>& body) {
  ASSERT_TRUE(emulator::run(
      {.grid = {grid_x, grid_y, 1}, .threads = threads, .shared_bytes = static_cast<std::size_t>(shared)}, body))
      << "a barrier that not all threads reach";
}

inline void quantise(CodedBuffer& out, const std::vector<float>& x, std::int32_t count, std::int32_t k, Coding coding,
                     const float* norm = nullptr, bool permuted = false) {
  const QuantiseArgs args{.x = x.data(),
                          .norm = norm,
                          .row_index = nullptr,
                          .out = out.rows,
                          .x_stride = k,
                          .k = k,
                          .coding = coding,
                          .permuted = permuted ? 1 : 0,
                          .epsilon = 1e-6F};
  run_kernel(count, 1, 256, k / 64, [&] { quantise_rows(args); });
}

enum class Product { kOne, kFew, kMiddle, kMany, kNarrow, kWide };
inline bool is_wide(Product product) {
  return product == Product::kNarrow || product == Product::kWide;
}

inline void run_wide(Product product, const MatmulArgs& args) {
  const bool wide = product == Product::kWide;
  const WideShape shape = wide ? kWideShape : kNarrowShape;
  run_kernel(blocks_across(args, shape.strips_a_block(args.epilogue)),
             (args.tokens + shape.tokens() - 1) / shape.tokens(), shape.threads(), shape.shared_bytes(args.coding),
             [&] {
               switch (args.coding) {
                 case Coding::kK: return wide ? matmul_wide_k(args) : matmul_narrow_k(args);
                 case Coding::kQ8_0: return wide ? matmul_wide_q8_0(args) : matmul_narrow_q8_0(args);
                 case Coding::kHalves: return wide ? matmul_wide_halves(args) : matmul_narrow_halves(args);
               }
             });
}

inline void run_product(Product product, MatmulArgs args) {
  if (is_wide(product)) return run_wide(product, args);
  if (product == Product::kOne || product == Product::kFew) {
    const int tiles = args.k / 256;
    const int units = tiles * (args.epilogue == Epilogue::kSwiglu ? 2 : 1);
    if (product == Product::kOne) {
      // Two strips a block if nothing is said: the second's results go to the other place, and the last block may have
      // one.
      if (args.strips_a_block == 0) args.strips_a_block = 2;
      run_kernel(blocks_across(args, args.strips_a_block), 1, 32 * one_warps(args.coding, tiles),
                 one_shared_bytes(args.coding, units, tiles, args.input), [&] {
                   switch (args.coding) {
                     case Coding::kK: return matmul_one_k(args);
                     case Coding::kQ8_0: return matmul_one_q8_0(args);
                     case Coding::kHalves: return matmul_one_halves(args);
                   }
                 });
      return;
    }
    const std::int64_t shared = few_partial_bytes(units, args.tokens) +
                                (args.input == Input::kCoded ? 0 : few_coded_bytes(args.k, args.coding));
    run_kernel(blocks_across(args, 1), 1, 32 * few_warps(units), shared, [&] {
      switch (args.coding) {
        case Coding::kK: return matmul_few_k(args);
        case Coding::kQ8_0: return matmul_few_q8_0(args);
        case Coding::kHalves: return matmul_few_halves(args);
      }
    });
    return;
  }
  const ManyShape shape = product == Product::kMany ? many_shape(args.coding) : middle_shape(args.coding);
  run_kernel(blocks_across(args, shape.strips_a_block(args.epilogue)),
             (args.tokens + shape.tokens() - 1) / shape.tokens(), shape.threads(), shape.shared_bytes(args.coding),
             [&] {
               const bool many = product == Product::kMany;
               switch (args.coding) {
                 case Coding::kK: return many ? matmul_many_k(args) : matmul_middle_k(args);
                 case Coding::kQ8_0: return many ? matmul_many_q8_0(args) : matmul_middle_q8_0(args);
                 case Coding::kHalves: return many ? matmul_many_halves(args) : matmul_middle_halves(args);
               }
             });
}

}  // namespace dormouse::cuda
