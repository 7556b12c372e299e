// How fast each product kernel is on the card at hand, at the shapes of Qwen3-4B, and finding the likeliest tokens:
// cuda_product_bench [ROWS...].
// Weights are noise, several matrices one after the other, so that the card's cache holds none; a launch's time is that
// of many enqueued behind each other. Beside it GB/s of weights and TFLOPS of the products asked for.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/cuda/product_kernels.h"
#include "kernels/layout.h"

namespace dormouse::cuda {
namespace {

constexpr int kLaunches = 60;
constexpr std::int32_t kMostRows = 4096;
constexpr std::int32_t kVocab = 151936;
constexpr std::int32_t kMostLogitsRows = 256;  // nobody wants more at once

struct Shape {
  const char* name;
  TensorType type;
  std::int32_t rows;
  std::int32_t k;
  Epilogue epilogue;
};
constexpr Shape kShapes[] = {{"qkv", TensorType::kQ4_K, 6144, 2560, Epilogue::kStore},
                             {"o", TensorType::kQ4_K, 2560, 4096, Epilogue::kAdd},
                             {"gate up", TensorType::kQ4_K, 9728, 2560, Epilogue::kSwiglu},
                             {"down", TensorType::kQ4_K, 2560, 9728, Epilogue::kAdd},
                             {"down", TensorType::kQ6_K, 2560, 9728, Epilogue::kAdd},
                             {"lm head", TensorType::kQ6_K, kVocab, 2560, Epilogue::kStore},
                             {"qkv", TensorType::kQ8_0, 6144, 2560, Epilogue::kStore},
                             {"o", TensorType::kQ8_0, 2560, 4096, Epilogue::kAdd},
                             {"gate up", TensorType::kQ8_0, 9728, 2560, Epilogue::kSwiglu},
                             {"down", TensorType::kQ8_0, 2560, 9728, Epilogue::kAdd},
                             {"lm head", TensorType::kQ8_0, kVocab, 2560, Epilogue::kStore},
                             {"qkv", TensorType::kF16, 6144, 2560, Epilogue::kStore},
                             {"o", TensorType::kF16, 2560, 4096, Epilogue::kAdd},
                             {"gate up", TensorType::kF16, 9728, 2560, Epilogue::kSwiglu},
                             {"down", TensorType::kF16, 2560, 9728, Epilogue::kAdd},
                             {"lm head", TensorType::kF16, kVocab, 2560, Epilogue::kStore}};

struct Variant {
  const char* name;
  Kernel kernel;
  int strips;  // a block's; matmul_one: 0: what one_strips_a_block() says
  int tokens;
  int threads;
  std::int64_t shared_bytes;

  [[nodiscard]] int strips_a_block(Epilogue epilogue) const {
    return epilogue == Epilogue::kSwiglu && strips > 1 ? strips / 2 : strips;
  }
};

class Bench {
 public:
  explicit Bench(Device& device) : device_(device) {}

  Status prepare() {
    constexpr std::uint64_t kFloats = std::uint64_t{kMostRows} * 19456 * sizeof(float);
    TRY(x_, device_.allocate(kFloats));
    TRY(out_, device_.allocate(kFloats));
    TRY(coded_, device_.allocate(kFloats));
    TRY(weights_, device_.allocate(kWeightBytes));
    TRY(top_, device_.allocate(kTopBytes));
    std::vector<std::uint32_t> noise(kWeightBytes / 4);
    std::mt19937 random(1);
    // Halves of every K-quant block stay small numbers: the top bits of each byte pair are never those of an infinity.
    for (std::uint32_t& word : noise) word = static_cast<std::uint32_t>(random()) & 0xBFFFBFFFU;
    TRY_STATUS(device_.upload(weights_, noise.data(), kWeightBytes));
    TRY_STATUS(device_.fill_zero(x_, kFloats));
    TRY_STATUS(device_.fill_zero(coded_, kFloats));
    return device_.synchronize();
  }

  // Both launches of top_tokens.cuh, over rows of Qwen3's vocabulary that look like a model's.
  Result<double> top_seconds(std::int32_t rows) {
    std::vector<float> row(kVocab);
    std::mt19937 random(2);
    std::normal_distribution<float> normal(0, 3);
    for (float& x : row) x = normal(random);
    for (std::int32_t i = 0; i < rows; ++i) {
      const std::uint64_t bytes = row.size() * sizeof(float);
      TRY_STATUS(device_.upload(out_ + static_cast<std::uint64_t>(i) * bytes, row.data(), bytes));
    }
    const TopTokensArgs args{.out = reinterpret_cast<TopToken*>(top_ + kTopBytes / 2),
                             .parts = reinterpret_cast<std::uint64_t*>(top_),
                             .logits = reinterpret_cast<const float*>(out_),
                             .vocab = kVocab,
                             .ids = kVocab};
    Launch parts{.kernel = Kernel::k_top_of_parts,
                 .grid = {rows, top_parts(kVocab), 1},
                 .threads = kTopThreads,
                 .shared_bytes = static_cast<std::size_t>(kTopSharedBytes),
                 .args = &args,
                 .overlaps_previous = true};
    Launch whole = parts;
    whole.kernel = Kernel::k_top_tokens;
    whole.grid[1] = 1;
    return best_of_rounds([&](int /*launch*/) -> Status {
      TRY_STATUS(device_.launch(parts));
      return device_.launch(whole);
    });
  }

  Result<double> seconds(const Shape& shape, const Variant& variant, std::int32_t rows) {
    MatmulArgs args = args_of(shape, rows);
    const bool fused = shape.epilogue == Epilogue::kSwiglu;
    const int strips = shape.rows / 16;
    const int units = shape.k / 256 * (fused ? 2 : 1);
    Launch launch{.kernel = variant.kernel, .threads = variant.threads, .args = &args, .overlaps_previous = true};
    launch.shared_bytes = static_cast<std::size_t>(variant.shared_bytes);
    if (variant.kernel == kernel_of(kOne, args.coding)) {
      args.strips_a_block =
          variant.strips > 0 ? variant.strips : one_strips_a_block(args.coding, strips, device_.info().multiprocessors);
      launch.grid[0] = blocks_across(args, args.strips_a_block);
      launch.threads = 32 * one_warps(args.coding, shape.k / 256);
      launch.shared_bytes = static_cast<std::size_t>(one_shared_bytes(args.coding, units, shape.k / 256, args.input));
    } else if (variant.tokens > 0) {
      launch.grid[0] = blocks_across(args, variant.strips_a_block(shape.epilogue));
      launch.grid[1] = (rows + variant.tokens - 1) / variant.tokens;
    } else {
      launch.grid[0] = blocks_across(args, 1);
      launch.threads = 32 * few_warps(units);
      launch.shared_bytes = static_cast<std::size_t>(few_partial_bytes(units, rows) +
                                                     (rows == 1 ? few_coded_bytes(shape.k, args.coding) : 0));
    }
    return best_of_rounds([&](int i) -> Status {
      for (MatrixPart& part : args.parts) part.weights = weights_of(shape, i);
      args.parts[1].weights += strips * args.parts[1].strip_bytes;
      return device_.launch(launch);
    });
  }

 private:
  static constexpr std::uint64_t kWeightBytes = 800U << 20;  // an output matrix in F16 takes 778 million
  // Twice what the parts of so many rows take: behind them there is room for the tokens.
  static constexpr std::uint64_t kTopBytes = std::uint64_t{2} * kMostLogitsRows * top_parts(kVocab) * kTopTokens * 8;

  template <typename Enqueue>
  Result<double> best_of_rounds(const Enqueue& enqueue) {
    double best = 1e9;
    for (int round = 0; round < 4; ++round) {
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < kLaunches; ++i) TRY_STATUS(enqueue(i));
      TRY_STATUS(device_.synchronize());
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    return best / kLaunches;
  }

  [[nodiscard]] const std::uint8_t* weights_of(const Shape& shape, int launch) const {
    const auto matrix = static_cast<std::uint64_t>(kernels::packed_matrix_bytes(shape.type, shape.rows, shape.k));
    const std::uint64_t room = std::max<std::uint64_t>(kWeightBytes / (2 * matrix), 1);
    return reinterpret_cast<const std::uint8_t*>(weights_) + static_cast<std::uint64_t>(launch) % room * 2 * matrix;
  }

  [[nodiscard]] MatmulArgs args_of(const Shape& shape, std::int32_t rows) const {
    MatmulArgs args{};
    const MatrixPart part{.weights = nullptr,
                          .out = reinterpret_cast<float*>(out_),
                          .strip_bytes = kernels::packed_strip_bytes(shape.type, shape.k),
                          .type = static_cast<std::int32_t>(shape.type),
                          .strips = shape.rows / 16,
                          .rows = shape.rows,
                          .out_stride = shape.rows};
    args.parts[0] = args.parts[1] = part;
    args.part_count = shape.epilogue == Epilogue::kSwiglu ? 2 : 1;
    auto* codes = reinterpret_cast<std::uint16_t*>(coded_);
    args.coded = {.codes = codes,
                  .scales = reinterpret_cast<float*>(x_),
                  .sums16 = codes,
                  .sums32 = codes,
                  .rows = (rows + kCodedRowMultiple - 1) / kCodedRowMultiple * kCodedRowMultiple};
    args.x = reinterpret_cast<const float*>(x_);
    args.norm = args.x;
    args.k = shape.k;
    args.tokens = rows;
    args.coding = coding_of(shape.type);
    args.epilogue = shape.epilogue;
    args.input = rows > 1 ? Input::kCoded : shape.k == 2560 ? Input::kNorm : Input::kPlain;
    args.epsilon = 1e-6F;
    return args;
  }

  Device& device_;
  DevicePointer x_ = 0;
  DevicePointer out_ = 0;
  DevicePointer coded_ = 0;
  DevicePointer weights_ = 0;
  DevicePointer top_ = 0;
};

std::vector<Variant> variants_for(const Shape& shape, std::int32_t rows, const DeviceInfo& info) {
  const Coding coding = coding_of(shape.type);
  const Variant few{"few", kernel_of(kFew, coding), 1, 0, 0, 0};
  const auto one = [coding](const char* name, int strips) {
    return Variant{name, kernel_of(kOne, coding), strips, 0, 0, 0};
  };
  if (rows == 1 && coding == Coding::kK) return {few, one("one", 0)};
  if (rows == 1) {  // which number of strips a block is best has not been measured
    return {few, one("one", 0), one("one/1", 1), one("one/2", 2), one("one/4", 4), one("one/9", 9)};
  }
  if (rows <= kFewRows) return {few};
  const auto variant = [coding](const char* name, const KernelOfCoding& kernels, const auto& s) {
    return Variant{name, kernel_of(kernels, coding), s.strips(), s.tokens(), s.threads(), s.shared_bytes(coding)};
  };
  std::vector<Variant> out = {variant("middle", kMiddle, middle_shape(coding)),
                              variant("many", kMany, many_shape(coding))};
  if (info.compute_major == 9) {
    out.push_back(variant("narrow", kNarrow, kNarrowShape));
    out.push_back(variant("wide", kWide, kWideShape));
  }
  return out;
}

Status run(const std::vector<std::int32_t>& row_counts) {
  TRY(const std::unique_ptr<Device> device, open_gpu(0));
  fmt::print("{}, {} multiprocessors\n{:>5} {:<8} {:<5} {:<7} {:>9} {:>8} {:>8}\n", device->info().name,
             device->info().multiprocessors, "rows", "product", "type", "kernel", "us", "GB/s", "TFLOPS");
  Bench bench(*device);
  TRY_STATUS(bench.prepare());
  for (const std::int32_t rows : row_counts) {
    for (const Shape& shape : kShapes) {
      if (shape.rows == kVocab && rows > kMostLogitsRows) continue;
      for (const Variant& variant : variants_for(shape, rows, device->info())) {
        TRY(const double seconds, bench.seconds(shape, variant, rows));
        const double matrices = shape.epilogue == Epilogue::kSwiglu ? 2 : 1;
        const double bytes =
            matrices * static_cast<double>(kernels::packed_matrix_bytes(shape.type, shape.rows, shape.k));
        const double operations = 2.0 * matrices * shape.rows * shape.k * rows;
        fmt::print("{:>5} {:<8} {:<5} {:<7} {:>9.2f} {:>8.0f} {:>8.1f}\n", rows, shape.name, traits(shape.type).name,
                   variant.name, seconds * 1e6, bytes / seconds / 1e9, operations / seconds / 1e12);
      }
    }
    if (rows > kMostLogitsRows) continue;
    TRY(const double seconds, bench.top_seconds(rows));
    fmt::print("{:>5} {:<8} {:<5} {:<7} {:>9.2f} {:>8.0f}\n", rows, "top 64", "F32", "top", seconds * 1e6,
               4.0 * kVocab * rows / seconds / 1e9);
  }
  return {};
}

}  // namespace
}  // namespace dormouse::cuda

int main(int argc, char** argv) {
  std::vector<std::int32_t> rows;
  for (int i = 1; i < argc; ++i) rows.push_back(std::clamp(std::atoi(argv[i]), 1, 4096));
  if (rows.empty()) rows = {1, 8, 64, 256, 1024, 4096};
  const dormouse::Status done = dormouse::cuda::run(rows);
  if (!done.has_value()) fmt::print(stderr, "{}\n", done.error().message);
  return done.has_value() ? 0 : 1;
}
