// Goal: the conversions are exact for all 65,536 halves and correctly rounded at every border.
// Method: exhaustive over 16-bit values; for rounding, each half's neighbours and midpoints, computed in double.
#include "quant/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

namespace dormouse::quant {
namespace {

double half_value(std::uint32_t h) {
  const double sign = (h & 0x8000U) != 0 ? -1.0 : 1.0;
  const int exponent = static_cast<int>((h >> 10) & 31U);
  const double mantissa = static_cast<double>(h & 0x3FFU);
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024.0 + mantissa, exponent - 25);
}

TEST(Half, EveryFiniteHalfConvertsToItsExactValueAndBack) {
  for (std::uint32_t h = 0; h < 0x10000U; ++h) {
    if (((h >> 10) & 31U) == 31U) continue;
    const float value = half_to_float(static_cast<std::uint16_t>(h));
    ASSERT_EQ(static_cast<double>(value), half_value(h)) << h;
    ASSERT_EQ(std::signbit(value), (h & 0x8000U) != 0) << h;
    ASSERT_EQ(float_to_half(value), h) << h;
  }
}

TEST(Half, InfinityAndNanKeepTheirKind) {
  EXPECT_EQ(half_to_float(0x7C00), std::numeric_limits<float>::infinity());
  EXPECT_EQ(half_to_float(0xFC00), -std::numeric_limits<float>::infinity());
  for (std::uint32_t h = 0x7C01; h < 0x8000U; ++h) {
    ASSERT_TRUE(std::isnan(half_to_float(static_cast<std::uint16_t>(h))));
    ASSERT_TRUE(std::isnan(half_to_float(float_to_half(half_to_float(static_cast<std::uint16_t>(h))))));
  }
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::infinity()), 0x7C00);
  EXPECT_EQ(float_to_half(-std::numeric_limits<float>::max()), 0xFC00);
}

TEST(Half, RoundsToNearestWithTiesToEven) {
  for (std::uint32_t h = 0; h < 0x7BFFU; ++h) {  // each pair of neighbours below the largest finite half
    const double low = half_value(h);
    const double high = half_value(h + 1);
    const auto middle = static_cast<float>((low + high) / 2);  // exact: one bit more than a half holds
    const std::uint32_t even = (h & 1U) == 0 ? h : h + 1;
    ASSERT_EQ(float_to_half(middle), even) << h;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 0.0F)), h) << h;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 1e6F)), h + 1) << h;
    ASSERT_EQ(float_to_half(-middle), even | 0x8000U) << h;
  }
  EXPECT_EQ(float_to_half(65519.996F), 0x7BFF);
  EXPECT_EQ(float_to_half(65520.0F), 0x7C00);
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(Bf16, RoundTripsEveryValueAndRoundsTiesToEven) {
  for (std::uint32_t b = 0; b < 0x10000U; ++b) {
    const float value = bf16_to_float(static_cast<std::uint16_t>(b));
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(bf16_to_float(float_to_bf16(value)))) << b;
      continue;
    }
    ASSERT_EQ(float_to_bf16(value), b);
  }
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3F808000U)), 0x3F80);  // tie: stays even
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3F818000U)), 0x3F82);  // tie: goes up to even
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3F808001U)), 0x3F81);
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
}

}  // namespace
}  // namespace dormouse::quant
