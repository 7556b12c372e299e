// Arithmetic on integers that came from a file or a peer. Raw + * << on such values is how the same GGUF overflow was
// patched three times elsewhere (reliability notes S-01): every operation here says when it did not fit.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>

namespace dormouse {

template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_add(T a, T b) {
  T out{};
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_mul(T a, T b) {
  T out{};
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

// Rounds up to a multiple of `alignment` (> 0).
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_align(std::uint64_t value, std::uint64_t alignment) {
  const std::uint64_t remainder = value % alignment;
  if (remainder == 0) return value;
  return checked_add(value, alignment - remainder);
}

// A narrowing that says when the value does not fit.
template <std::integral To, std::integral From>
[[nodiscard]] constexpr std::optional<To> checked_cast(From value) {
  const To out = static_cast<To>(value);
  if (static_cast<From>(out) != value) return std::nullopt;
  if constexpr (std::is_signed_v<From> != std::is_signed_v<To>) {
    if ((value < From{}) != (out < To{})) return std::nullopt;
  }
  return out;
}

}  // namespace dormouse
