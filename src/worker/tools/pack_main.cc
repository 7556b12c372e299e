#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>

#include "engine/config.h"
#include "engine/weights.h"
#include "gguf/file.h"
#include "pack/packed_file.h"
#include "text/tokenizer.h"
#include "worker/tools/command_line.h"
#include "worker/tools/parallel_rows.h"
#include "worker/tools/progress.h"
#include "worker/tools/tools.h"

namespace dormouse::worker {
namespace {

constexpr const char* kDescription =
    "Lay a model's weights out as this engine reads them, once: serve then maps them and never copies.\n"
    "The packed file appears whole or not at all, belongs to exactly this model file, and may be deleted at any time.";
constexpr const char* kExamples =
    "Examples:\n"
    "  dormouse-worker pack Qwen3-4B-Q4_K_M.gguf\n"
    "  dormouse-worker pack Qwen3-4B-Q4_K_M.gguf --packed-dir /var/lib/dormouse/packed";

Status pack_file(const std::string& model, const std::string& directory, int threads) {
  TRY(const gguf::File file, gguf::File::open(model));
  TRY(const engine::ModelConfig config, engine::read_config(file));
  TRY_STATUS(engine::check_weights(file, config));
  const std::string path = pack::packed_path(model, directory, file.mapping()->identity().inode);
  if (pack::PackedFile::open(path, file).has_value()) {
    fmt::print("{}: there already\n", path);
    return {};
  }
  TRY(const text::Tokenizer tokenizer, text::Tokenizer::from_gguf(file));
  const InterruptGuard guard;
  Progress progress("pack", "bytes", file.bytes().size());
  const pack::Parallel parallel = [&](std::int32_t count, const std::function<void(std::int32_t)>& task) {
    parallel_rows(threads, static_cast<std::uint64_t>(count), [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t i = begin; i < end; ++i) task(static_cast<std::int32_t>(i));
    });
  };
  TRY_STATUS(pack::write_packed(file, tokenizer.flat(), path, parallel, [&](std::uint64_t done, std::uint64_t) {
    progress.update(done, "weights");
    return !InterruptGuard::is_interrupted();
  }));
  pack::remove_older_versions(model, directory, file.mapping()->identity().inode);
  fmt::print("{}: {} bytes, {:.1f} s\n", path, file.bytes().size(), progress.seconds());
  return {};
}

}  // namespace

int run_pack(int argc, char** argv) {
  return run_command([&] {
    CLI::App app(kDescription, "dormouse-worker pack");
    std::string model;
    std::string directory;
    int threads = default_thread_count();
    app.footer(kExamples);
    app.add_option("FILE", model, "a GGUF model")->required();
    app.add_option("--packed-dir", directory, "where the packed file goes (beside the model)");
    app.add_option("--threads", threads, "threads")->capture_default_str()->check(CLI::Range(1, 256));
    if (const auto exit_code = parse_command_line(app, argc, argv); exit_code.has_value()) return *exit_code;
    if (const Status status = pack_file(model, directory, threads); !status.has_value()) {
      return failure("pack", status.error());
    }
    return kExitDone;
  });
}

}  // namespace dormouse::worker
