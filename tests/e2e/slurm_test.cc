// Goal: README's "Grow" on a cluster: a deployment whose instances are Slurm jobs serves, grows to two and back, and
// lives through scancel behind its back and a restart of the controller. Method: nothing faked: gateway, worker, demo
// model, TLS between them, and a Slurm of this machine's packages (fleet/drivers/slurm_cluster.h).
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "e2e/running_house.h"
#include "fleet/drivers/slurm_cluster.h"

namespace dormouse::e2e {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{60'000};

class OnSlurm : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string why_not = fleet::why_no_slurm();
    if (!why_not.empty()) GTEST_SKIP() << "needs munge, slurm-wlm and root: " << why_not;
    if (!std::filesystem::exists(E2E_REAL_WORKER)) GTEST_SKIP() << "skipped: dormouse-worker is not built";
    if (!std::filesystem::exists(E2E_DEMO_MODEL)) GTEST_SKIP() << "skipped: no demo model in models/";
    cluster_ = std::make_unique<fleet::Cluster>();
    cluster_->start_munged();
    const std::string socket = cluster_->directory + "/munge.sock";
    ASSERT_TRUE(fleet::run_until(io_, [&socket] { return std::filesystem::exists(socket); }));
    cluster_->start_controller();
    cluster_->start_node();
    ASSERT_TRUE(command_shows({"sinfo", "--noheader", "--format=%T"}, "idle"));
    HouseSetup setup;
    setup.worker = E2E_REAL_WORKER;
    setup.environment = cluster_->environment();
    setup.config =
        "worker_listen = [\"127.0.0.1:0\"]\n"
        "[driver.hpc]\nkind = \"slurm\"\npartition = \"main\"\ntime_limit = \"00:10:00\"\n"
        "poll_interval = \"250ms\"\nreconcile_interval = \"1s\"\nvisible_after = \"2s\"\noutput = \"" +
        cluster_->directory + "/job.log\"\nworker = \"" E2E_REAL_WORKER "\"\nworker_listen = \"127.0.0.1:0\"\n";
    house_ = std::make_unique<RunningHouse>(setup);
    ASSERT_TRUE(house_->is_up()) << house_->log();
  }
  void TearDown() override {
    house_.reset();
    cluster_.reset();
  }

  std::string command(std::vector<std::string> argv) { return cluster_->command(io_, std::move(argv)); }
  bool command_shows(const std::vector<std::string>& argv, const std::string& wanted) {
    return cluster_->shows(io_, argv, wanted);
  }
  std::int64_t jobs() {
    const std::string out = command({"squeue", "--noheader", "--states=RUNNING", "--format=%i"});
    return std::count(out.begin(), out.end(), '\n');
  }
  bool ready_instances(std::size_t wanted) {
    return house_->eventually(kPatience, [this, wanted] {
      const gateway::DeploymentView seen = house_->deployment("chat");
      const auto is_ready = [](const gateway::InstanceView& i) { return i.state == "ready"; };
      return seen.instances.size() == wanted && std::all_of(seen.instances.begin(), seen.instances.end(), is_ready);
    });
  }
  Answer ask() {
    return house_->post("/generate", R"({"model":"chat","prompt":"写一首关于月亮的诗","max_tokens":16})");
  }

  asio::io_context io_{1};
  std::unique_ptr<fleet::Cluster> cluster_;
  std::unique_ptr<RunningHouse> house_;
};

TEST_F(OnSlurm, ServesGrowsShrinksAndLivesThroughScancelAndARestartOfTheController) {
  const auto [made, words] =
      house_->run_cli({"deploy", E2E_DEMO_MODEL, "--on", "", "--name", "chat", "--driver", "hpc"});
  ASSERT_EQ(made, 0) << words;
  EXPECT_EQ(jobs(), 0) << "asleep it costs nothing";
  const Answer first = ask();
  ASSERT_EQ(first.status, 200) << first.body << house_->log();
  EXPECT_EQ(jobs(), 1);

  ASSERT_EQ(house_->run_cli({"set", "chat", "max=2", "min=2"}).first, 0);
  ASSERT_TRUE(ready_instances(2)) << house_->log();
  EXPECT_EQ(jobs(), 2);
  EXPECT_EQ(ask().status, 200);
  ASSERT_EQ(house_->run_cli({"set", "chat", "min=0", "max=1"}).first, 0);
  ASSERT_TRUE(ready_instances(1)) << house_->log();
  ASSERT_TRUE(house_->eventually(kPatience, [this] { return jobs() == 1; }));

  command({"scancel", "--me"});
  ASSERT_TRUE(house_->eventually(kPatience, [this] { return house_->deployment("chat").state != "ready"; }));
  const Answer after = ask();
  ASSERT_EQ(after.status, 200) << after.body << house_->log();

  ASSERT_TRUE(cluster_->stop_controller(io_));
  EXPECT_EQ(ask().status, 200) << "who serves serves on";
  cluster_->start_controller();
  ASSERT_TRUE(command_shows({"squeue", "--noheader", "--format=%T"}, "RUNNING"));
  EXPECT_EQ(ask().status, 200);
  EXPECT_EQ(jobs(), 1);

  ASSERT_EQ(house_->run_cli({"sleep", "chat"}).first, 0);
  EXPECT_EQ(jobs(), 0) << "confirmed before the verb returns";
}

}  // namespace
}  // namespace dormouse::e2e
