#include "base/redact.h"

#include <cstddef>

namespace dormouse {
namespace {

constexpr std::size_t kPrefixBytes = 4;  // "lsk_"

bool is_key_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

// Where the next key begins; npos: none.
std::size_t find_key(std::string_view text, std::size_t from) {
  for (std::size_t at = text.find("ls", from); at != std::string_view::npos; at = text.find("ls", at + 1)) {
    if (at + kPrefixBytes >= text.size()) return std::string_view::npos;
    const bool prefix = (text[at + 2] == 'k' || text[at + 2] == 'a') && text[at + 3] == '_';
    if (prefix && is_key_character(text[at + kPrefixBytes])) return at;
  }
  return std::string_view::npos;
}

}  // namespace

std::optional<std::string> redact_keys(std::string_view text) {
  std::size_t at = find_key(text, 0);
  if (at == std::string_view::npos) return std::nullopt;
  std::string out;
  std::size_t kept = 0;
  while (at != std::string_view::npos) {
    out += text.substr(kept, at + kPrefixBytes - kept);
    out += "[redacted]";
    kept = at + kPrefixBytes;
    while (kept < text.size() && is_key_character(text[kept])) ++kept;
    at = find_key(text, kept);
  }
  out += text.substr(kept);
  return out;
}

}  // namespace dormouse
