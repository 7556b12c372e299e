// The engine on one GGUF file, as a table: read bandwidth of the machine, load time, prefill, decode with 1 and 8
// streams, resident memory.
//   engine_bench FILE.gguf [--threads N] [--isa NAME] [--prefill 512] [--tokens 32] [--streams 1,8] [--context 0]
// Each number is the median of its repetitions; decode is timed token by token. Weights may be random: nothing here
// looks at logits. Tokens are fed greedily so that the loop has the shape of a real one.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/cpu_budget.h"
#include "engine/engine.h"
#include "engine/thread_pool.h"
#include "gguf/file.h"
#include "kernels/dispatch.h"
#include "pack/packed_file.h"
#include "sched/batch_plan.h"

namespace {

using namespace std::chrono_literals;
using dormouse::TensorType;
namespace engine = dormouse::engine;
namespace gguf = dormouse::gguf;
namespace kernels = dormouse::kernels;
namespace sched = dormouse::sched;

struct Arguments {
  std::string file;
  std::string isa;
  std::int32_t threads = 0;
  std::int32_t prefill = 512;
  std::int32_t tokens = 32;
  std::vector<std::int32_t> streams = {1, 8};
  std::int32_t context = 0;  // tokens before the decoded ones
};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

bool parse(Arguments& out, std::span<char*> arguments) {
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view name = arguments[i];
    if (!name.starts_with("--")) {
      out.file = name;
    } else if (i + 1 == arguments.size()) {
      return false;
    } else {
      const char* value = arguments[++i];
      if (name == "--threads") out.threads = std::atoi(value);
      if (name == "--isa") out.isa = value;
      if (name == "--prefill") out.prefill = std::max(1, std::atoi(value));
      if (name == "--context") out.context = std::max(0, std::atoi(value));
      if (name == "--tokens") out.tokens = std::max(1, std::atoi(value));
      if (name == "--streams") {
        out.streams.clear();
        for (const char* at = value; at != nullptr; at = std::strchr(at, ',')) {
          at += *at == ',' ? 1 : 0;
          out.streams.push_back(std::max(1, std::atoi(at)));
        }
      }
    }
  }
  return !out.file.empty();
}

// What all threads together read, GB/s: 256 MiB each, best of 5.
double read_bandwidth(engine::ThreadPool& pool) {
  constexpr std::size_t kWords = (256U << 20) / 8;
  const std::int32_t threads = pool.threads();
  std::vector<std::vector<std::uint64_t>> data(static_cast<std::size_t>(threads));
  pool.for_each(threads, [&](std::int32_t i, std::int32_t) { data[static_cast<std::size_t>(i)].assign(kWords, 1); });
  double best = 0;
  std::uint64_t sink = 0;
  for (int round = 0; round < 5; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::uint64_t> sums(static_cast<std::size_t>(threads));
    // Slices of 1 MiB, so that a thread that loses its CPU does not decide the result alone.
    constexpr std::size_t kSlice = (1U << 20) / 8;
    constexpr auto kSlices = static_cast<std::int32_t>(kWords / kSlice);
    pool.for_each(threads * kSlices, [&](std::int32_t i, std::int32_t thread) {
      const std::uint64_t* at =
          data[static_cast<std::size_t>(i / kSlices)].data() + static_cast<std::size_t>(i % kSlices) * kSlice;
      std::uint64_t sum[8] = {};
      for (std::size_t j = 0; j < kSlice; j += 8) {
        __builtin_prefetch(at + j + 512);
        for (std::size_t l = 0; l < 8; ++l) sum[l] += at[j + l];
      }
      sums[static_cast<std::size_t>(thread)] += std::accumulate(sum, sum + 8, std::uint64_t{0});
    });
    best = std::max(best, static_cast<double>(threads) * static_cast<double>(kWords) * 8 / seconds_since(begin) / 1e9);
    sink += sums[0];
  }
  if (sink == 0) std::printf("impossible\n");
  return best;
}

std::uint64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  in >> size >> resident;
  return resident * 4096;
}

struct Stream {
  std::vector<sched::TokenId> tokens;
  std::vector<sched::PageId> pages;
  std::int32_t position = 0;
  std::int32_t prompt = 0;
};

sched::TokenId most_likely(std::span<const float> logits) {
  return static_cast<sched::TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// Feeds `count` tokens of each stream; one logits row each.
bool step(engine::Engine& model, std::vector<Stream>& streams, std::int32_t count) {
  sched::BatchPlan plan;
  for (Stream& stream : streams) {
    sched::PlanEntry entry;
    entry.tokens = std::span(stream.tokens).last(static_cast<std::size_t>(count));
    entry.start_position = stream.position;
    entry.prompt_length = stream.prompt;
    entry.pages = stream.pages;
    entry.wants_logits = true;
    plan.entries.push_back(entry);
    plan.token_count += count;
    ++plan.logits_count;
  }
  const auto logits = model.step(plan);
  if (!logits) {
    std::fprintf(stderr, "%s\n", logits.error().message.c_str());
    return false;
  }
  const auto vocab = static_cast<std::size_t>(model.config().vocab);
  for (std::size_t i = 0; i < streams.size(); ++i) {
    streams[i].position += count;
    streams[i].tokens.push_back(most_likely(logits->subspan(i * vocab, vocab)));
  }
  return true;
}

std::vector<Stream> make_streams(std::int32_t count, std::int32_t tokens, std::int32_t vocab, std::int32_t pages_each) {
  std::vector<Stream> out(static_cast<std::size_t>(count));
  for (std::size_t s = 0; s < out.size(); ++s) {
    for (std::int32_t i = 0; i < tokens; ++i) {
      out[s].tokens.push_back(static_cast<sched::TokenId>((i * 7919 + static_cast<std::int32_t>(s) * 31) % vocab));
    }
    out[s].prompt = tokens;
    out[s].pages.resize(static_cast<std::size_t>(pages_each));
    std::iota(out[s].pages.begin(), out[s].pages.end(), static_cast<sched::PageId>(s) * pages_each);
  }
  return out;
}

int bench_model(const Arguments& arguments, double bandwidth) {
  const auto open_begin = std::chrono::steady_clock::now();
  const auto file = gguf::File::open(arguments.file);
  if (!file) {
    std::fprintf(stderr, "%s\n", file.error().message.c_str());
    return 1;
  }
  const double open_seconds = seconds_since(open_begin);
  const std::int32_t most_streams = *std::max_element(arguments.streams.begin(), arguments.streams.end());
  const std::int32_t pages_each =
      (std::max(arguments.prefill, 16) + arguments.context + 2 * arguments.tokens) / sched::kPageTokens + 1;
  engine::EngineOptions options;
  options.threads = arguments.threads;
  options.isa = arguments.isa;
  options.max_batch_tokens = std::max(arguments.prefill, most_streams);
  options.kv_pages = pages_each * most_streams;
  const auto packed = dormouse::pack::PackedFile::open(
      dormouse::pack::packed_path(arguments.file, "", file->mapping()->identity().inode), *file);
  if (!packed) std::printf("no packed file (%s): packing into memory\n", packed.error().message.c_str());
  const auto load_begin = std::chrono::steady_clock::now();
  auto loaded = engine::Engine::load(*file, packed ? &*packed : nullptr, options, {});
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return 1;
  }
  engine::Engine& model = **loaded;
  const double file_mb = static_cast<double>(file->bytes().size()) / 1e6;
  std::printf("model: %s, %.0f MB, isa %s, %d threads\n", arguments.file.c_str(), file_mb, model.isa().c_str(),
              model.threads());
  std::printf("load: open %.1f ms + load %.1f ms; resident %.0f MB\n", 1e3 * open_seconds,
              1e3 * seconds_since(load_begin), static_cast<double>(resident_bytes()) / 1e6);
  const std::int32_t vocab = model.config().vocab;
  std::vector<double> times;
  for (int round = 0; round < 3; ++round) {
    std::vector<Stream> one = make_streams(1, arguments.prefill, vocab, pages_each);
    const auto begin = std::chrono::steady_clock::now();
    if (!step(model, one, arguments.prefill)) return 1;
    times.push_back(seconds_since(begin));
  }
  const double best_prefill = *std::min_element(times.begin(), times.end());
  std::printf("prefill %d: %.1f tokens/s (best), %.1f (median)\n", arguments.prefill, arguments.prefill / best_prefill,
              arguments.prefill / median(times));
  for (const std::int32_t count : arguments.streams) {
    std::vector<Stream> streams = make_streams(count, 1, vocab, pages_each);
    for (Stream& stream : streams) {
      stream.position = arguments.context;
      stream.prompt = 0;
    }
    times.clear();
    for (std::int32_t i = 0; i < arguments.tokens; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      if (!step(model, streams, 1)) return 1;
      times.push_back(seconds_since(begin));
    }
    const double typical = median(times);
    const double best = *std::min_element(times.begin(), times.end());
    std::printf(
        "decode %d streams: %.2f tokens/s (median), %.2f (best), %.1f ms a step; weights at %.1f GB/s (%.0f %% of "
        "read)\n",
        count, count / typical, count / best, 1e3 * typical, file_mb / 1e3 / typical,
        100 * file_mb / 1e3 / typical / bandwidth);
  }
  std::printf("resident at the end: %.0f MB (file %.0f MB)\n", static_cast<double>(resident_bytes()) / 1e6, file_mb);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(arguments, {argv, static_cast<std::size_t>(argc)})) {
    std::fprintf(stderr,
                 "usage: engine_bench FILE.gguf [--threads N] [--isa NAME] [--prefill 512] [--tokens 32]\n"
                 "                    [--streams 1,8] [--context 0]\n");
    return 2;
  }
  const auto table = kernels::select_kernels(arguments.isa);
  if (!table) {
    std::fprintf(stderr, "%s\n", table.error().message.c_str());
    return 2;
  }
  double bandwidth = 0;
  {
    engine::ThreadPool pool(arguments.threads > 0 ? arguments.threads : engine::read_cpu_budget().threads(),
                            engine::ThreadPool::Waiting::kSpinThenBlock);
    bandwidth = read_bandwidth(pool);
    std::printf("read bandwidth: %.1f GB/s, %d threads\n", bandwidth, pool.threads());
  }
  return bench_model(arguments, bandwidth);
}
