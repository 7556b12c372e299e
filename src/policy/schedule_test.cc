// Goal: windows of the week are read and kept, over midnight and in other zones; who sleeps so that another fits.
#include "policy/schedule.h"

#include <gtest/gtest.h>

#include "policy/memory.h"

namespace dormouse::policy {
namespace {

// 2026-11-23 is a Monday: day 20,780 since 1970.
WallTime at(int day, int hour, int minute) {
  constexpr std::int64_t kMonday = 20'780;
  return {(((kMonday + day) * 24 + hour) * 60 + minute) * 60'000'000LL};
}

bool awake(std::string_view text, WallTime now, std::chrono::seconds offset = std::chrono::seconds(0)) {
  const Result<Window> window = parse_window(text);
  EXPECT_TRUE(window.has_value()) << text;
  return window.has_value() && is_awake(std::span(&*window, 1), now, offset);
}

TEST(Schedule, AWorkingDay) {
  constexpr std::string_view kOffice = "Mon-Fri 08:55-18:05";
  EXPECT_FALSE(awake(kOffice, at(0, 8, 54)));
  EXPECT_TRUE(awake(kOffice, at(0, 8, 55)));
  EXPECT_TRUE(awake(kOffice, at(4, 18, 4)));
  EXPECT_FALSE(awake(kOffice, at(4, 18, 5)));
  EXPECT_FALSE(awake(kOffice, at(5, 12, 0)));
  EXPECT_FALSE(awake(kOffice, at(6, 12, 0)));
}

TEST(Schedule, OverMidnightItBelongsToTheDayItBeginsOn) {
  EXPECT_TRUE(awake("Fri 22:00-06:00", at(4, 23, 0)));
  EXPECT_TRUE(awake("Fri 22:00-06:00", at(5, 5, 59)));
  EXPECT_FALSE(awake("Fri 22:00-06:00", at(5, 6, 0)));
  EXPECT_FALSE(awake("Fri 22:00-06:00", at(4, 5, 0)));
  EXPECT_TRUE(awake("Sat,Sun 00:00-24:00", at(6, 23, 59)));
  EXPECT_FALSE(awake("Sat,Sun 00:00-24:00", at(7, 0, 0)));
  EXPECT_TRUE(awake("Fri-Mon 10:00-11:00", at(0, 10, 30))) << "round the week's end";
  EXPECT_FALSE(awake("Fri-Mon 10:00-11:00", at(1, 10, 30)));
}

TEST(Schedule, ZonesAreTheGatewaysOwnOrNamed) {
  EXPECT_TRUE(awake("Mon 09:00-10:00", at(0, 1, 30), std::chrono::hours(8)));
  EXPECT_FALSE(awake("Mon 09:00-10:00 UTC", at(0, 1, 30), std::chrono::hours(8)));
  EXPECT_TRUE(awake("Mon 09:00-10:00 +08:00", at(0, 1, 30)));
  EXPECT_TRUE(awake("Sun 20:30-21:00 -05:00", at(0, 1, 30)));
}

TEST(Schedule, WhatCannotBeReadSaysHowItShouldLook) {
  for (const char* text : {"", "Mon", "Mon-Fry 08:00-09:00", "8:00-9:00", "08:00", "25:00-26:00", "08:60-09:00",
                           "Mon 08:00-09:00 Paris", "Mon 08:00-09:00 UTC now", "08:00-09:00 +15:00", "\xff\xfe"}) {
    const Result<Window> window = parse_window(text);
    ASSERT_FALSE(window.has_value()) << text;
    EXPECT_EQ(window.error().code, Code::kInvalidArgument);
    EXPECT_NE(window.error().message.find("Mon-Fri 08:55-18:05"), std::string::npos);
  }
}

Resident resident(std::string name, std::int64_t bytes, int used_s, bool is_idle, bool is_leaving = false) {
  return {std::move(name), bytes, MonoTime{used_s * 1'000'000'000LL}, is_idle, is_leaving};
}

TEST(Memory, TheLeastRecentlyUsedIdleOneSleepsFirst) {
  const std::vector<Resident> residents = {resident("new", 4, 30, true), resident("old", 4, 10, true),
                                           resident("middle", 4, 20, true)};
  EXPECT_EQ(make_room(4, 16, residents).room, Room::kFits);
  const RoomVerdict one = make_room(4, 12, residents);
  EXPECT_EQ(one.room, Room::kLater);
  EXPECT_EQ(one.put_to_sleep, std::vector<std::string>{"old"});
  EXPECT_EQ(make_room(8, 12, residents).put_to_sleep, (std::vector<std::string>{"old", "middle"}));
  EXPECT_EQ(make_room(13, 12, residents).room, Room::kNever);
}

TEST(Memory, LoadingAndServingOnesStayAndWhatIsLeavingIsWaitedFor) {
  const std::vector<Resident> residents = {resident("serves", 6, 1, false), resident("idle", 4, 2, true)};
  EXPECT_TRUE(make_room(8, 12, residents).put_to_sleep.empty()) << "it would not help: nobody sleeps for nothing";
  EXPECT_EQ(make_room(8, 12, residents).room, Room::kLater);
  EXPECT_EQ(make_room(6, 12, residents).put_to_sleep, std::vector<std::string>{"idle"});
  const std::vector<Resident> going = {resident("leaves", 6, 1, false, true), resident("idle", 4, 2, true)};
  const RoomVerdict verdict = make_room(6, 12, going);
  EXPECT_EQ(verdict.room, Room::kLater);
  EXPECT_TRUE(verdict.put_to_sleep.empty()) << "its memory is on its way back";
}

}  // namespace
}  // namespace dormouse::policy
