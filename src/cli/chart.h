// Charts as inline SVG, for a page that brings their colours: classes line0 to line2 (or lineN of a curve), dot, bar,
// grid, axis; see bench_html.cc. Static: what a pointer would show is in <title> elements. PURE. Texts are escaped
// here.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dormouse::cli {

// As the text of an HTML or SVG element and as an attribute's value in double quotes.
[[nodiscard]] std::string escape_html(std::string_view text);

// A value of an axis as text.
using AxisText = std::function<std::string(double)>;

struct Series {
  std::string name;
  std::vector<std::optional<double>> values;  // one a label; nullopt: a gap
};

// Lines over labels at equal distances, from 0 up. `series`: at most three; each is named at its right end.
[[nodiscard]] std::string line_chart(const std::vector<std::string>& labels, const std::vector<Series>& series,
                                     const AxisText& text);
[[nodiscard]] std::string bar_chart(const std::vector<std::string>& labels, const Series& series, const AxisText& text);
// Shares of 0 to 100 % over values: `values` of each series are its 0th, 1st ... 100th percentile, all there. Later
// series are drawn stronger, the last one in the accent.
[[nodiscard]] std::string share_chart(const std::vector<Series>& series, const AxisText& text);

}  // namespace dormouse::cli
