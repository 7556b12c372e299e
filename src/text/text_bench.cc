// Encoding speed on real text and on the worst of reliability notes S-08, and the time to build the tables.
// With ../shared/data: the real vocabulary and corpora. Without: the small vocabulary on made-up text.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/mapped_file.h"
#include "text/pretokenizer.h"
#include "text/tokenizer.h"
#include "text/vocabulary_gguf_fixture.h"

namespace dormouse::text {
namespace {

const std::string kSource = DORMOUSE_SOURCE_DIR;

const VocabularyFixture& fixture() {
  static const VocabularyFixture instance = [] {
    auto real = real_vocabulary(kSource);
    return real ? *std::move(real) : small_vocabulary(kSource);
  }();
  return instance;
}

const Tokenizer& tokenizer() {
  static const Tokenizer instance = *Tokenizer::from_tables(fixture().tables());
  return instance;
}

void encode(benchmark::State& state, const std::string& text) {
  std::size_t tokens = 0;
  for (auto step : state) {
    tokens = tokenizer().encode(text, SpecialTokens::kParse).size();
    benchmark::DoNotOptimize(tokens);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
  state.counters["tokens"] = static_cast<double>(tokens);
}

void encode_corpus(benchmark::State& state, const char* name) {
  const std::string text = read_whole_file(kSource + "/../shared/data/corpus/" + name);
  if (text.empty()) {
    state.SkipWithError("../shared/data/corpus is absent");
    return;
  }
  encode(state, text);
}
BENCHMARK_CAPTURE(encode_corpus, tang, "tang_poems_zh.txt")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode_corpus, english, "tinyshakespeare.txt")->Unit(benchmark::kMillisecond);

// One pre-token of this many MiB. Bytes per second at 16 must be at least half of those at 1.
void encode_one_character(benchmark::State& state) {
  encode(state, std::string(static_cast<std::size_t>(state.range(0)) << 20, 'a'));
}
BENCHMARK(encode_one_character)->Arg(1)->Arg(16)->Unit(benchmark::kMillisecond);

void encode_blanks(benchmark::State& state) {
  encode(state, std::string(static_cast<std::size_t>(state.range(0)) << 20, ' '));
}
BENCHMARK(encode_blanks)->Arg(1)->Arg(16)->Unit(benchmark::kMillisecond);

void encode_random_bytes(benchmark::State& state) {
  std::string text(std::size_t{16} << 20, '\0');
  std::mt19937_64 random(1);
  for (char& c : text) c = static_cast<char>(random());
  encode(state, text);
}
BENCHMARK(encode_random_bytes)->Unit(benchmark::kMillisecond);

void encode_combining_marks(benchmark::State& state) {
  std::string text;
  for (int i = 0; i < 1000000; ++i) text += "\u0301";
  encode(state, text);
}
BENCHMARK(encode_combining_marks)->Unit(benchmark::kMillisecond);

// T-49: a prompt of 16 MiB against a context of 40,960 tokens is refused within 200 ms.
void refuse(benchmark::State& state, const std::string& text) {
  std::vector<TokenId> ids;
  for (auto step : state) {
    ids.clear();
    CHECK(!tokenizer().encode_at_most(40960, text, SpecialTokens::kParse, ids));
  }
}
BENCHMARK_CAPTURE(refuse, one_character, std::string(std::size_t{16} << 20, 'a'))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(refuse, combining_marks,
                  [] {
                    std::string text;
                    while (text.size() < std::size_t{16} << 20) text += "\u0301";
                    return text;
                  }())
    ->Unit(benchmark::kMillisecond);

void cut_tang(benchmark::State& state) {
  const std::string text = read_whole_file(kSource + "/../shared/data/corpus/tang_poems_zh.txt");
  for (auto step : state) {
    std::size_t pieces = 0;
    for (std::size_t begin = 0; begin < text.size(); begin = next_piece_end(text, begin)) ++pieces;
    benchmark::DoNotOptimize(pieces);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(cut_tang)->Unit(benchmark::kMillisecond);

void build_tables(benchmark::State& state) {
  const VocabularyTables tables = fixture().tables();
  for (auto step : state) {
    auto built = Tokenizer::from_tables(tables);
    CHECK(built.has_value());
    benchmark::DoNotOptimize(built->vocab_size());
  }
  state.counters["tokens"] = static_cast<double>(tables.tokens.size());
}
BENCHMARK(build_tables)->Unit(benchmark::kMillisecond);

// What a waking worker waits for: the file's header read and checked, and the tables built.
void open_gguf(benchmark::State& state) {
  const std::string path = std::filesystem::temp_directory_path() / "dormouse_text_bench.gguf";
  CHECK(write_vocabulary_gguf(fixture(), path).has_value());
  for (auto step : state) {
    const auto file = gguf::File::open(path);
    CHECK(file.has_value());
    auto built = Tokenizer::from_gguf(*file);
    CHECK(built.has_value());
    benchmark::DoNotOptimize(built->vocab_size());
  }
  std::filesystem::remove(path);
}
BENCHMARK(open_gguf)->Unit(benchmark::kMillisecond);

// The same where the tables lie in a packed file: it mapped, its pages faulted in, the arrays checked.
void open_flat(benchmark::State& state) {
  const std::string path = std::filesystem::temp_directory_path() / "dormouse_text_bench.tables";
  const std::span<const std::uint8_t> flat = tokenizer().flat();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(flat.data()), static_cast<std::streamsize>(flat.size()));
  for (auto step : state) {
    const auto file = MappedFile::open(path);
    CHECK(file.has_value());
    const auto opened = Tokenizer::from_flat(file->bytes());
    CHECK(opened.has_value());
    benchmark::DoNotOptimize(opened->vocab_size());
  }
  state.counters["bytes"] = static_cast<double>(flat.size());
  std::filesystem::remove(path);
}
BENCHMARK(open_flat)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dormouse::text

BENCHMARK_MAIN();
