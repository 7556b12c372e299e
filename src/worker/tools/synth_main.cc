#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "worker/tools/command_line.h"
#include "worker/tools/parallel_rows.h"
#include "worker/tools/progress.h"
#include "worker/tools/synth.h"
#include "worker/tools/templates.h"
#include "worker/tools/tools.h"
#include "worker/tools/vocabulary.h"

namespace dormouse::worker {
namespace {

constexpr const char* kDescription =
    "Write a GGUF file of a Qwen3 configuration with seeded random weights.\n"
    "The weights are noise: the file has the true size, shape and speed of the model, and none of its sense.\n"
    "It is for measuring speed and memory, and for tests, without downloading anything.";
constexpr const char* kExamples =
    "Examples:\n"
    "  dormouse-worker synth --config qwen3-4b --type Q4_K_M --seed 1 noise-4b.gguf\n"
    "  dormouse-worker synth --config 0.6b --type Q8_0 --vocab ../shared/data/tokenizer noise.gguf\n"
    "  dormouse-worker synth --config 4b --layers 4 --type F32 four-layers.gguf\n"
    "  dormouse-worker synth --config tiny --type F32 tiny.gguf";

struct NamedTemplate {
  std::string_view name;
  std::string_view text;
};

std::optional<std::string_view> find_template(std::string_view name) {
  const std::array<NamedTemplate, 3> templates{{{"hybrid", kTemplateHybrid},
                                                {"instruct-2507", kTemplateInstruct2507},
                                                {"thinking-2507", kTemplateThinking2507}}};
  for (const NamedTemplate& known : templates) {
    if (known.name == name) return known.text;
  }
  return std::nullopt;
}

struct Arguments {
  std::string config = "qwen3-4b";
  std::string type = "Q4_K_M";
  std::string chat_template = "hybrid";
  std::uint32_t layers = 0;
  std::uint32_t context = 0;
  SynthOptions options;
};

void declare(CLI::App& app, Arguments& arguments) {
  SynthOptions& options = arguments.options;
  options.threads = default_thread_count();
  app.footer(kExamples);
  app.add_option("--config", arguments.config, "qwen3-0.6b, qwen3-1.7b, qwen3-4b, qwen3-8b or tiny")
      ->capture_default_str();
  app.add_option("--type", arguments.type, "F32, F16, BF16, Q8_0, Q4_K_M or Q2_K")->capture_default_str();
  app.add_option("--seed", options.seed, "the same seed gives the same file")->capture_default_str();
  app.add_option("--vocab", options.vocabulary_directory,
                 "folder with vocab.json, merges.txt, qwen3_added_tokens.json and\n"
                 "qwen3_added_tokens_special_flag.json; without it a made-up vocabulary of the same size");
  app.add_option("--layers", arguments.layers, "this many layers instead of the configuration's")
      ->check(CLI::Range(1U, 512U));
  app.add_option("--context", arguments.context, "context length to declare")->check(CLI::Range(1U, 1U << 20));
  app.add_option("--template", arguments.chat_template, "hybrid, instruct-2507 or thinking-2507")
      ->capture_default_str();
  app.add_option("--threads", options.threads, "threads that make noise")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  app.add_option("OUT", options.out_path, "the file to write")->required();
}

// The words the parser cannot judge. None: fine; otherwise what is wrong.
std::optional<std::string> resolve(Arguments& arguments) {
  SynthOptions& options = arguments.options;
  const auto config = find_synth_config(arguments.config);
  if (!config.has_value()) return fmt::format("--config {}: no such configuration", arguments.config);
  const auto file_type = find_file_type(arguments.type);
  if (!file_type.has_value()) return fmt::format("--type {}: no such type", arguments.type);
  const auto chat_template = find_template(arguments.chat_template);
  if (!chat_template.has_value()) return fmt::format("--template {}: no such template", arguments.chat_template);
  options.config = *config;
  options.file_type = *file_type;
  options.chat_template = *chat_template;
  // A real table does not fit the tiny configuration's 512 rows: it brings its own size.
  if (!options.vocabulary_directory.empty()) options.config.vocab = kQwen3VocabularySize;
  if (arguments.layers != 0) options.config.layers = arguments.layers;
  if (arguments.context != 0) options.config.context_length = arguments.context;
  return std::nullopt;
}

}  // namespace

int run_synth(int argc, char** argv) {
  return run_command([&] {
    CLI::App app(kDescription, "dormouse-worker synth");
    Arguments arguments;
    declare(app, arguments);
    if (const auto exit_code = parse_command_line(app, argc, argv); exit_code.has_value()) return *exit_code;
    if (const auto wrong = resolve(arguments); wrong.has_value()) return usage_error("synth", *wrong);
    const auto report = synthesize(arguments.options);
    if (!report.has_value()) return failure("synth", report.error());
    fmt::print("{}: {} bytes, {} weights of noise ({}, {}), {:.1f} s\n", arguments.options.out_path, report->file_bytes,
               report->weights, arguments.options.config.name, arguments.options.file_type.name, report->seconds);
    return kExitDone;
  });
}

}  // namespace dormouse::worker
