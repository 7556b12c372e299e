// Goal: one call for one change of the file, however an editor writes it; none for its neighbours, none after the end.
// Method: real files in a directory of its own; the loop runs until the call comes. Turns: the same loop, no files.
#include "gateway/config_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "base/ids.h"
#include "gateway/turns.h"

namespace dormouse::gateway {
namespace {

namespace fs = std::filesystem;

class Watching : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() / ("dormouse-watch-" + random_hex(6));
    fs::create_directories(directory_);
  }
  void TearDown() override {
    std::error_code ec;
    fs::remove_all(directory_, ec);
  }
  Result<ConfigWatch> start() {
    return ConfigWatch::start(io_, (directory_ / "dormouse.toml").string(), [this] { ++calls_; });
  }
  void write(const std::string& name, const std::string& text = "x") const { std::ofstream(directory_ / name) << text; }
  // Runs the loop until a call, or for so long as a call would need: two settling times.
  int calls_after_settling() {
    calls_ = 0;
    io_.restart();
    io_.run_for(std::chrono::milliseconds(400));
    return calls_;
  }

  asio::io_context io_{1};
  fs::path directory_;
  int calls_ = 0;
};

TEST_F(Watching, EveryWayToWriteItIsOneCall) {
  const Result<ConfigWatch> watch = start();
  ASSERT_TRUE(watch.has_value()) << watch.error().message;
  write("dormouse.toml");
  EXPECT_EQ(calls_after_settling(), 1) << "made";
  write("dormouse.toml");
  write("dormouse.toml");
  EXPECT_EQ(calls_after_settling(), 1) << "written in place, twice in a row";
  write("4913");
  fs::rename(directory_ / "dormouse.toml", directory_ / "dormouse.toml~");
  write("dormouse.toml");
  fs::remove(directory_ / "dormouse.toml~");
  EXPECT_EQ(calls_after_settling(), 1) << "an editor with a backup";
  write(".dormouse.toml.swp");
  fs::rename(directory_ / ".dormouse.toml.swp", directory_ / "dormouse.toml");
  EXPECT_EQ(calls_after_settling(), 1) << "renamed over it";
  fs::remove(directory_ / "dormouse.toml");
  EXPECT_EQ(calls_after_settling(), 1) << "removed";
}

TEST_F(Watching, NeighboursAreNotIt) {
  const Result<ConfigWatch> watch = start();
  ASSERT_TRUE(watch.has_value());
  for (const char* name : {"ledger.db", "dormouse.tom", "dormouse.toml.bak", "xdormouse.toml"}) write(name);
  EXPECT_EQ(calls_after_settling(), 0);
}

TEST_F(Watching, AfterItsEndNothingComes) {
  {
    const Result<ConfigWatch> watch = start();
    ASSERT_TRUE(watch.has_value());
    write("dormouse.toml");
    io_.run_for(std::chrono::milliseconds(20));  // seen, and still settling
  }
  EXPECT_EQ(calls_after_settling(), 0);
  EXPECT_EQ(io_.poll(), 0U) << "nothing is left waiting";
}

TEST_F(Watching, ADirectoryThatIsNotThereIsATypedError) {
  const Result<ConfigWatch> watch = ConfigWatch::start(io_, "/nowhere/at/all/dormouse.toml", [] {});
  ASSERT_FALSE(watch.has_value());
  EXPECT_EQ(watch.error().code, Code::kNotFound);
}

Task<void> take_turn(Turns& turns, int number, OneShot<bool> go_on, std::vector<int>& order) {
  const Turns::Turn turn = co_await turns.take();
  order.push_back(number);
  static_cast<void>(co_await go_on.get());
  order.push_back(number);
}

TEST(Turns, OneAtATimeInOrderOfArrival) {
  asio::io_context io{1};
  Turns turns(io);
  std::vector<int> order;
  std::vector<OneShot<bool>> gates;
  for (int i = 0; i < 3; ++i) {
    gates.emplace_back(io);
    Task<void> task = take_turn(turns, i, gates.back(), order);
    asio::co_spawn(io, std::move(task), asio::detached);
  }
  io.poll();
  EXPECT_EQ(order, (std::vector<int>{0}));
  gates[1].set(true);  // not its turn yet
  io.poll();
  EXPECT_EQ(order, (std::vector<int>{0}));
  gates[0].set(true);
  io.poll();
  EXPECT_EQ(order, (std::vector<int>{0, 0, 1, 1, 2}));
  gates[2].set(true);
  io.poll();
  EXPECT_EQ(order, (std::vector<int>{0, 0, 1, 1, 2, 2}));
}

}  // namespace
}  // namespace dormouse::gateway
