// What our engine says about given texts, for comparison with another engine: ids, the most likely next token after each
// of them (teacher forced), and greedy continuations.
//   peer_probe texts MODEL.gguf TEXTS.txt TOKENS   texts are separated by a line "---"; TOKENS ids of each are used.
//     One JSON object a text on stdout: {"ids":[..],"argmax":[..],"gap":[..],"greedy":[..]}; greedy continues the first
//     quarter of the ids up to TOKENS in all.
//   peer_probe logits MODEL.gguf ISA ID...         the logits after each id: [ids, vocab] float32 on stdout, raw.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "gguf/file.h"
#include "sched/batch_plan.h"
#include "text/tokenizer.h"

namespace dormouse {
namespace {

constexpr std::int32_t kMaxTokens = 256;

std::vector<std::string> read_texts(const char* path) {
  std::ifstream in(path);
  std::vector<std::string> texts(1);
  for (std::string line; std::getline(in, line);) {
    if (line == "---") {
      texts.emplace_back();
    } else {
      texts.back() += line + "\n";
    }
  }
  return texts;
}

struct Top {
  sched::TokenId id = 0;
  float gap = 0;  // to the second, in logits
};

Top top_of(std::span<const float> logits) {
  std::size_t best = 0;
  float second = -1e30F;
  for (std::size_t i = 1; i < logits.size(); ++i) {
    if (logits[i] > logits[best]) {
      second = logits[best];
      best = i;
    } else {
      second = std::max(second, logits[i]);
    }
  }
  return {static_cast<sched::TokenId>(best), logits[best] - second};
}

class Probe {
 public:
  explicit Probe(engine::Engine& engine) : engine_(engine), pages_(kMaxTokens / sched::kPageTokens) {
    std::iota(pages_.begin(), pages_.end(), 0);
  }

  // One entry, starting at `position`. Returns [tokens, vocab], valid until the next call.
  Result<std::span<const float>> logits(std::span<const sched::TokenId> tokens, std::int32_t position) {
    sched::BatchPlan plan;
    const auto count = static_cast<std::int32_t>(tokens.size());
    const std::int32_t pages = (position + count + sched::kPageTokens - 1) / sched::kPageTokens;
    plan.entries.push_back({.sequence = 1,
                            .tokens = tokens,
                            .start_position = position,
                            .pages = std::span(pages_).first(static_cast<std::size_t>(pages)),
                            .wants_logits = true,
                            .wants_all_logits = true});
    plan.token_count = count;
    plan.logits_count = count;
    return engine_.step(plan);
  }

  // The top of each row's logits.
  Result<std::vector<Top>> feed(std::span<const sched::TokenId> tokens, std::int32_t position) {
    TRY(const std::span<const float> rows, logits(tokens, position));
    const auto vocab = static_cast<std::size_t>(engine_.config().vocab);
    std::vector<Top> tops;
    for (std::size_t row = 0; row < tokens.size(); ++row) tops.push_back(top_of(rows.subspan(row * vocab, vocab)));
    return tops;
  }

 private:
  engine::Engine& engine_;
  std::vector<sched::PageId> pages_;
};

Status print_text(Probe& probe, const std::vector<sched::TokenId>& ids, std::int32_t count) {
  TRY(const std::vector<Top> forced, probe.feed(ids, 0));
  std::vector<sched::TokenId> argmax;
  std::vector<float> gaps;
  for (const Top& top : forced) {
    argmax.push_back(top.id);
    gaps.push_back(top.gap);
  }
  const std::size_t prompt = std::max<std::size_t>(1, ids.size() / 4);
  TRY(std::vector<Top> tops, probe.feed(std::span(ids).first(prompt), 0));
  std::vector<sched::TokenId> greedy{tops.back().id};
  while (static_cast<std::int32_t>(prompt + greedy.size()) < count) {
    const sched::TokenId last = greedy.back();
    TRY(tops, probe.feed(std::span(&last, 1), static_cast<std::int32_t>(prompt + greedy.size() - 1)));
    greedy.push_back(tops.back().id);
  }
  fmt::print("{{\"ids\":[{}],\"argmax\":[{}],\"gap\":[{}],\"prompt\":{},\"greedy\":[{}]}}\n", fmt::join(ids, ","),
             fmt::join(argmax, ","), fmt::join(gaps, ","), prompt, fmt::join(greedy, ","));
  return {};
}

Result<std::unique_ptr<engine::Engine>> load(const gguf::File& file, const std::string& isa) {
  engine::EngineOptions options;
  options.max_batch_tokens = kMaxTokens;
  options.max_logits_rows = kMaxTokens;
  options.kv_pages = kMaxTokens / sched::kPageTokens;
  options.isa = isa;
  return engine::Engine::load(file, nullptr, options, [](double) {});
}

Status run_texts(const char* model, const char* texts, std::int32_t count) {
  TRY(const gguf::File file, gguf::File::open(model));
  TRY(const text::Tokenizer tokenizer, text::Tokenizer::from_gguf(file));
  TRY(const auto engine, load(file, ""));
  Probe probe(*engine);
  for (const std::string& line : read_texts(texts)) {
    std::vector<sched::TokenId> ids = tokenizer.encode(line, text::SpecialTokens::kAsText);
    if (static_cast<std::int32_t>(ids.size()) > count) ids.resize(static_cast<std::size_t>(count));
    TRY_STATUS(print_text(probe, ids, count));
  }
  return {};
}

Status run_logits(const char* model, const char* isa, const std::vector<sched::TokenId>& ids) {
  TRY(const gguf::File file, gguf::File::open(model));
  TRY(const auto engine, load(file, isa));
  Probe probe(*engine);
  TRY(const std::span<const float> logits, probe.logits(ids, 0));
  if (std::fwrite(logits.data(), sizeof(float), logits.size(), stdout) != logits.size()) {
    return make_error(Code::kUnavailable, "stdout closed");
  }
  return {};
}

std::int32_t number(const char* text) {
  std::int32_t out = -1;
  std::from_chars(text, text + std::string_view(text).size(), out);
  return out;
}

}  // namespace
}  // namespace dormouse

int main(int argc, char** argv) {
  const std::span<char*> args(argv, static_cast<std::size_t>(argc));
  const std::string_view mode = argc > 1 ? args[1] : "";
  dormouse::Status status = dormouse::make_error(
      dormouse::Code::kInvalidArgument,
      fmt::format("usage: peer_probe texts MODEL TEXTS TOKENS (4..{0}) | logits MODEL ISA ID... (up to {0})",
                  dormouse::kMaxTokens));
  if (mode == "texts" && argc == 5) {
    const std::int32_t count = dormouse::number(args[4]);
    if (count >= 4 && count <= dormouse::kMaxTokens) status = dormouse::run_texts(args[2], args[3], count);
  } else if (mode == "logits" && argc > 4 && argc <= 4 + dormouse::kMaxTokens) {
    std::vector<dormouse::sched::TokenId> ids;
    for (const char* text : args.subspan(4)) ids.push_back(dormouse::number(text));
    status = dormouse::run_logits(args[2], args[3], ids);
  }
  if (!status.has_value()) {
    fmt::print(stderr, "peer_probe: {}\n", status.error().message);
    return 1;
  }
  return 0;
}
