// Goal: whatever a provider does, there is never a second machine for an instance, never one that nobody ends, and
// every failure is told. Method: fake_provider.py as the provider's program, which loses replies, answers twice, shows
// late, refuses, hangs, prints nonsense; then a random walk of many instances over a provider inside this process.
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>

#include "base/ids.h"
#include "fleet/drivers/driver_recorder.h"
#include "fleet/drivers/make_driver.h"
#include "fleet/fleet_fixture.h"

namespace dormouse::fleet {
namespace {

class CommandDriverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    set_log_level(LogLevel::kError);
    std::string name = "/tmp/provider_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    for (const char* folder : {"/machines", "/plan", "/always"}) std::filesystem::create_directory(directory_ + folder);
    life_.io = &io_;
    life_.clock = &clock_;
    life_.poll_interval = life_.backoff_first = std::chrono::milliseconds(10);
    life_.backoff_most = std::chrono::milliseconds(40);
    life_.visible_after = std::chrono::milliseconds(100);
    life_.reconcile_interval = std::chrono::milliseconds(50);
  }
  void TearDown() override {
    driver_.reset();
    run_until(
        io_, [] { return false; }, std::chrono::milliseconds(20));
    std::filesystem::remove_all(directory_);
  }

  [[nodiscard]] CommandTemplate command(std::vector<std::string> words) const {
    CommandTemplate out;
    out.argv = {DORMOUSE_SOURCE_DIR "/src/fleet/drivers/fake_provider.py", directory_};
    out.argv.insert(out.argv.end(), words.begin(), words.end());
    out.timeout = std::chrono::seconds(20);
    return out;
  }
  [[nodiscard]] CommandProviderOptions options() const {
    CommandProviderOptions out;
    out.name = "cloud";
    out.owner = "gw1";
    out.start = command({"start", "{owner}", "{instance}", "{type}"});
    out.stop = command({"stop", "{id}"});
    out.list = command({"list", "{owner}"});
    out.start_id = "json:/Instances/0/Id";
    out.start_refused = {"NoStock"};
    out.list_rows = "json:/Machines/*";
    out.list_instance = "json:/Tags/[Key=dormouse]/Value";
    out.list_id = "json:/Id";
    out.list_state = "json:/State";
    out.list_address = "json:/Ip";
    out.states = {{"Running", MachineState::kRunning}, {"Stopped", MachineState::kStopped}};
    out.type = "big";
    out.fallback_types = {"small"};
    out.environment = {"PATH=/usr/local/bin:/usr/bin:/bin"};
    out.script_directory = directory_;
    out.backoff = std::chrono::milliseconds(10);
    return out;
  }
  void make(CommandProviderOptions provider) {
    RemoteDriverOptions remote;
    remote.life = life_;
    remote.provider = std::move(provider);
    driver_ = make_attached(std::move(remote), events_);
    ASSERT_NE(driver_, nullptr);
  }
  std::string start() {
    StartSpec spec;
    spec.instance_id = make_uuid_v7(clock_.wall());
    spec.deployment = "m";
    spec.model_path = "/m.gguf";
    spec.lease_token = "topsecret";
    driver_->start(spec);
    return spec.instance_id;
  }
  bool reaches(const std::string& what, const std::string& id) {
    return run_until(
        io_, [&] { return events_.count(what, id) == 1; }, std::chrono::seconds(60));
  }
  void stop_and_expect_nothing_left(const std::string& id) {
    driver_->stop(id, StopMode::kGraceful);
    EXPECT_TRUE(reaches("exited", id));
    EXPECT_TRUE(run_until(io_, [this] { return alive() == 0; })) << alive() << " machines are left";
    EXPECT_TRUE(driver_->list().empty());
  }
  void set(const std::string& file, const std::string& text) { std::ofstream(directory_ + "/" + file) << text; }
  void unset(const std::string& file) { std::filesystem::remove(directory_ + "/" + file); }
  [[nodiscard]] std::string text(const std::string& file) const {
    std::ifstream in(directory_ + "/" + file);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  [[nodiscard]] int lines_with(const std::string& file, const std::string& word) const {
    std::istringstream in(text(file));
    int count = 0;
    for (std::string line; std::getline(in, line);) count += line.find(word) != std::string::npos ? 1 : 0;
    return count;
  }
  [[nodiscard]] int made() const { return lines_with("made", ""); }
  [[nodiscard]] int alive() const {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ + "/machines")) {
      count += entry.path().extension() == ".json" ? 1 : 0;
    }
    return count;
  }
  void put_machine(const std::string& id, const std::string& owner, const std::string& instance) {
    set("machines/" + id + ".json", R"({"Id":")" + id +
                                        R"(","State":"Running","Late":0,"Tags":[{"Key":"owner","Value":")" + owner +
                                        R"("},{"Key":"dormouse","Value":")" + instance + "\"}]}");
  }

  SystemClock clock_;
  asio::io_context io_{1};
  std::string directory_;
  RemoteOptions life_;
  Recorder events_;
  std::unique_ptr<Driver> driver_;
};

TEST_F(CommandDriverTest, StartsOnceAndStopsConfirmed) {
  make(options());
  const std::string id = start();
  EXPECT_TRUE(events_.events.empty()) << "never from inside start";
  StartSpec again;
  again.instance_id = id;
  driver_->start(again);
  ASSERT_TRUE(reaches("started", id));
  EXPECT_EQ(made(), 1);
  EXPECT_EQ(events_.progress, std::vector<std::string>{"Running"});
  stop_and_expect_nothing_left(id);
  EXPECT_EQ(text("calls").find("topsecret"), std::string::npos) << "the lease is no argument";
}

TEST_F(CommandDriverTest, WhatAnEarlierGatewayStartedIsFoundAgainNotStartedAndNoStranger) {
  const std::string id = make_uuid_v7(clock_.wall());
  put_machine("m-1", "gw1", id);
  put_machine("m-2", "gw1", make_uuid_v7(clock_.wall()));
  make(options());
  driver_->resume(id, std::chrono::hours(1));
  ASSERT_TRUE(reaches("started", id));
  EXPECT_TRUE(run_until(io_, [this] { return alive() == 1; })) << "the stranger goes, it stays";
  EXPECT_EQ(made(), 0);
  const int looks = lines_with("calls", "list ");
  EXPECT_TRUE(run_until(io_, [&] { return lines_with("calls", "list ") >= looks + 3; }));
  EXPECT_EQ(alive(), 1);
  stop_and_expect_nothing_left(id);
}

TEST_F(CommandDriverTest, WhatHasEndedMeanwhileHasExitedWhenTwoAnswersSaySo) {
  set("plan/list", "fail\nnonsense");
  make(options());
  const std::string id = make_uuid_v7(clock_.wall());
  driver_->resume(id, std::chrono::hours(1));
  ASSERT_TRUE(reaches("exited", id));
  EXPECT_GE(lines_with("calls", "list "), 4) << "two that said nothing, two that said none";
  EXPECT_EQ(made(), 0);
  EXPECT_EQ(lines_with("calls", "stop "), 0);
  EXPECT_TRUE(driver_->list().empty());
}

TEST_F(CommandDriverTest, WhatNobodyTakesBackIsEnded) {
  const std::string id = make_uuid_v7(clock_.wall());
  put_machine("m-1", "gw1", id);
  make(options());
  driver_->resume(id, std::chrono::seconds(1));
  driver_->stop(id, StopMode::kGraceful);
  ASSERT_TRUE(reaches("exited", id));
  EXPECT_EQ(alive(), 0);
}

TEST_F(CommandDriverTest, ALostReplyIsLookedUpNotRepeated) {
  for (const char* how : {"lose_reply", "nonsense", "huge", "hang", "late:3"}) {
    SCOPED_TRACE(how);
    set("plan/start", how);
    unset("made");
    CommandProviderOptions provider = options();
    if (how == std::string("hang")) provider.start.timeout = std::chrono::milliseconds(1500);
    life_.visible_after = std::chrono::seconds(60);
    make(provider);
    const std::string id = start();
    ASSERT_TRUE(reaches("started", id));
    EXPECT_EQ(made(), 1);
    stop_and_expect_nothing_left(id);
  }
}

TEST_F(CommandDriverTest, AStartThatMadeNothingIsRepeatedWhenThatIsCertain) {
  set("plan/start", "fail\nsilent");
  make(options());
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  EXPECT_EQ(lines_with("calls", "start "), 3);
  EXPECT_EQ(made(), 1);
  stop_and_expect_nothing_left(id);
}

TEST_F(CommandDriverTest, WithoutAListNoSecondMachineIsAskedFor) {
  set("plan/start", "lose_reply");
  set("always/list", "fail");
  life_.start_timeout = std::chrono::milliseconds(500);
  life_.report_after = 1;
  make(options());
  const std::string id = start();
  ASSERT_TRUE(run_until(io_, [this] { return events_.unconfirmed > 0; }));
  EXPECT_EQ(lines_with("calls", "start "), 1);
  EXPECT_TRUE(events_.events.empty()) << "perhaps it costs money: not over";
  unset("always/list");
  ASSERT_TRUE(reaches("start_failed", id));
  EXPECT_EQ(alive(), 0);
}

TEST_F(CommandDriverTest, OfTwoMachinesForOneStartOneIsKept) {
  set("plan/start", "twice");
  make(options());
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  EXPECT_EQ(made(), 2);
  EXPECT_TRUE(run_until(io_, [this] { return alive() == 1; }));
  EXPECT_EQ(events_.count("exited", id), 0);
  stop_and_expect_nothing_left(id);
}

TEST_F(CommandDriverTest, ATypeThatIsSoldOutOrDoesNotResumeFallsBackToTheNext) {
  for (const char* how : {"no_big", "stopped"}) {
    SCOPED_TRACE(how);
    set("plan/start", how);
    unset("made");
    make(options());
    const std::string id = start();
    ASSERT_TRUE(reaches("started", id));
    EXPECT_EQ(lines_with("made", "small"), 1);
    driver_->stop(id, StopMode::kGraceful);
    EXPECT_TRUE(reaches("exited", id));
    for (const auto& entry : std::filesystem::directory_iterator(directory_ + "/machines")) {
      EXPECT_NE(text("machines/" + entry.path().filename().string()).find("Stopped"), std::string::npos);
      std::filesystem::remove(entry.path());
    }
  }
}

TEST_F(CommandDriverTest, AllTypesSoldOutIsATypedFailureAtOnce) {
  set("always/start", "refused");
  make(options());
  const std::string id = start();
  ASSERT_TRUE(reaches("start_failed", id));
  EXPECT_NE(events_.last_error.message.find("NoStock"), std::string::npos) << events_.last_error.message;
  EXPECT_EQ(lines_with("calls", "start "), 2) << "each type once";
}

TEST_F(CommandDriverTest, ASecretInAnErrorIsMasked) {
  set("always/start", "lose_reply");
  set("always/list", "fail");
  life_.start_timeout = std::chrono::milliseconds(300);
  make(options());
  const std::string id = start();
  ASSERT_TRUE(run_until(io_, [this] { return lines_with("calls", "start ") == 1 && alive() == 1; }));
  driver_->stop(id, StopMode::kGraceful);
  unset("always/list");
  ASSERT_TRUE(reaches("start_failed", id));
  EXPECT_EQ(events_.last_error.message.find("topsecret"), std::string::npos);
  EXPECT_NE(events_.last_error.message.find("***"), std::string::npos) << events_.last_error.message;
}

TEST_F(CommandDriverTest, AStopThatIsIgnoredIsToldAndRepeatedUntilItIsConfirmed) {
  for (const char* how : {"ignore", "fail"}) {
    SCOPED_TRACE(how);
    life_.stop_patience = std::chrono::milliseconds(how == std::string("ignore") ? 100 : 3'600'000);
    make(options());
    const std::string id = start();
    ASSERT_TRUE(reaches("started", id));
    set("always/stop", how);
    const int before = events_.unconfirmed;
    driver_->stop(id, StopMode::kGraceful);
    ASSERT_TRUE(run_until(io_, [&] { return events_.unconfirmed >= before + 2; }));
    EXPECT_EQ(events_.count("exited", id), 0);
    EXPECT_FALSE(events_.last_error.message.empty());
    unset("always/stop");
    EXPECT_TRUE(reaches("exited", id));
    EXPECT_EQ(alive(), 0);
  }
}

TEST_F(CommandDriverTest, AProviderThatIsDownOrMadHasNotLostOurMachine) {
  make(options());
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  for (const char* how : {"fail", "nonsense", "huge"}) {
    const int calls = lines_with("calls", "list");
    set("always/list", how);
    ASSERT_TRUE(run_until(io_, [&] { return lines_with("calls", "list") >= calls + 5; }));
    EXPECT_EQ(events_.count("exited", id), 0) << how;
  }
  unset("always/list");
  stop_and_expect_nothing_left(id);
}

TEST_F(CommandDriverTest, AMachineEndedBehindOurBackHasExited) {
  make(options());
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  for (const auto& entry : std::filesystem::directory_iterator(directory_ + "/machines")) {
    std::filesystem::remove(entry.path());
  }
  EXPECT_TRUE(reaches("exited", id));
  EXPECT_TRUE(driver_->list().empty());
}

TEST_F(CommandDriverTest, AMachineThatFailsWhileItRunsIsEndedAndHasExited) {
  CommandProviderOptions provider = options();
  provider.states["Broken"] = MachineState::kFailed;
  make(provider);
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  const std::string name = std::filesystem::directory_iterator(directory_ + "/machines")->path().filename().string();
  std::string machine = text("machines/" + name);
  machine.replace(machine.find("Running"), 7, "Broken");
  set("machine.new", machine);
  std::filesystem::rename(directory_ + "/machine.new", directory_ + "/machines/" + name);
  EXPECT_TRUE(reaches("exited", id));
  EXPECT_EQ(alive(), 0);
}

TEST_F(CommandDriverTest, StrangersOfOursAreEndedOthersAreNot) {
  put_machine("s-1", "gw1", make_uuid_v7(clock_.wall()));
  put_machine("s-2", "gw2", make_uuid_v7(clock_.wall()));
  put_machine("s-3", "gw1", "somebody's own name");
  make(options());
  ASSERT_TRUE(run_until(io_, [this] { return alive() == 2; }));
  EXPECT_GE(lines_with("calls", "list"), 2) << "not at first sight";
  const int calls = lines_with("calls", "list");
  ASSERT_TRUE(run_until(io_, [&] { return lines_with("calls", "list") >= calls + 3; }));
  EXPECT_EQ(alive(), 2);
}

TEST_F(CommandDriverTest, StoppedWhileItStartsLeavesNothing) {
  set("plan/start", "pending");
  make(options());
  const std::string id = start();
  ASSERT_TRUE(run_until(io_, [this] { return !events_.progress.empty(); }));
  EXPECT_EQ(events_.progress[0], "Pending");
  driver_->stop(id, StopMode::kKill);
  ASSERT_TRUE(reaches("start_failed", id));
  EXPECT_EQ(alive(), 0);
}

TEST_F(CommandDriverTest, AWorkerThatJoinsIsProofThatItRuns) {
  set("plan/start", "pending");
  make(options());
  const std::string id = start();
  ASSERT_TRUE(run_until(io_, [this] { return !events_.progress.empty(); }));
  driver_->worker_joined(id);
  ASSERT_TRUE(reaches("started", id));
  stop_and_expect_nothing_left(id);
}

TEST_F(CommandDriverTest, OneThatNeverRunsIsEndedAndTheNextTypeTried) {
  set("plan/start", "pending");
  life_.start_timeout = std::chrono::milliseconds(700);
  make(options());
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  EXPECT_EQ(made(), 2);
  EXPECT_EQ(alive(), 1);
  stop_and_expect_nothing_left(id);
}

TEST_F(CommandDriverTest, AStatusCommandIsAskedWhereThereIsOne) {
  CommandProviderOptions provider = options();
  provider.status = command({"status", "{id}"});
  provider.status_state = "json:/State";
  provider.status_gone = {"NotFound"};
  make(provider);
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  EXPECT_GE(lines_with("calls", "status"), 1);
  stop_and_expect_nothing_left(id);
}

TEST_F(CommandDriverTest, TheDriversEndEndsItsCommands) {
  set("plan/start", "hang_before");
  make(options());
  start();
  ASSERT_TRUE(run_until(io_, [this] { return lines_with("calls", "start ") == 1; }));
  driver_.reset();
  EXPECT_TRUE(run_until(io_, [this] { return io_.stopped() || io_.poll() == 0; }));
  EXPECT_TRUE(events_.events.empty());
}

TEST_F(CommandDriverTest, AConfigurationThatCannotWorkIsRefusedByKey) {
  const auto refused = [this](const std::string& key, const std::function<void(CommandProviderOptions&)>& change) {
    CommandProviderOptions provider = options();
    change(provider);
    const auto made = make_command_provider(io_, std::move(provider));
    ASSERT_FALSE(made.has_value()) << key;
    EXPECT_NE(made.error().message.find("driver.cloud." + key), std::string::npos) << made.error().message;
  };
  const auto last = [](CommandTemplate& command) -> std::string& { return command.argv.back(); };
  refused("start", [](auto& o) { o.start.argv.erase(o.start.argv.begin() + 4); });
  refused("start", [&](auto& o) { last(o.start) = "{typo}"; });
  refused("start", [&](auto& o) { last(o.start) = "{type"; });
  refused("start", [](auto& o) { o.start.argv[0] = "no-such-cli"; });
  refused("start", [](auto& o) { o.start.argv.clear(); });
  refused("start", [](auto& o) { o.start.argv.erase(o.start.argv.begin() + 3); });
  refused("stop", [&](auto& o) { last(o.stop) = "all"; });
  refused("stop", [&](auto& o) { last(o.stop) = "{type}"; });
  refused("list", [&](auto& o) { last(o.list) = "everybody"; });
  refused("list", [](auto& o) { o.owner.clear(); });
  refused("list", [](auto& o) { o.list.argv[0] = "/no/such/cli"; });
  refused("start_id", [](auto& o) { o.start_id = "regex:.*"; });
  refused("list_state", [](auto& o) { o.list_state = "json:x"; });
  refused("list_expect", [](auto& o) { o.list_rows = "lines"; });
  refused("status_state", [this](auto& o) { o.status = command({"status", "{id}"}); });
}

// A provider in this process, in which everything may go wrong with a chance of one in four.
class FlakyProvider final : public Provider {
 public:
  FlakyProvider(asio::io_context& io, unsigned seed) : io_(io), random_(seed) {}
  std::size_t kinds(const StartSpec& /*spec*/) const override { return 2; }
  Task<CreateOutcome> create(const StartSpec& spec, std::size_t /*kind*/) override {
    co_await turn();
    CreateOutcome out;
    out.error = make_error(Code::kUnavailable, "flaky");
    const int chance = pick(8);
    if (chance == 0) {
      out.verdict = CreateVerdict::kRefused;
      co_return out;
    }
    if (chance == 1) co_return out;  // nothing made, and nobody knows
    for (const auto& [id, shown] : machines_) second_ = second_ || shown.instance == spec.instance_id;
    Sighting machine;
    machine.instance = spec.instance_id;
    machine.id = std::to_string(++count_);
    machine.state = pick(6) == 0 ? MachineState::kFailed : MachineState::kRunning;
    machines_[machine.id] = machine;
    shown_from_[machine.id] = clock_.now() + std::chrono::milliseconds(pick(15));
    if (chance == 2) co_return out;  // made, and nobody knows
    out.verdict = CreateVerdict::kCreated;
    out.id = machine.id;
    co_return out;
  }
  Task<Result<std::vector<Sighting>>> list() override {
    co_await turn();
    if (pick(4) == 0) co_return make_error(Code::kUnavailable, "flaky");
    std::vector<Sighting> out;
    for (const auto& [id, machine] : machines_) {
      if (clock_.now() >= shown_from_[id]) out.push_back(machine);
    }
    co_return out;
  }
  Task<Result<std::vector<Sighting>>> status(const std::string& instance, const std::string& /*id*/) override {
    Result<std::vector<Sighting>> all = co_await list();
    if (all.has_value()) std::erase_if(*all, [&instance](const Sighting& s) { return s.instance != instance; });
    co_return all;
  }
  Task<Status> destroy(const std::string& /*instance*/, const std::string& id) override {
    co_await turn();
    const int chance = pick(4);
    if (chance == 0) co_return make_error(Code::kUnavailable, "flaky");
    if (chance != 1) machines_.erase(id);  // 1: taken and forgotten
    co_return Status();
  }
  void close() override {}
  [[nodiscard]] std::size_t alive() const { return machines_.size(); }
  [[nodiscard]] bool had_second() const { return second_; }

 private:
  int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
  Task<void> turn() {
    asio::steady_timer timer(io_);
    timer.expires_after(std::chrono::microseconds(pick(300)));
    co_await timer.async_wait(kTuple);
  }
  asio::io_context& io_;
  std::mt19937 random_;
  std::map<std::string, Sighting> machines_;
  std::map<std::string, MonoTime> shown_from_;
  SystemClock clock_;
  int count_ = 0;
  bool second_ = false;
};

TEST(RemoteDriverWalk, AThousandInstancesOverAFlakyProviderLeaveNothing) {
  set_log_level(LogLevel::kError);
  for (unsigned seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    asio::io_context io{1};
    const SystemClock clock;
    Recorder events;
    auto owned = std::make_unique<FlakyProvider>(io, seed);
    const FlakyProvider& provider = *owned;
    RemoteOptions life;
    life.io = &io;
    life.clock = &clock;
    life.name = "flaky";
    life.poll_interval = life.backoff_first = life.backoff_most = std::chrono::milliseconds(1);
    life.visible_after = std::chrono::milliseconds(20);
    life.reconcile_interval = std::chrono::milliseconds(2);
    RemoteDriver driver(life, std::move(owned));
    driver.attach(events);
    std::vector<std::string> ids;
    for (int i = 0; i < 10; ++i) {
      StartSpec spec;
      spec.instance_id = make_uuid_v7(clock.wall());
      ids.push_back(spec.instance_id);
      driver.start(spec);
    }
    const auto told = [&](const std::string& id) {
      return events.count("started", id) + events.count("start_failed", id) > 0;
    };
    ASSERT_TRUE(run_until(io, [&] { return std::all_of(ids.begin(), ids.end(), told); }));
    for (const std::string& id : ids) driver.stop(id, StopMode::kGraceful);
    ASSERT_TRUE(run_until(io, [&] { return driver.list().empty() && provider.alive() == 0; }));
    EXPECT_FALSE(provider.had_second()) << "two machines for one instance";
    for (const std::string& id : ids) {
      EXPECT_EQ(events.count("started", id), events.count("exited", id));
      EXPECT_EQ(events.count("exited", id) + events.count("start_failed", id), 1);
    }
  }
}

}  // namespace
}  // namespace dormouse::fleet
