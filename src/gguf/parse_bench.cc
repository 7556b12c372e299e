// Opening a file with a vocabulary of Qwen3's size: 151,936 tokens, 151,387 merges, 398 tensors. Part of every wake.
// Expected limit: 5 MB of strings walked once at about 5 ns a string, 300,000 strings: 2 ms.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "gguf/file.h"
#include "gguf/hostile_file.h"

namespace dormouse::gguf {
namespace {

std::vector<std::uint8_t> vocabulary_file() {
  HostileFile file(398, 3);
  const auto strings = [&](const char* key, std::uint64_t count, const char* prefix) {
    file.key(key, ValueType::kArray).number(std::uint32_t{8}).number(count);
    for (std::uint64_t i = 0; i < count; ++i) file.text(fmt::format("{}{}", prefix, i));
  };
  strings("tokenizer.ggml.tokens", 151'936, "t");
  strings("tokenizer.ggml.merges", 151'387, "left right");
  file.key("tokenizer.ggml.token_type", ValueType::kArray).number(std::uint32_t{5}).number(std::uint64_t{151'936});
  for (int i = 0; i < 151'936; ++i) file.number(std::int32_t{1});
  for (std::uint64_t i = 0; i < 398; ++i) file.tensor(fmt::format("blk.{}.w", i), {8}, 0, 32 * i);
  file.data(398 * 32);
  return file.bytes();
}

void bench_parse(benchmark::State& state) {
  const std::vector<std::uint8_t> bytes = vocabulary_file();
  for (auto _ : state) {
    auto file = File::parse(bytes);
    benchmark::DoNotOptimize(file);
  }
}
BENCHMARK(bench_parse)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dormouse::gguf

BENCHMARK_MAIN();
