// A real gateway with examples/grow.toml: a deployment of child processes, `here`, and one whose machines a script
// rents, `rented`. From the source's root, as README says. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "e2e/running_house.h"

namespace dormouse::e2e {

class GrowHouse : public ::testing::Test {
 protected:
  static constexpr std::chrono::milliseconds kPatience{60'000};

  void SetUp() override {
    namespace fs = std::filesystem;
    if (!fs::exists(E2E_REAL_WORKER)) GTEST_SKIP() << "skipped: dormouse-worker is not built";
    if (!fs::exists(E2E_DEMO_MODEL)) GTEST_SKIP() << "skipped: no demo model in models/";
    before_ = fs::current_path();
    fs::current_path(E2E_SOURCE);
    provider_ = (fs::temp_directory_path() / ("dormouse-rent-" + random_hex(4))).string();
    config_ = read("examples/grow.toml");
    replace("127.0.0.1:8082", "127.0.0.1:" + std::to_string(free_port()));  // the same after a restart
    replace("build/release/dormouse-worker", E2E_REAL_WORKER);              // of this build
    arrange();
    HouseSetup setup;
    setup.worker = E2E_REAL_WORKER;
    setup.config = config_;
    setup.environment = environment_;
    setup.environment.push_back("DORMOUSE_PROVIDER_DIR=" + provider_);
    house_.emplace(setup);
    ASSERT_TRUE(house_->is_up()) << house_->log();
  }
  void TearDown() override {
    house_.reset();
    if (provider_.empty()) return;
    EXPECT_EQ(machines(), 0) << "a machine is still rented";
    std::filesystem::remove_all(provider_);
    std::filesystem::current_path(before_);
  }
  // What a test wants otherwise in the file before the gateway starts.
  virtual void arrange() {}

  static std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  void replace(const std::string& what, const std::string& with) {
    const std::size_t at = config_.find(what);
    ASSERT_NE(at, std::string::npos) << what;
    config_.replace(at, what.size(), with);
  }
  void save() const { std::ofstream(house_->directory() + "/data/dormouse.toml") << config_; }

  int machines() const {
    namespace fs = std::filesystem;
    if (!fs::exists(provider_)) return 0;
    return static_cast<int>(std::distance(fs::directory_iterator(provider_), fs::directory_iterator()));
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

  std::filesystem::path before_;
  std::string provider_;
  std::string config_;
  std::vector<std::string> environment_;  // for arrange() to fill
  std::optional<RunningHouse> house_;

 private:
  static std::uint16_t free_port() {
    asio::io_context io;
    const asio::ip::tcp::acceptor any(io, {asio::ip::address_v4::loopback(), 0});
    return any.local_endpoint().port();
  }
};

}  // namespace dormouse::e2e
