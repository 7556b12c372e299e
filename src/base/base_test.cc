// Goal: the ground every other folder stands on. Method: tables at the edges of each type.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>

#include "base/checked_int.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/money.h"
#include "base/redact.h"
#include "base/result.h"

namespace dormouse {
namespace {

Result<int> half(int x) {
  if (x % 2 != 0) return make_error(Code::kInvalidArgument, "odd");
  return x / 2;
}
Result<int> quarter(int x) {
  TRY(const int once, half(x));
  TRY(const int twice, half(once));
  return twice;
}
Status only_even(int x) {
  TRY_STATUS(half(x));
  return {};
}

TEST(Result, TryReturnsTheFirstError) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_TRUE(only_even(2).has_value());
  EXPECT_EQ(only_even(3).error().code, Code::kInvalidArgument);
}

TEST(CheckedInt, SaysWhenItDoesNotFit) {
  constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(checked_add<std::uint64_t>(kMax, 1), std::nullopt);
  EXPECT_EQ(checked_mul<std::uint64_t>(kMax / 2, 3), std::nullopt);
  EXPECT_EQ(checked_mul<std::uint64_t>(kMax / 4, 4), kMax / 4 * 4);
  EXPECT_EQ(checked_align(kMax - 3, 32), std::nullopt);  // the pad that wrapped elsewhere
  EXPECT_EQ(checked_align(33, 32), 64U);
  EXPECT_EQ((checked_cast<std::int32_t>(std::uint64_t{1} << 31)), std::nullopt);
  EXPECT_EQ((checked_cast<std::uint32_t>(std::int64_t{-1})), std::nullopt);
  EXPECT_EQ((checked_cast<std::int64_t>(kMax)), std::nullopt);
  EXPECT_EQ((checked_cast<std::uint8_t>(255)), std::uint8_t{255});
}

TEST(Ids, UuidsAreVersion7SortedByTimeAndDistinct) {
  const std::string earlier = make_uuid_v7({1'000'000});
  const std::string later = make_uuid_v7({9'000'000});
  EXPECT_EQ(earlier.size(), 36U);
  EXPECT_EQ(earlier[14], '7');
  EXPECT_NE(std::string("89ab").find(earlier[19]), std::string::npos);
  EXPECT_LT(earlier, later);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seen.insert(make_uuid_v7({5})).second);
}

TEST(Ids, Crc32IsTheCommonOne) {
  EXPECT_EQ(crc32("123456789", 9), 0xCBF43926U);  // the check value every CRC-32 table gives
  EXPECT_EQ(crc32("6789", 4, crc32("12345", 5)), 0xCBF43926U);
}

TEST(Money, ShowsTwoDecimalsRoundedHalfToEven) {
  EXPECT_EQ(to_display({1'800'000, "CNY"}), "¥1.80");
  EXPECT_EQ(to_display({5'000, "USD"}), "$0.00");
  EXPECT_EQ(to_display({15'000, "USD"}), "$0.02");
  EXPECT_EQ(to_display({-366'600'000, "CNY"}), "-¥366.60");
  EXPECT_EQ(to_display({-1, "CNY"}), "¥0.00");
  EXPECT_EQ(to_display({1'000'000, "EUR"}), "1.00 EUR");
}

TEST(Clock, ManualClockMovesOnlyWhenTold) {
  ManualClock clock;
  const MonoTime start = clock.now();
  EXPECT_EQ(clock.now(), start);
  clock.advance(std::chrono::seconds(3));
  EXPECT_EQ(clock.now() - start, std::chrono::seconds(3));
  clock.jump_wall(-1'000'000);
  EXPECT_EQ(clock.now() - start, std::chrono::seconds(3));
}

TEST(Redact, WhatLooksLikeAKeyIsTakenOutAndNothingElse) {
  struct Row {
    const char* text;
    const char* want;  // null: untouched
  };
  for (const Row& row :
       {Row{"", nullptr}, Row{"event=request route=/v1/models", nullptr}, Row{"else_ lsk lsk_ lsx_abc", nullptr},
        Row{"lsk_", nullptr}, Row{"ls", nullptr}, Row{"lsk_ab1_Z", "lsk_[redacted]"},
        Row{"a=\"lsk_ab1_Z\" b", "a=\"lsk_[redacted]\" b"}, Row{"lsa_1,lsk_2;", "lsa_[redacted],lsk_[redacted];"},
        Row{"xlsk_1lsk_2", "xlsk_[redacted]"}, Row{"llsk_1", "llsk_[redacted]"}, Row{"lslsk_1", "lslsk_[redacted]"}}) {
    const std::optional<std::string> got = redact_keys(row.text);
    EXPECT_EQ(got.has_value(), row.want != nullptr) << row.text;
    if (row.want != nullptr && got.has_value()) {
      EXPECT_EQ(*got, row.want);
    }
  }
}

TEST(Ids, Base62UsesEveryDigitEquallyOften) {
  // 62,000 characters: each digit 1,000 times, standard deviation 31.4; 6 of them are not chance.
  const std::string text = random_base62(62'000);
  ASSERT_EQ(text.size(), 62'000U);
  std::array<int, 256> count{};
  for (const char c : text) ++count[static_cast<unsigned char>(c)];
  int digits = 0;
  for (std::size_t c = 0; c < count.size(); ++c) {
    if (count[c] == 0) continue;
    ++digits;
    EXPECT_NEAR(count[c], 1'000, 6 * 32) << static_cast<char>(c);
  }
  EXPECT_EQ(digits, 62);
}

}  // namespace
}  // namespace dormouse
