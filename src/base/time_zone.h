// Where a day begins: IANA time zones, read from the system's TZif files (RFC 9636) with our own bounded reader.
// "UTC" and "Asia/Shanghai" exist without any file. Values; after loading no I/O, no locks, any thread.
// Years beyond 2200 keep the last rule known; ours are later than 1970.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace dormouse {

// A date and time of day as a wall clock in some zone shows it.
struct CivilTime {
  std::int64_t year = 1970;
  int month = 1;  // 1..12
  int day = 1;    // 1..31
  int hour = 0;
  int minute = 0;
  int second = 0;
  friend bool operator==(const CivilTime&, const CivilTime&) = default;
};

// Days since 1970-01-01 of a date of the Gregorian calendar, and back (with midnight as its time).
[[nodiscard]] std::int64_t days_of(std::int64_t year, int month, int day);
[[nodiscard]] CivilTime date_of(std::int64_t days);
// 0 is Monday.
[[nodiscard]] int weekday_of(const CivilTime& date);

class TimeZone {
 public:
  TimeZone();  // UTC

  // By its IANA name. Errors: kInvalidArgument (no such zone, or no name of one).
  static Result<TimeZone> load(std::string_view name);
  // A TZif file's bytes. Errors: kDataLoss, with what is wrong; hostile bytes are expected here.
  static Result<TimeZone> parse(std::string_view bytes, std::string_view name);
  // What /etc/localtime links to, else what /etc/timezone names, else Asia/Shanghai.
  static TimeZone of_system();

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::int64_t offset_s(std::int64_t unix_s) const;  // to be added to UTC
  [[nodiscard]] CivilTime local(WallTime at) const;
  // The first moment at which a clock there shows this or later: what a change of the clocks repeats begins with the
  // first time, what it skips begins after it (Apia's 2011-12-30 is empty). Month and day may overflow: day 32 of
  // January is 1 February.
  [[nodiscard]] WallTime first(const CivilTime& at) const;
  [[nodiscard]] WallTime day_begin(WallTime at) const;  // of the day it lies in
  [[nodiscard]] WallTime month_begin(WallTime at) const;
  // "2026-11-01T08:00:00+08:00"
  [[nodiscard]] std::string iso(WallTime at) const;

 private:
  struct Change {
    std::int64_t at_s = 0;
    std::int64_t offset_s = 0;
  };
  struct Reader;
  struct Rule;
  void extend(const Rule& rule);

  std::string name_ = "UTC";
  std::vector<Change> changes_;  // ascending; the first holds since ever
};

}  // namespace dormouse
