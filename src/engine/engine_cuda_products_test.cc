// Products of many rows on the device that tests run on, each kernel against matmul_few to the bit. In the emulation
// kernels/cuda/matmul_test.cc has more of it; on a card this is what says whether its instructions round alike
// (DevicePaths::wide_products).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/cuda_test_device.h"
#include "engine/device_weights.h"
#include "kernels/cuda/matmul_args.h"
#include "kernels/cuda/product_kernels.h"
#include "kernels/test_data.h"

namespace dormouse::engine {
namespace {

using cuda::Coding;
using cuda::Kernel;

class CudaProducts : public testing::TestWithParam<TensorType> {
 protected:
  void SetUp() override {
    auto device = open_device();
    ASSERT_TRUE(device.has_value()) << device.error().message;
    device_ = *std::move(device);
    std::mt19937 random(kernels::test_seed());
    weights_ = upload(
        kernels::pack(GetParam(), kernels::make_weights(GetParam(), kHeight, columns_, random), kHeight, columns_));
    std::vector<float> x;
    for (std::int32_t i = 0; i < count_; ++i) {
      const auto kind = i % 7 == 3 ? kernels::Row::kOutlier : kernels::Row::kNormal;
      const std::vector<float> row = kernels::make_row(kind, columns_, random);
      x.insert(x.end(), row.begin(), row.end());
    }
    x_ = make(x.size() * sizeof(float));
    out_ = make(static_cast<std::uint64_t>(count_) * kHeight * sizeof(float));
    ASSERT_TRUE(device_->upload(x_.address(), x.data(), x.size() * sizeof(float)).has_value());
    const auto rows = static_cast<std::uint64_t>(padded_);
    const auto columns = static_cast<std::uint64_t>(columns_);
    codes_ = make(4 * rows * columns);
    scales_ = make(rows * columns / 32 * sizeof(float));
    sums16_ = make(rows * columns / 16 * 2);
    sums32_ = make(rows * columns / 16 * 2);
    ASSERT_TRUE(device_->synchronize().has_value());
  }

  DeviceBuffer make(std::uint64_t bytes) {
    auto out = DeviceBuffer::create(*device_, bytes);
    EXPECT_TRUE(out.has_value());
    return *std::move(out);
  }
  DeviceBuffer upload(kernels::PackedWeights packed) {
    const auto bytes =
        static_cast<std::uint64_t>(kernels::packed_matrix_bytes(packed.type, packed.rows, packed.columns));
    DeviceBuffer out = make(bytes);
    EXPECT_TRUE(device_->upload(out.address(), packed.bytes.data(), bytes).has_value());
    EXPECT_TRUE(device_->synchronize().has_value());
    return out;
  }
  [[nodiscard]] cuda::CodedRows coded() const {
    return {.codes = codes_.at<std::uint16_t>(),
            .scales = scales_.at<float>(),
            .sums16 = sums16_.at<std::uint16_t>(),
            .sums32 = sums32_.at<std::uint16_t>(),
            .rows = padded_};
  }

  // Codes rows [begin, begin + count) and multiplies them: their results.
  std::vector<float> results(std::int32_t begin, std::int32_t count, bool permuted, cuda::Launch launch) {
    const cuda::QuantiseArgs quantise{.x = x_.at<float>() + std::int64_t{begin} * columns_,
                                      .norm = nullptr,
                                      .row_index = nullptr,
                                      .out = coded(),
                                      .x_stride = columns_,
                                      .k = columns_,
                                      .coding = cuda::coding_of(GetParam()),
                                      .permuted = permuted ? 1 : 0,
                                      .epsilon = 1e-6F};
    EXPECT_TRUE(device_
                    ->launch({.kernel = Kernel::k_quantise_rows,
                              .grid = {count, 1, 1},
                              .threads = 256,
                              .shared_bytes = static_cast<std::size_t>(columns_ / 64),
                              .args = &quantise})
                    .has_value());
    cuda::MatmulArgs args{};
    args.parts[0] = {.weights = weights_.at<std::uint8_t>(),
                     .out = out_.at<float>(),
                     .strip_bytes = kernels::packed_strip_bytes(GetParam(), columns_),
                     .type = static_cast<std::int32_t>(GetParam()),
                     .strips = kHeight / 16,
                     .rows = kHeight,
                     .out_stride = kHeight};
    args.coded = coded();
    args.part_count = 1;
    args.k = columns_;
    args.tokens = count;
    args.coding = cuda::coding_of(GetParam());
    launch.args = &args;
    const Status launched = device_->launch(launch);
    EXPECT_TRUE(launched.has_value()) << launched.error().message;
    std::vector<float> out(static_cast<std::size_t>(count) * kHeight);
    EXPECT_TRUE(device_->download(out.data(), out_.address(), out.size() * sizeof(float)).has_value());
    EXPECT_TRUE(device_->synchronize().has_value());
    return out;
  }
  // Eight rows at a time.
  std::vector<float> by_few() {
    std::vector<float> out;
    for (std::int32_t begin = 0; begin < count_; begin += cuda::kFewRows) {
      const std::int32_t count = std::min(cuda::kFewRows, count_ - begin);
      const int units = columns_ / 256;
      const std::vector<float> some =
          results(begin, count, false,
                  {.kernel = cuda::kernel_of(cuda::kFew, cuda::coding_of(GetParam())),
                   .grid = {kHeight / 16, 1, 1},
                   .threads = 32 * cuda::few_warps(units),
                   .shared_bytes = static_cast<std::size_t>(cuda::few_partial_bytes(units, count))});
      out.insert(out.end(), some.begin(), some.end());
    }
    return out;
  }
  template <typename Shape>
  std::vector<float> by(const cuda::KernelOfCoding& kernels, const Shape& shape, bool permuted) {
    const Coding coding = cuda::coding_of(GetParam());
    return results(0, count_, permuted,
                   {.kernel = cuda::kernel_of(kernels, coding),
                    .grid = {(kHeight / 16 + shape.strips() - 1) / shape.strips(),
                             (count_ + shape.tokens() - 1) / shape.tokens(), 1},
                    .threads = shape.threads(),
                    .shared_bytes = static_cast<std::size_t>(shape.shared_bytes(coding))});
  }

  // Qwen3-4B's longest rows, and enough of them for blocks that are full and one that is not.
  static constexpr std::int32_t kHeight = 144;
  const std::int32_t columns_ = is_on_card() ? 9728 : 512;
  const std::int32_t count_ = is_on_card() ? 200 : 9;
  const std::int32_t padded_ =
      (count_ + cuda::kCodedRowMultiple - 1) / cuda::kCodedRowMultiple * cuda::kCodedRowMultiple;
  std::unique_ptr<cuda::Device> device_;
  DeviceBuffer weights_, x_, out_, codes_, scales_, sums16_, sums32_;
};

// Goal: a result's bits do not depend on how many rows come with it. On a card without wgmma, and in the emulation,
// whose 64 KB of shared memory the last two do not fit, the first two only.
TEST_P(CudaProducts, OfManyRowsHaveTheBitsOfFew) {
  const Coding coding = cuda::coding_of(GetParam());
  const std::vector<float> want = by_few();
  EXPECT_TRUE(kernels::all_same_bits(by(cuda::kMiddle, cuda::middle_shape(coding), false), want));
  EXPECT_TRUE(kernels::all_same_bits(by(cuda::kMany, cuda::many_shape(coding), false), want));
  if (device_->info().compute_major != 9) return;
  EXPECT_TRUE(kernels::all_same_bits(by(cuda::kNarrow, cuda::kNarrowShape, true), want));
  EXPECT_TRUE(kernels::all_same_bits(by(cuda::kWide, cuda::kWideShape, true), want));
}

INSTANTIATE_TEST_SUITE_P(All, CudaProducts,
                         testing::Values(TensorType::kQ4_K, TensorType::kQ6_K, TensorType::kQ8_0, TensorType::kF16,
                                         TensorType::kBF16),
                         [](const auto& type) { return std::string(traits(type.param).name); });

}  // namespace
}  // namespace dormouse::engine
