// replay FILE --prompt P --answer A: decodes a known answer through the scheduler and the engine, with and without
// guesses. The sampler's place is taken by the answer's own tokens, so speed and accepted guesses are those of a model
// that writes just this text, whatever weights compute the steps.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mapped_file.h"
#include "engine/engine.h"
#include "engine/kv_cache.h"
#include "pack/packed_file.h"
#include "sched/scheduler.h"
#include "text/tokenizer.h"
#include "worker/step_pace.h"
#include "worker/tools/command_line.h"
#include "worker/tools/tools.h"

namespace dormouse::worker {
namespace {

constexpr const char* kDescription =
    "How fast a given answer to a given prompt would be decoded, without guesses, with guesses where they pay (auto), "
    "and\n"
    "with guesses always (ngram). The answer's own tokens are what the model is taken to say: the weights may be "
    "random.";
constexpr const char* kExamples =
    "Examples:\n"
    "  dormouse-worker replay Qwen3-4B-Q4_K_M.gguf --prompt question.txt --answer answer.txt\n"
    "  dormouse-worker replay model.gguf --prompt before.cc --answer after.cc --rounds 3 --json";

struct ReplayOptions {
  std::string file;
  std::string prompt;
  std::string answer;
  std::string packed_directory;
  std::string isa;
  std::int32_t threads = 0;
  std::int32_t rounds = 1;
  bool json = false;
};

constexpr std::pair<const char*, sched::Speculation> kModes[] = {
    {"off", sched::Speculation::kOff}, {"auto", sched::Speculation::kAuto}, {"ngram", sched::Speculation::kNgram}};

struct Run {
  double tokens_per_s = 0;  // of the answer, from its second token on
  double tokens_per_step = 0;
  std::uint64_t guessed = 0;
  std::uint64_t right = 0;
};

Result<std::vector<sched::TokenId>> read_text(const std::string& path, const text::Tokenizer& tokenizer) {
  TRY(const MappedFile file, MappedFile::open(path));
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  std::vector<sched::TokenId> tokens = tokenizer.encode(text, text::SpecialTokens::kAsText);
  if (tokens.size() < 2) return make_error(Code::kInvalidArgument, path + ": two tokens are wanted at least");
  return tokens;
}

Result<Run> replay(engine::Engine& engine, const sched::SchedulerOptions& options,
                   const std::vector<sched::TokenId>& prompt, const std::vector<sched::TokenId>& answer) {
  constexpr sched::SequenceId kId = 1;
  const SystemClock clock;
  sched::Scheduler scheduler(options);
  StepPace pace;
  sched::SequenceRequest request;
  request.id = kId;
  request.prompt = prompt;
  request.max_new_tokens = static_cast<std::int32_t>(answer.size());
  TRY_STATUS(scheduler.submit(std::move(request)));
  Run out;
  std::size_t said = 0;
  std::int64_t steps = 0;
  MonoTime first{};
  while (said < answer.size()) {
    const sched::BatchPlan& plan = scheduler.plan({.draft_cost = pace.draft_cost()});
    const StepRows rows = rows_of(plan);
    const bool has_logits = plan.logits_count > 0;
    const MonoTime begin = clock.now();
    TRY([[maybe_unused]] const std::span<const float> logits, engine.step(plan));
    pace.observe(rows, clock.now() - begin);
    scheduler.commit();
    if (!has_logits) continue;
    if (said == 0) first = clock.now();
    steps += said == 0 ? 0 : 1;
    while (said < answer.size() && scheduler.append(kId, answer[said++])) {
    }
  }
  const double seconds = std::chrono::duration<double>(clock.now() - first).count();
  out.tokens_per_s = static_cast<double>(answer.size() - 1) / seconds;
  out.tokens_per_step = static_cast<double>(answer.size() - 1) / static_cast<double>(std::max(steps, std::int64_t{1}));
  out.guessed = scheduler.draft_tokens();
  out.right = scheduler.accepted_tokens();
  return out;
}

// By mode, the run with the median speed.
Result<std::vector<Run>> measure(const ReplayOptions& options) {
  TRY(const gguf::File file, gguf::File::open(options.file));
  TRY(const text::Tokenizer tokenizer, text::Tokenizer::from_gguf(file));
  TRY(const std::vector<sched::TokenId> prompt, read_text(options.prompt, tokenizer));
  TRY(const std::vector<sched::TokenId> answer, read_text(options.answer, tokenizer));
  const auto packed = pack::PackedFile::open(
      pack::packed_path(options.file, options.packed_directory, file.mapping()->identity().inode), file);
  engine::EngineOptions engine_options;
  engine_options.isa = options.isa;
  engine_options.threads = options.threads;
  engine_options.kv_pages =
      static_cast<std::int32_t>(prompt.size() + answer.size() + sched::kMaxDraft) / sched::kPageTokens + 2;
  TRY(const std::unique_ptr<engine::Engine> engine,
      engine::Engine::load(file, packed.has_value() ? &*packed : nullptr, engine_options, {}));
  sched::SchedulerOptions scheduler_options;
  scheduler_options.max_sequences = 1;
  scheduler_options.max_batch_tokens = engine_options.max_batch_tokens;
  scheduler_options.kv_pages = engine_options.kv_pages;
  fmt::print(stderr, "{}: {} tokens, {}: {} tokens\n", options.prompt, prompt.size(), options.answer, answer.size());
  std::vector<std::vector<Run>> runs(std::size(kModes));
  for (std::int32_t round = 0; round < options.rounds; ++round) {
    for (std::size_t mode = 0; mode < std::size(kModes); ++mode) {
      scheduler_options.speculation = kModes[mode].second;
      TRY(const Run run, replay(*engine, scheduler_options, prompt, answer));
      runs[mode].push_back(run);
    }
  }
  std::vector<Run> out;
  for (std::vector<Run>& of_mode : runs) {
    std::sort(of_mode.begin(), of_mode.end(),
              [](const Run& a, const Run& b) { return a.tokens_per_s < b.tokens_per_s; });
    out.push_back(of_mode[of_mode.size() / 2]);
  }
  return out;
}

void print_table(const std::vector<Run>& runs) {
  fmt::print("{:<8} {:>10} {:>8} {:>14} {:>10} {:>10}\n", "", "tokens/s", "x off", "tokens a step", "guessed", "right");
  for (std::size_t mode = 0; mode < runs.size(); ++mode) {
    const Run& run = runs[mode];
    fmt::print("{:<8} {:>10.2f} {:>8.2f} {:>14.2f} {:>10} {:>8.0f} %\n", kModes[mode].first, run.tokens_per_s,
               run.tokens_per_s / runs[0].tokens_per_s, run.tokens_per_step, run.guessed,
               run.guessed > 0 ? 100.0 * static_cast<double>(run.right) / static_cast<double>(run.guessed) : 0.0);
  }
}

void print_json(const std::vector<Run>& runs) {
  boost::json::object out;
  for (std::size_t mode = 0; mode < runs.size(); ++mode) {
    const Run& run = runs[mode];
    out[kModes[mode].first] = {{"tokens_per_s", run.tokens_per_s},
                               {"tokens_per_step", run.tokens_per_step},
                               {"guessed", run.guessed},
                               {"right", run.right}};
  }
  fmt::print("{}\n", boost::json::serialize(out));
}

}  // namespace

int run_replay(int argc, char** argv) {
  return run_command([&] {
    CLI::App app(kDescription, "dormouse-worker replay");
    ReplayOptions options;
    app.footer(kExamples);
    app.add_option("FILE", options.file, "a GGUF model")->required();
    app.add_option("--prompt", options.prompt, "a UTF-8 text file")->required();
    app.add_option("--answer", options.answer, "a UTF-8 text file")->required();
    app.add_option("--rounds", options.rounds, "of all three; the median is shown")
        ->capture_default_str()
        ->check(CLI::Range(1, 100));
    app.add_option("--packed-dir", options.packed_directory, "where its packed file lies (beside the model)");
    app.add_option("--isa", options.isa, "scalar, avx2, avx512, amx (the best this CPU has)");
    app.add_option("--threads", options.threads, "threads (what this process may use)")->check(CLI::Range(0, 1024));
    app.add_flag("--json", options.json, "one JSON object");
    if (const auto exit_code = parse_command_line(app, argc, argv); exit_code.has_value()) return *exit_code;
    const Result<std::vector<Run>> runs = measure(options);
    if (!runs.has_value()) return failure("replay", runs.error());
    options.json ? print_json(*runs) : print_table(*runs);
    return kExitDone;
  });
}

}  // namespace dormouse::worker
