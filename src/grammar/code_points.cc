#include "grammar/code_points.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace dormouse::grammar {
namespace {

constexpr std::uint32_t kFirstSurrogate = 0xD800;
constexpr std::uint32_t kLastSurrogate = 0xDFFF;

// The two halves of a range that is not spelled alike throughout; the same range twice where it is.
std::pair<CodePointRange, CodePointRange> split(CodePointRange range) {
  for (const std::uint32_t last : {0x7FU, 0x7FFU, 0xFFFFU}) {
    if (range.first <= last && range.last > last) return {{range.first, last}, {last + 1, range.last}};
  }
  if (range.last <= 0x7F) return {range, range};
  for (unsigned bits = 6; bits <= 18; bits += 6) {
    const std::uint32_t low = (1U << bits) - 1;
    if ((range.first & ~low) == (range.last & ~low)) continue;
    if ((range.first & low) != 0) return {{range.first, range.first | low}, {(range.first | low) + 1, range.last}};
    if ((range.last & low) != low) return {{range.first, (range.last & ~low) - 1}, {range.last & ~low, range.last}};
  }
  return {range, range};
}

}  // namespace

CodePointSet normalized(CodePointSet set) {
  std::sort(set.begin(), set.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  CodePointSet out;
  for (const CodePointRange& range : set) {
    if (!out.empty() && range.first <= out.back().last + 1) {
      out.back().last = std::max(out.back().last, range.last);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

CodePointSet complement(CodePointSet set) {
  CodePointSet out;
  std::uint32_t next = 0;
  for (const CodePointRange& range : normalized(std::move(set))) {
    if (range.first > next) out.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) out.push_back({next, kLastCodePoint});
  return out;
}

CodePointSet without(CodePointSet set, CodePointSet removed) {
  CodePointSet either = complement(std::move(set));
  either.insert(either.end(), removed.begin(), removed.end());
  return complement(std::move(either));
}

void append_utf8(std::string& out, std::uint32_t code_point) {
  const auto tail = [&](unsigned shift) { return static_cast<char>(0x80 | ((code_point >> shift) & 0x3F)); };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += {static_cast<char>(0xC0 | (code_point >> 6)), tail(0)};
  } else if (code_point < 0x10000) {
    out += {static_cast<char>(0xE0 | (code_point >> 12)), tail(6), tail(0)};
  } else {
    out += {static_cast<char>(0xF0 | (code_point >> 18)), tail(12), tail(6), tail(0)};
  }
}

std::vector<std::vector<ByteRange>> utf8_sequences(CodePointRange whole) {
  std::vector<std::vector<ByteRange>> out;
  std::vector<CodePointRange> work{whole};
  while (!work.empty()) {
    const CodePointRange range = work.back();
    work.pop_back();
    if (range.first > range.last) continue;
    if (range.first <= kLastSurrogate && range.last >= kFirstSurrogate) {
      if (range.last > kLastSurrogate) work.push_back({kLastSurrogate + 1, range.last});
      if (range.first < kFirstSurrogate) work.push_back({range.first, kFirstSurrogate - 1});
      continue;
    }
    const auto [left, right] = split(range);
    if (left.last != range.last) {
      work.push_back(right);
      work.push_back(left);
      continue;
    }
    std::string low;
    std::string high;
    append_utf8(low, range.first);
    append_utf8(high, range.last);
    std::vector<ByteRange>& sequence = out.emplace_back();
    for (std::size_t i = 0; i < low.size(); ++i) {
      sequence.push_back({static_cast<std::uint8_t>(low[i]), static_cast<std::uint8_t>(high[i])});
    }
  }
  return out;
}

}  // namespace dormouse::grammar
