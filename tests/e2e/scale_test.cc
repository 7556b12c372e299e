// Goal: load starts a second instance, requests are spread over both, and when the load is over the second is released
// while the first stays. Method: real processes, workers whose speed is set (tests/fake_worker); a scale_window of two
// seconds, so that nobody sleeps for minutes. What the policy does at its real pace: policy/simulation_test.cc.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/ids.h"
#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kPatience{60'000};

class Scale : public ::testing::Test {
 protected:
  void SetUp() override {
    HouseSetup setup;
    setup.data_dir = (fs::temp_directory_path() / ("dormouse-scale-" + random_hex(4))).string();
    fs::create_directories(setup.data_dir);
    const std::string model = setup.data_dir + "/m.gguf";
    // Four contexts of keys and values: two such requests are all that one instance should have.
    std::ofstream(model) << "fake:load_ms=20,tokens=200,tokens_per_s=60,context=256";
    setup.config = "[[deployment]]\nname = \"m\"\nmax = 2\nscale_window = \"2s\"\nimage = \"" + model + "\"\n";
    house_.emplace(setup);
    ASSERT_TRUE(house_->is_up()) << house_->log();
  }
  std::size_t instances() { return house_->deployment("m").instances.size(); }
  // Each with a prompt of its own: one that was served before goes where its beginning is.
  std::vector<Wish> wave(int requests, int tokens) {
    std::vector<Wish> out(static_cast<std::size_t>(requests));
    for (Wish& wish : out) {
      wish.method = "POST";
      wish.target = "/generate";
      wish.body = R"({"model":"m","prompt":"hi )" + std::to_string(++prompts_) + R"(","max_tokens":)" +
                  std::to_string(tokens) + "}";
    }
    return out;
  }
  void expect_all_answered(const std::vector<Answer>& answers) {
    for (const Answer& answer : answers) EXPECT_EQ(answer.status, 200) << answer.body;
  }

  std::optional<RunningHouse> house_;
  int prompts_ = 0;
};

TEST_F(Scale, LoadStartsASecondInstanceWhichIsReleasedWhenItIsOver) {
  expect_all_answered(house_->ask_all(wave(1, 20)));
  EXPECT_EQ(instances(), 1U) << "one request is no load";
  expect_all_answered(house_->ask_all(wave(8, 200)));  // 3 s: enough for the average of 6, not for 60
  const gateway::DeploymentView grown = house_->deployment("m");
  ASSERT_EQ(grown.instances.size(), 2U) << house_->log();
  EXPECT_EQ(grown.instances.at(0).because, "request");
  EXPECT_EQ(grown.instances.at(1).because, "load");
  expect_all_answered(house_->ask_all(wave(4, 20)));
  EXPECT_TRUE(house_->eventually(kPatience, [this] {
    const gateway::DeploymentView now = house_->deployment("m");
    return now.instances.size() == 2 && now.instances.at(1).generated_tokens > 0;
  })) << "whoever has less to do is asked";
  EXPECT_TRUE(house_->eventually(kPatience, [this] { return instances() == 1; })) << house_->log();
  EXPECT_EQ(house_->deployment("m").instances.at(0).instance_id, grown.instances.at(0).instance_id);
  EXPECT_EQ(house_->deployment("m").state, "ready") << "the last one goes by the idle timeout alone";
  EXPECT_NE(house_->log().find("reason=scale_down"), std::string::npos);
}

}  // namespace
}  // namespace dormouse::e2e
