// Goal: nobody can tell whether a row went through decode_step or through the launches it stands for: the same row and
// the same cache, to the bit, whatever the number of blocks and warps, and whichever thread runs first. Method: two
// layers with matrices of both types, both ways in the emulation; the new row in a first split, at a split's last and
// first token, and where splits are partials.
#include "kernels/cuda/decode_step.cuh"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>

#include "kernels/cuda/attention_fixture.h"
#include "kernels/cuda/product_fixture.h"

namespace dormouse::cuda {
namespace {

using kernels::PackedWeights;

constexpr int kLayers = 2;
constexpr int kHidden = 512;
constexpr int kFfn = 768;
constexpr int kKvHeads = 2;
constexpr int kPages = 12;
constexpr float kEpsilon = 1e-6F;

struct Model {
  int heads;
  int head_dim;
  Coding coding;
  std::vector<PackedWeights> weights[kLayers];  // by StepMatrixAt
  std::vector<float> norms[kLayers][4];
  std::vector<StepLayer> layers;

  Model(int queries, int dim, Coding of, std::mt19937& random) : heads(queries * kKvHeads), head_dim(dim), coding(of) {
    const int q = heads * dim;
    const int kv = kKvHeads * dim;
    const int shapes[kStepMatrices][2] = {{q, kHidden},    {kv, kHidden},   {kv, kHidden},  {kHidden, q},
                                          {kFfn, kHidden}, {kFfn, kHidden}, {kHidden, kFfn}};
    for (int layer = 0; layer < kLayers; ++layer) {
      StepLayer out{};
      for (int m = 0; m < kStepMatrices; ++m) {
        // Gate and up are alike.
        const bool is_fine = m == kStepGate || m == kStepUp ? layer == 1 : (m + layer) % 2 == 0;
        const TensorType type = coding == Coding::kK      ? (is_fine ? TensorType::kQ6_K : TensorType::kQ4_K)
                                : coding == Coding::kQ8_0 ? TensorType::kQ8_0
                                                          : (is_fine ? TensorType::kBF16 : TensorType::kF16);
        const auto [rows, columns] = shapes[m];
        weights[layer].push_back(
            kernels::pack(type, kernels::make_weights(type, rows, columns, random), rows, columns));
      }
      for (int m = 0; m < kStepMatrices; ++m) {
        PackedWeights& one = weights[layer][static_cast<std::size_t>(m)];
        out.matrices[m] = {.weights = one.bytes.data(),
                           .strip_bytes = kernels::packed_strip_bytes(one.type, one.columns),
                           .type = static_cast<std::int32_t>(one.type),
                           .strips = one.rows / 16};
      }
      const int sizes[4] = {kHidden, kHidden, dim, dim};
      for (int n = 0; n < 4; ++n) norms[layer][n] = random_floats(static_cast<std::size_t>(sizes[n]), random);
      out.attention_norm = norms[layer][0].data();
      out.ffn_norm = norms[layer][1].data();
      out.q_norm = norms[layer][2].data();
      out.k_norm = norms[layer][3].data();
      layers.push_back(out);
    }
  }
};

// One row's state, and the two ways through it.
struct Row {
  Model& model;
  bool is_q8;
  int position;
  std::vector<float> x, qkv, attended, ffn, rope;
  std::vector<float> partials = std::vector<float>(1 << 18, NAN);
  std::vector<Words4> cache;
  std::vector<std::int32_t> table;
  std::int32_t item = 0;
  std::int32_t begin = 0;
  std::uint32_t arrivals = 0;

  Row(Model& of, bool q8, int at, std::mt19937& random) : model(of), is_q8(q8), position(at) {
    const auto q = static_cast<std::size_t>(model.heads * model.head_dim);
    x = random_floats(kHidden, random);
    qkv.assign(2 * q + 2 * static_cast<std::size_t>(kKvHeads * model.head_dim), NAN);
    attended.assign(q, NAN);
    ffn.assign(kFfn, NAN);
    rope = random_floats(static_cast<std::size_t>((position + 1) * model.head_dim), random);
    for (int i = 0; i < kPages; ++i) table.push_back(kPages - 1 - i);
    fill_cache(random);
  }

  [[nodiscard]] std::int64_t part_bytes() const { return (is_q8 ? 34 : 64) * model.head_dim; }
  // Halves below 2 as fp16, and as int8 with such scales.
  void fill_cache(std::mt19937& random) {
    cache.resize(static_cast<std::size_t>(kPages * kLayers * kKvHeads * 2 * part_bytes() / 16));
    auto* halves = reinterpret_cast<std::uint16_t*>(cache.data());
    for (std::size_t i = 0; i < cache.size() * 8; ++i) halves[i] = static_cast<std::uint16_t>(random() & 0xBFFF);
    if (!is_q8) return;
    const auto part_halves = static_cast<std::size_t>(part_bytes() / 2);
    for (std::size_t i = 0; i < cache.size() * 8; ++i) {
      if (i % part_halves >= static_cast<std::size_t>(16 * model.head_dim)) halves[i] = 0x2000 | (random() & 0xFF);
    }
  }
  [[nodiscard]] int most_splits() const { return splits_of(position + 1); }

  AttendLoneArgs attend_args(int layer, bool is_whole) {
    const int q = model.heads * model.head_dim;
    const StepLayer& weights = model.layers[static_cast<std::size_t>(layer)];
    const std::int64_t layer_bytes = kKvHeads * 2 * part_bytes();
    return {.step = {.q = qkv.data(),
                     .k = qkv.data() + q,
                     .v = qkv.data() + q + kKvHeads * model.head_dim,
                     .q_norm = weights.q_norm,
                     .k_norm = weights.k_norm,
                     .rope = rope.data(),
                     .kv = {.memory = reinterpret_cast<std::uint8_t*>(cache.data()),
                            .page_bytes = kLayers * layer_bytes,
                            .layer_bytes = layer_bytes,
                            .head_bytes = 2 * part_bytes(),
                            .value_bytes = part_bytes(),
                            .is_q8 = is_q8 ? 1 : 0,
                            .layer = layer},
                     .rows = {&position, &begin, table.data()},
                     .row_count = 1,
                     .heads = model.heads,
                     .kv_heads = kKvHeads,
                     .head_dim = model.head_dim,
                     .qkv_stride = q + 2 * kKvHeads * model.head_dim,
                     .epsilon = kEpsilon},
            .out = attended.data(),
            .partials = is_whole ? nullptr : partials.data(),
            .max_splits = most_splits(),
            .scale = 0.09F};
  }
  CombineSplitsArgs combine_args() {
    return {.partials = partials.data(),
            .out = attended.data(),
            .items = &item,
            .rows = {&position, &begin, table.data()},
            .heads = model.heads,
            .kv_heads = kKvHeads,
            .head_dim = model.head_dim,
            .max_splits = most_splits()};
  }

  void multiply(int layer, std::vector<int> matrices, const float* in, const float* norm, float* out,
                Epilogue epilogue) {
    MatmulArgs args{};
    for (const int m : matrices) {
      const PackedWeights& weights = model.weights[layer][static_cast<std::size_t>(m)];
      const StepMatrix& matrix = model.layers[static_cast<std::size_t>(layer)].matrices[m];
      args.parts[args.part_count++] = {.weights = matrix.weights,
                                       .out = out,
                                       .strip_bytes = matrix.strip_bytes,
                                       .type = matrix.type,
                                       .strips = matrix.strips,
                                       .rows = weights.rows,
                                       .out_stride = weights.rows};
      args.k = weights.columns;
      if (epilogue == Epilogue::kStore) out += weights.rows;
    }
    args.x = in;
    args.norm = norm;
    args.tokens = 1;
    args.epilogue = epilogue;
    args.input = norm == nullptr ? Input::kPlain : Input::kNorm;
    args.epsilon = kEpsilon;
    args.coding = model.coding;
    run_product(Product::kOne, args);
  }
  void attend(int layer) {
    const AttendLoneArgs args = attend_args(layer, false);
    const int queries = model.heads / kKvHeads;
    ASSERT_TRUE(
        emulator::run({.grid = {1, kKvHeads, most_splits()},
                       .threads = kLoneThreads,
                       .shared_bytes = static_cast<std::size_t>(attend_lone_shared_bytes(model.head_dim, queries, 1))},
                      [&] { attend_lone(args); }));
    const CombineSplitsArgs combine = combine_args();
    ASSERT_TRUE(emulator::run({.grid = {1, kKvHeads, queries},
                               .threads = kCombineSplitsThreads,
                               .shared_bytes = static_cast<std::size_t>(combine_splits_shared_bytes(model.head_dim))},
                              [&] { combine_splits(combine); }));
  }
  void by_launches() {
    for (int layer = 0; layer < kLayers; ++layer) {
      const StepLayer& weights = model.layers[static_cast<std::size_t>(layer)];
      multiply(layer, {kStepQ, kStepK, kStepV}, x.data(), weights.attention_norm, qkv.data(), Epilogue::kStore);
      attend(layer);
      multiply(layer, {kStepOutput}, attended.data(), nullptr, x.data(), Epilogue::kAdd);
      multiply(layer, {kStepGate, kStepUp}, x.data(), weights.ffn_norm, ffn.data(), Epilogue::kSwiglu);
      multiply(layer, {kStepDown}, ffn.data(), nullptr, x.data(), Epilogue::kAdd);
    }
  }
  void in_one(int blocks, int warps) {
    const StepLayer& first = model.layers.front();
    const auto strips = [&](int m) { return first.matrices[m].strips; };
    DecodeStepArgs args = {
        .layers = model.layers.data(),
        .arrivals = &arrivals,
        .products = {{x.data(), qkv.data(), kHidden, kStepQ, strips(kStepQ) + 2 * strips(kStepK), Epilogue::kStore},
                     {attended.data(), x.data(), model.heads * model.head_dim, kStepOutput, strips(kStepOutput),
                      Epilogue::kAdd},
                     {x.data(), ffn.data(), kHidden, kStepGate, strips(kStepGate), Epilogue::kSwiglu},
                     {ffn.data(), x.data(), kFfn, kStepDown, strips(kStepDown), Epilogue::kAdd}},
        .attend = attend_args(0, most_splits() * kLoneWarps <= warps),
        .combine = combine_args(),
        .layer_count = kLayers,
        .work_bytes = 0,
        .epsilon = kEpsilon};
    args.work_bytes = static_cast<std::int32_t>(step_work_bytes(args, model.coding, blocks, warps));
    ASSERT_TRUE(emulator::run(
        {.grid = {blocks, 1, 1},
         .threads = 32 * warps,
         .shared_bytes = static_cast<std::size_t>(args.work_bytes + warps * step_ring_bytes(model.coding)),
         .together = true},
        [&] {
          switch (model.coding) {
            case Coding::kK: return decode_step_k(args);
            case Coding::kQ8_0: return decode_step_q8_0(args);
            case Coding::kHalves: return decode_step_halves(args);
          }
        }))
        << "a barrier that not all threads reach";
  }
};

class DecodeStep : public InBothOrders {
 protected:
  std::mt19937 random_{kernels::test_seed()};

  void expect_same(Model& model, bool is_q8, int position, int blocks, int warps) {
    Row launches(model, is_q8, position, random_);
    auto one = std::make_unique<Row>(launches);
    launches.by_launches();
    one->in_one(blocks, warps);
    const std::string what = "position " + std::to_string(position) + ", " + std::to_string(blocks) + " blocks of " +
                             std::to_string(warps) + " warps, " + (is_q8 ? "q8" : "fp16");
    for (const float value : launches.x) ASSERT_TRUE(std::isfinite(value)) << what;
    EXPECT_TRUE(kernels::all_same_bits(one->x, launches.x)) << what;
    EXPECT_EQ(std::memcmp(one->cache.data(), launches.cache.data(), launches.cache.size() * sizeof(Words4)), 0) << what;
    EXPECT_EQ(one->arrivals, 0U) << "the next launch's barriers begin at 0";
  }
};

TEST_P(DecodeStep, IsWhatItsLaunchesAre) {
  Model model(4, 64, Coding::kK, random_);
  expect_same(model, true, 0, 5, 4);
  expect_same(model, false, 63, 3, 8);
  expect_same(model, true, 64, 40, 4);
  expect_same(model, false, 127, 7, 8);
  expect_same(model, true, 300, 2, 8);
}
TEST_P(DecodeStep, OfHeadsOf128) {
  Model model(2, 128, Coding::kK, random_);
  expect_same(model, false, 200, 1, 16);
  expect_same(model, true, 250, 6, 12);
}
TEST_P(DecodeStep, OfQ8_0) {
  Model model(2, 64, Coding::kQ8_0, random_);
  expect_same(model, true, 30, 6, 8);
  expect_same(model, false, 130, 3, 4);
}
TEST_P(DecodeStep, OfHalves) {
  Model model(2, 64, Coding::kHalves, random_);
  expect_same(model, false, 30, 6, 8);
  expect_same(model, true, 130, 3, 4);
}
// Two in turn: the second begins with what the first left of the barriers' count.
TEST_P(DecodeStep, OneAfterTheOther) {
  Model model(2, 64, Coding::kK, random_);
  Row launches(model, true, 70, random_);
  auto one = std::make_unique<Row>(launches);
  for (int step = 0; step < 2; ++step) {
    launches.by_launches();
    one->in_one(4, 4);
  }
  EXPECT_TRUE(kernels::all_same_bits(one->x, launches.x));
}

INSTANTIATE_TEST_SUITE_P(Orders, DecodeStep, testing::Values(emulator::Order::kForwards, emulator::Order::kBackwards));

}  // namespace
}  // namespace dormouse::cuda
