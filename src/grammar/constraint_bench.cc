// What holding an answer to a schema costs a token, at Qwen3's vocabulary (151,936; lies outside the project). Each
// iteration is one token of a random answer: mask() and accept(). `first` meets every place for the first time, with a
// new Matcher an answer; `again` has met them. Aim: 5 % of a decode step, which is 5 ms on two cores and 100 us on an
// H200.
#include <benchmark/benchmark.h>

#include <random>

#include "base/check.h"
#include "grammar/constraint.h"
#include "grammar/json_schema.h"
#include "text/vocabulary_fixture.h"

namespace dormouse::grammar {
namespace {

constexpr std::string_view kPerson =
    R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},
    "email":{"type":"string","format":"email"},"tags":{"type":"array","items":{"type":"string"},"maxItems":8},
    "address":{"type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}},
    "required":["street","city"]}},"required":["name","age","address"]})";
constexpr std::string_view kBounded = R"({"type":"object","properties":{"text":{"type":"string","maxLength":2000}},
    "required":["text"]})";
constexpr std::string_view kTree =
    R"({"$defs":{"node":{"type":"object","properties":{"value":{"type":"string"},"children":{"type":"array",
    "items":{"$ref":"#/$defs/node"}}},"required":["value","children"]}},"$ref":"#/$defs/node"})";
constexpr std::string_view kAnything = R"({"type":"object"})";

const TokenTrie* trie() {
  static const std::unique_ptr<TokenTrie> kTrie = [] {
    const auto fixture = text::real_vocabulary(DORMOUSE_SOURCE_DIR);
    if (!fixture.has_value()) return std::unique_ptr<TokenTrie>();
    const auto tokenizer = text::Tokenizer::from_tables(fixture->tables());
    CHECK(tokenizer.has_value());
    std::vector<std::string_view> bytes;
    for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) bytes.push_back(tokenizer->token_bytes(id));
    return std::make_unique<TokenTrie>(bytes, tokenizer->end_tokens());
  }();
  return kTrie.get();
}

enum class Meeting { kFirst, kAgain };

// Any allowed token of at most four bytes, so that answers look like answers: an even draw would be all rare words.
TokenId draw(TokenMask mask, std::mt19937_64& random) {
  std::vector<TokenId> allowed;
  for (TokenId id = 0; static_cast<std::size_t>(id) < mask.size() * 64; ++id) {
    if (is_allowed(mask, id) && trie()->bytes(id).size() <= 4) allowed.push_back(id);
  }
  return allowed[random() % allowed.size()];
}

void run(benchmark::State& state, std::string_view schema, Meeting meeting) {
  if (trie() == nullptr) return state.SkipWithError("the vocabulary is not here");
  const auto grammar = compile_json_schema(schema);
  CHECK(grammar.has_value());
  auto matcher = std::make_shared<Matcher>(*grammar, *trie());
  Constraint constraint(matcher);
  std::mt19937_64 random(1);
  int length = 0;
  for (auto _ : state) {
    const Result<TokenMask> mask = constraint.mask();
    CHECK(mask.has_value());
    state.PauseTiming();
    const TokenId token = draw(*mask, random);
    state.ResumeTiming();
    CHECK(constraint.accept(token).has_value());
    if (++length < 200 && !constraint.is_finished()) continue;
    state.PauseTiming();
    if (meeting == Meeting::kFirst) matcher = std::make_shared<Matcher>(*grammar, *trie());
    if (meeting == Meeting::kAgain) random.seed(1);
    constraint = Constraint(matcher);
    length = 0;
    state.ResumeTiming();
  }
}

void compile(benchmark::State& state, std::string_view schema) {
  for (auto _ : state) benchmark::DoNotOptimize(compile_json_schema(schema));
}

BENCHMARK_CAPTURE(run, person_first, kPerson, Meeting::kFirst)->Unit(benchmark::kMicrosecond)->Iterations(4000);
BENCHMARK_CAPTURE(run, person_again, kPerson, Meeting::kAgain)->Unit(benchmark::kMicrosecond)->Iterations(4000);
BENCHMARK_CAPTURE(run, bounded_first, kBounded, Meeting::kFirst)->Unit(benchmark::kMicrosecond)->Iterations(1000);
BENCHMARK_CAPTURE(run, bounded_again, kBounded, Meeting::kAgain)->Unit(benchmark::kMicrosecond)->Iterations(1000);
BENCHMARK_CAPTURE(run, tree_first, kTree, Meeting::kFirst)->Unit(benchmark::kMicrosecond)->Iterations(2000);
BENCHMARK_CAPTURE(run, tree_again, kTree, Meeting::kAgain)->Unit(benchmark::kMicrosecond)->Iterations(2000);
BENCHMARK_CAPTURE(run, anything_first, kAnything, Meeting::kFirst)->Unit(benchmark::kMicrosecond)->Iterations(2000);
BENCHMARK_CAPTURE(run, anything_again, kAnything, Meeting::kAgain)->Unit(benchmark::kMicrosecond)->Iterations(2000);
BENCHMARK_CAPTURE(compile, person, kPerson)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(compile, bounded, kBounded)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace dormouse::grammar

BENCHMARK_MAIN();
