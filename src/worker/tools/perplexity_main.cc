#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <string>

#include "worker/tools/command_line.h"
#include "worker/tools/perplexity.h"
#include "worker/tools/progress.h"
#include "worker/tools/tools.h"

namespace dormouse::worker {
namespace {

constexpr const char* kDescription =
    "Measure how well a model predicts a text: perplexity, and with --kl-against how far it lies from a reference.\n"
    "Convention (llama.cpp's, so that figures compare): the text is cut into windows of --context tokens and the rest\n"
    "left out; each window starts from an empty KV cache; the tokens of its second half are scored.\n"
    "The reference is computed in floats: F32, F16 and BF16 weights as they are, others decoded to F32 in $TMPDIR\n"
    "first (4 bytes a weight of disk and of memory). Divergences are in nats, KL(reference || FILE).";
constexpr const char* kExamples =
    "Examples:\n"
    "  dormouse-worker perplexity Qwen3-4B-Q4_K_M.gguf --text wiki.test.raw\n"
    "  dormouse-worker perplexity Qwen3-4B-Q4_K_M.gguf --text wiki.test.raw --kl-against Qwen3-4B-F16.gguf\n"
    "  dormouse-worker perplexity model-q8_0.gguf --text book.txt --kl-against self --arithmetic prompt --json\n"
    "Exit codes: 0 done, 1 failure or interrupted, 2 wrong usage.";
// A person who waits longer is told how long it will take.
constexpr Nanoseconds kQuietFor = std::chrono::seconds(2);

const char* name_of(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::kPrompt ? "prompt" : "generated";
}

double tokens_per_s(const PerplexityResult& result) {
  return result.seconds > 0 ? static_cast<double>(result.tokens_computed) / result.seconds : 0;
}

void print_table(const PerplexityOptions& options, const PerplexityResult& result) {
  fmt::print("{}: isa {}, {} threads, {} arithmetic, keys and values in {}\n", options.file, result.isa, result.threads,
             name_of(options.arithmetic), options.kv_type);
  fmt::print("{}: {} window{} of {} tokens, {} scored, {:.1f} tokens/s\n\n", options.text_path, result.windows,
             result.windows == 1 ? "" : "s", options.context, result.tokens_scored, tokens_per_s(result));
  fmt::print("{:<26} {:>11.4f} ± {:.4f}\n", "perplexity", result.perplexity.value, result.perplexity.error);
  if (!result.against.has_value()) return;
  const Distance& d = result.against->distance;
  fmt::print("{:<26} {:>11.4f} ± {:.4f}\n\n", "perplexity, reference", result.against->perplexity.value,
             result.against->perplexity.error);
  fmt::print("{:<26} {:>11.3e} ± {:.1e} nats\n", "KL divergence, mean", d.divergence.value, d.divergence.error);
  fmt::print("{:<26} {:>11.3e} nats\n", "               p99", d.divergence_p99);
  fmt::print("{:<26} {:>11.3e} nats\n", "               largest", d.divergence_max);
  fmt::print("{:<26} {:>11.2f} ± {:.2f} %\n", "same likeliest token", 100 * d.same_top.value, 100 * d.same_top.error);
  fmt::print("{:<26} {:>11.3f} ± {:.3f} %\n", "probability change, mean", 100 * d.probability_difference.value,
             100 * d.probability_difference.error);
  fmt::print("{:<26} {:>11.3f} %\n", "                    RMS", 100 * d.probability_difference_rms);
}

boost::json::object json_of(const Estimate& estimate) {
  return {{"value", estimate.value}, {"error", estimate.error}};
}

void print_json(const PerplexityOptions& options, const PerplexityResult& result) {
  boost::json::object out{{"file", options.file},
                          {"text", options.text_path},
                          {"isa", result.isa},
                          {"threads", result.threads},
                          {"arithmetic", name_of(options.arithmetic)},
                          {"kv_type", options.kv_type},
                          {"context", options.context},
                          {"windows", result.windows},
                          {"tokens_scored", result.tokens_scored},
                          {"tokens_per_s", tokens_per_s(result)},
                          {"perplexity", json_of(result.perplexity)}};
  if (result.against.has_value()) {
    const Distance& d = result.against->distance;
    out["against"] = {{"file", options.against},
                      {"isa", options.reference_isa},
                      {"perplexity", json_of(result.against->perplexity)},
                      {"kl_divergence",
                       {{"value", d.divergence.value},
                        {"error", d.divergence.error},
                        {"p99", d.divergence_p99},
                        {"max", d.divergence_max}}},
                      {"same_top", json_of(d.same_top)},
                      {"probability_difference",
                       {{"value", d.probability_difference.value},
                        {"error", d.probability_difference.error},
                        {"rms", d.probability_difference_rms}}}};
  }
  fmt::print("{}\n", boost::json::serialize(out));
}

Result<PerplexityResult> measure(const PerplexityOptions& options) {
  std::optional<InterruptGuard> guard;  // not before the reference's weights are written: that has one of its own
  std::optional<Progress> shown;
  return measure_perplexity(options, [&](std::uint64_t done, std::uint64_t total) -> Status {
    if (!guard.has_value()) guard.emplace();
    if (!shown.has_value()) shown.emplace("perplexity", "tokens", total, kQuietFor);
    if (InterruptGuard::is_interrupted()) return make_error(Code::kCancelled, "interrupted");
    shown->update(done, "");
    return {};
  });
}

void declare(CLI::App& app, PerplexityOptions& options, std::string& arithmetic) {
  app.footer(kExamples);
  app.add_option("FILE", options.file, "a GGUF model")->required();
  app.add_option("--text", options.text_path, "a UTF-8 text file")->required();
  app.add_option("--kl-against", options.against, "reference weights of the same model: a GGUF file, or self");
  app.add_option("--context", options.context, "tokens of a window")
      ->capture_default_str()
      ->check(CLI::Range(kMinWindowTokens, 1 << 20));
  app.add_option("--arithmetic", arithmetic,
                 "generated: as what the engine says, the same number on every CPU; prompt: as what a request\n"
                 "sends")
      ->capture_default_str()
      ->check(CLI::IsMember({"prompt", "generated"}));
  app.add_option("--kv-type", options.kv_type, "how keys and values are kept: fp16, q8")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp16", "q8"}));
  app.add_option("--isa", options.isa, "scalar, avx2, avx512, amx (the best this CPU has)");
  app.add_option("--device", options.device,
                 "where FILE is computed: cpu, cuda:N, auto; the reference always on the CPU")
      ->capture_default_str();
  app.add_option("--reference-isa", options.reference_isa,
                 "the same bits whichever: scalar is the specification, others are faster")
      ->capture_default_str();
  app.add_option("--packed-dir", options.packed_directory, "where packed files lie (beside the models)");
  app.add_option("--threads", options.threads, "threads (what this process may use)")->check(CLI::Range(0, 1024));
}

}  // namespace

int run_perplexity(int argc, char** argv) {
  return run_command([&] {
    CLI::App app(kDescription, "dormouse-worker perplexity");
    PerplexityOptions options;
    std::string arithmetic = "generated";
    bool json = false;
    declare(app, options, arithmetic);
    app.add_flag("--json", json, "one JSON object");
    if (const auto exit_code = parse_command_line(app, argc, argv); exit_code.has_value()) return *exit_code;
    options.arithmetic = arithmetic == "prompt" ? Arithmetic::kPrompt : Arithmetic::kGenerated;
    const Result<PerplexityResult> result = measure(options);
    if (!result.has_value()) return failure("perplexity", result.error());
    json ? print_json(options, *result) : print_table(options, *result);
    return kExitDone;
  });
}

}  // namespace dormouse::worker
