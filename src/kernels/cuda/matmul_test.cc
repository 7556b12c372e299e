// Products on a device, in the emulation: against the CPU's scalar specification, and with each other to the bit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/cuda/product_fixture.h"
#include "kernels/dispatch.h"

namespace dormouse::cuda {
namespace {

using kernels::AlignedBytes;
using kernels::PackedWeights;

constexpr TensorType kTypes[] = {TensorType::kQ4_K, TensorType::kQ6_K, TensorType::kQ5_K, TensorType::kQ2_K,
                                 TensorType::kQ3_K, TensorType::kQ8_0, TensorType::kF16,  TensorType::kBF16};

MatrixPart part_of(PackedWeights& weights, std::vector<float>& out, std::int32_t stride = 0) {
  return {.weights = weights.bytes.data(),
          .out = out.data(),
          .strip_bytes = kernels::packed_strip_bytes(weights.type, weights.columns),
          .type = static_cast<std::int32_t>(weights.type),
          .strips = (weights.rows + 15) / 16,
          .rows = weights.rows,
          .out_stride = stride == 0 ? weights.rows : stride};
}

PackedWeights random_weights(TensorType type, std::int32_t rows, std::int32_t k, std::mt19937& random) {
  return kernels::pack(type, kernels::make_weights(type, rows, k, random), rows, k);
}

std::vector<float> random_rows(std::int32_t count, std::int32_t k, std::mt19937& random) {
  std::vector<float> out;
  for (std::int32_t i = 0; i < count; ++i) {
    const auto kind = i % 5 == 3 ? kernels::Row::kOutlier : kernels::Row::kNormal;
    const std::vector<float> row = kernels::make_row(kind, k, random);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

// What the scalar table says of the same rows.
std::vector<float> specified(PackedWeights& weights, const std::vector<float>& x, std::int32_t count) {
  const auto table = kernels::select_kernels("scalar");
  std::vector<std::vector<float>> rows;
  const auto k = static_cast<std::size_t>(weights.columns);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    rows.emplace_back(x.begin() + static_cast<std::ptrdiff_t>(i * k),
                      x.begin() + static_cast<std::ptrdiff_t>((i + 1) * k));
  }
  const auto product = kernels::product_for(**table, weights.type, weights.columns, kernels::RowKind::kGenerated);
  AlignedBytes activations = kernels::make_activations(**table, product.format, rows, weights.columns);
  return kernels::multiply_all(**table, weights, activations, kernels::RowKind::kGenerated, count);
}

double distance(const std::vector<float>& got, const std::vector<float>& want) {
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    difference += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    norm += double{want[i]} * want[i];
  }
  return std::sqrt(difference / norm);
}

std::vector<float> multiply(Product product, PackedWeights& weights, const std::vector<float>& x, std::int32_t count) {
  CodedBuffer coded(count, weights.columns);
  quantise(coded, x, count, weights.columns, coding_of(weights.type), nullptr, is_wide(product));
  std::vector<float> out(static_cast<std::size_t>(count) * static_cast<std::size_t>(weights.rows), -12345.0F);
  MatmulArgs args{};
  args.parts[0] = part_of(weights, out);
  args.coded = coded.rows;
  args.part_count = 1;
  args.k = weights.columns;
  args.tokens = count;
  args.coding = coding_of(weights.type);
  run_product(product, args);
  return out;
}

class ProductTest : public testing::TestWithParam<TensorType> {
 protected:
  std::mt19937 random_{kernels::test_seed()};
};

// Float weights: the scalar table sums in another order. The others differ by the rounding of a sum of 3 tiles.
TEST_P(ProductTest, AgreesWithTheSpecification) {
  PackedWeights weights = random_weights(GetParam(), 40, 768, random_);
  const std::vector<float> x = random_rows(5, 768, random_);
  EXPECT_LT(distance(multiply(Product::kFew, weights, x, 5), specified(weights, x, 5)), 1e-6);
}

TEST_P(ProductTest, EveryKernelGivesTheSameBits) {
  PackedWeights weights = random_weights(GetParam(), 24, 512, random_);
  const std::vector<float> x = random_rows(11, 512, random_);
  const std::vector<float> many = multiply(Product::kMany, weights, x, 11);
  EXPECT_TRUE(kernels::all_same_bits(multiply(Product::kMiddle, weights, x, 11), many));
  EXPECT_TRUE(kernels::all_same_bits(multiply(Product::kNarrow, weights, x, 11), many));
  EXPECT_TRUE(kernels::all_same_bits(multiply(Product::kWide, weights, x, 11), many));
  const std::vector<float> few = multiply(Product::kFew, weights, {x.begin(), x.begin() + 8 * 512}, 8);
  EXPECT_TRUE(kernels::all_same_bits(few, {many.begin(), many.begin() + 8 * 24}));
  const std::vector<float> one = multiply(Product::kFew, weights, {x.begin() + 3 * 512, x.begin() + 4 * 512}, 1);
  EXPECT_TRUE(kernels::all_same_bits(one, {many.begin() + 3 * 24, many.begin() + 4 * 24}));
}

TEST_P(ProductTest, OrderOfThreadsDoesNotMatter) {
  PackedWeights weights = random_weights(GetParam(), 16, 512, random_);
  const std::vector<float> x = random_rows(9, 512, random_);
  const std::vector<float> forwards = multiply(Product::kMiddle, weights, x, 9);
  emulator::set_order(emulator::Order::kBackwards);
  const std::vector<float> backwards = multiply(Product::kMiddle, weights, x, 9);
  const std::vector<float> few = multiply(Product::kFew, weights, {x.begin(), x.begin() + 512}, 1);
  emulator::set_order(emulator::Order::kForwards);
  EXPECT_TRUE(kernels::all_same_bits(forwards, backwards));
  EXPECT_TRUE(kernels::all_same_bits(few, {forwards.begin(), forwards.begin() + 16}));
}

// One row, coded by each block for itself, with its norm and without.
TEST_P(ProductTest, ARowCodedOnTheWayIsTheSame) {
  PackedWeights weights = random_weights(GetParam(), 16, 512, random_);
  const std::vector<float> x = random_rows(1, 512, random_);
  const std::vector<float> norm = random_rows(1, 512, random_);
  for (const Input input : {Input::kPlain, Input::kNorm}) {
    CodedBuffer coded(1, 512);
    quantise(coded, x, 1, 512, coding_of(GetParam()), input == Input::kNorm ? norm.data() : nullptr);
    std::vector<float> want(16);
    std::vector<float> got(16);
    MatmulArgs args{};
    args.parts[0] = part_of(weights, want);
    args.coded = coded.rows;
    args.part_count = 1;
    args.k = 512;
    args.tokens = 1;
    args.coding = coding_of(GetParam());
    run_product(Product::kFew, args);
    args.parts[0].out = got.data();
    args.coded = {};
    args.x = x.data();
    args.norm = norm.data();
    args.input = input;
    args.epsilon = 1e-6F;
    run_product(Product::kFew, args);
    EXPECT_TRUE(kernels::all_same_bits(got, want));
  }
}

INSTANTIATE_TEST_SUITE_P(All, ProductTest, testing::ValuesIn(kTypes),
                         [](const auto& type) { return std::string(traits(type.param).name); });

// What may stand in one launch beside a matrix of this type: the same coding, another type where there is one.
TensorType beside(TensorType type) {
  switch (type) {
    case TensorType::kQ4_K: return TensorType::kQ6_K;
    case TensorType::kQ6_K: return TensorType::kQ4_K;
    case TensorType::kF16: return TensorType::kBF16;
    case TensorType::kBF16: return TensorType::kF16;
    default: return type;
  }
}
MatmulArgs one_row_of(const std::vector<float>& x, const std::vector<float>& norm, TensorType type) {
  MatmulArgs args{};
  args.k = static_cast<std::int32_t>(x.size());
  args.tokens = 1;
  args.coding = coding_of(type);
  args.input = Input::kNorm;
  args.x = x.data();
  args.norm = norm.data();
  args.epsilon = 1e-6F;
  return args;
}
constexpr TensorType kOneTypes[] = {TensorType::kQ4_K, TensorType::kQ6_K, TensorType::kQ8_0, TensorType::kF16,
                                    TensorType::kBF16};

// matmul_one against matmul_few: every epilogue, types mixed in one launch, a height that is no multiple of 16, more
// tiles than warps, and rows of which everything or a block is zero or infinite.
class OneTest : public testing::TestWithParam<std::tuple<TensorType, Epilogue, Input>> {};

TEST_P(OneTest, GivesTheBitsOfFew) {
  std::mt19937 random(kernels::test_seed());
  const auto [type, epilogue, input] = GetParam();
  const bool fused = epilogue == Epilogue::kSwiglu;
  const std::int32_t most = coding_of(type) == Coding::kK ? 22 : 11;  // tiles; more than warps either way
  for (const std::int32_t k : {256, most * 256}) {
    PackedWeights first = random_weights(type, 20, k, random);
    PackedWeights second = random_weights(fused ? type : beside(type), 20, k, random);
    const std::vector<float> norm = random_rows(1, k, random);
    for (const kernels::Row kind : kernels::kAllRows) {
      const std::vector<float> x = kernels::make_row(kind, k, random);
      std::vector<float> few(40, 1.25F);
      std::vector<float> one(40, 1.25F);
      MatmulArgs args = one_row_of(x, norm, type);
      args.part_count = 2;
      args.epilogue = epilogue;
      args.input = input;
      for (const auto& [product, out] : {std::pair{Product::kFew, &few}, {Product::kOne, &one}}) {
        args.parts[0] = part_of(first, *out);
        args.parts[1] = part_of(second, *out);
        args.parts[1].out += 20;
        run_product(product, args);
      }
      EXPECT_TRUE(kernels::all_same_bits(one, few)) << "k " << k << " row " << static_cast<int>(kind);
      if (kind == kernels::Row::kNormal) {
        EXPECT_NE(few[3], 1.25F);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, OneTest,
                         testing::Combine(testing::ValuesIn(kOneTypes),
                                          testing::Values(Epilogue::kStore, Epilogue::kAdd, Epilogue::kSwiglu),
                                          testing::Values(Input::kPlain, Input::kNorm)));

class OneOfTypeTest : public testing::TestWithParam<TensorType> {};

// The widest product of Qwen3-4B: 38 tiles, of which the last round has some for a part of the warps only.
TEST_P(OneOfTypeTest, DoesNotDependOnTheOrderOfThreads) {
  std::mt19937 random(kernels::test_seed());
  constexpr std::int32_t kColumns = 38 * 256;
  PackedWeights weights = random_weights(GetParam(), 40, kColumns, random);
  const std::vector<float> x = random_rows(1, kColumns, random);
  const auto results = [&](Product product, emulator::Order order) {
    std::vector<float> out(40);
    emulator::set_order(order);
    MatmulArgs args = one_row_of(x, x, GetParam());
    args.parts[0] = part_of(weights, out);
    args.part_count = 1;
    run_product(product, args);
    emulator::set_order(emulator::Order::kForwards);
    return out;
  };
  const std::vector<float> want = results(Product::kFew, emulator::Order::kForwards);
  EXPECT_TRUE(kernels::all_same_bits(results(Product::kOne, emulator::Order::kForwards), want));
  EXPECT_TRUE(kernels::all_same_bits(results(Product::kOne, emulator::Order::kBackwards), want));
}

// Three matrices of different heights in one launch, however many strips a block has: of some parts less than one
// block's, of others some blocks and a rest.
TEST_P(OneOfTypeTest, StripsABlockDoNotShow) {
  std::mt19937 random(kernels::test_seed());
  constexpr std::int32_t kColumns = 11 * 256;
  PackedWeights q = random_weights(GetParam(), 160, kColumns, random);
  PackedWeights k = random_weights(GetParam(), 16, kColumns, random);
  PackedWeights v = random_weights(beside(GetParam()), 52, kColumns, random);
  const std::vector<float> x = random_rows(1, kColumns, random);
  const std::vector<float> norm = random_rows(1, kColumns, random);
  std::vector<float> want;
  for (const int strips : {0, 1, 3, 4, 9, 100}) {  // 0: matmul_few
    std::vector<float> out(160 + 16 + 52, 0.5F);
    MatmulArgs args = one_row_of(x, norm, GetParam());
    args.parts[0] = part_of(q, out);
    args.parts[1] = part_of(k, out);
    args.parts[1].out += 160;
    args.parts[2] = part_of(v, out);
    args.parts[2].out += 176;
    args.part_count = 3;
    args.epilogue = Epilogue::kAdd;
    args.strips_a_block = strips;
    run_product(strips == 0 ? Product::kFew : Product::kOne, args);
    if (strips == 0) want = out;
    EXPECT_TRUE(kernels::all_same_bits(out, want)) << strips;
  }
}

INSTANTIATE_TEST_SUITE_P(All, OneOfTypeTest, testing::ValuesIn(kOneTypes),
                         [](const auto& type) { return std::string(traits(type.param).name); });

// matmul_wide and matmul_narrow against matmul_many: every epilogue, types mixed in one launch, a height that is no
// multiple of 16, more strips than a block's, tiles enough for every stage to be used again, rows in both halves of a
// block and of every kind, threads in both orders.
class WideTest : public testing::TestWithParam<std::tuple<TensorType, Epilogue>> {};

TEST_P(WideTest, GivesTheBitsOfMany) {
  std::mt19937 random(kernels::test_seed());
  const auto [type, epilogue] = GetParam();
  const bool fused = epilogue == Epilogue::kSwiglu;
  const std::int32_t columns = (fused ? 5 : 3) * 256;
  constexpr std::int32_t kCount = 70;
  const std::int32_t height = fused ? 24 : 20;
  PackedWeights first = random_weights(type, height, columns, random);
  PackedWeights second =
      random_weights(fused ? type : beside(type), epilogue == Epilogue::kStore ? 136 : height, columns, random);
  std::vector<float> x;
  for (std::size_t i = 0; i < kCount; ++i) {
    const auto kind = i % 9 == 0 ? kernels::kAllRows[i / 9 % std::size(kernels::kAllRows)] : kernels::Row::kNormal;
    const std::vector<float> row = kernels::make_row(kind, columns, random);
    x.insert(x.end(), row.begin(), row.end());
  }
  const std::int32_t stride = height + second.rows;
  const auto results = [&](Product product, emulator::Order order) {
    emulator::set_order(order);
    CodedBuffer coded(kCount, columns);
    quantise(coded, x, kCount, columns, coding_of(type), nullptr, is_wide(product));
    std::vector<float> out(static_cast<std::size_t>(kCount * stride), 1.25F);
    MatmulArgs args{};
    args.parts[0] = part_of(first, out, stride);
    args.parts[1] = part_of(second, out, stride);
    args.parts[1].out += height;
    args.coded = coded.rows;
    args.part_count = 2;
    args.k = columns;
    args.tokens = kCount;
    args.coding = coding_of(type);
    args.epilogue = epilogue;
    run_product(product, args);
    emulator::set_order(emulator::Order::kForwards);
    return out;
  };
  const std::vector<float> want = results(Product::kMany, emulator::Order::kForwards);
  EXPECT_NE(want[3], 1.25F);
  EXPECT_TRUE(kernels::all_same_bits(results(Product::kNarrow, emulator::Order::kForwards), want));
  EXPECT_TRUE(kernels::all_same_bits(results(Product::kWide, emulator::Order::kForwards), want));
  if (!fused) return;
  EXPECT_TRUE(kernels::all_same_bits(results(Product::kNarrow, emulator::Order::kBackwards), want));
  EXPECT_TRUE(kernels::all_same_bits(results(Product::kWide, emulator::Order::kBackwards), want));
}

INSTANTIATE_TEST_SUITE_P(All, WideTest,
                         testing::Combine(testing::Values(TensorType::kQ8_0, TensorType::kF16, TensorType::kBF16),
                                          testing::Values(Epilogue::kStore, Epilogue::kAdd, Epilogue::kSwiglu)));

// Goal: a Hopper's 227 KB are enough for one block of the wide shape, and for two of the narrow one.
TEST(Products, WideFitsAHopper) {
  for (const Coding coding : {Coding::kK, Coding::kQ8_0, Coding::kHalves}) {
    EXPECT_LE(kWideShape.shared_bytes(coding), 227 * 1024);
    EXPECT_LE(2 * (kNarrowShape.shared_bytes(coding) + 1024), 228 * 1024) << "1 KB of each block is the driver's";
  }
}

// Goal: a T4's 64 KB are enough for the widest product of Qwen3-4B in each coding; the norm is of 2,560 columns.
TEST(Products, OneFitsTheSmallestCard) {
  for (const Coding coding : {Coding::kK, Coding::kQ8_0, Coding::kHalves}) {
    EXPECT_LE(one_shared_bytes(coding, 9728 / 256, 9728 / 256, Input::kPlain), 64 * 1024);
    EXPECT_LE(2 * one_shared_bytes(coding, 2 * 2560 / 256, 2560 / 256, Input::kNorm), 64 * 1024) << "two a card's unit";
  }
}

// Three matrices of different types and heights in one launch, added to what is there.
TEST(Products, PartsOfOneLaunch) {
  std::mt19937 random(kernels::test_seed());
  constexpr std::int32_t kColumns = 256;
  PackedWeights q = random_weights(TensorType::kQ4_K, 160, kColumns, random);
  PackedWeights k = random_weights(TensorType::kQ4_K, 16, kColumns, random);
  PackedWeights v = random_weights(TensorType::kQ6_K, 20, kColumns, random);
  for (const auto& [product, count] : {std::pair{Product::kFew, 3},
                                       {Product::kMiddle, 9},
                                       {Product::kMany, 9},
                                       {Product::kNarrow, 9},
                                       {Product::kWide, 9}}) {
    const std::vector<float> x = random_rows(count, kColumns, random);
    CodedBuffer coded(count, kColumns);
    quantise(coded, x, count, kColumns, Coding::kK, nullptr, is_wide(product));
    std::vector<float> out(static_cast<std::size_t>(count) * 196, 1.0F);
    MatmulArgs args{};
    args.parts[0] = part_of(q, out, 196);
    args.parts[1] = part_of(k, out, 196);
    args.parts[1].out += 160;
    args.parts[2] = part_of(v, out, 196);
    args.parts[2].out += 176;
    args.coded = coded.rows;
    args.part_count = 3;
    args.k = kColumns;
    args.tokens = count;
    args.epilogue = Epilogue::kAdd;
    run_product(product, args);
    std::vector<float> want;
    const std::vector<float> of_q = specified(q, x, count);
    const std::vector<float> of_k = specified(k, x, count);
    const std::vector<float> of_v = specified(v, x, count);
    for (std::ptrdiff_t i = 0; i < count; ++i) {
      want.insert(want.end(), of_q.begin() + i * 160, of_q.begin() + (i + 1) * 160);
      want.insert(want.end(), of_k.begin() + i * 16, of_k.begin() + (i + 1) * 16);
      want.insert(want.end(), of_v.begin() + i * 20, of_v.begin() + (i + 1) * 20);
    }
    for (float& y : want) y += 1.0F;
    EXPECT_LT(distance(out, want), 1e-6) << count;
  }
}

TEST(Products, GateAndUpBecomeOne) {
  std::mt19937 random(kernels::test_seed());
  constexpr std::int32_t kColumns = 512;
  constexpr std::int32_t kRows = 48;
  PackedWeights gate = random_weights(TensorType::kQ4_K, kRows, kColumns, random);
  PackedWeights up = random_weights(TensorType::kQ4_K, kRows, kColumns, random);
  std::vector<float> x = random_rows(9, kColumns, random);
  for (float& value : x) value *= 1e-4F;  // where silu is neither 0 nor its input
  const auto table = kernels::select_kernels("scalar");
  std::vector<float> want = specified(gate, x, 9);
  const std::vector<float> of_up = specified(up, x, 9);
  (*table)->silu_mul(want.data(), of_up.data(), static_cast<std::int32_t>(want.size()));
  for (const auto& [product, count] : {std::pair{Product::kFew, 7},
                                       {Product::kMiddle, 9},
                                       {Product::kMany, 9},
                                       {Product::kNarrow, 9},
                                       {Product::kWide, 9}}) {
    CodedBuffer coded(count, kColumns);
    quantise(coded, x, count, kColumns, Coding::kK, nullptr, is_wide(product));
    std::vector<float> out(static_cast<std::size_t>(count) * kRows, -12345.0F);
    MatmulArgs args{};
    args.parts[0] = part_of(gate, out);
    args.parts[1] = part_of(up, out);
    args.coded = coded.rows;
    args.part_count = 2;
    args.k = kColumns;
    args.tokens = count;
    args.epilogue = Epilogue::kSwiglu;
    run_product(product, args);
    EXPECT_LT(distance(out, {want.begin(), want.begin() + std::ptrdiff_t{count} * kRows}), 1e-6) << count;
  }
}

// A row with an infinity spoils itself and no other.
TEST(Products, ABadRowHarmsNobody) {
  std::mt19937 random(kernels::test_seed());
  PackedWeights weights = random_weights(TensorType::kQ4_K, 16, 256, random);
  std::vector<float> x = random_rows(9, 256, random);
  const std::vector<float> good = multiply(Product::kMiddle, weights, x, 9);
  x[4 * 256 + 7] = INFINITY;
  const std::vector<float> bad = multiply(Product::kMiddle, weights, x, 9);
  for (std::size_t i = 0; i < good.size(); ++i) {
    if (i / 16 == 4) {
      EXPECT_TRUE(std::isnan(bad[i]));
    } else {
      EXPECT_EQ(good[i], bad[i]);
    }
  }
}

// The codes are those of the CPU.
TEST(Coding, IsTheCpus) {
  std::mt19937 random(kernels::test_seed());
  const auto table = kernels::select_kernels("scalar");
  for (const kernels::Row kind : kernels::kAllRows) {
    const std::vector<float> x = kernels::make_row(kind, 512, random);
    CodedBuffer coded(1, 512);
    quantise(coded, x, 1, 512, Coding::kK);
    AlignedBytes want(kernels::activation_row_bytes(kernels::ActivationFormat::kQ8_K, 512));
    (*table)->quantize_q8_k(want.data(), x.data(), 512);
    const auto* blocks = reinterpret_cast<const kernels::BlockQ8K*>(want.data());
    const std::size_t rows = static_cast<std::size_t>(coded.rows.rows);
    for (std::size_t block = 0; block < 2; ++block) {
      EXPECT_TRUE(kernels::same_bits(coded.scales[block * rows], blocks[block].d));
      for (std::size_t i = 0; i < 256; ++i) {
        EXPECT_EQ(half_to_float(coded.codes[256 * block + i]), static_cast<float>(blocks[block].q[i]));
      }
      for (std::size_t g = 0; g < 16; ++g) {
        EXPECT_EQ(half_to_float(coded.sums16[block * rows * 16 + g]), static_cast<float>(blocks[block].sums16[g]));
      }
      for (std::size_t g = 0; g < 8; ++g) {
        const float high = half_to_float(coded.sums32[block * rows * 16 + g]);
        const float low = half_to_float(coded.sums32[block * rows * 16 + 8 + g]);
        EXPECT_EQ(16 * high + low, static_cast<float>(blocks[block].sums32[g]));
      }
    }
  }
}

}  // namespace
}  // namespace dormouse::cuda
