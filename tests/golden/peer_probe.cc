// What our engine says about given texts, for comparison with another engine: ids, the most likely next token after each
// of them (teacher forced), and greedy continuations.
//   peer_probe MODEL.gguf TEXTS.txt TOKENS   texts are separated by a line "---"; the first TOKENS ids of each are used
// One JSON object a text on stdout: {"ids":[..],"argmax":[..],"gap":[..],"greedy":[..]}; greedy continues the first
// quarter of the ids up to TOKENS in all.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <iterator>
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

  // One entry, starting at `position`; the top of each row's logits.
  Result<std::vector<Top>> feed(std::span<const sched::TokenId> tokens, std::int32_t position) {
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
    TRY(const std::span<const float> logits, engine_.step(plan));
    const auto vocab = static_cast<std::size_t>(engine_.config().vocab);
    std::vector<Top> tops;
    for (std::size_t row = 0; row < tokens.size(); ++row) tops.push_back(top_of(logits.subspan(row * vocab, vocab)));
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

Status run(const char* model, const char* texts, std::int32_t count) {
  TRY(const gguf::File file, gguf::File::open(model));
  TRY(const text::Tokenizer tokenizer, text::Tokenizer::from_gguf(file));
  engine::EngineOptions options;
  options.max_batch_tokens = kMaxTokens;
  options.max_logits_rows = kMaxTokens;
  options.kv_pages = kMaxTokens / sched::kPageTokens;
  TRY(const auto engine, engine::Engine::load(file, options, [](double) {}));
  Probe probe(*engine);
  for (const std::string& line : read_texts(texts)) {
    std::vector<sched::TokenId> ids = tokenizer.encode(line, text::SpecialTokens::kAsText);
    if (static_cast<std::int32_t>(ids.size()) > count) ids.resize(static_cast<std::size_t>(count));
    TRY_STATUS(print_text(probe, ids, count));
  }
  return {};
}

}  // namespace
}  // namespace dormouse

int main(int argc, char** argv) {
  std::int32_t count = 0;
  if (argc == 4) std::from_chars(argv[3], argv[3] + std::string_view(argv[3]).size(), count);
  if (count < 4 || count > dormouse::kMaxTokens) {
    fmt::print(stderr, "usage: peer_probe MODEL.gguf TEXTS.txt TOKENS (4..{})\n", dormouse::kMaxTokens);
    return 2;
  }
  const dormouse::Status status = dormouse::run(argv[1], argv[2], count);
  if (!status.has_value()) {
    fmt::print(stderr, "peer_probe: {}\n", status.error().message);
    return 1;
  }
  return 0;
}
