// Goal: of load tests that were kept, the newest that fits speaks, and of a batch only where several concurrencies
// were measured. Method: records written into a directory as `dormouse bench` does, then read.
#include "cli/kept_speeds.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "loadtest/record.h"

namespace dormouse::cli {
namespace {

class KeptSpeedsTest : public testing::Test {
 protected:
  KeptSpeedsTest() : directory_(testing::TempDir() + "kept-speeds") {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_ + "/bench");
  }
  ~KeptSpeedsTest() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ + "/bench/" + name) << text;
  }
  // Concurrency and tokens a second, together.
  static std::string record(std::initializer_list<std::pair<int, double>> points) {
    loadtest::BenchRecord out;
    out.at = "2026-11-01T08:00:00+00:00";
    out.model = "Qwen3-4B:q4_k_m";
    out.instance_type = "t4";
    for (const auto& [concurrency, tokens_per_s] : points) {
      loadtest::StepResult step;
      step.step = {.kind = loadtest::Step::Kind::kClosed, .concurrency = concurrency};
      step.requests = 10;
      step.output_tokens_per_s = tokens_per_s;
      out.steps.push_back(step);
    }
    return loadtest::to_json(out);
  }

  const std::string directory_;
};

TEST_F(KeptSpeedsTest, OneConcurrencySaysNothingOfABatch) {
  write("20261101-t4.json", record({{1, 40}}));
  const std::optional<KeptSpeeds> alone = kept_speeds(directory_, "t4", "qwen3-4b");
  ASSERT_TRUE(alone.has_value());
  EXPECT_DOUBLE_EQ(alone->speeds.line.tokens_per_s(1), 40);
  EXPECT_EQ(alone->speeds.basis, planner::SpeedBasis::kMeasured);
  EXPECT_FALSE(alone->speeds.is_of_batch);
}

TEST_F(KeptSpeedsTest, SeveralConcurrenciesAreALine) {
  write("20261101-t4.json", record({{1, 40}, {4, 100}}));  // steps of 25 and 40 ms
  const std::optional<KeptSpeeds> line = kept_speeds(directory_, "t4", "qwen3-4b");
  ASSERT_TRUE(line.has_value());
  EXPECT_TRUE(line->speeds.is_of_batch);
  EXPECT_NEAR(line->speeds.line.tokens_per_s(1), 40, 1e-6);
  EXPECT_NEAR(line->speeds.line.tokens_per_s(4), 100, 1e-6);
}

TEST_F(KeptSpeedsTest, TheNewestThatCanBeReadAndFitsSpeaks) {
  write("20261101-t4.json", record({{1, 40}}));
  write("20261102-t4.json", record({{1, 50}}));
  write("20261103-t4.json", "{\"version\":1");
  write("20261104-t4.json", record({{8, 300}}));  // nothing is known of one alone
  const std::optional<KeptSpeeds> newest = kept_speeds(directory_, "t4", "qwen3-4b");
  ASSERT_TRUE(newest.has_value());
  EXPECT_DOUBLE_EQ(newest->speeds.line.tokens_per_s(1), 50);
  EXPECT_FALSE(kept_speeds(directory_, "t4", "qwen3-8b").has_value());
  EXPECT_FALSE(kept_speeds(directory_, "a10", "qwen3-4b").has_value());
  EXPECT_FALSE(kept_speeds(directory_ + "/nowhere", "t4", "qwen3-4b").has_value());
}

}  // namespace
}  // namespace dormouse::cli
