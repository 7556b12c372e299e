#include "text/pretokenizer.h"

#include <utf8proc.h>

#include <array>
#include <cstdint>

#include "text/utf8_decode.h"

namespace dormouse::text {

namespace {

enum class Class : std::uint8_t {
  kEnd,  // past the text
  kLetter,
  kNumber,
  kNewline,  // \r or \n
  kSpace,    // the other \s, U+0020 included
  kOther,
};

struct Character {
  Class kind = Class::kEnd;
  std::uint32_t size = 0;
};

constexpr std::array<Class, 128> make_ascii_classes() {
  std::array<Class, 128> classes{};
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const bool is_letter = (i >= 'a' && i <= 'z') || (i >= 'A' && i <= 'Z');
    const bool is_number = i >= '0' && i <= '9';
    const bool is_space = i == '\t' || i == '\v' || i == '\f' || i == ' ';
    classes[i] = Class::kOther;
    if (is_letter) classes[i] = Class::kLetter;
    if (is_number) classes[i] = Class::kNumber;
    if (is_space) classes[i] = Class::kSpace;
    if (i == '\r' || i == '\n') classes[i] = Class::kNewline;
  }
  return classes;
}

constexpr std::array<Class, 128> kAsciiClasses = make_ascii_classes();

// White_Space outside ASCII (PropList.txt).
bool is_wide_space(std::uint32_t code_point) {
  return code_point == 0x85 || code_point == 0xA0 || code_point == 0x1680 ||
         (code_point >= 0x2000 && code_point <= 0x200A) || code_point == 0x2028 || code_point == 0x2029 ||
         code_point == 0x202F || code_point == 0x205F || code_point == 0x3000;
}

Class classify_wide(std::uint32_t code_point) {
  // The common ideographs, so that Chinese text does not pay for the property table.
  if (code_point >= 0x4E00 && code_point <= 0x9FFF) return Class::kLetter;
  if (is_wide_space(code_point)) return Class::kSpace;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) return Class::kLetter;
  if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) return Class::kNumber;
  return Class::kOther;
}

Character character_at(std::string_view text, std::size_t position) {
  if (position >= text.size()) return {};
  const auto lead = static_cast<std::uint8_t>(text[position]);
  if (lead < 0x80) return {kAsciiClasses[lead], 1};
  const Utf8Step step = decode_utf8(text.substr(position));
  if (step.kind != Utf8Kind::kCharacter) return {Class::kOther, 1};
  return {classify_wide(step.code_point), step.size};
}

char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d): the length of the match, 0 for none.
std::size_t contraction_size(std::string_view text, std::size_t begin) {
  if (text[begin] != '\'' || begin + 1 >= text.size()) return 0;
  const char first = ascii_lower(text[begin + 1]);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if (begin + 2 >= text.size()) return 0;
  const char second = ascii_lower(text[begin + 2]);
  const bool matches =
      (first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l');
  return matches ? 3 : 0;
}

std::size_t skip_letters(std::string_view text, std::size_t position) {
  for (Character c = character_at(text, position); c.kind == Class::kLetter; c = character_at(text, position)) {
    position += c.size;
  }
  return position;
}

// \s*[\r\n]+ | \s+(?!\S) | \s+ at a run of white space.
std::size_t white_space_end(std::string_view text, std::size_t begin) {
  std::size_t run_end = begin;
  std::size_t last_begin = begin;     // where the run's last character begins
  std::size_t after_newline = begin;  // behind the run's last \r or \n; begin: there is none
  Character c = character_at(text, run_end);
  while (c.kind == Class::kSpace || c.kind == Class::kNewline) {
    last_begin = run_end;
    run_end += c.size;
    if (c.kind == Class::kNewline) after_newline = run_end;
    c = character_at(text, run_end);
  }
  if (after_newline > begin) return after_newline;
  // The lookahead gives the last space back to the word that follows it, if the run has another one.
  if (c.kind != Class::kEnd && last_begin > begin) return last_begin;
  return run_end;
}

}  // namespace

std::size_t next_piece_end(std::string_view text, std::size_t begin) {
  if (const std::size_t size = contraction_size(text, begin); size > 0) return begin + size;

  // [^\r\n\p{L}\p{N}]?\p{L}+
  const Character first = character_at(text, begin);
  const std::size_t second_begin = begin + first.size;
  if (first.kind == Class::kLetter) return skip_letters(text, second_begin);
  if (first.kind == Class::kNumber) return second_begin;  // \p{N}
  const Character second = character_at(text, second_begin);
  if (first.kind != Class::kNewline && second.kind == Class::kLetter) {
    return skip_letters(text, second_begin + second.size);
  }

  //  ?[^\s\p{L}\p{N}]+[\r\n]*
  const bool leads_with_blank = text[begin] == ' ' && second.kind == Class::kOther;
  if (first.kind == Class::kOther || leads_with_blank) {
    std::size_t end = second_begin;
    Character c = second;
    for (; c.kind == Class::kOther; c = character_at(text, end)) end += c.size;
    for (; c.kind == Class::kNewline; c = character_at(text, end)) end += c.size;
    return end;
  }
  return white_space_end(text, begin);
}

}  // namespace dormouse::text
