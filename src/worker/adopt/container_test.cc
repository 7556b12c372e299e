// Goal: a container of podman or docker is adopted as a program is: pulled, run, told of, ended, and nothing is left
// when we are gone, however we went. Method: tables for the words of `run`; the life with fake_engine.sh, which acts as
// the engine and misbehaves on demand; and once with the real podman where it runs.
#include "worker/adopt/container.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "base/unique_fd.h"
#include "worker/adopt/adopt_fixture_test.h"
#include "worker/fake_gateway_test.h"

namespace dormouse::worker::adopt {
namespace {

constexpr const char* kImage = "localhost/dormouse-test:1";
constexpr const char* kEnvironment[] = {"PATH=/usr/bin:/bin", "XDG_RUNTIME_DIR=/run/user/7", "DORMOUSE_LEASE=t",
                                        nullptr};

std::string content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Folder {
 public:
  Folder() : path_(make_directory()) {}
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// --- the words

AdoptOptions plain_options() {
  AdoptOptions out;
  out.container.image = kImage;
  out.container.engine = "/bin/true";
  out.upstream = http::Address::parse("127.0.0.1:4321").value();
  out.command = {"-m", "{model}", "--host", "{host}", "--port", "{port}", "{name}"};
  return out;
}

Result<ContainerPlan> plan(const AdoptOptions& options) {
  return plan_container(options, http::Address::parse("127.0.0.1:8000").value(), kEnvironment);
}

TEST(ContainerPlan, MountsTheFolderOfAFileAndPublishesOnLoopbackOnly) {
  const Folder folder;
  std::ofstream(folder.path("q.gguf")).put('x');
  AdoptOptions options = plain_options();
  options.model = folder.path("q.gguf");
  options.environment = {"AT={host}:{port}"};
  options.container.options = {"--gpus=all"};
  const Result<ContainerPlan> planned = plan(options);
  ASSERT_TRUE(planned.has_value()) << planned.error().message;
  const std::string mount = options.model.substr(0, options.model.rfind('/')) + ":/models:ro";
  EXPECT_EQ(planned->run, (std::vector<std::string>{"/bin/true",
                                                    "run",
                                                    "--rm",
                                                    "--init",
                                                    "--pull=never",
                                                    "--name",
                                                    planned->name,
                                                    "-p",
                                                    "127.0.0.1:4321:4321",
                                                    "-v",
                                                    mount,
                                                    "-e",
                                                    "AT=0.0.0.0:4321",
                                                    "--gpus=all",
                                                    kImage,
                                                    "-m",
                                                    "/models/q.gguf",
                                                    "--host",
                                                    "0.0.0.0",
                                                    "--port",
                                                    "4321",
                                                    "q"}));
  EXPECT_EQ(planned->environment, (std::vector<std::string>{"PATH=/usr/bin:/bin", "XDG_RUNTIME_DIR=/run/user/7"}))
      << "the engine's client gets what it needs and no secret of ours";
  EXPECT_EQ(planned->name, plan(options)->name) << "the next start finds what this one left";
}

TEST(ContainerPlan, MountsAFolderAsItIsAndHandsARepositorysNameOn) {
  const Folder folder;
  std::filesystem::create_directory(folder.path("Qwen3-4B"));
  AdoptOptions options = plain_options();
  options.model = folder.path("Qwen3-4B");
  std::vector<std::string> run = plan(options).value().run;
  EXPECT_NE(std::find(run.begin(), run.end(), options.model + ":/models/Qwen3-4B:ro"), run.end());
  EXPECT_NE(std::find(run.begin(), run.end(), "/models/Qwen3-4B"), run.end());
  options.model = "Qwen/Qwen3-4B";
  run = plan(options).value().run;
  EXPECT_EQ(std::find(run.begin(), run.end(), "-v"), run.end());
  EXPECT_NE(std::find(run.begin(), run.end(), "Qwen/Qwen3-4B"), run.end());
}

TEST(ContainerPlan, OnTheHostsNetworkItListensOnLoopbackItself) {
  AdoptOptions options = plain_options();
  options.model = "m";
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--network=host"}, {"--net", "host"}}) {
    options.container.options = words;
    const std::vector<std::string> run = plan(options).value().run;
    EXPECT_EQ(std::find(run.begin(), run.end(), "-p"), run.end());
    EXPECT_NE(std::find(run.begin(), run.end(), "127.0.0.1"), run.end());
  }
}

TEST(ContainerPlan, SaysWhatIsMissing) {
  const Folder folder;
  std::filesystem::create_directory(folder.path("a:b"));
  AdoptOptions options = plain_options();
  options.model = "/no/such/model.gguf";
  EXPECT_EQ(plan(options).error().code, Code::kNotFound);
  options.model = folder.path("a:b");
  EXPECT_EQ(plan(options).error().code, Code::kInvalidArgument);
  options.model = "m";
  options.container.engine = "/no/such/podman";
  EXPECT_EQ(plan(options).error().code, Code::kNotFound);
  options.container.engine = "";
  const char* const nothing[] = {"PATH=/nonexistent", nullptr};
  const Error error = plan_container(options, options.upstream, nothing).error();
  EXPECT_EQ(error.code, Code::kNotFound);
  EXPECT_NE(error.message.find("install"), std::string::npos) << error.message;
}

TEST(PullProgress, TellsTheLastLineAtMostEveryTwoSeconds) {
  PullProgress progress;
  const MonoTime start{1'000'000'000};
  EXPECT_EQ(progress.take("Trying\n", start), "Trying");
  EXPECT_EQ(progress.take("blob 1\rblob \"2\"\x1b\r", start + std::chrono::milliseconds(1999)), "");
  EXPECT_EQ(progress.take("", start + std::chrono::seconds(2)), "blob 2");
  EXPECT_EQ(progress.take(std::string(100'000, 'x'), start + std::chrono::seconds(4)).size(), 200U);
}

// --- the life

class FakeEngine {
 public:
  explicit FakeEngine(const std::string& mode = "") {
    const std::string file = folder_.path("engine");
    std::ofstream(file) << "#!/bin/sh\nSTATE=" << folder_.path("") << " MODE=" << mode << " IMAGE=" << kImage
                        << " UPSTREAM=" << FAKE_UPSTREAM_PATH << " exec /bin/sh " << FAKE_ENGINE_PATH << " \"$@\"\n";
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  }
  void has_image() const { std::ofstream(path("image")).put('x'); }
  [[nodiscard]] std::string path(const std::string& name) const { return folder_.path(name); }
  [[nodiscard]] std::string calls() const { return content(path("calls")); }
  [[nodiscard]] ContainerOptions options() const { return {.image = kImage, .engine = path("engine"), .options = {}}; }
  // The pid in a file the engine wrote; 0: there is none.
  [[nodiscard]] int pid_in(const std::string& name) const { return std::atoi(content(path(name)).c_str()); }

 private:
  Folder folder_;
};

// A corpse that nobody collects has no exe.
bool is_gone(int pid) {
  return http::TestServer::eventually(
      [&] { return ::access(("/proc/" + std::to_string(pid) + "/exe").c_str(), F_OK) != 0; });
}

std::vector<std::string> verbs(const std::string& calls) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < calls.size(); at = calls.find('\n', at) + 1) {
    out.push_back(calls.substr(at, calls.find_first_of(" \n", at) - at));
  }
  return out;
}

std::string failure(FakeGateway& gateway) {
  while (const std::optional<control::Message> message = gateway.next()) {
    if (const auto* found = std::get_if<control::Failed>(&*message); found != nullptr) return found->message;
  }
  return "did not fail";
}

AdopterHarness::Options contained(const FakeEngine& engine, const FakeGateway* gateway = nullptr) {
  return {.command = {"--port", "{port}"},
          .control = gateway == nullptr ? std::string() : gateway->address(),
          .container = engine.options()};
}

TEST(AdoptContainer, IsPulledServesAndIsGoneAfterADrain) {
  const FakeEngine engine;
  AdopterHarness harness(contained(engine));
  ASSERT_TRUE(harness.wait_ready());
  const int pid = engine.pid_in("container");
  ASSERT_GT(pid, 1);
  EXPECT_EQ(harness.post("/v1/completions", R"({"model":"ours","prompt":"say"})").status, 200);
  harness.drain();
  EXPECT_EQ(harness.wait_exit(), 0);
  EXPECT_TRUE(is_gone(pid));
  EXPECT_EQ(verbs(engine.calls()), (std::vector<std::string>{"rm", "image", "pull", "run", "stop", "rm"}));
}

TEST(AdoptContainer, AnImageThatIsThereIsNotPulledAndALeftoverIsRemovedFirst) {
  const FakeEngine engine;
  engine.has_image();
  const pid_t leftover = ::fork();
  ASSERT_GE(leftover, 0);
  if (leftover == 0) {
    ::execl("/bin/sleep", "sleep", "1000", nullptr);
    ::_exit(1);
  }
  std::ofstream(engine.path("container")) << leftover;
  AdopterHarness harness(contained(engine));
  EXPECT_TRUE(harness.wait_ready());
  int status = 0;
  EXPECT_EQ(::waitpid(leftover, &status, 0), leftover);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_EQ(verbs(engine.calls()), (std::vector<std::string>{"rm", "image", "run"}));
}

TEST(AdoptContainer, AnEngineThatTalksNonsenseWhilePullingIsNoMatter) {
  const FakeEngine engine("nonsense");
  AdopterHarness harness(contained(engine));
  EXPECT_TRUE(harness.wait_ready());
}

TEST(AdoptContainer, AFailedPullIsToldWithItsLastWords) {
  const FakeEngine engine("offline");
  FakeGateway gateway;
  AdopterHarness harness(contained(engine, &gateway));
  const std::string message = failure(gateway);
  EXPECT_NE(message.find("no such host"), std::string::npos) << message;
  EXPECT_NE(message.find("load -i"), std::string::npos) << message;
  EXPECT_EQ(harness.wait_exit(), 2);
}

TEST(AdoptContainer, APullThatHangsIsGivenUpAtItsDeadline) {
  const FakeEngine engine("hangs");
  FakeGateway gateway;
  AdopterHarness::Options options = contained(engine, &gateway);
  options.container.pull_deadline = std::chrono::milliseconds(300);
  AdopterHarness harness(std::move(options));
  const std::string message = failure(gateway);
  EXPECT_NE(message.find("pull has not come to an end in 300 ms"), std::string::npos) << message;
  EXPECT_EQ(harness.wait_exit(), 2);
}

TEST(AdoptContainer, AStopWhilePullingEndsThePull) {
  const FakeEngine engine("hangs");
  AdopterHarness harness(contained(engine));
  ASSERT_TRUE(http::TestServer::eventually([&] { return engine.pid_in("pull") > 1; }));
  harness.drain();
  EXPECT_EQ(harness.wait_exit(), 0);
  EXPECT_TRUE(is_gone(engine.pid_in("pull")));
}

TEST(AdoptContainer, ADeathAtTheStartIsToldWithItsLastWords) {
  const FakeEngine engine;
  FakeGateway gateway;
  AdopterHarness::Options options = contained(engine, &gateway);
  options.command.emplace_back("--die");
  AdopterHarness harness(std::move(options));
  const std::string message = failure(gateway);
  EXPECT_NE(message.find("exit code 3 before it was ready"), std::string::npos) << message;
  EXPECT_NE(message.find("CUDA error: out of memory"), std::string::npos) << message;
  EXPECT_EQ(harness.wait_exit(), 2);
}

TEST(AdoptContainer, ATakenPortIsSaidSo) {
  const FakeEngine engine("taken");
  FakeGateway gateway;
  AdopterHarness harness(contained(engine, &gateway));
  const std::string message = failure(gateway);
  EXPECT_NE(message.find("is taken"), std::string::npos) << message;
  EXPECT_EQ(harness.wait_exit(), 2);
}

TEST(AdoptContainer, ASecondStopKillsOneThatIgnoresSigterm) {
  const FakeEngine engine;
  AdopterHarness::Options options = contained(engine);
  options.command.emplace_back("--ignore-term");
  AdopterHarness harness(std::move(options));
  ASSERT_TRUE(harness.wait_ready());
  const int pid = engine.pid_in("container");
  harness.drain();
  harness.drain();
  EXPECT_EQ(harness.wait_exit(), 0);
  EXPECT_TRUE(is_gone(pid));
}

// Adopts in a process of its own and kills that when it serves. `sign`: a path nobody uses.
void serve_and_be_killed(const AdopterHarness::Options& options, const std::string& sign) {
  const pid_t owner = ::fork();
  ASSERT_GE(owner, 0);
  if (owner == 0) {
    AdopterHarness harness(options);
    if (harness.wait_ready()) std::ofstream(sign).put('x');
    while (true) ::pause();
  }
  EXPECT_TRUE(http::TestServer::eventually([&] { return std::filesystem::exists(sign); }));
  ASSERT_EQ(::kill(owner, SIGKILL), 0);
  EXPECT_EQ(::waitpid(owner, nullptr, 0), owner);
}

// The engine's client outlives a killed adopt for a moment and asks its container to end.
TEST(AdoptContainer, EndsWithAnAdoptThatIsKilled) {
  const FakeEngine engine;
  engine.has_image();
  serve_and_be_killed(contained(engine), engine.path("ready"));
  EXPECT_TRUE(http::TestServer::eventually([&] { return !std::filesystem::exists(engine.path("container")); }));
  EXPECT_EQ(verbs(engine.calls()), (std::vector<std::string>{"rm", "image", "run"})) << "nobody was left to call more";
}

// --- the real one

struct Ran {
  int exit_code = -1;
  std::string output;
};
Ran run_program(std::vector<std::string> argv, const std::string& output_file) {
  const UniqueFd output(::open(output_file.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));
  SubprocessOptions options;
  options.argv = std::move(argv);
  options.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"};
  options.output_fd = output.get();
  Result<Subprocess> process = Subprocess::spawn(options);
  if (!process.has_value()) return {-1, process.error().message};
  pollfd p{process->pidfd(), POLLIN, 0};
  if (::poll(&p, 1, 120'000) != 1) return {-1, "has not ended"};
  const int exit_code = process->try_wait().value_or(ExitStatus{}).exit_code;
  return {exit_code, content(output_file)};
}

TEST(AdoptContainer, RunsWithTheRealPodman) {
  const Folder folder;
  const std::string engine = folder.path("engine");
  const Ran made =
      run_program({"/bin/sh", PODMAN_IMAGE_PATH, folder.path(""), FAKE_UPSTREAM_PATH}, folder.path("made"));
  if (made.exit_code == 77) GTEST_SKIP() << made.output;
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const auto containers = [&] { return run_program({engine, "ps", "-a", "-q"}, folder.path("ps")).output; };
  ContainerOptions container{.image = kImage, .engine = engine, .options = {"--network=host"}};
  {
    AdopterHarness harness({.command = {"--port", "{port}"}, .container = container});
    ASSERT_TRUE(harness.wait_ready()) << harness.output();
    EXPECT_EQ(harness.post("/v1/completions", R"({"model":"ours","prompt":"say"})").status, 200);
    EXPECT_NE(containers(), "");
    harness.drain();
    EXPECT_EQ(harness.wait_exit(), 0);
    EXPECT_EQ(containers(), "");
  }
  serve_and_be_killed({.command = {"--port", "{port}"}, .container = container}, folder.path("ready"));
  EXPECT_TRUE(http::TestServer::eventually([&] { return containers().empty(); })) << containers();
  container.image = "localhost/dormouse-not-there:1";
  FakeGateway gateway;
  AdopterHarness harness({.command = {"--port", "{port}"}, .control = gateway.address(), .container = container});
  const std::string message = failure(gateway);
  EXPECT_NE(message.find("is not here"), std::string::npos) << message;
  EXPECT_EQ(harness.wait_exit(), 2);
}

}  // namespace
}  // namespace dormouse::worker::adopt
