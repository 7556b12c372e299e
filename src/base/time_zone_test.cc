// Goal: the reader agrees with the C library on every zone the system has, days have the length the clocks give them,
// and no bytes can hurt it. Method: localtime_r with TZ set is the oracle; named cases; mutated files.
#include "base/time_zone.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

namespace dormouse {
namespace {

constexpr std::int64_t kHourUs = 3'600'000'000;

std::string bytes_of(const std::string& name) {
  std::ifstream file("/usr/share/zoneinfo/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::int64_t hours_of_day(const TimeZone& zone, std::int64_t year, int month, int day) {
  const WallTime begin = zone.first({.year = year, .month = month, .day = day});
  const WallTime end = zone.first({.year = year, .month = month, .day = day + 1});
  return (end.us - begin.us) / kHourUs;
}

TEST(TimeZone, AgreesWithTheCLibraryOnEveryZoneOfTheSystem) {
  const std::uint32_t seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::int64_t> moment(0, 4'102'444'800);  // until 2100
  int zones = 0;
  std::filesystem::recursive_directory_iterator files("/usr/share/zoneinfo");
  for (const auto& file : files) {
    const std::string name = file.path().string().substr(20);
    if (!file.is_regular_file() || name.starts_with("right/") || name.starts_with("posix/")) continue;
    const Result<TimeZone> zone = TimeZone::load(name);
    if (!zone.has_value()) continue;  // zone.tab and the like
    ++zones;
    ::setenv("TZ", name.c_str(), 1);
    ::tzset();
    for (int i = 0; i < 200; ++i) {
      const std::time_t at = moment(random);
      std::tm want{};
      ::localtime_r(&at, &want);
      const CivilTime got = zone->local({at * 1'000'000});
      const CivilTime wanted{want.tm_year + 1900, want.tm_mon + 1, want.tm_mday,
                             want.tm_hour,        want.tm_min,     want.tm_sec};
      ASSERT_EQ(got, wanted) << name << " at " << at;
      ASSERT_EQ((weekday_of(got) + 1) % 7, want.tm_wday);
      // first() is its inverse, but for a time that is shown twice.
      const WallTime back = zone->first(got);
      ASSERT_LE(back.us, at * 1'000'000) << name;
      ASSERT_EQ(zone->local(back), got) << name << " at " << at;
    }
  }
  ::unsetenv("TZ");
  ::tzset();
  EXPECT_GT(zones, 300);
}

TEST(TimeZone, DaysHaveTheHoursTheClocksGiveThem) {
  const TimeZone berlin = TimeZone::load("Europe/Berlin").value();
  EXPECT_EQ(hours_of_day(berlin, 2026, 3, 29), 23);
  EXPECT_EQ(hours_of_day(berlin, 2026, 10, 25), 25);
  EXPECT_EQ(hours_of_day(berlin, 2150, 7, 1), 24);
  const TimeZone new_york = TimeZone::load("America/New_York").value();
  EXPECT_EQ(hours_of_day(new_york, 2026, 3, 8), 23);
  EXPECT_EQ(hours_of_day(new_york, 2026, 11, 1), 25);
  const TimeZone apia = TimeZone::load("Pacific/Apia").value();
  EXPECT_EQ(hours_of_day(apia, 2011, 12, 30), 0) << "it never was";
  EXPECT_EQ(hours_of_day(apia, 2011, 12, 29), 24);
  EXPECT_EQ(hours_of_day(apia, 2011, 12, 31), 24);
  const TimeZone kathmandu = TimeZone::load("Asia/Kathmandu").value();
  EXPECT_EQ(kathmandu.offset_s(1'790'000'000), 5 * 3600 + 45 * 60);
  EXPECT_EQ(TimeZone::load("Asia/Kolkata").value().offset_s(1'790'000'000), 5 * 3600 + 30 * 60);
  // Every day there begins on a quarter of an hour: the ledger's slots fit into days.
  for (std::int64_t day = 0; day < 2000; ++day) {
    const WallTime begin = kathmandu.first({.year = 2024, .month = 1, .day = static_cast<int>(day) + 1});
    ASSERT_EQ(begin.us % 900'000'000, 0);
  }
}

TEST(TimeZone, ShanghaiAndUtcNeedNoFile) {
  const TimeZone shanghai = TimeZone::load("Asia/Shanghai").value();
  EXPECT_EQ(shanghai.name(), "Asia/Shanghai");
  EXPECT_EQ(shanghai.iso(shanghai.first({.year = 2026, .month = 11})), "2026-11-01T00:00:00+08:00");
  EXPECT_EQ(shanghai.first({.year = 2026, .month = 13}).us, shanghai.first({.year = 2027, .month = 1}).us);
  EXPECT_EQ(TimeZone().iso({0}), "1970-01-01T00:00:00+00:00");
  EXPECT_EQ(shanghai.month_begin(shanghai.first({.year = 2026, .month = 11, .day = 30, .hour = 23})).us,
            shanghai.first({.year = 2026, .month = 11}).us);
  EXPECT_FALSE(TimeZone::of_system().name().empty());
}

TEST(TimeZone, WhatIsNoZoneIsAnError) {
  for (const char* name : {"", "Asia/Shanghi", "/etc/passwd", "../../../etc/passwd", "Asia//Shanghai", "Asia/", "a\nb",
                           "zone.tab", "tzdata.zi"}) {
    const Result<TimeZone> zone = TimeZone::load(name);
    ASSERT_FALSE(zone.has_value()) << name;
    EXPECT_EQ(zone.error().code, Code::kInvalidArgument) << name;
  }
}

TEST(TimeZone, HostileFilesAreErrorsOrZonesNeverCrashes) {
  const std::string good = bytes_of("Europe/Berlin");
  ASSERT_GT(good.size(), 100U);
  for (std::size_t size = 0; size < good.size(); ++size) {
    const Result<TimeZone> cut = TimeZone::parse(good.substr(0, size), "cut");
    if (cut.has_value()) continue;
    EXPECT_EQ(cut.error().code, Code::kDataLoss);
  }
  const std::uint32_t seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  int read = 0;
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bad = good;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < changes; ++i) bad[random() % bad.size()] = static_cast<char>(random());
    const Result<TimeZone> zone = TimeZone::parse(bad, "bad");
    (zone.has_value() ? read : refused) += 1;
    if (!zone.has_value()) continue;
    // Whatever it says, questions have answers.
    const WallTime begin = zone->day_begin({1'793'500'000'000'000});
    EXPECT_LE(begin.us, 1'793'500'000'000'000 + 60 * kHourUs);
    EXPECT_FALSE(zone->iso(begin).empty());
  }
  EXPECT_GT(read, 0);
  EXPECT_GT(refused, 0);
}

TEST(TimeZone, EveryFormOfAFooterIsReadAndNonsenseIsNot) {
  const std::string good = bytes_of("Europe/Berlin");
  const std::size_t footer = good.find_last_of('\n', good.size() - 2);
  const auto with = [&](const std::string& rule) {
    return TimeZone::parse(good.substr(0, footer + 1) + rule + "\n", "x");
  };
  EXPECT_TRUE(with("").has_value());
  EXPECT_TRUE(with("CET-1CEST,J60,J300/3").has_value());
  EXPECT_TRUE(with("CET-1CEST,59/-2:30:15,299/100").has_value());
  EXPECT_TRUE(with("<+03>-3").has_value());
  for (const char* rule :
       {"CET", "CE-1", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,J0,J300", "<CET-1", "CET-1CEST,M3.5.0,M10.5.0/3x", "CET--1", "CET-999"}) {
    EXPECT_FALSE(with(rule).has_value()) << rule;
  }
}

}  // namespace
}  // namespace dormouse
