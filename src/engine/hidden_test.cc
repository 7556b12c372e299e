// Goal: hidden states are those the logits come from, and depend on nothing but their own text. Method: the language
// head of the tiny model, applied here in double to our rows, must give the logits of an independent reference (numpy,
// make_golden.py); rows of one text alone, in chunks and beside others are compared to the bit.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/golden_model.h"
#include "kernels/dispatch.h"
#include "quant/codec.h"

namespace dormouse::engine {
namespace {

using Tokens = std::vector<sched::TokenId>;

std::unique_ptr<Engine> load(const gguf::File& file, const std::string& isa) {
  EngineOptions options;
  options.max_batch_tokens = 96;
  options.max_logits_rows = 8;
  options.kv_pages = 16;
  options.threads = 2;
  options.isa = isa;
  auto engine = Engine::load(file, nullptr, options, {});
  EXPECT_TRUE(engine.has_value()) << (engine ? "" : engine.error().message);
  return engine ? std::move(*engine) : nullptr;
}

sched::PlanEntry entry_of(const Tokens& tokens, std::size_t begin, std::size_t count,
                          std::span<const sched::PageId> pages) {
  sched::PlanEntry out;
  out.tokens = std::span(tokens).subspan(begin, count);
  out.start_position = static_cast<std::int32_t>(begin);
  out.prompt_length = static_cast<std::int32_t>(tokens.size());
  out.pages = pages;
  out.wants_hidden = true;
  return out;
}

sched::BatchPlan plan_of(std::vector<sched::PlanEntry> entries) {
  sched::BatchPlan plan;
  plan.entries = std::move(entries);
  for (const sched::PlanEntry& entry : plan.entries) {
    const auto count = static_cast<std::int32_t>(entry.tokens.size());
    plan.token_count += count;
    if (entry.wants_hidden) plan.hidden_count += count;
    if (entry.wants_logits) plan.logits_count += 1;
  }
  return plan;
}

class HiddenTest : public testing::Test {
 protected:
  void SetUp() override {
    golden_ = read_golden();
    ASSERT_FALSE(golden_.tokens.empty());
    auto file = gguf::File::open(golden_path("model.gguf"));
    ASSERT_TRUE(file.has_value()) << file.error().message;
    file_.emplace(std::move(*file));
  }
  std::vector<float> hidden_of(Engine& engine, const Tokens& tokens, std::size_t chunk) const {
    const std::vector<sched::PageId> pages = {4, 1, 6};
    std::vector<float> out;
    for (std::size_t begin = 0; begin < tokens.size(); begin += chunk) {
      const sched::BatchPlan plan = plan_of({entry_of(tokens, begin, std::min(chunk, tokens.size() - begin), pages)});
      const auto logits = engine.step(plan);
      EXPECT_TRUE(logits.has_value()) << (logits ? "" : logits.error().message);
      EXPECT_TRUE(logits.has_value() && logits->empty());
      out.insert(out.end(), engine.hidden().begin(), engine.hidden().end());
    }
    return out;
  }
  // [tokens, vocab]
  std::vector<float> head_of(const std::vector<float>& hidden, std::size_t columns) const {
    const gguf::TensorInfo* head = file_->find_tensor("output.weight");
    if (head == nullptr) head = file_->find_tensor("token_embd.weight");
    const std::span<const std::uint8_t> data = file_->data(*head);
    const auto vocab = static_cast<std::size_t>(golden_.vocab);
    const std::size_t row_bytes = data.size() / vocab;
    std::vector<float> weights(columns);
    std::vector<float> out(hidden.size() / columns * vocab);
    for (std::size_t id = 0; id < vocab; ++id) {
      quant::dequantize_row(head->type, data.data() + id * row_bytes, weights.data(), columns);
      for (std::size_t row = 0; row < hidden.size() / columns; ++row) {
        double sum = 0;
        for (std::size_t i = 0; i < columns; ++i) {
          sum += static_cast<double>(weights[i]) * static_cast<double>(hidden[row * columns + i]);
        }
        out[row * vocab + id] = static_cast<float>(sum);
      }
    }
    return out;
  }

  Golden golden_;
  std::optional<gguf::File> file_;
};

TEST_F(HiddenTest, TheLanguageHeadMakesTheReferencesLogitsOfThem) {
  for (const kernels::KernelTable* table : kernels::supported_kernels()) {
    const auto engine = load(*file_, table->name);
    ASSERT_NE(engine, nullptr);
    ASSERT_TRUE(engine->gives_hidden());
    const std::vector<float> hidden = hidden_of(*engine, golden_.tokens, golden_.tokens.size());
    const auto columns = static_cast<std::size_t>(engine->config().hidden);
    ASSERT_EQ(hidden.size(), golden_.tokens.size() * columns);
    // The bound of golden_test.cc.
    EXPECT_LE(relative_error(head_of(hidden, columns), golden_.half_kv), 1e-4) << table->name;
  }
}

TEST_F(HiddenTest, AreTheSameBitsInChunksAndBesideOthers) {
  const auto engine = load(*file_, "");
  ASSERT_NE(engine, nullptr);
  const Tokens& text = golden_.tokens;
  const std::vector<float> want = hidden_of(*engine, text, text.size());
  EXPECT_EQ(hidden_of(*engine, text, 31), want);
  EXPECT_EQ(hidden_of(*engine, text, 1), want);
  const Tokens other(text.rbegin(), text.rbegin() + 9);
  const std::vector<sched::PageId> pages = {4, 1, 6};
  const std::vector<sched::PageId> other_pages = {9};
  const std::vector<sched::PageId> third_pages = {10};
  sched::PlanEntry answer = entry_of(other, 0, 5, third_pages);
  answer.wants_hidden = false;
  answer.wants_logits = true;
  const sched::BatchPlan plan =
      plan_of({answer, entry_of(other, 0, 9, other_pages), entry_of(text, 0, text.size(), pages)});
  const auto logits = engine->step(plan);
  ASSERT_TRUE(logits.has_value()) << logits.error().message;
  EXPECT_EQ(logits->size(), static_cast<std::size_t>(golden_.vocab));
  const auto columns = static_cast<std::size_t>(engine->config().hidden);
  const std::span<const float> hidden = engine->hidden();
  ASSERT_EQ(hidden.size(), 9 * columns + want.size());
  EXPECT_TRUE(std::equal(want.begin(), want.end(), hidden.begin() + static_cast<std::ptrdiff_t>(9 * columns)));
}

TEST_F(HiddenTest, APlanThatWantsBothOrMiscountsIsRefused) {
  const auto engine = load(*file_, "");
  ASSERT_NE(engine, nullptr);
  const std::vector<sched::PageId> pages = {0, 1, 2};
  sched::BatchPlan plan = plan_of({entry_of(golden_.tokens, 0, 3, pages)});
  plan.hidden_count = 2;
  EXPECT_FALSE(engine->step(plan).has_value());
  plan.hidden_count = 3;
  plan.logits_count = 1;
  plan.entries[0].wants_logits = true;
  EXPECT_FALSE(engine->step(plan).has_value());
}

}  // namespace
}  // namespace dormouse::engine
