// Sets of Unicode characters, and the byte ranges that spell them in UTF-8. PURE. Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dormouse::grammar {

inline constexpr std::uint32_t kLastCodePoint = 0x10FFFF;

// Both ends belong to it.
struct CodePointRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};
using CodePointSet = std::vector<CodePointRange>;

// Sorted, without overlaps.
[[nodiscard]] CodePointSet normalized(CodePointSet set);
[[nodiscard]] CodePointSet complement(CodePointSet set);
[[nodiscard]] CodePointSet without(CodePointSet set, CodePointSet removed);

struct ByteRange {
  std::uint8_t low = 0;
  std::uint8_t high = 0;
};

// A range of characters as sequences of byte ranges: every combination of their bytes is one character of the range,
// and every character of it is there once; surrogates are left out. Source: R. Cox, "Regular Expression Matching in the
// Wild", section "UTF-8".
[[nodiscard]] std::vector<std::vector<ByteRange>> utf8_sequences(CodePointRange range);

// `code_point` is not a surrogate and at most kLastCodePoint.
void append_utf8(std::string& out, std::uint32_t code_point);

}  // namespace dormouse::grammar
