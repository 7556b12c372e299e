#include "catalog/image.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace dormouse::catalog {
namespace {

std::string lower_ascii(std::string_view text) {
  std::string out;
  for (const char c : text) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool contains_word(const std::string& text, const std::string& word) {
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const bool cuts_a_number = is_digit(word.front()) && at > 0 && (is_digit(text[at - 1]) || text[at - 1] == '.');
    if (!cuts_a_number) return true;
  }
  return false;
}

}  // namespace

std::int64_t Image::memory_bytes() const {
  if (bytes == 0) return 0;
  constexpr std::int64_t kKeyAndValue = 2;
  constexpr std::int64_t kHalf = 2;  // bytes
  return bytes + layers * kv_heads * head_dim * kKeyAndValue * kHalf * kMemoryContext + kWorkerBytes;
}

bool Image::matches(std::string_view query) const {
  const std::string text =
      lower_ascii(fmt::format("{} {} {} {} {} {} {} {}", reference(), title_en, title_zh, suits_en, suits_zh,
                              quantisation, fmt::join(runtimes, " "), fmt::join(keywords, " ")));
  std::string word;
  for (const char c : lower_ascii(query) + " ") {
    if (c != ' ') {
      word += c;
    } else if (!word.empty()) {
      if (!contains_word(text, word)) return false;
      word.clear();
    }
  }
  return true;
}

}  // namespace dormouse::catalog
