// The byte-level alphabet of GPT-2: every byte has a printable character, so that a token's text is always valid,
// visible UTF-8. Printable Latin-1 stands for itself; the other 68 bytes are U+0100.. in order. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace dormouse::text {

inline constexpr std::size_t kByteAlphabetEnd = 0x100 + 68;  // one past the last code point

struct ByteAlphabet {
  std::array<std::uint16_t, 256> code_point_of{};
  std::array<std::int16_t, kByteAlphabetEnd> byte_of{};  // -1: not in the alphabet
};

constexpr ByteAlphabet make_byte_alphabet() {
  ByteAlphabet alphabet;
  for (auto& byte : alphabet.byte_of) byte = -1;
  std::uint16_t next = 0x100;
  for (std::uint16_t byte = 0; byte < 256; ++byte) {
    const bool is_itself = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const std::uint16_t code_point = is_itself ? byte : next++;
    alphabet.code_point_of[byte] = code_point;
    alphabet.byte_of[code_point] = static_cast<std::int16_t>(byte);
  }
  return alphabet;
}

inline constexpr ByteAlphabet kByteAlphabet = make_byte_alphabet();

}  // namespace dormouse::text
