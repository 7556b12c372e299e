#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "engine/cpu_budget.h"
#include "engine/engine.h"
#include "engine/kv_cache.h"
#include "engine/machine_limits.h"
#include "engine/placement.h"
#include "engine/thread_pool.h"
#include "gguf/file.h"
#include "pack/packed_file.h"
#include "worker/tools/bench_report.h"
#include "worker/tools/command_line.h"
#include "worker/tools/tools.h"

namespace dormouse::worker {
namespace {

constexpr const char* kDescription =
    "Measure the engine on one model: load, prefill, decode at several stream counts, and what the machine could do "
    "at\n"
    "most: read bandwidth, int8 operations. Each number is the median of its repetitions (decode: of its steps) with "
    "the\n"
    "smallest and the largest beside it. Weights may be random: nothing here looks at logits. The packed file is used\n"
    "where it is there (dormouse-worker pack FILE).";
constexpr const char* kExamples =
    "Examples:\n"
    "  dormouse-worker bench Qwen3-4B-Q4_K_M.gguf\n"
    "  dormouse-worker bench model.gguf --prefill 512 --streams 1,8,64 --context 288 --json";

double seconds_since(const Clock& clock, MonoTime begin) {
  return std::chrono::duration<double>(clock.now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Speed speed_of(double tokens, std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const double total = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  return {.median = tokens / seconds[seconds.size() / 2],
          .mean = tokens * static_cast<double>(seconds.size()) / total,
          .least = tokens / seconds.back(),
          .most = tokens / seconds.front()};
}

// Multiply-adds count two. Rows through every matrix of the layers; attention of `positions` summed over the rows (a
// row at position p sees p + 1); the output matrix only for rows that want logits.
double operations_of(const engine::ModelConfig& config, double rows, double positions, double logits_rows) {
  const double hidden = config.hidden;
  const double q_dim = config.q_dim();
  const double layer = hidden * (2 * q_dim + 2 * config.kv_dim() + 3.0 * config.ffn);
  return 2 * (config.layers * (rows * layer + positions * 2 * q_dim) + logits_rows * hidden * config.vocab);
}

double resident_bytes() {
  std::ifstream in("/proc/self/statm");
  double size = 0;
  double resident = 0;
  in >> size >> resident;
  return resident * 4096;
}

struct Stream {
  std::vector<sched::TokenId> tokens;
  std::vector<sched::PageId> pages;
  std::int32_t position = 0;
  std::int32_t prompt = 0;
};

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

struct Limits {
  std::int32_t pages_each = 0;    // of a stream
  std::int32_t batch_tokens = 0;  // of a step
  double weight_bytes = 0;
};

// One model under measurement.
class Bench {
 public:
  // `probe` is null where the model does not lie in this memory.
  Bench(const BenchOptions& options, engine::Engine& model, engine::ReadProbe* probe, const Clock& clock, Limits limits)
      : options_(options), model_(model), probe_(probe), clock_(clock), limits_(limits) {}

  Result<Measured> prefill();
  Result<Measured> decode(std::int32_t count);

 private:
  [[nodiscard]] std::vector<double> read_bursts();
  Status step(std::vector<Stream>& streams, std::int32_t count);
  Status fill_context(Stream& stream, std::int32_t count);
  Status place_behind_context(std::vector<Stream>& streams);

  const BenchOptions& options_;
  engine::Engine& model_;
  engine::ReadProbe* probe_;
  const Clock& clock_;
  const Limits limits_;
};

std::vector<double> Bench::read_bursts() {
  if (probe_ == nullptr) return {0.0};
  std::vector<double> out;
  for (int i = 0; i < 5; ++i) out.push_back(probe_->burst());
  return out;
}

sched::TokenId likeliest(const engine::RowLogits& row) {
  if (!row.top.empty()) return row.top.front().token;
  if (row.all.empty()) return row.likeliest;
  return static_cast<sched::TokenId>(std::max_element(row.all.begin(), row.all.end()) - row.all.begin());
}

// Feeds the last `count` tokens of each stream; one logits row each, whose likeliest token comes next.
Status Bench::step(std::vector<Stream>& streams, std::int32_t count) {
  sched::BatchPlan plan;
  for (const Stream& stream : streams) {
    sched::PlanEntry entry;
    entry.tokens = std::span(stream.tokens).last(static_cast<std::size_t>(count));
    entry.start_position = stream.position;
    entry.prompt_length = stream.prompt;
    entry.pages = stream.pages;
    entry.wants_logits = true;
    entry.top_is_enough = true;
    entry.likeliest_is_enough = true;
    plan.entries.push_back(entry);
    plan.token_count += count;
    ++plan.logits_count;
  }
  TRY(const std::span<const engine::RowLogits> rows, model_.step_rows(plan));
  for (std::size_t i = 0; i < streams.size(); ++i) {
    streams[i].position += count;
    streams[i].tokens.push_back(likeliest(rows[i]));
  }
  return {};
}

Result<Measured> Bench::prefill() {
  std::vector<double> seconds;
  std::vector<double> reads = read_bursts();
  for (int round = 0; round < options_.repetitions; ++round) {
    std::vector<Stream> one = make_streams(1, options_.prefill, model_.config().vocab, limits_.pages_each);
    const MonoTime begin = clock_.now();
    TRY_STATUS(step(one, options_.prefill));
    seconds.push_back(seconds_since(clock_, begin));
  }
  const double tokens = options_.prefill;
  Measured out{.speed = speed_of(tokens, std::move(seconds))};
  out.steps_s = out.speed.median / tokens;
  out.step_bytes = limits_.weight_bytes;
  out.step_operations = operations_of(model_.config(), tokens, tokens * (tokens + 1) / 2, 1);
  for (const double read : read_bursts()) reads.push_back(read);
  out.read_gb_s = median(std::move(reads));
  return out;
}

// Computes a stream's first `count` tokens, in pieces of one step. Without it the cache behind a context would be
// memory that nobody wrote: it reads as the kernel's zero page, out of the caches, and costs nothing.
Status Bench::fill_context(Stream& stream, std::int32_t count) {
  for (std::int32_t done = 0; done < count; done += limits_.batch_tokens) {
    sched::BatchPlan plan;
    sched::PlanEntry entry;
    plan.token_count = std::min(limits_.batch_tokens, count - done);
    entry.tokens =
        std::span(stream.tokens).subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(plan.token_count));
    entry.start_position = done;
    entry.prompt_length = count;
    entry.pages = stream.pages;
    plan.entries.push_back(entry);
    TRY([[maybe_unused]] const std::span<const float> logits, model_.step(plan));
  }
  stream.position = count;
  return {};
}

Status Bench::place_behind_context(std::vector<Stream>& streams) {
  for (Stream& stream : streams) {
    stream.prompt = options_.context;  // what comes after it is generated
    if (options_.shared && &stream != streams.data()) {
      std::copy_n(streams[0].pages.begin(), options_.context / sched::kPageTokens, stream.pages.begin());
      stream.position = options_.context;
      continue;
    }
    TRY_STATUS(fill_context(stream, options_.context));
  }
  return {};
}

Result<Measured> Bench::decode(std::int32_t count) {
  std::vector<Stream> streams = make_streams(count, options_.context + 1, model_.config().vocab, limits_.pages_each);
  TRY_STATUS(place_behind_context(streams));
  std::vector<double> seconds;
  std::vector<double> reads = read_bursts();
  for (std::int32_t i = 0; i < options_.tokens; ++i) {
    const MonoTime begin = clock_.now();
    TRY_STATUS(step(streams, 1));
    seconds.push_back(seconds_since(clock_, begin));
  }
  Measured out{.speed = speed_of(count, std::move(seconds))};
  const double behind = options_.context + (options_.tokens + 1) / 2.0;  // what a row of the middle step sees
  const double tokens_read = count * behind - (options_.shared ? (count - 1.0) * options_.context : 0);
  out.steps_s = out.speed.median / count;
  out.step_bytes = limits_.weight_bytes + tokens_read * static_cast<double>(model_.kv_bytes_per_token());
  out.step_operations = operations_of(model_.config(), count, count * behind, count);
  for (const double read : read_bursts()) reads.push_back(read);
  out.read_gb_s = median(std::move(reads));
  return out;
}

Result<BenchResult> measure(const BenchOptions& options) {
  if (options.shared && options.context % sched::kPageTokens != 0) {
    return make_error(Code::kInvalidArgument, fmt::format("--shared: whole pages are shared, so --context must be a "
                                                          "multiple of {}, got {}",
                                                          sched::kPageTokens, options.context));
  }
  const SystemClock clock;
  BenchResult out;
  engine::ThreadPool pool(options.threads > 0 ? options.threads : engine::read_cpu_budget().threads(),
                          engine::ThreadPool::Waiting::kSpinThenBlock);
  TRY(engine::ReadProbe probe, engine::ReadProbe::create(pool, clock));
  TRY(out.int8_tops, engine::int8_tops(options.isa, pool, clock));
  const MonoTime begin = clock.now();
  TRY(const gguf::File file, gguf::File::open(options.file));
  const auto packed = pack::PackedFile::open(
      pack::packed_path(options.file, options.packed_directory, file.mapping()->identity().inode), file);
  if (!packed.has_value()) {
    fmt::print(stderr, "packing into memory ({}): dormouse-worker pack {} saves that\n", packed.error().message,
               options.file);
  }
  const std::int32_t most = *std::max_element(options.streams.begin(), options.streams.end());
  const std::int32_t pages_each =
      (std::max(options.prefill, 16) + options.context + 2 * options.tokens) / sched::kPageTokens + 1;
  engine::EngineOptions engine_options;
  engine_options.threads = options.threads;
  engine_options.isa = options.isa;
  engine_options.device = options.device;
  TRY(engine_options.device_paths, engine::parse_device_paths(options.device_paths));
  TRY(engine_options.kv_type, engine::parse_kv_type(options.kv_type));
  engine_options.max_batch_tokens = std::max({options.prefill, most, 512});
  engine_options.max_sequences = most;
  engine_options.kv_pages = pages_each * most;
  TRY(const std::unique_ptr<engine::Engine> model,
      engine::Engine::load(file, packed.has_value() ? &*packed : nullptr, engine_options, {}));
  out.load_ms = 1e3 * seconds_since(clock, begin);
  out.file_bytes = static_cast<double>(file.bytes().size());
  out.isa = model->isa();
  out.threads = model->threads();
  const bool is_on_cpu = !out.isa.starts_with("cuda");
  if (!is_on_cpu) out.int8_tops = 0;
  Bench bench(
      options, *model, is_on_cpu ? &probe : nullptr, clock,
      {.pages_each = pages_each, .batch_tokens = engine_options.max_batch_tokens, .weight_bytes = out.file_bytes});
  if (options.prefill > 0) {
    TRY(out.prefill, bench.prefill());
  }
  for (const std::int32_t count : options.streams) {
    TRY(out.decode[count], bench.decode(count));
  }
  out.resident_bytes = resident_bytes() - static_cast<double>(probe.bytes());
  return out;
}

}  // namespace

int run_bench(int argc, char** argv) {
  return run_command([&] {
    CLI::App app(kDescription, "dormouse-worker bench");
    BenchOptions options;
    app.footer(kExamples);
    app.add_option("FILE", options.file, "a GGUF model")->required();
    app.add_option("--packed-dir", options.packed_directory, "where its packed file lies (beside the model)");
    app.add_option("--prefill", options.prefill, "prompt tokens; 0 leaves it out")
        ->capture_default_str()
        ->check(CLI::Range(0, 32768));
    app.add_option("--tokens", options.tokens, "decode steps")->capture_default_str()->check(CLI::Range(1, 4096));
    app.add_option("--repetitions", options.repetitions, "how often the prompt is computed")
        ->capture_default_str()
        ->check(CLI::Range(1, 1000));
    app.add_option("--streams", options.streams, "sequences decoded at once, a list")
        ->delimiter(',')
        ->capture_default_str()
        ->check(CLI::Range(1, 256));
    app.add_option("--context", options.context, "tokens before the decoded ones")
        ->capture_default_str()
        ->check(CLI::Range(0, 32000));
    app.add_flag("--shared", options.shared, "the context is one prompt, computed once and shared by all streams");
    app.add_option("--kv-type", options.kv_type, "how keys and values are kept: fp16, q8")
        ->capture_default_str()
        ->check(CLI::IsMember({"fp16", "q8"}));
    app.add_option("--threads", options.threads, "threads (what this process may use)")->check(CLI::Range(0, 1024));
    app.add_option("--isa", options.isa, "scalar, avx2, avx512, amx, neon, i8mm (the best this CPU has)");
    app.add_option("--device", options.device, "where to compute: cpu, cuda:N, auto")->capture_default_str();
    app.add_option("--device-paths", options.device_paths, "on a GPU: as dormouse-worker serve")->capture_default_str();
    app.add_flag("--json", options.json, "one JSON object");
    if (const auto exit_code = parse_command_line(app, argc, argv); exit_code.has_value()) return *exit_code;
    const Result<BenchResult> result = measure(options);
    if (!result.has_value()) return failure("bench", result.error());
    options.json ? print_json(options, *result) : print_table(options, *result);
    return kExitDone;
  });
}

}  // namespace dormouse::worker
