// Goal: the next step stays within its budget on any machine. Method: machines as formulas, with the figures of a 4B
// model on two cores (80 ms to read the weights, 1.7 ms a row of prompt).
#include "worker/step_pace.h"

#include <gtest/gtest.h>

#include <vector>

namespace dormouse::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr Nanoseconds kBudget = milliseconds(250);

Nanoseconds linear(std::int32_t prompt_rows) {
  return milliseconds(80) + prompt_rows * nanoseconds(1'700'000);
}

TEST(StepPace, BeforeAnythingIsKnownAPromptGetsOneChunk) {
  EXPECT_EQ(StepPace().prompt_rows_within(kBudget), 32);
}

TEST(StepPace, FromDecodesOnItReachesTheBudgetInThreeStepsAndNeverPassesIt) {
  StepPace pace;
  pace.observe({.prompt = 0, .generated = 4}, milliseconds(80));
  std::vector<std::int32_t> chunks;
  for (int step = 0; step < 4; ++step) {
    const std::int32_t rows = pace.prompt_rows_within(kBudget);
    EXPECT_LE(linear(rows), kBudget);
    pace.observe({.prompt = rows, .generated = 4}, linear(rows));
    chunks.push_back(rows);
  }
  EXPECT_EQ(chunks, (std::vector<std::int32_t>{32, 64, 100, 100}));  // (250 - 80) / 1.7 = 100
}

TEST(StepPace, APromptAloneBeforeTeachesItTheRowsPrice) {
  StepPace pace;
  pace.observe({.prompt = 512, .generated = 0}, linear(512));  // 950 ms; the weights' share is in it
  pace.observe({.prompt = 0, .generated = 1}, milliseconds(80));
  const std::int32_t rows = pace.prompt_rows_within(kBudget);
  EXPECT_EQ(rows, 91);  // 170 / (950.4 / 512)
  EXPECT_LE(linear(rows), kBudget);
}

TEST(StepPace, RowsThatHideBehindTheWeightsAreNotTakenForFree) {
  StepPace pace;
  const auto knee = [](std::int32_t rows) { return std::max<Nanoseconds>(milliseconds(80), rows * milliseconds(2)); };
  pace.observe({.prompt = 0, .generated = 1}, milliseconds(80));
  for (int step = 0; step < 12; ++step) {
    const std::int32_t rows = pace.prompt_rows_within(kBudget);
    // 64 rows and then 128, which is one step of 256 ms: 2.4 % over. After that it knows.
    EXPECT_LE(knee(rows), step == 2 ? milliseconds(256) : kBudget) << "step " << step << ": " << rows << " rows";
    pace.observe({.prompt = rows, .generated = 1}, knee(rows));
  }
  EXPECT_GE(pace.prompt_rows_within(kBudget), 100);
}

TEST(StepPace, AMachineTooSlowForTheBudgetStillTakesAChunkAndRecovers) {
  StepPace pace;
  pace.observe({.prompt = 0, .generated = 1}, milliseconds(400));
  pace.observe({.prompt = 32, .generated = 1}, milliseconds(900));
  EXPECT_EQ(pace.prompt_rows_within(kBudget), 32);
  for (int step = 0; step < 30; ++step) {
    pace.observe({.prompt = 0, .generated = 1}, milliseconds(80));
    const std::int32_t rows = pace.prompt_rows_within(kBudget);
    pace.observe({.prompt = rows, .generated = 1}, linear(rows));
  }
  EXPECT_NEAR(pace.prompt_rows_within(kBudget), 100, 2);
}

TEST(StepPace, ASlowStepIsTheP99OrOneFullOfPrompt) {
  StepPace pace;
  for (int step = 0; step < 100; ++step)
    pace.observe({.prompt = 0, .generated = 1}, milliseconds(step < 97 ? 10 : 900));
  EXPECT_EQ(pace.slow_step(512), Nanoseconds{0}) << "a prompt may take far longer than any step so far";
  pace.observe({.prompt = 0, .generated = 1}, milliseconds(10));
  pace.observe({.prompt = 0, .generated = 1}, milliseconds(10));
  pace.observe({.prompt = 64, .generated = 0}, milliseconds(700));
  EXPECT_GT(pace.slow_step(512), milliseconds(512 * 100 / 64)) << "what 512 of such rows take";
  EXPECT_EQ(pace.slow_step(1), milliseconds(900)) << "the 99th of a hundred";
  for (int step = 0; step < 256; ++step) pace.observe({.prompt = 0, .generated = 1}, milliseconds(10));
  EXPECT_LT(pace.slow_step(1), milliseconds(900)) << "of the last 256";
}

TEST(StepPace, AGuessCostsWhatAStepWithItTakesLonger) {
  StepPace pace;
  EXPECT_DOUBLE_EQ(pace.draft_cost(), 0.1);
  pace.observe({.prompt = 0, .generated = 1, .drafts = 7}, milliseconds(100));
  EXPECT_DOUBLE_EQ(pace.draft_cost(), 0.1) << "of what?";
  pace.observe({.prompt = 0, .generated = 1}, milliseconds(80));
  pace.observe({.prompt = 0, .generated = 1, .drafts = 5}, milliseconds(100));
  EXPECT_DOUBLE_EQ(pace.draft_cost(), 0.05);  // 20 ms of 80 for five
  pace.observe({.prompt = 64, .generated = 1, .drafts = 5}, milliseconds(900));
  EXPECT_DOUBLE_EQ(pace.draft_cost(), 0.05) << "beside prompts it cannot be told";
  pace.observe({.prompt = 0, .generated = 1, .drafts = 1}, milliseconds(120));
  EXPECT_DOUBLE_EQ(pace.draft_cost(), 0.05 + 0.25 * (0.5 - 0.05)) << "one slow step says little";
  StepPace free;
  free.observe({.prompt = 0, .generated = 1}, milliseconds(80));
  free.observe({.prompt = 0, .generated = 1, .drafts = 5}, milliseconds(79));
  EXPECT_DOUBLE_EQ(free.draft_cost(), 0.02) << "never nothing";
}

TEST(StepPace, AFewRowsOfPromptSayNothing) {
  StepPace pace;
  pace.observe({.prompt = 5, .generated = 1}, milliseconds(90));
  EXPECT_EQ(pace.prompt_rows_within(kBudget), 32);
}

}  // namespace
}  // namespace dormouse::worker
