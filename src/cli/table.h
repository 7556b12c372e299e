// Text in columns: a Chinese character takes two. No I/O.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace dormouse::cli {

// Columns of a terminal that UTF-8 text takes. Combining marks count 0, East Asian wide characters 2.
[[nodiscard]] std::size_t display_width(std::string_view text);

class Table {
 public:
  enum class Align { kLeft, kRight };
  // One entry a column.
  Table(std::vector<std::string> header, std::vector<Align> align)
      : rows_{std::move(header)}, align_(std::move(align)) {}
  // One with fewer cells than columns lets its last cell go on over all that is to its right.
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  // Two spaces between columns, no trailing spaces.
  [[nodiscard]] std::string text() const;
  // In at most so many columns where its words allow it: the widest cells on the left of their column are broken over
  // several lines. 0: as text().
  [[nodiscard]] std::string fitted(std::size_t columns) const;
  // Of the longest line of text() that no cell goes on over.
  [[nodiscard]] std::size_t width() const;
  // As Markdown has it.
  [[nodiscard]] std::string markdown() const;
  // RFC 4180, header first.
  [[nodiscard]] std::string csv() const;

 private:
  [[nodiscard]] std::vector<std::size_t> natural_widths() const;
  [[nodiscard]] bool is_open(const std::vector<std::string>& row, std::size_t cell) const {
    return row.size() < align_.size() && cell + 1 == row.size();
  }
  // `columns`: where an open cell is broken; 0: nowhere.
  [[nodiscard]] std::string lines(const std::vector<std::size_t>& widths, std::size_t columns) const;
  std::vector<std::vector<std::string>> rows_;
  std::vector<Align> align_;
};

// A paragraph in lines of so many columns, all but the first indented. Breaks at spaces and between wide characters,
// never before closing punctuation.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent);

// 1234567 -> "1,234,567"
[[nodiscard]] std::string grouped(long long number);

}  // namespace dormouse::cli
