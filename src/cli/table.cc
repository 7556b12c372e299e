#include "cli/table.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>

namespace dormouse::cli {
namespace {

constexpr std::size_t kGap = 2;  // blanks between two columns

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};
// Unicode's East Asian Width W and F in blocks; a few narrow characters inside them do not matter for columns.
constexpr std::array<Range, 8> kWide{{{0x1100, 0x115F},
                                      {0x2E80, 0xA4CF},
                                      {0xAC00, 0xD7A3},
                                      {0xF900, 0xFAFF},
                                      {0xFE30, 0xFE6F},
                                      {0xFF00, 0xFF60},
                                      {0xFFE0, 0xFFE6},
                                      {0x1F300, 0x3FFFD}}};

std::size_t width_of(std::uint32_t code) {
  if (code >= 0x300 && code <= 0x36F) return 0;
  for (const Range& range : kWide) {
    if (code >= range.first && code <= range.last) return 2;
  }
  return 1;
}

[[nodiscard]] bool is_closing(std::string_view character) {
  constexpr std::array<std::string_view, 9> kClosing{"，", "。", "；", "：", "、", "）", "”", "！", "？"};
  return std::find(kClosing.begin(), kClosing.end(), character) != kClosing.end();
}

std::size_t bytes_of_character(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// What a line may be broken between: blanks, words, single wide characters with what closes them.
std::vector<std::string> pieces_of(std::string_view text) {
  std::vector<std::string> out;
  bool is_in_word = false;
  while (!text.empty()) {
    const std::string_view character = text.substr(0, bytes_of_character(text.front()));
    text.remove_prefix(character.size());
    const bool is_narrow = character != " " && display_width(character) < 2;
    const bool joins = !out.empty() && out.back() != " " && ((is_narrow && is_in_word) || is_closing(character));
    if (joins) {
      out.back() += character;
    } else {
      out.emplace_back(character);
    }
    is_in_word = is_narrow;
  }
  return out;
}

std::size_t unbreakable_width(std::string_view text) {
  std::size_t width = 0;
  for (const std::string& piece : pieces_of(text)) width = std::max(width, display_width(piece));
  return width;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  std::uint32_t code = 0;
  int left = 0;
  for (const char raw : text) {
    const auto byte = static_cast<unsigned char>(raw);
    if (byte < 0x80) {
      ++width;
      left = 0;
    } else if (byte >= 0xC0) {
      left = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : 1;
      code = byte & (0x3FU >> static_cast<unsigned>(left));
    } else if (left > 0) {
      code = (code << 6) | (byte & 0x3FU);
      if (--left == 0) width += width_of(code);
    }
  }
  return width;
}

std::vector<std::size_t> Table::natural_widths() const {
  std::vector<std::size_t> widths(align_.size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (!is_open(row, i)) widths[i] = std::max(widths[i], display_width(row[i]));
    }
  }
  return widths;
}

std::size_t Table::width() const {
  const std::vector<std::size_t> widths = natural_widths();
  return std::accumulate(widths.begin(), widths.end(), kGap * (widths.size() - 1));
}

std::string Table::text() const {
  return lines(natural_widths(), 0);
}

std::string Table::fitted(std::size_t columns) const {
  std::vector<std::size_t> widths = natural_widths();
  if (columns == 0) return lines(widths, 0);
  std::vector<std::size_t> least(align_.size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (!is_open(row, i)) least[i] = std::max(least[i], unbreakable_width(row[i]));
    }
  }
  const auto total = [&widths] { return std::accumulate(widths.begin(), widths.end(), kGap * (widths.size() - 1)); };
  while (total() > columns) {
    std::size_t widest = align_.size();
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const bool can_give = align_[i] == Align::kLeft && widths[i] > least[i];
      if (can_give && (widest == align_.size() || widths[i] > widths[widest])) widest = i;
    }
    if (widest == align_.size()) break;
    --widths[widest];
  }
  return lines(widths, columns);
}

// A cell wider than its column goes on in the lines below.
std::string Table::lines(const std::vector<std::size_t>& widths, std::size_t columns) const {
  std::string out;
  for (const auto& row : rows_) {
    std::vector<std::string> rest;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < row.size(); begin += widths[i] + kGap, ++i) {
      const std::size_t room = !is_open(row, i) ? widths[i]
                               : columns == 0   ? display_width(row[i])
                                                : std::max(columns, begin + widths[i]) - begin;
      rest.push_back(display_width(row[i]) <= room ? row[i] : wrapped(row[i], room, 0));
    }
    bool is_over = false;
    while (!is_over) {
      is_over = true;
      std::string line;
      for (std::size_t i = 0; i < rest.size(); ++i) {
        const std::size_t end = std::min(rest[i].find('\n'), rest[i].size());
        const std::string cell = rest[i].substr(0, end);
        rest[i].erase(0, std::min(end + 1, rest[i].size()));
        is_over = is_over && rest[i].empty();
        const std::string padding(widths[i] - std::min(display_width(cell), widths[i]), ' ');
        if (i > 0) line.append(kGap, ' ');
        line += align_[i] == Align::kRight ? padding + cell : cell + padding;
      }
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + '\n';
    }
  }
  return out;
}

std::string Table::markdown() const {
  std::string out;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    out += '|';
    for (const std::string& cell : rows_[i]) {
      out += ' ';
      for (const char c : cell) out += c == '|' ? std::string("\\|") : std::string(1, c);
      out += " |";
    }
    out += '\n';
    if (i > 0) continue;
    out += '|';
    for (const Align align : align_) out += align == Align::kRight ? "---:|" : "---|";
    out += '\n';
  }
  return out;
}

std::string Table::csv() const {
  std::string out;
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) out += ',';
      out += csv_field(row[i]);
    }
    out += "\r\n";
  }
  return out;
}

std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent) {
  std::string out;
  std::size_t column = 0;
  for (const std::string& piece : pieces_of(text)) {
    const std::size_t width = display_width(piece);
    const bool is_blank = piece == " ";
    if (column > 0 && column + width > columns && !is_blank) {
      out.erase(out.find_last_not_of(' ') + 1);
      out += '\n' + std::string(indent, ' ');
      column = indent;
    }
    if (is_blank && column == indent && !out.empty()) continue;
    out += piece;
    column += width;
  }
  return out;
}

std::string grouped(long long number) {
  const std::string digits = std::to_string(number < 0 ? -number : number);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  if (number < 0) out.insert(out.begin(), '-');
  return out;
}

}  // namespace dormouse::cli
