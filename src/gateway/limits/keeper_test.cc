// Goal: buckets survive a restart and a damaged file does not matter; refusals are counted in bounded memory and handed
// over by the minute. Method: ManualClock, a temporary directory, damage at every byte.
#include "gateway/limits/keeper.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/ids.h"
#include "gateway/limits/state_file.h"

namespace dormouse::gateway {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

LimitState example() {
  return {MonoTime{5'000},
          WallTime{1'700'000'000'000'000},
          {{Holder::kKey, "abc", 60, 13, 1'000, 999}, {Holder::kDeployment, "chat", 0, 0, 7, 7}}};
}

TEST(LimitState, ReadsBackAsItWasWritten) {
  const Result<LimitState> back = read_limit_state(write_limit_state(example()));
  ASSERT_TRUE(back.has_value()) << back.error().message;
  EXPECT_EQ(back->at, example().at);
  EXPECT_EQ(back->at_wall, example().at_wall);
  ASSERT_EQ(back->buckets.size(), 2U);
  EXPECT_EQ(back->buckets[0].name, "abc");
  EXPECT_EQ(back->buckets[0].requests_missing, 13);
  EXPECT_EQ(back->buckets[0].tokens_missing, 999);
  EXPECT_EQ(back->buckets[1].holder, Holder::kDeployment);
  EXPECT_EQ(back->buckets[1].tokens_per_minute, 7);
}

TEST(LimitState, AnyDamageIsSeen) {
  const std::string good = write_limit_state(example());
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(read_limit_state(bad).has_value()) << "byte " << i;
    EXPECT_FALSE(read_limit_state(good.substr(0, i)).has_value()) << "cut at " << i;
  }
  // A right CRC over nonsense.
  for (const char* text : {"", "hello\n", "dormouse-limits 1\nat 1 x\n", "dormouse-limits 1\nat 1 2\nkey a 1 2 3\n",
                           "dormouse-limits 1\nat 1 2\nking a 1 2 3 4\n", "dormouse-limits 1\nat 1 2\nkey a 1 2 3 -4\n",
                           "dormouse-limits 2\nat 1 2\n"}) {
    const std::string body(text);
    EXPECT_FALSE(read_limit_state(body + fmt::format("crc {:08x}\n", crc32(body.data(), body.size()))).has_value())
        << body;
  }
}

TEST(LimitState, ItsAgeIsNeitherNegativeNorMoreThanAMinute) {
  LimitState state = example();
  state.at = MonoTime{100'000'000'000};
  const WallTime wall = state.at_wall;
  EXPECT_EQ(age_of(state, state.at + seconds(7), {wall.us + 900'000'000}), seconds(7)) << "the boot clock, if it can";
  EXPECT_EQ(age_of(state, state.at + hours(2), wall), minutes(1));
  // Another boot: its clock began anew.
  EXPECT_EQ(age_of(state, MonoTime{1}, {wall.us + 20'000'000}), seconds(20));
  EXPECT_EQ(age_of(state, MonoTime{1}, {wall.us - 20'000'000}), Nanoseconds(0));
  EXPECT_EQ(age_of(state, MonoTime{1}, {INT64_MAX}), minutes(1));
}

class KeeperTest : public ::testing::Test {
 protected:
  KeeperTest() { std::filesystem::create_directories(directory); }
  ~KeeperTest() override {
    std::error_code ec;
    std::filesystem::remove_all(directory, ec);
  }
  LimitOptions options() {
    LimitOptions out;
    out.state_path = directory + "/limits.state";
    out.record_refusals = [this](std::vector<RefusalCount> rows) {
      ++handed_over;
      recorded.insert(recorded.end(), rows.begin(), rows.end());
    };
    return out;
  }
  static int take(LimitKeeper& keeper, int most) {
    KeyLimits limits;
    limits.requests_per_minute = 60;
    int taken = 0;
    for (int i = 0; i < most; ++i) {
      Admission a;
      taken += keeper.limiter().begin(a, "k", limits).has_value() ? 0 : 1;
    }
    return taken;
  }

  const std::string directory =
      (std::filesystem::temp_directory_path() / ("dormouse-limits-" + random_hex(6))).string();
  asio::io_context io;
  ManualClock clock;
  std::vector<RefusalCount> recorded;
  int handed_over = 0;
};

TEST_F(KeeperTest, WhatWasTakenBeforeARestartIsStillTaken) {
  {
    LimitKeeper keeper(io, clock, options());
    EXPECT_EQ(take(keeper, 100), 60);
    keeper.end();
  }
  clock.advance(seconds(10));
  {
    LimitKeeper keeper(io, clock, options());
    EXPECT_EQ(take(keeper, 100), 10);
    keeper.tick();  // and then it is killed
  }
  {
    LimitKeeper keeper(io, clock, options());
    EXPECT_EQ(take(keeper, 100), 0);
  }
  clock.advance(minutes(1));
  LimitKeeper keeper(io, clock, options());
  EXPECT_EQ(take(keeper, 100), 60);
}

TEST_F(KeeperTest, ADamagedFileIsIgnoredAndWrittenAnew) {
  std::ofstream(directory + "/limits.state") << "nonsense";
  LimitKeeper keeper(io, clock, options());
  EXPECT_EQ(take(keeper, 7), 7);
  keeper.tick();
  const Result<LimitState> state = load_limit_state(directory + "/limits.state");
  ASSERT_TRUE(state.has_value()) << state.error().message;
  EXPECT_EQ(state->buckets.size(), 1U);
}

TEST_F(KeeperTest, AHouseWithoutLimitsWritesNothing) {
  LimitKeeper keeper(io, clock, options());
  keeper.tick();
  keeper.end();
  EXPECT_FALSE(std::filesystem::exists(directory + "/limits.state"));
}

TEST_F(KeeperTest, RefusalsAreHandedOverByTheMinute) {
  LimitKeeper keeper(io, clock, options());
  for (int i = 0; i < 3; ++i) keeper.refusals().count(clock.wall(), "k", "chat", "rate_limit_tokens");
  keeper.refusals().count(clock.wall(), "", "", "missing_api_key");
  keeper.tick();
  EXPECT_EQ(handed_over, 0) << "the minute is not over";
  clock.advance(minutes(1));
  keeper.tick();
  EXPECT_EQ(handed_over, 1);
  ASSERT_EQ(recorded.size(), 2U);
  EXPECT_EQ(recorded[0].reason, "missing_api_key");
  EXPECT_EQ(recorded[1].key_id, "k");
  EXPECT_EQ(recorded[1].deployment, "chat");
  EXPECT_EQ(recorded[1].requests, 3);
  EXPECT_EQ(recorded[1].minute_us % 60'000'000, 0);
  keeper.refusals().count(clock.wall(), "k", "", "draining");
  keeper.end();
  ASSERT_EQ(recorded.size(), 3U);
  EXPECT_EQ(recorded[2].minute_us, recorded[1].minute_us + 60'000'000);
}

TEST_F(KeeperTest, ABudgetIsToldOfAtFourFifthsAndAtItsEndOnceEach) {
  std::vector<int> told;
  LimitOptions options;
  options.on_budget = [&told](const BudgetUse& use) {
    EXPECT_EQ(use.name, "abc");
    told.push_back(use.percent);
  };
  LimitKeeper keeper(io, clock, options);
  KeyLimits limits;
  limits.budget_micros = 1'000;
  limits.budget_currency = "CNY";
  Admission admission;
  keeper.limiter().look(admission, "abc", limits);
  for (const int spent : {790, 20, 0, 180, 20, 0}) {
    keeper.limiter().add_spent(Holder::kKey, "abc", BudgetPeriod::kMonth, spent);
    keeper.tick();
  }
  EXPECT_EQ(told, (std::vector<int>{80, 100}));
}

TEST(RefusalCounts, AreBoundedAndLoseNoCount) {
  RefusalCounts counts;
  const WallTime now{1'700'000'000'000'000};
  for (int i = 0; i < 50'000; ++i) counts.count(now, "key" + std::to_string(i), "chat", "invalid_api_key");
  counts.count(now, "key3", "chat", "invalid_api_key");
  std::int64_t sum = 0;
  std::int64_t other = 0;
  const std::vector<RefusalCount> rows = counts.take_all();
  for (const RefusalCount& row : rows) {
    sum += row.requests;
    if (row.key_id == RefusalCounts::kOther) other = row.requests;
  }
  EXPECT_EQ(rows.size(), RefusalCounts::kMostRows + 1);
  EXPECT_EQ(sum, 50'001);
  EXPECT_EQ(other, 49'000);
  EXPECT_TRUE(counts.take_all().empty());
}

TEST(RefusalCounts, KnowWhatARefusalIs) {
  for (const char* code : {"rate_limit_requests", "insufficient_quota", "invalid_api_key", "queue_full", "draining"}) {
    EXPECT_TRUE(RefusalCounts::is_refusal(code)) << code;
  }
  for (const char* code : {"", "invalid_value", "internal_error", "model_not_found", "other"}) {
    EXPECT_FALSE(RefusalCounts::is_refusal(code)) << code;
  }
}

}  // namespace
}  // namespace dormouse::gateway
