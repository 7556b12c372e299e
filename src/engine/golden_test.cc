#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/engine.h"
#include "engine/golden_model.h"
#include "kernels/dispatch.h"

namespace dormouse::engine {
namespace {

constexpr kernels::KvType kKvTypes[] = {kernels::KvType::kF16, kernels::KvType::kQ8};

std::unique_ptr<Engine> load(const gguf::File& file, const std::string& isa, std::int32_t threads = 2,
                             kernels::KvType kv_type = kernels::KvType::kF16) {
  EngineOptions options;
  options.max_batch_tokens = 96;
  options.max_logits_rows = 96;
  options.kv_pages = 32;
  options.kv_type = kv_type;
  options.threads = threads;
  options.isa = isa;
  auto engine = Engine::load(file, nullptr, options, {});
  EXPECT_TRUE(engine.has_value()) << (engine ? "" : engine.error().message);
  return engine ? std::move(*engine) : nullptr;
}

// One sequence being fed: tokens, its pages, how far it has come.
struct Sequence {
  std::vector<sched::TokenId> tokens;
  std::vector<sched::PageId> pages;
  std::int32_t prompt_length = 0;  // rows below it are prompt rows, the others generated
  std::int32_t position = 0;
};

sched::PlanEntry chunk_of(const Sequence& sequence, std::int32_t count) {
  sched::PlanEntry entry;
  entry.tokens =
      std::span(sequence.tokens).subspan(static_cast<std::size_t>(sequence.position), static_cast<std::size_t>(count));
  entry.start_position = sequence.position;
  entry.prompt_length = sequence.prompt_length;
  entry.pages = sequence.pages;
  entry.wants_all_logits = true;
  return entry;
}

void add(sched::BatchPlan& plan, const sched::PlanEntry& entry) {
  plan.entries.push_back(entry);
  plan.token_count += static_cast<std::int32_t>(entry.tokens.size());
  plan.logits_count += static_cast<std::int32_t>(entry.tokens.size());
}

// All logits of a sequence fed in chunks of the given sizes (the last repeats).
std::vector<float> feed(Engine& engine, Sequence sequence, const std::vector<std::int32_t>& chunks) {
  std::vector<float> out;
  std::size_t index = 0;
  while (sequence.position < static_cast<std::int32_t>(sequence.tokens.size())) {
    const std::int32_t left = static_cast<std::int32_t>(sequence.tokens.size()) - sequence.position;
    const std::int32_t count = std::min(left, chunks[std::min(index++, chunks.size() - 1)]);
    sched::BatchPlan plan;
    add(plan, chunk_of(sequence, count));
    const auto logits = engine.step(plan);
    EXPECT_TRUE(logits.has_value()) << logits.error().message;
    if (!logits) return out;
    out.insert(out.end(), logits->begin(), logits->end());
    sequence.position += count;
  }
  return out;
}

class GoldenTest : public testing::Test {
 protected:
  void SetUp() override {
    golden_ = read_golden();
    ASSERT_FALSE(golden_.tokens.empty()) << "tests/golden/tiny_qwen3/logits.bin is missing or damaged";
    auto file = gguf::File::open(golden_path("model.gguf"));
    ASSERT_TRUE(file.has_value()) << file.error().message;
    file_.emplace(std::move(*file));
    auto demo = gguf::File::open(std::string(DORMOUSE_SOURCE_DIR) + "/models/qwen3-demo-q8_0.gguf");
    ASSERT_TRUE(demo.has_value()) << demo.error().message;
    demo_.emplace(std::move(*demo));
  }

  static bool has_prompt_arithmetic(const kernels::KernelTable& table) {
    return table.q8_0.prompt != table.q8_0.generated;
  }
  // The demo model shows nothing more in tables without a prompt arithmetic, and takes scalar seconds.
  std::vector<const gguf::File*> models(const kernels::KernelTable& table) const {
    if (!has_prompt_arithmetic(table)) return {&*file_};
    return {&*file_, &*demo_};
  }

  Golden golden_;
  std::optional<gguf::File> file_;
  // Rows of whole blocks of 256 and heads of 128: what the prompt arithmetic needs and the tiny model lacks.
  std::optional<gguf::File> demo_;
};

// Goal: the whole forward pass, in every table, against an independent float64 implementation (make_golden.py).
// The cache keeps keys and values in fp16, which alone moves these logits by 3.0e-4 (the script prints it): so the
// tight bound is against the reference with the same rounding, the loose one against the exact reference.
TEST_F(GoldenTest, LogitsEqualTheIndependentReference) {
  for (const kernels::KernelTable* table : kernels::supported_kernels()) {
    const auto engine = load(*file_, table->name);
    ASSERT_NE(engine, nullptr);
    EXPECT_EQ(engine->isa(), table->name);
    const std::vector<float> got = feed(*engine, {.tokens = golden_.tokens, .pages = {5, 0, 2}}, {80});
    ASSERT_EQ(got.size(), golden_.exact.size());
    // No shape of this model has a prompt arithmetic of its own: its prompt rows are held to the same bound.
    EXPECT_EQ(feed(*engine, {.tokens = golden_.tokens, .pages = {5, 0, 2}, .prompt_length = 80}, {80}), got);
    const double half_kv = relative_error(got, golden_.half_kv);
    const double exact = relative_error(got, golden_.exact);
    std::printf("%s: relative error %.2e (fp16 cache in the reference), %.2e (exact reference)\n", table->name, half_kv,
                exact);
    EXPECT_LE(half_kv, 1e-4);
    EXPECT_LE(exact, 5e-4);
    // Keys and values of 7 bits and a sign: a step of amax / 127, an error of 1 / sqrt(12) steps, where amax of 32
    // normal values is 2.5 deviations: 0.6 % of a key and of a value; logits average over tokens and layers.
    const auto q8 = load(*file_, table->name, 2, kernels::KvType::kQ8);
    ASSERT_NE(q8, nullptr);
    const double with_q8 =
        relative_error(feed(*q8, {.tokens = golden_.tokens, .pages = {5, 0, 2}}, {80}), golden_.exact);
    std::printf("%s: relative error %.2e with q8 keys and values\n", table->name, with_q8);
    EXPECT_LE(with_q8, 1e-2);
    EXPECT_GE(with_q8, exact) << "q8 was asked for and not used?";
  }
}

// Goal: the cache is only a cache. Method: token by token, chunks that end before, on and after page borders, and all
// at once give the same bits; as generated rows, as a prompt, and as a prompt that ends inside a chunk.
TEST_F(GoldenTest, CacheAndChunkingDoNotShowInTheLogits) {
  for (const kernels::KernelTable* table : kernels::supported_kernels()) {
    std::vector<std::pair<const gguf::File*, kernels::KvType>> cases;
    for (const gguf::File* file : models(*table)) {
      for (const kernels::KvType type : kKvTypes) cases.emplace_back(file, type);
    }
    for (const auto& [file, kv_type] : cases) {
      const auto engine = load(*file, table->name, 2, kv_type);
      ASSERT_NE(engine, nullptr);
      for (const std::int32_t prompt : {0, 45, 80}) {
        SCOPED_TRACE(std::string(table->name) + (file == &*demo_ ? " demo" : " tiny") +
                     (kv_type == kernels::KvType::kQ8 ? " kv q8" : "") + " prompt " + std::to_string(prompt));
        const Sequence sequence{.tokens = golden_.tokens, .pages = {3, 1, 7}, .prompt_length = prompt};
        const std::vector<float> want = feed(*engine, sequence, {80});
        EXPECT_EQ(feed(*engine, sequence, {1}), want);
        EXPECT_EQ(feed(*engine, sequence, {31, 2, 31, 1, 15}), want);
        EXPECT_EQ(feed(*engine, sequence, {32}), want);
        EXPECT_EQ(feed(*engine, sequence, {7, 13, 1, 1, 40, 3}), want);
        engine->drop_kv();
        EXPECT_EQ(feed(*engine, sequence, {33}), want) << "after drop_kv";
      }
    }
  }
}

// Goal: an entry's prompt_length is heeded. Method: where a table has a prompt arithmetic, the bits differ from those
// of generated rows; where it has none, they are the same. Products and attention are not told apart: either differs.
TEST_F(GoldenTest, PromptRowsDifferWhereTheTableHasAnArithmeticForThem) {
  for (const kernels::KernelTable* table : kernels::supported_kernels()) {
    const auto engine = load(*demo_, table->name);
    ASSERT_NE(engine, nullptr);
    const std::vector<float> generated = feed(*engine, {.tokens = golden_.tokens, .pages = {0, 1, 2}}, {80});
    const std::vector<float> prompt =
        feed(*engine, {.tokens = golden_.tokens, .pages = {0, 1, 2}, .prompt_length = 80}, {80});
    EXPECT_EQ(prompt != generated, has_prompt_arithmetic(*table)) << table->name;
  }
}

// Six sequences of random lengths in random batches of random chunks, against each sequence alone.
void check_random_batches(const gguf::File& file, const char* isa, std::int32_t vocab, std::mt19937& random) {
  const kernels::KvType kv_type = kKvTypes[random() % 2];
  const auto alone = load(file, isa, 1, kv_type);
  const auto engine = load(file, isa, static_cast<std::int32_t>(1 + random() % 3), kv_type);
  ASSERT_NE(alone, nullptr);
  ASSERT_NE(engine, nullptr);
  std::vector<Sequence> sequences(6);
  std::vector<std::vector<float>> want;
  std::vector<std::vector<float>> got(sequences.size());
  std::vector<sched::PageId> free_pages(32);
  std::iota(free_pages.begin(), free_pages.end(), 0);
  std::shuffle(free_pages.begin(), free_pages.end(), random);
  for (Sequence& sequence : sequences) {
    const auto length = static_cast<std::int32_t>(1 + random() % 90);
    for (std::int32_t i = 0; i < length; ++i) {
      sequence.tokens.push_back(static_cast<sched::TokenId>(random() % static_cast<unsigned>(vocab)));
      if (i % sched::kPageTokens == 0) {
        sequence.pages.push_back(free_pages.back());
        free_pages.pop_back();
      }
    }
    sequence.prompt_length = static_cast<std::int32_t>(random() % static_cast<unsigned>(length + 1));
    want.push_back(feed(*alone, sequence, {96}));
  }
  for (bool working = true; working;) {
    working = false;
    sched::BatchPlan plan;
    std::vector<std::size_t> members;
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      Sequence& sequence = sequences[s];
      const std::int32_t left = static_cast<std::int32_t>(sequence.tokens.size()) - sequence.position;
      if (left == 0) continue;
      working = true;
      if (random() % 4 == 0) continue;
      const std::int32_t most = std::min(left, 96 - plan.token_count);
      if (most == 0) continue;
      const std::int32_t count =
          random() % 3 == 0 ? 1 : 1 + static_cast<std::int32_t>(random() % static_cast<unsigned>(most));
      add(plan, chunk_of(sequence, count));
      sequence.position += count;
      members.push_back(s);
    }
    const auto logits = engine->step(plan);
    ASSERT_TRUE(logits.has_value()) << logits.error().message;
    const float* row = logits->data();
    for (std::size_t i = 0; i < members.size(); ++i) {
      const std::size_t size = plan.entries[i].tokens.size() * static_cast<std::size_t>(vocab);
      got[members[i]].insert(got[members[i]].end(), row, row + size);
      row += size;
    }
  }
  EXPECT_EQ(got, want);
}

// Goal: what else is in the batch does not show. Method: six sequences of random lengths, random batches of random
// chunks, prompts of any part of them; every logits row equals the row computed alone, to the bit; with 1 to 3 threads.
TEST_F(GoldenTest, RandomBatchesGiveTheBitsOfSingleSequences) {
  const std::uint32_t seed = 20'261'123;
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  for (const kernels::KernelTable* table : kernels::supported_kernels()) {
    for (const gguf::File* file : models(*table)) {
      SCOPED_TRACE(std::string(table->name) + (file == &*demo_ ? " demo" : " tiny"));
      const auto config = read_config(*file);
      ASSERT_TRUE(config.has_value()) << config.error().message;
      check_random_batches(*file, table->name, config->vocab, random);
    }
  }
}

// Goal: logits come only for the rows that want them, in plan order.
TEST_F(GoldenTest, OnlyWantedRowsHaveLogits) {
  const auto engine = load(*file_, "");
  ASSERT_NE(engine, nullptr);
  const auto vocab = static_cast<std::size_t>(golden_.vocab);
  const Sequence first{.tokens = {golden_.tokens.begin(), golden_.tokens.begin() + 5}, .pages = {0}};
  const Sequence second{.tokens = {golden_.tokens.begin(), golden_.tokens.begin() + 9}, .pages = {1}};
  const std::vector<float> all = feed(*engine, second, {9});
  sched::BatchPlan plan;
  plan.entries = {chunk_of(first, 5), chunk_of(second, 9)};
  plan.entries[0].wants_all_logits = false;
  plan.entries[1].wants_all_logits = false;
  plan.entries[1].wants_logits = true;
  plan.token_count = 14;
  plan.logits_count = 1;
  const auto logits = engine->step(plan);
  ASSERT_TRUE(logits.has_value());
  EXPECT_EQ(std::vector<float>(logits->begin(), logits->end()),
            std::vector<float>(all.end() - static_cast<std::ptrdiff_t>(vocab), all.end()));
}

// Goal: a plan outside the contract is refused with a reason and harms nothing.
TEST_F(GoldenTest, BadPlansAreErrorsAndTheEngineLivesOn) {
  const auto engine = load(*file_, "");
  ASSERT_NE(engine, nullptr);
  const Sequence sequence{.tokens = golden_.tokens, .pages = {0, 1, 2}};
  const std::vector<float> want = feed(*engine, sequence, {80});
  const auto refused = [&](auto&& damage) {
    sched::BatchPlan plan;
    add(plan, chunk_of(sequence, 40));
    damage(plan);
    const auto result = engine->step(plan);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Code::kInvalidArgument) << result.error().message;
  };
  const std::vector<sched::TokenId> bad_tokens = {1, golden_.vocab};
  const std::vector<sched::TokenId> negative = {-1};
  const std::vector<sched::TokenId> many(97, 1);
  const std::vector<sched::PageId> bad_pages = {0, 32};
  const std::vector<sched::PageId> negative_page = {-1, 0};
  refused([&](sched::BatchPlan& plan) { plan.token_count = 39; });
  refused([&](sched::BatchPlan& plan) { plan.logits_count = 0; });
  refused([&](sched::BatchPlan& plan) { plan.entries[0].start_position = -1; });
  refused([&](sched::BatchPlan& plan) { plan.entries[0].start_position = 2'147'483'647; });
  refused([&](sched::BatchPlan& plan) { plan.entries[0].start_position = 217; });
  refused([&](sched::BatchPlan& plan) { plan.entries[0].pages = plan.entries[0].pages.first(1); });
  refused([&](sched::BatchPlan& plan) { plan.entries[0].pages = bad_pages; });
  refused([&](sched::BatchPlan& plan) { plan.entries[0].pages = negative_page; });
  refused([&](sched::BatchPlan& plan) { plan.entries[0].tokens = {}; });
  refused([&](sched::BatchPlan& plan) {
    plan.entries[0].tokens = bad_tokens;
    plan.token_count = plan.logits_count = 2;
  });
  refused([&](sched::BatchPlan& plan) {
    plan.entries[0].tokens = negative;
    plan.token_count = plan.logits_count = 1;
  });
  refused([&](sched::BatchPlan& plan) {
    plan.entries[0].tokens = many;
    plan.token_count = plan.logits_count = 97;
  });
  EXPECT_EQ(feed(*engine, sequence, {80}), want);
  const auto empty = engine->step({});
  ASSERT_TRUE(empty.has_value());
  EXPECT_TRUE(empty->empty());
}

// Goal: sequences that share the pages of a common beginning get the bits they would get alone. Method: 12 sequences
// with a tree of beginnings (64 tokens of all, 32 more of some), decoded in one batch with one that shares nothing; and
// three rows of one sequence at once, as guesses are.
TEST_F(GoldenTest, SharedPagesGiveTheBitsOfOwnPages) {
  const std::int32_t vocab = static_cast<std::int32_t>(golden_.exact.size() / golden_.tokens.size());
  std::mt19937 random(5);
  const auto some = [&](std::int32_t count) {
    std::vector<sched::TokenId> out;
    for (std::int32_t i = 0; i < count; ++i) {
      out.push_back(static_cast<sched::TokenId>(random() % static_cast<unsigned>(vocab)));
    }
    return out;
  };
  for (const kernels::KernelTable* table : kernels::supported_kernels()) {
    for (const kernels::KvType type : kKvTypes) {
      for (const std::int32_t threads : {1, 3}) {
        const auto engine = load(*file_, table->name, threads, type);
        const auto alone = load(*file_, table->name, 1, type);
        ASSERT_NE(engine, nullptr);
        ASSERT_NE(alone, nullptr);
        const std::vector<sched::TokenId> root = some(64);
        const std::vector<sched::TokenId> branch = some(32);
        feed(*engine, {.tokens = root, .pages = {0, 1}, .prompt_length = 64}, {64});
        std::vector<Sequence> sequences;
        sched::PageId next = 3;
        for (int i = 0; i < 12; ++i) {
          Sequence s{.tokens = root, .pages = {0, 1}, .prompt_length = 64};
          if (i % 2 == 1) {
            s.tokens.insert(s.tokens.end(), branch.begin(), branch.end());
            s.pages.push_back(2);
            s.prompt_length = 96;
          }
          if (i == 11) s = {.tokens = some(40), .pages = {next++}};
          s.position = i == 11 ? 0 : s.prompt_length;
          const std::vector<sched::TokenId> own = some(i == 4 ? 3 : 1);
          s.tokens.insert(s.tokens.end(), own.begin(), own.end());
          s.pages.push_back(next++);
          sequences.push_back(s);
        }
        Sequence first = sequences[1];
        first.tokens.resize(96);
        first.position = 64;
        feed(*engine, first, {32});
        sched::BatchPlan plan;
        std::vector<float> want;
        for (const Sequence& s : sequences) {
          add(plan, chunk_of(s, static_cast<std::int32_t>(s.tokens.size()) - s.position));
          Sequence whole = s;
          whole.position = 0;
          whole.pages = {0, 1, 2, 3};
          const std::vector<float> all = feed(*alone, whole, {96});
          want.insert(want.end(), all.begin() + std::int64_t{s.position} * vocab, all.end());
        }
        const auto logits = engine->step(plan);
        ASSERT_TRUE(logits.has_value()) << logits.error().message;
        EXPECT_EQ(std::vector<float>(logits->begin(), logits->end()), want) << table->name << " threads " << threads;
      }
    }
  }
}

// Goal: many streams in one step get the bits they would get alone (products and attention are cut otherwise then).
TEST_F(GoldenTest, ManyStreamsGiveTheBitsOfSingleOnes) {
  constexpr std::int32_t kStreams = 28;
  const std::int32_t vocab = static_cast<std::int32_t>(golden_.exact.size() / golden_.tokens.size());
  std::mt19937 random(6);
  for (const kernels::KernelTable* table : kernels::supported_kernels()) {
    for (const kernels::KvType type : kKvTypes) {
      const auto engine = load(*file_, table->name, 2, type);
      ASSERT_NE(engine, nullptr);
      std::vector<float> want;
      sched::BatchPlan plan;
      std::vector<Sequence> streams(kStreams);
      for (std::int32_t i = 0; i < kStreams; ++i) {
        Sequence& stream = streams[static_cast<std::size_t>(i)];
        stream.pages = {i};
        const std::int32_t length = 2 + static_cast<std::int32_t>(random() % 30);
        for (std::int32_t t = 0; t < length; ++t) {
          stream.tokens.push_back(static_cast<sched::TokenId>(random() % static_cast<unsigned>(vocab)));
        }
        const std::vector<float> all = feed(*engine, stream, {1});
        want.insert(want.end(), all.end() - vocab, all.end());
        stream.position = length - 1;
        add(plan, chunk_of(stream, 1));
      }
      const auto logits = engine->step(plan);
      ASSERT_TRUE(logits.has_value()) << logits.error().message;
      EXPECT_EQ(std::vector<float>(logits->begin(), logits->end()), want) << table->name;
    }
  }
}

TEST_F(GoldenTest, ProgressEndsAtOneAndBadOptionsAreErrors) {
  double last = -1;
  EngineOptions options;
  options.kv_pages = 4;
  const auto engine = Engine::load(*file_, nullptr, options, [&](double value) {
    EXPECT_GE(value, 0);
    EXPECT_LE(value, 1);
    last = value;
  });
  ASSERT_TRUE(engine.has_value()) << engine.error().message;
  EXPECT_EQ(last, 1.0);
  EXPECT_EQ((*engine)->kv_bytes_per_token(), 2U * 2 * 2 * 32 * 2);
  options.kv_type = kernels::KvType::kQ8;
  const auto small = Engine::load(*file_, nullptr, options, {});
  ASSERT_TRUE(small.has_value()) << small.error().message;
  EXPECT_EQ((*small)->kv_bytes_per_token(), 2U * 2 * 2 * (32 + 2));
  for (auto damage : {+[](EngineOptions& o) { o.max_batch_tokens = 0; },
                      +[](EngineOptions& o) { o.max_logits_rows = -1; }, +[](EngineOptions& o) { o.kv_pages = -1; },
                      +[](EngineOptions& o) { o.threads = -2; }, +[](EngineOptions& o) { o.isa = "z80"; }}) {
    EngineOptions bad = options;
    damage(bad);
    const auto result = Engine::load(*file_, nullptr, bad, {});
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Code::kInvalidArgument) << result.error().message;
  }
}

}  // namespace
}  // namespace dormouse::engine
