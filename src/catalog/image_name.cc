#include "catalog/image_name.h"

#include <algorithm>
#include <vector>

namespace dormouse::catalog {
namespace {

bool remove_suffix(std::string& text, std::string_view suffix) {
  if (text.size() <= suffix.size() || !text.ends_with(suffix)) return false;
  text.resize(text.size() - suffix.size());
  return true;
}

}  // namespace

std::string canonical_image_key(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  if (slash != std::string_view::npos) name.remove_prefix(slash + 1);
  std::string lower;
  for (const char c : name) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  remove_suffix(lower, ":latest");
  remove_suffix(lower, ".gguf");
  std::string key;
  for (const char c : lower) {
    const char unified = c == ':' || c == ' ' ? '-' : c;
    if (unified == '-' && (key.empty() || key.back() == '-')) continue;
    key += unified;
  }
  while (!key.empty() && key.back() == '-') key.pop_back();
  remove_suffix(key, "-gguf");
  const std::size_t inner = key.find("-gguf-");
  if (inner != std::string::npos) key.erase(inner, 5);
  return key;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitution = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitution});
    }
  }
  return row[b.size()];
}

}  // namespace dormouse::catalog
