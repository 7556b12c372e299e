// Goal: README's "Grow" as written: examples/grow.toml, a deployment of child processes and one of a provider that is a
// script; both serve, grow to two and back, sleep, and nothing is left. Method: nothing faked; from the source's root,
// as a reader would. (Slurm's part: slurm_test.cc.)
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/ids.h"
#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kPatience{60'000};

class Grow : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(E2E_REAL_WORKER)) GTEST_SKIP() << "skipped: dormouse-worker is not built";
    if (!fs::exists(E2E_DEMO_MODEL)) GTEST_SKIP() << "skipped: no demo model in models/";
    before_ = fs::current_path();
    fs::current_path(E2E_SOURCE);
    provider_ = (fs::temp_directory_path() / ("dormouse-rent-" + random_hex(4))).string();
    std::ifstream file("examples/grow.toml");
    std::string config{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    replace(config, "127.0.0.1:8082", "127.0.0.1:0");                   // a port that is free
    replace(config, "build/release/dormouse-worker", E2E_REAL_WORKER);  // of this build
    HouseSetup setup;
    setup.worker = E2E_REAL_WORKER;
    setup.config = config;
    setup.environment = {"DORMOUSE_PROVIDER_DIR=" + provider_};
    house_.emplace(setup);
    ASSERT_TRUE(house_->is_up()) << house_->log();
  }
  void TearDown() override {
    house_.reset();
    if (provider_.empty()) return;
    EXPECT_TRUE(!fs::exists(provider_) || fs::is_empty(provider_)) << "a machine is still rented";
    fs::remove_all(provider_);
    fs::current_path(before_);
  }
  static void replace(std::string& text, const std::string& what, const std::string& with) {
    const std::size_t at = text.find(what);
    ASSERT_NE(at, std::string::npos) << what;
    text.replace(at, what.size(), with);
  }
  bool ready_instances(const std::string& name, std::size_t wanted) {
    return house_->eventually(kPatience, [&] {
      const gateway::DeploymentView seen = house_->deployment(name);
      const auto is_ready = [](const gateway::InstanceView& i) { return i.state == "ready"; };
      return seen.instances.size() == wanted && std::all_of(seen.instances.begin(), seen.instances.end(), is_ready);
    });
  }
  int verb(std::vector<std::string> arguments) { return house_->run_cli(std::move(arguments)).first; }
  int ask(const std::string& name) {
    return house_->post("/generate", R"({"model":")" + name + R"(","prompt":"写一首关于月亮的诗","max_tokens":8})")
        .status;
  }

  fs::path before_;
  std::string provider_;
  std::optional<RunningHouse> house_;
};

TEST_F(Grow, BothServeGrowToTwoAndBackAndSleep) {
  for (const std::string name : {"here", "rented"}) {
    EXPECT_EQ(house_->deployment(name).state, "asleep") << house_->log();
    ASSERT_EQ(ask(name), 200) << house_->log();
    ASSERT_EQ(house_->deployment(name).instances.size(), 1U);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(provider_), fs::directory_iterator()), 1);
  const Answer changed = house_->ask({.method = "PATCH",
                                      .target = "/admin/v1/deployments/rented",
                                      .body = R"({"min":2})",
                                      .headers = {},
                                      .on_piece = {}});
  EXPECT_EQ(changed.status, 409) << "dormouse.toml defines it: changed there";
  const std::string path = house_->directory() + "/data/dormouse.toml";
  std::ifstream file(path);
  std::string config{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  replace(config, "driver = \"script\"", "driver = \"script\"\nmin = 2");
  std::ofstream(path) << config;
  ASSERT_TRUE(ready_instances("rented", 2)) << house_->log();
  EXPECT_EQ(ask("rented"), 200);
  replace(config, "min = 2", "min = 0");
  replace(config, "driver = \"script\"\nmin = 0\ninstance_type = \"small\"\nmax = 2",
          "driver = \"script\"\nmin = 0\ninstance_type = \"small\"\nmax = 1");
  std::ofstream(path) << config;
  ASSERT_TRUE(ready_instances("rented", 1)) << house_->log();
  EXPECT_EQ(ask("rented"), 200);
  EXPECT_EQ(verb({"sleep", "rented"}), 0);
  EXPECT_EQ(verb({"sleep", "here"}), 0);
  EXPECT_TRUE(fs::is_empty(provider_)) << "the sleep verb returns when the provider has confirmed it";
}

}  // namespace
}  // namespace dormouse::e2e
