#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>

#include "worker/tools/command_line.h"
#include "worker/tools/parallel_rows.h"
#include "worker/tools/quantize.h"
#include "worker/tools/tools.h"

namespace dormouse::worker {
namespace {

constexpr const char* kDescription =
    "Write a smaller copy of a GGUF model.\n"
    "Q8_0 and F16 convert every matrix alike; Q4_K_M and Q2_K mix types as llama.cpp does (more bits for the\n"
    "output matrix, and for some of the value and down projections). Norms stay in F32, metadata is kept.\n"
    "OUT appears whole or not at all.";
constexpr const char* kExamples =
    "Examples:\n"
    "  dormouse-worker quantize Qwen3-4B-F16.gguf Qwen3-4B-Q4_K_M.gguf --type Q4_K_M\n"
    "  dormouse-worker quantize model-f16.gguf model-q8_0.gguf --type Q8_0 --threads 4";

}  // namespace

int run_quantize(int argc, char** argv) {
  return run_command([&] {
    CLI::App app(kDescription, "dormouse-worker quantize");
    QuantizeOptions options;
    std::string type;
    options.threads = default_thread_count();
    app.footer(kExamples);
    app.add_option("IN", options.in_path, "a GGUF file in F32, F16 or BF16")->required();
    app.add_option("OUT", options.out_path, "the file to write")->required();
    app.add_option("--type", type, "F16, Q8_0, Q4_K_M or Q2_K (also F32, BF16)")->required();
    app.add_flag("--allow-requantize", options.allow_requantize,
                 "take an input that is quantised already; its loss adds to the new one");
    app.add_option("--threads", options.threads, "threads, each on its share of the rows")
        ->capture_default_str()
        ->check(CLI::Range(1, 256));
    if (const auto exit_code = parse_command_line(app, argc, argv); exit_code.has_value()) return *exit_code;
    const auto file_type = find_file_type(type);
    if (!file_type.has_value()) return usage_error("quantize", fmt::format("--type {}: no such type", type));
    options.file_type = *file_type;
    const auto report = quantize_file(options);
    if (!report.has_value()) return failure("quantize", report.error());
    fmt::print("{}: {} -> {} bytes ({}, {:.2f} bits a weight), {:.1f} s\n", options.out_path, report->in_bytes,
               report->out_bytes, options.file_type.name,
               8.0 * static_cast<double>(report->tensor_bytes) / static_cast<double>(report->weights), report->seconds);
    return kExitDone;
  });
}

}  // namespace dormouse::worker
