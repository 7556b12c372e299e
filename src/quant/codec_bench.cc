// Rows of 4,096 weights, in weights per second: what `dormouse-worker quantize` costs, format by format.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <vector>

#include "quant/codec.h"

namespace dormouse::quant {
namespace {

constexpr std::size_t kRow = 4096;

void bench_encode(benchmark::State& state, TensorType type) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, 0.02F);
  std::vector<float> x(kRow);
  for (float& value : x) value = normal(random);
  std::vector<std::uint8_t> out(4 * kRow);
  for (auto _ : state) {
    quantize_row(type, x.data(), out.data(), kRow);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kRow));
}

void bench_decode(benchmark::State& state, TensorType type) {
  std::vector<std::uint8_t> in(4 * kRow, 17);
  std::vector<float> out(kRow);
  for (auto _ : state) {
    dequantize_row(type, in.data(), out.data(), kRow);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kRow));
}

BENCHMARK_CAPTURE(bench_encode, Q8_0, TensorType::kQ8_0);
BENCHMARK_CAPTURE(bench_encode, Q2_K, TensorType::kQ2_K);
BENCHMARK_CAPTURE(bench_encode, Q3_K, TensorType::kQ3_K);
BENCHMARK_CAPTURE(bench_encode, Q4_K, TensorType::kQ4_K);
BENCHMARK_CAPTURE(bench_encode, Q5_K, TensorType::kQ5_K);
BENCHMARK_CAPTURE(bench_encode, Q6_K, TensorType::kQ6_K);
BENCHMARK_CAPTURE(bench_decode, Q8_0, TensorType::kQ8_0);
BENCHMARK_CAPTURE(bench_decode, Q4_K, TensorType::kQ4_K);
BENCHMARK_CAPTURE(bench_decode, Q6_K, TensorType::kQ6_K);

}  // namespace
}  // namespace dormouse::quant

BENCHMARK_MAIN();
