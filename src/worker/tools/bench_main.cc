#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/cpu_budget.h"
#include "engine/engine.h"
#include "engine/kv_cache.h"
#include "engine/machine_limits.h"
#include "engine/thread_pool.h"
#include "gguf/file.h"
#include "pack/packed_file.h"
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

struct BenchOptions {
  std::string file;
  std::string packed_directory;
  std::string isa;
  std::string kv_type = "fp16";
  std::int32_t threads = 0;
  std::int32_t prefill = 512;
  std::int32_t tokens = 32;
  std::int32_t repetitions = 3;
  std::vector<std::int32_t> streams{1, 8};
  std::int32_t context = 0;  // tokens before the decoded ones
  bool shared = false;       // they are one prompt's, whose pages all streams share
  bool json = false;
};

// Tokens a second over repetitions. The mean is all tokens over all time: under a CPU quota most steps run at full
// speed and a few wait for the next period, which the median does not see.
struct Speed {
  double median = 0;
  double mean = 0;
  double least = 0;
  double most = 0;
};

// A speed and what it takes of the machine's limits.
struct Measured {
  Speed speed;
  double steps_s = 0;     // of the median
  double step_bytes = 0;  // weights once, and the keys and values that a step reads
  double step_operations = 0;

  [[nodiscard]] double gb_s() const { return steps_s * step_bytes / 1e9; }
  [[nodiscard]] double tops() const { return steps_s * step_operations / 1e12; }
};

struct BenchResult {
  double read_gb_s = 0;
  double int8_tops = 0;  // 0: the table does not tell
  double load_ms = 0;
  double file_bytes = 0;
  double resident_bytes = 0;
  std::string isa;
  std::int32_t threads = 0;
  Measured prefill;
  std::map<std::int32_t, Measured> decode;  // by streams
};

double seconds_since(const Clock& clock, MonoTime begin) {
  return std::chrono::duration<double>(clock.now() - begin).count();
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

// Feeds the last `count` tokens of each stream; one logits row each, whose likeliest token comes next.
Status step(engine::Engine& model, std::vector<Stream>& streams, std::int32_t count) {
  sched::BatchPlan plan;
  for (const Stream& stream : streams) {
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
  TRY(const std::span<const float> logits, model.step(plan));
  const auto vocab = static_cast<std::size_t>(model.config().vocab);
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const auto row = logits.subspan(i * vocab, vocab);
    streams[i].position += count;
    streams[i].tokens.push_back(static_cast<sched::TokenId>(std::max_element(row.begin(), row.end()) - row.begin()));
  }
  return {};
}

Result<Measured> measure_prefill(engine::Engine& model, const BenchOptions& options, std::int32_t pages_each,
                                 double weight_bytes, const Clock& clock) {
  std::vector<double> seconds;
  for (int round = 0; round < options.repetitions; ++round) {
    std::vector<Stream> one = make_streams(1, options.prefill, model.config().vocab, pages_each);
    const MonoTime begin = clock.now();
    TRY_STATUS(step(model, one, options.prefill));
    seconds.push_back(seconds_since(clock, begin));
  }
  const double tokens = options.prefill;
  Measured out{.speed = speed_of(tokens, std::move(seconds))};
  out.steps_s = out.speed.median / tokens;
  out.step_bytes = weight_bytes;
  out.step_operations = operations_of(model.config(), tokens, tokens * (tokens + 1) / 2, 1);
  return out;
}

// Computes a stream's first `count` tokens, in pieces of one step. Without it the cache behind a context would be
// memory that nobody wrote: it reads as the kernel's zero page, out of the caches, and costs nothing.
Status fill_context(engine::Engine& model, Stream& stream, std::int32_t count, std::int32_t piece) {
  for (std::int32_t done = 0; done < count; done += piece) {
    sched::BatchPlan plan;
    sched::PlanEntry entry;
    plan.token_count = std::min(piece, count - done);
    entry.tokens =
        std::span(stream.tokens).subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(plan.token_count));
    entry.start_position = done;
    entry.prompt_length = count;
    entry.pages = stream.pages;
    plan.entries.push_back(entry);
    TRY([[maybe_unused]] const std::span<const float> logits, model.step(plan));
  }
  stream.position = count;
  return {};
}

Result<Measured> measure_decode(engine::Engine& model, const BenchOptions& options, std::int32_t count,
                                std::int32_t pages_each, std::int32_t batch_tokens, double weight_bytes,
                                const Clock& clock) {
  std::vector<Stream> streams = make_streams(count, options.context + 1, model.config().vocab, pages_each);
  for (Stream& stream : streams) {
    stream.prompt = options.context;  // what comes after it is generated
    if (options.shared && &stream != streams.data()) {
      std::copy_n(streams[0].pages.begin(), options.context / sched::kPageTokens, stream.pages.begin());
      stream.position = options.context;
      continue;
    }
    TRY_STATUS(fill_context(model, stream, options.context, batch_tokens));
  }
  std::vector<double> seconds;
  for (std::int32_t i = 0; i < options.tokens; ++i) {
    const MonoTime begin = clock.now();
    TRY_STATUS(step(model, streams, 1));
    seconds.push_back(seconds_since(clock, begin));
  }
  Measured out{.speed = speed_of(count, std::move(seconds))};
  const double behind = options.context + (options.tokens + 1) / 2.0;  // what a row of the middle step sees
  const double tokens_read = count * behind - (options.shared ? (count - 1.0) * options.context : 0);
  out.steps_s = out.speed.median / count;
  out.step_bytes = weight_bytes + tokens_read * static_cast<double>(model.kv_bytes_per_token());
  out.step_operations = operations_of(model.config(), count, count * behind, count);
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
  {
    engine::ThreadPool pool(options.threads > 0 ? options.threads : engine::read_cpu_budget().threads(),
                            engine::ThreadPool::Waiting::kSpinThenBlock);
    TRY(out.read_gb_s, engine::read_bandwidth(pool, clock));
    TRY(out.int8_tops, engine::int8_tops(options.isa, pool, clock));
  }
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
  TRY(engine_options.kv_type, engine::parse_kv_type(options.kv_type));
  engine_options.max_batch_tokens = std::max({options.prefill, most, 512});
  engine_options.kv_pages = pages_each * most;
  TRY(const std::unique_ptr<engine::Engine> model,
      engine::Engine::load(file, packed.has_value() ? &*packed : nullptr, engine_options, {}));
  out.load_ms = 1e3 * seconds_since(clock, begin);
  out.file_bytes = static_cast<double>(file.bytes().size());
  out.isa = model->isa();
  out.threads = model->threads();
  if (options.prefill > 0) {
    TRY(out.prefill, measure_prefill(*model, options, pages_each, out.file_bytes, clock));
  }
  for (const std::int32_t count : options.streams) {
    TRY(out.decode[count],
        measure_decode(*model, options, count, pages_each, engine_options.max_batch_tokens, out.file_bytes, clock));
  }
  out.resident_bytes = resident_bytes();
  return out;
}

void print_row(const std::string& name, const Measured& row, double steps_unit, const BenchResult& machine) {
  const Speed& s = row.speed;
  const std::string of_peak =
      machine.int8_tops > 0 ? fmt::format("{:.0f} %", 100 * row.tops() / machine.int8_tops) : "-";
  fmt::print("{:<38} {:>9.2f} {:>16} {:>10.1f} {:>7.1f} {:>8.0f} % {:>7.2f} {:>8}\n", name, s.median,
             fmt::format("{:.2f}..{:.2f}", s.least, s.most), 1e3 * steps_unit / s.median, row.gb_s(),
             100 * row.gb_s() / machine.read_gb_s, row.tops(), of_peak);
}

void print_table(const BenchOptions& options, const BenchResult& result) {
  fmt::print("{}: {:.0f} MB, isa {}, {} threads, loaded in {:.0f} ms, resident {:.0f} MB\n", options.file,
             result.file_bytes / 1e6, result.isa, result.threads, result.load_ms, result.resident_bytes / 1e6);
  fmt::print("this machine: reads {:.1f} GB/s", result.read_gb_s);
  if (result.int8_tops > 0) fmt::print(", int8 products {:.2f} TOPS", result.int8_tops);
  fmt::print("\n\n{:<38} {:>9} {:>16} {:>10} {:>7} {:>10} {:>7} {:>8}\n", "", "tokens/s", "least..most", "ms a step",
             "GB/s", "of read", "TOPS", "of int8");
  if (options.prefill > 0) {
    print_row(fmt::format("prefill {}", options.prefill), result.prefill, options.prefill, result);
  }
  for (const auto& [streams, row] : result.decode) {
    const std::string behind =
        options.context > 0 ? fmt::format(" behind {}{}", options.context, options.shared ? " shared" : "") : "";
    print_row(fmt::format("decode {} stream{}{}{}", streams, streams == 1 ? "" : "s", behind,
                          options.kv_type == "q8" ? ", kv q8" : ""),
              row, streams, result);
  }
}

std::string json_of(const Measured& row) {
  const Speed& s = row.speed;
  return fmt::format(R"({{"median":{:.3f},"mean":{:.3f},"least":{:.3f},"most":{:.3f},"gb_s":{:.2f},"tops":{:.3f}}})",
                     s.median, s.mean, s.least, s.most, row.gb_s(), row.tops());
}

void print_json(const BenchOptions& options, const BenchResult& result) {
  std::string decode;
  for (const auto& [streams, row] : result.decode) {
    decode += fmt::format("{}\"{}\":{}", decode.empty() ? "" : ",", streams, json_of(row));
  }
  fmt::print(R"({{"isa":"{}","threads":{},"read_gb_s":{:.2f},"int8_tops":{:.3f},"load_ms":{:.1f},"file_bytes":{:.0f},)"
             R"("resident_bytes":{:.0f},"kv_type":"{}","shared":{},"prefill_tokens":{},"prefill_tps":{},"context":{},)"
             R"("decode_tps":{{{}}}}})"
             "\n",
             result.isa, result.threads, result.read_gb_s, result.int8_tops, result.load_ms, result.file_bytes,
             result.resident_bytes, options.kv_type, options.shared, options.prefill, json_of(result.prefill),
             options.context, decode);
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
    app.add_flag("--json", options.json, "one JSON object");
    if (const auto exit_code = parse_command_line(app, argc, argv); exit_code.has_value()) return *exit_code;
    const Result<BenchResult> result = measure(options);
    if (!result.has_value()) return failure("bench", result.error());
    options.json ? print_json(options, *result) : print_table(options, *result);
    return kExitDone;
  });
}

}  // namespace dormouse::worker
