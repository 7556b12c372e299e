// Goal: what squeue prints is understood, and only jobs of this gateway are seen. Method: lines as Slurm prints them.
#include "fleet/drivers/slurm_provider.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

namespace dormouse::fleet {
namespace {

constexpr const char* kInstance = "01928c5e-0000-7000-8000-000000000001";

TEST(Squeue, ReadsOurJobsAndNobodyElses) {
  const std::string text = fmt::format(
      "12|RUNNING|None|node1|dormouse-{0}|dormouse:gw1\n"
      "13|PENDING|Resources||dormouse-{0}|dormouse:gw1\n"
      "14|RUNNING|None|node1|dormouse-{0}|dormouse:gw2\n"
      "15|RUNNING|None|node1|dormouse-{0}|\n"
      "16|RUNNING|None|node1|my|job|dormouse:gw1\n"
      "17|RUNNING|None|node1|dormouse-x|dormouse:gw1\n"
      "x|RUNNING\n\n|||||\nslurm_load_jobs error",
      kInstance);
  const std::vector<Sighting> found = read_squeue(text, "gw1");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].id, "12");
  EXPECT_EQ(found[0].instance, kInstance);
  EXPECT_TRUE(found[0].state == MachineState::kRunning);
  EXPECT_EQ(found[0].address, "node1");
  EXPECT_EQ(found[0].detail, "RUNNING");
  EXPECT_TRUE(found[1].state == MachineState::kStarting);
  EXPECT_EQ(found[1].detail, "PENDING: Resources");
}

TEST(Squeue, AStateThatIsNotKnownIsNeverTakenForGone) {
  EXPECT_TRUE(slurm_state("PENDING") == MachineState::kStarting);
  EXPECT_TRUE(slurm_state("SOMETHING_NEW") == MachineState::kStarting);
  EXPECT_TRUE(slurm_state("COMPLETING") == MachineState::kFailed);
  for (const char* over : {"CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}) {
    EXPECT_TRUE(slurm_state(over) == MachineState::kStopped) << over;
  }
}

TEST(SlurmProvider, AConfigurationThatCannotWorkIsRefusedByKey) {
  asio::io_context io{1};
  const auto refused = [&io](const std::string& key, const std::function<void(SlurmProviderOptions&)>& change) {
    SlurmProviderOptions options;
    options.name = "hpc";
    options.owner = "gw1";
    options.sbatch = options.squeue = options.scancel = "/bin/true";
    change(options);
    const auto made = make_slurm_provider(io, std::move(options));
    ASSERT_FALSE(made.has_value()) << key;
    EXPECT_NE(made.error().message.find("driver.hpc." + key), std::string::npos) << made.error().message;
  };
  refused("sbatch", [](auto& o) { o.sbatch = "no-such-sbatch"; });
  refused("scancel", [](auto& o) { o.scancel = "/no/such"; });
  refused("owner", [](auto& o) { o.owner.clear(); });
  refused("owner", [](auto& o) { o.owner = "a|b"; });
  refused("types", [](auto& o) { o.type = "a100"; });
  refused("types", [](auto& o) { o.fallback_types = {"a10"}; });
  refused("time_limit", [](auto& o) { o.time_limit.clear(); });
}

}  // namespace
}  // namespace dormouse::fleet
