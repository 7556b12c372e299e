#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "worker/convert/convert.h"
#include "worker/tools/command_line.h"
#include "worker/tools/parallel_rows.h"
#include "worker/tools/tools.h"

namespace dormouse::worker {
namespace {

constexpr const char* kDescription =
    "Write the GGUF file of a Hugging Face model (a dense Qwen3 in safetensors).\n"
    "DIR holds config.json, the tokenizer (tokenizer.json, or vocab.json and merges.txt; tokenizer_config.json) and\n"
    "model.safetensors, whole or in parts with their index, as huggingface.co and modelscope.cn have them.\n"
    "A small type gives the same file as F16 and `quantize` after it. OUT appears whole or not at all.";
constexpr const char* kExamples =
    "Examples:\n"
    "  dormouse-worker convert Qwen3-4B Qwen3-4B-F16.gguf\n"
    "  dormouse-worker convert Qwen3-4B Qwen3-4B-BF16.gguf --type BF16\n"
    "  dormouse-worker convert Qwen3-4B Qwen3-4B-Q4_K_M.gguf --type Q4_K_M --threads 4\n"
    "  dormouse-worker convert ./my-finetune model.gguf --type Q8_0 --name \"My Qwen3\"";

// The folder's own name, as it stands behind links and dots.
std::string folder_name(const std::string& directory) {
  std::error_code ec;
  const std::filesystem::path path = std::filesystem::weakly_canonical(directory, ec);
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

}  // namespace

int run_convert(int argc, char** argv) {
  return run_command([&] {
    CLI::App app(kDescription, "dormouse-worker convert");
    ConvertOptions options;
    std::string type = "F16";
    options.threads = default_thread_count();
    app.footer(kExamples);
    app.add_option("DIR", options.directory, "the model's folder")->required();
    app.add_option("OUT", options.out_path, "the file to write")->required();
    app.add_option("--type", type, "F32, F16, BF16, Q8_0, Q4_K_M or Q2_K")->capture_default_str();
    app.add_option("--name", options.name, "general.name of the file (default: the folder's name)");
    app.add_option("--threads", options.threads, "threads, each on its share of the rows")
        ->capture_default_str()
        ->check(CLI::Range(1, 256));
    if (const auto exit_code = parse_command_line(app, argc, argv); exit_code.has_value()) return *exit_code;
    const auto file_type = find_file_type(type);
    if (!file_type.has_value()) return usage_error("convert", fmt::format("--type {}: no such type", type));
    options.file_type = *file_type;
    if (options.name.empty()) options.name = folder_name(options.directory);
    const auto report = convert_checkpoint(options);
    if (!report.has_value()) return failure("convert", report.error());
    fmt::print("{}: {} -> {} bytes ({}, {:.2f} bits a weight), {:.1f} s\n", options.out_path, report->in_bytes,
               report->out_bytes, options.file_type.name,
               8.0 * static_cast<double>(report->tensor_bytes) / static_cast<double>(report->weights), report->seconds);
    return kExitDone;
  });
}

}  // namespace dormouse::worker
