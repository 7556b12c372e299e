// Goal: the tables of docs/drivers.md are read, and what is wrong in one is named. Method: the documentation's own
// examples, then tables with one mistake each.
#include "gateway/driver_file.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <sstream>
#include <variant>

namespace dormouse::gateway {
namespace {

class DriverFileTest : public ::testing::Test {
 protected:
  DriverFileTest() {
    context_.io = &io_;
    context_.clock = &clock_;
    context_.environment = environment_.data();
    context_.owner = "gw1";
  }
  Result<std::map<std::string, fleet::RemoteDriverOptions>> read(const std::string& text) {
    return read_drivers(text, "dormouse.toml", context_);
  }
  void refused(const std::string& line, const std::string& part) {
    const auto got = read("[driver.x]\n" + line);
    ASSERT_FALSE(got.has_value()) << line;
    EXPECT_NE(got.error().message.find(part), std::string::npos) << got.error().message;
  }

  asio::io_context io_{1};
  SystemClock clock_;
  std::array<const char*, 5> environment_{"PATH=/bin", "SECRET=1", "AWS_PROFILE=p", "SLURM_CONF=/c", nullptr};
  DriverContext context_;
};

// Every ```toml block of the page, as one file each.
std::vector<std::string> documented() {
  std::ifstream in(DORMOUSE_SOURCE_DIR "/docs/drivers.md");
  std::vector<std::string> out;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line == "```toml") {
      inside = true;
      out.emplace_back();
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      out.back() += line + "\n";
    }
  }
  return out;
}

TEST_F(DriverFileTest, TheDocumentationsExamplesAreWhatItSays) {
  const std::vector<std::string> examples = documented();
  ASSERT_GE(examples.size(), 4U);
  for (const std::string& example : examples) {
    auto got = read(example);
    ASSERT_TRUE(got.has_value()) << got.error().message << "\n" << example;
    ASSERT_EQ(got->size(), 1U);
    fleet::RemoteDriverOptions options = std::move(got->begin()->second);
    if (auto* command = std::get_if<fleet::CommandProviderOptions>(&options.provider)) {
      for (auto* each : {&command->start, &command->stop, &command->list, &command->status}) {
        if (!each->argv.empty()) each->argv[0] = "/bin/true";  // the providers' programs are not here
      }
    } else if (auto* slurm = std::get_if<fleet::SlurmProviderOptions>(&options.provider)) {
      slurm->sbatch = slurm->squeue = slurm->scancel = "/bin/true";
    }
    const auto made = fleet::make_driver(std::move(options));
    EXPECT_TRUE(made.has_value()) << made.error().message << "\n" << example;
  }
}

TEST_F(DriverFileTest, TheEnvironmentIsAnAllowListAndTheRestHasDefaults) {
  const auto got = read(
      "[driver.x]\nkind = \"command\"\nstart = [\"a\"]\nstart_timeout = \"90s\"\n"
      "environment = [\"AWS_PROFILE\"]\nvisible_after = \"2m\"\n[driver.x.states]\nok = \"running\"\n");
  ASSERT_TRUE(got.has_value()) << got.error().message;
  const fleet::RemoteDriverOptions& driver = got->at("x");
  const auto& options = std::get<fleet::CommandProviderOptions>(driver.provider);
  EXPECT_EQ(options.environment, (std::vector<std::string>{"PATH=/bin", "AWS_PROFILE=p"}));
  EXPECT_EQ(options.start.timeout, std::chrono::seconds(90));
  EXPECT_EQ(options.owner, "gw1");
  EXPECT_EQ(driver.life.visible_after, std::chrono::minutes(2));
  EXPECT_TRUE(options.states.at("ok") == fleet::MachineState::kRunning);
  EXPECT_TRUE(read("listen = [\"a\"]").value().empty());
}

TEST_F(DriverFileTest, TheManifestsFileIsReadInsideACluster) {
  const std::array<const char*, 3> inside{"KUBERNETES_SERVICE_HOST=10.96.0.1", "KUBERNETES_SERVICE_PORT=443", nullptr};
  context_.environment = inside.data();
  std::ifstream in(DORMOUSE_SOURCE_DIR "/deploy/kubernetes/dormouse.toml");
  std::stringstream text;
  text << in.rdbuf();
  auto got = read(text.str());
  ASSERT_TRUE(got.has_value()) << got.error().message;
  auto& options = std::get<fleet::KubernetesProviderOptions>(got->at("cluster").provider);
  EXPECT_EQ(options.access.server, "https://10.96.0.1:443");
  if (options.name_space.empty()) options.name_space = "dormouse";  // of a file that only a Pod has
  const auto made = fleet::make_driver(std::move(got->at("cluster")));
  EXPECT_TRUE(made.has_value()) << made.error().message;
}

TEST_F(DriverFileTest, AKubernetesTypeIsTheTablesOwnResourcesButForWhatItNames) {
  const auto got = read(
      "[driver.k]\nkind = \"kubernetes\"\nserver = \"https://k:6443\"\nca_file = \"/ca\"\nnamespace = \"n\"\n"
      "control = \"gw.n.svc:8082\"\nimage = \"i:1\"\ncpu = \"4\"\nmemory = \"8Gi\"\ntolerations = [\"gpu\"]\ngrace = "
      "\"1500ms\"\ntype = \"t4\"\n"
      "[driver.k.types.t4]\ngpus = 1\nmemory = \"16Gi\"\n");
  ASSERT_TRUE(got.has_value()) << got.error().message;
  const auto& options = std::get<fleet::KubernetesProviderOptions>(got->at("k").provider);
  const fleet::KubernetesResources& t4 = options.pods.types.at("t4");
  EXPECT_EQ(t4.cpu, "4");
  EXPECT_EQ(t4.memory, "16Gi");
  EXPECT_EQ(t4.gpus, 1);
  EXPECT_EQ(t4.tolerations, (std::vector<std::string>{"gpu"}));
  EXPECT_EQ(options.pods.resources.gpus, 0);
  EXPECT_EQ(options.pods.grace_seconds, 2);
  EXPECT_EQ(options.place.control, "gw.n.svc:8082");
  EXPECT_EQ(options.access.token_file, "") << "only inside a cluster is there one to be found";
  EXPECT_EQ(got->at("k").life.visible_after, std::chrono::seconds(10));
}

TEST_F(DriverFileTest, MistakesAreNamed) {
  refused("", "driver.x.kind");
  refused("kind = \"cloud\"", "driver.x.kind: 'cloud'");
  refused("kind = \"command\"\nstrat = [\"a\"]", "driver.x.strat: is unknown");
  refused("kind = \"command\"\nstart = \"rm -rf\"", "driver.x.start: is unknown here or has the wrong type");
  refused("kind = \"command\"\nstart_timeout = \"soon\"", "driver.x.start_timeout");
  refused("kind = \"command\"\npoll_interval = \"0s\"", "driver.x.poll_interval");
  refused("kind = \"command\"\nstart_retries = -1", "driver.x.start_retries");
  refused("kind = \"command\"\nstates = { up = \"fine\" }", "driver.x.states: 'fine'");
  refused("kind = \"slurm\"\nstart = [\"a\"]", "driver.x.start");
  refused("kind = \"slurm\"\ntypes = { a = 1 }", "driver.x.types");
  refused("kind = \"slurm\"\nexclusive = true", "driver.x.exclusive");
  refused("kind = \"kubernetes\"\npartition = \"gpu\"", "driver.x.partition");
  refused("kind = \"kubernetes\"\ngpus = -1", "driver.x.gpus");
  refused("kind = \"kubernetes\"\ntypes = { a = 1 }", "driver.x.types");
  refused("kind = \"kubernetes\"\n[driver.x.types.a]\ngpu = 1", "driver.x.types.a.gpu: is unknown");
  EXPECT_FALSE(read("[driver.process]\nkind = \"slurm\"").has_value());
}

TEST(DriverFile, TellsWhichTablesTwoFilesHaveUnlikeEachOther) {
  const std::string a = "[driver.a]\nkind = \"slurm\"\ntime_limit = \"1:00\"\n";
  const std::string b = "[driver.b]\nkind = \"slurm\"\n";
  using List = std::vector<std::string>;
  EXPECT_EQ(drivers_unlike(a + b, b + "# moved\n" + a), List{}) << "the same, written otherwise";
  EXPECT_EQ(drivers_unlike(a + b, a), List{"b"}) << "gone";
  EXPECT_EQ(drivers_unlike("", a + b), (List{"a", "b"})) << "new";
  EXPECT_EQ(drivers_unlike(a + b, "[driver.a]\nkind = \"slurm\"\ntime_limit = \"2:00\"\n" + b), List{"a"});
  EXPECT_EQ(drivers_unlike(a, a + "[[deployment]]\nname = \"x\"\n"), List{}) << "nothing of a driver";
}

TEST(DriverFile, ChecksATableWithoutMakingADriver) {
  EXPECT_TRUE(check_drivers("", "f").has_value());
  EXPECT_TRUE(check_drivers("[driver.k]\nkind = \"kubernetes\"\n", "f").has_value());
  const Status wrong = check_drivers("[driver.a]\nkind = \"slurm\"\npartitoin = \"x\"\n", "f");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_NE(wrong.error().message.find("driver.a.partitoin"), std::string::npos) << wrong.error().message;
}

}  // namespace
}  // namespace dormouse::gateway
