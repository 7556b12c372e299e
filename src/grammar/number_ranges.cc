#include "grammar/number_ranges.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace dormouse::grammar {
namespace {

struct Magnitudes {
  std::uint64_t min = 0;
  std::uint64_t max = 0;
};

Expr digit(Builder& b, char first, char last) {
  return b.characters({{static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(last)}});
}

Expr any_digits(Builder& b, std::size_t count) {
  return b.repeat(digit(b, '0', '9'), {.min = count, .max = count});
}

bool is_all(std::string_view text, char c) {
  return text.find_first_not_of(c) == std::string_view::npos;
}

// Of as many digits as the bound has. Recursion by digits: at most 19.
Expr at_least(Builder& b, std::string_view bound) {
  if (is_all(bound, '0')) return any_digits(b, bound.size());
  std::vector<Expr> ways{b.sequence({b.literal(bound.substr(0, 1)), at_least(b, bound.substr(1))})};
  if (bound[0] < '9') {
    ways.push_back(b.sequence({digit(b, static_cast<char>(bound[0] + 1), '9'), any_digits(b, bound.size() - 1)}));
  }
  return b.choice(std::move(ways));
}

Expr at_most(Builder& b, std::string_view bound) {
  if (is_all(bound, '9')) return any_digits(b, bound.size());
  std::vector<Expr> ways{b.sequence({b.literal(bound.substr(0, 1)), at_most(b, bound.substr(1))})};
  if (bound[0] > '0') {
    ways.push_back(b.sequence({digit(b, '0', static_cast<char>(bound[0] - 1)), any_digits(b, bound.size() - 1)}));
  }
  return b.choice(std::move(ways));
}

// Both bounds have the same number of digits.
Expr between(Builder& b, std::string_view low, std::string_view high) {
  if (low.empty()) return b.empty();
  if (is_all(low.substr(1), '0') && is_all(high.substr(1), '9')) {
    return b.sequence({digit(b, low[0], high[0]), any_digits(b, low.size() - 1)});
  }
  if (low[0] == high[0]) {
    return b.sequence({b.literal(low.substr(0, 1)), between(b, low.substr(1), high.substr(1))});
  }
  std::vector<Expr> ways{b.sequence({b.literal(low.substr(0, 1)), at_least(b, low.substr(1))}),
                         b.sequence({b.literal(high.substr(0, 1)), at_most(b, high.substr(1))})};
  if (high[0] - low[0] > 1) {
    ways.push_back(b.sequence(
        {digit(b, static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1)), any_digits(b, low.size() - 1)}));
  }
  return b.choice(std::move(ways));
}

Expr magnitudes(Builder& b, Magnitudes range) {
  std::vector<Expr> ways;
  std::string low = std::to_string(range.min);
  const std::string high = std::to_string(range.max);
  for (; low.size() < high.size(); low = '1' + std::string(low.size(), '0')) {
    ways.push_back(between(b, low, std::string(low.size(), '9')));
  }
  ways.push_back(between(b, low, high));
  return b.choice(std::move(ways));
}

std::uint64_t magnitude(std::int64_t value) {
  return value < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
}

Expr fraction_of_zeros(Builder& b) {
  return b.optional(b.sequence({b.literal("."), b.repeat(b.literal("0"), {.min = 1, .max = kBoundedFractionDigits})}));
}

Expr fraction(Builder& b) {
  return b.optional(
      b.sequence({b.literal("."), b.repeat(digit(b, '0', '9'), {.min = 1, .max = kBoundedFractionDigits})}));
}

Expr fraction_above_zero(Builder& b) {
  const std::uint64_t rest = kBoundedFractionDigits / 2;
  return b.sequence({b.literal("."), b.repeat(b.literal("0"), {.min = 0, .max = rest - 1}), digit(b, '1', '9'),
                     b.repeat(digit(b, '0', '9'), {.min = 0, .max = rest})});
}

// Numbers without a sign. Nothing where there is none.
std::optional<Expr> real_magnitudes(Builder& b, Bound min, Bound max) {
  const std::uint64_t low = magnitude(min.value);
  const std::uint64_t high = magnitude(max.value);
  const auto exactly = [&](std::uint64_t value) {
    return b.sequence({b.literal(std::to_string(value)), fraction_of_zeros(b)});
  };
  if (low == high) return min.is_open || max.is_open ? std::nullopt : std::optional(exactly(low));
  std::vector<Expr> ways;
  const std::uint64_t first = low + (min.is_open ? 1 : 0);
  if (min.is_open) ways.push_back(b.sequence({b.literal(std::to_string(low)), fraction_above_zero(b)}));
  if (first < high) ways.push_back(b.sequence({magnitudes(b, {first, high - 1}), fraction(b)}));
  if (!max.is_open) ways.push_back(exactly(high));
  return b.choice(std::move(ways));
}

}  // namespace

Expr whole_numbers(Builder& builder, WholeRange range) {
  std::vector<Expr> ways;
  if (range.max >= 0) {
    ways.push_back(magnitudes(builder, {magnitude(std::max<std::int64_t>(range.min, 0)), magnitude(range.max)}));
  }
  if (range.min < 0) {
    const std::int64_t nearest = std::min<std::int64_t>(range.max, -1);
    ways.push_back(
        builder.sequence({builder.literal("-"), magnitudes(builder, {magnitude(nearest), magnitude(range.min)})}));
  }
  return builder.choice(std::move(ways));
}

Expr real_numbers(Builder& builder, RealRange range) {
  // Where there is no bound, 15 digits, which a double still holds with six more behind the point rounded.
  constexpr std::int64_t kFarthest = 999'999'999'999'999;
  const Bound min = range.min.value_or(Bound{.value = -kFarthest, .is_open = false});
  const Bound max = range.max.value_or(Bound{.value = kFarthest, .is_open = false});
  constexpr Bound kZero{};
  std::vector<Expr> ways;
  if (max.value >= 0) {
    const auto positive = real_magnitudes(builder, min.value >= 0 ? min : kZero, max);
    if (positive.has_value()) ways.push_back(*positive);
  }
  if (min.value < 0) {
    const auto negative = real_magnitudes(builder, max.value <= 0 ? max : kZero, min);
    if (negative.has_value()) ways.push_back(builder.sequence({builder.literal("-"), *negative}));
  }
  return builder.choice(std::move(ways));
}

}  // namespace dormouse::grammar
