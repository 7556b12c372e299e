// One step of strict UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF.
// Shared by the pre-tokenizer and the output stream so that both mean the same thing by "invalid". Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dormouse::text {

enum class Utf8Kind {
  kCharacter,   // `size` bytes are one character
  kInvalid,     // the first `size` bytes are a maximal subpart that can never become a character
  kIncomplete,  // all bytes given are the beginning of a character
};

struct Utf8Step {
  std::uint32_t code_point = 0;
  std::uint32_t size = 0;
  Utf8Kind kind = Utf8Kind::kInvalid;
};

// `bytes` is not empty.
[[nodiscard]] inline Utf8Step decode_utf8(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, Utf8Kind::kCharacter};
  std::uint32_t size = 0;
  std::uint32_t low = 0x80;  // the range of the second byte
  std::uint32_t high = 0xBF;
  std::uint32_t code_point = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    size = 2;
    code_point = lead & 0x1F;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    size = 3;
    code_point = lead & 0x0F;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    size = 4;
    code_point = lead & 0x07;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {0, 1, Utf8Kind::kInvalid};
  }
  for (std::uint32_t i = 1; i < size; ++i) {
    if (i == bytes.size()) return {0, i, Utf8Kind::kIncomplete};
    const std::uint32_t next = byte(i);
    if (next < low || next > high) return {0, i, Utf8Kind::kInvalid};
    code_point = (code_point << 6) | (next & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {code_point, size, Utf8Kind::kCharacter};
}

}  // namespace dormouse::text
