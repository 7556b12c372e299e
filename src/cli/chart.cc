#include "cli/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace dormouse::cli {
namespace {

constexpr double kWidth = 640;
constexpr double kHeight = 260;
constexpr double kLeft = 64;   // for the axis' texts
constexpr double kRight = 56;  // for the lines' names
constexpr double kTop = 16;
constexpr double kBottom = 36;
constexpr double kNameGap = 14;  // between two lines' names, at least
constexpr int kTicks = 5;        // at most

double x_at(double share) {
  return kLeft + share * (kWidth - kLeft - kRight);
}
double y_at(double share) {
  return kHeight - kBottom - share * (kHeight - kTop - kBottom);
}

// 1, 2 or 5 times a power of ten, so that at most kTicks of them reach `largest`.
double step_for(double largest) {
  const double least = largest / kTicks;
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double times : {1.0, 2.0, 5.0}) {
    if (times * power >= least) return times * power;
  }
  return 10 * power;
}

struct Axis {
  double step = 1;
  double end = 1;  // a whole number of steps
};

Axis axis_for(double largest) {
  if (!(largest > 0)) return {};
  const double step = step_for(largest);
  return {step, std::ceil(largest / step - 1e-9) * step};
}

double largest_of(const std::vector<Series>& series) {
  double largest = 0;
  for (const Series& one : series) {
    for (const std::optional<double>& value : one.values) largest = std::max(largest, value.value_or(0));
  }
  return largest;
}

std::string begin_svg(std::string_view name) {
  return fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", kWidth, kHeight,
                     escape_html(name));
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view text) {
  return fmt::format("<text class=\"axis\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     escape_html(text));
}

std::string y_axis(const Axis& axis, const AxisText& text) {
  std::string out;
  for (int i = 0; i * axis.step <= axis.end * (1 + 1e-9); ++i) {
    const double y = y_at(i * axis.step / axis.end);
    out += fmt::format("<line class=\"grid\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", kLeft, y,
                       kWidth - kRight, y);
    out += text_at(kLeft - 8, y + 4, "end", text(i * axis.step));
  }
  return out;
}

// Places of `count` labels; a single one stands in the middle.
double label_x(std::size_t index, std::size_t count) {
  return x_at((static_cast<double>(index) + 0.5) / static_cast<double>(count));
}

std::string x_labels(const std::vector<std::string>& labels) {
  std::string out;
  constexpr std::size_t kMostLabels = 10;
  const std::size_t every = (labels.size() + kMostLabels - 1) / kMostLabels;
  for (std::size_t i = 0; i < labels.size(); i += every) {
    out += text_at(label_x(i, labels.size()), kHeight - kBottom + 20, "middle", labels[i]);
  }
  return out;
}

// The names of lines that end at about the same height, one below the other.
std::string end_names(std::vector<std::pair<double, std::string>> names) {
  std::sort(names.begin(), names.end());
  std::string out;
  double free_y = kTop;
  for (const auto& [y, name] : names) {
    free_y = std::max(free_y, y);
    out += text_at(kWidth - kRight + 8, free_y + 4, "start", name);
    free_y += kNameGap;
  }
  return out;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string line_chart(const std::vector<std::string>& labels, const std::vector<Series>& series,
                       const AxisText& text) {
  const Axis axis = axis_for(largest_of(series));
  std::string out = begin_svg(series.empty() ? std::string_view() : series.front().name);
  out += y_axis(axis, text) + x_labels(labels);
  std::vector<std::pair<double, std::string>> names;
  for (std::size_t i = 0; i < series.size(); ++i) {
    std::string points;
    std::string dots;
    double last_y = 0;
    for (std::size_t k = 0; k < series[i].values.size(); ++k) {
      const std::optional<double>& value = series[i].values[k];
      if (!value.has_value()) continue;
      const double x = label_x(k, labels.size());
      last_y = y_at(*value / axis.end);
      points += fmt::format("{:.1f},{:.1f} ", x, last_y);
      dots += fmt::format("<circle class=\"dot{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>{}</title></circle>\n", i,
                          x, last_y, escape_html(fmt::format("{}, {}: {}", labels[k], series[i].name, text(*value))));
    }
    if (dots.empty()) continue;
    out += fmt::format("<polyline class=\"line{}\" points=\"{}\"/>\n{}", i, points, dots);
    names.emplace_back(last_y, series[i].name);
  }
  return out + end_names(std::move(names)) + "</svg>\n";
}

std::string bar_chart(const std::vector<std::string>& labels, const Series& series, const AxisText& text) {
  const Axis axis = axis_for(largest_of({series}));
  std::string out = begin_svg(series.name) + y_axis(axis, text) + x_labels(labels);
  constexpr double kMostWidth = 48;
  const double room = (kWidth - kLeft - kRight) / static_cast<double>(std::max<std::size_t>(labels.size(), 1));
  const double width = std::min(kMostWidth, room * 0.6);
  for (std::size_t k = 0; k < series.values.size(); ++k) {
    if (!series.values[k].has_value()) continue;
    const double value = *series.values[k];
    const double x = label_x(k, labels.size());
    const double y = y_at(value / axis.end);
    out += fmt::format(
        "<rect class=\"bar\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\">"
        "<title>{}</title></rect>\n",
        x - width / 2, y, width, y_at(0) - y, escape_html(fmt::format("{}: {}", labels[k], text(value))));
    if (room >= kMostWidth) out += text_at(x, y - 6, "middle", text(value));
  }
  return out + "</svg>\n";
}

std::string share_chart(const std::vector<Series>& series, const AxisText& text) {
  const Axis axis = axis_for(largest_of(series));
  std::string out = begin_svg("");
  const AxisText percent = [](double value) { return fmt::format("{:.0f} %", value); };
  out += y_axis({25, 100}, percent);
  for (int i = 0; i * axis.step <= axis.end * (1 + 1e-9); ++i) {
    out += text_at(x_at(i * axis.step / axis.end), kHeight - kBottom + 20, "middle", text(i * axis.step));
  }
  for (std::size_t i = 0; i < series.size(); ++i) {
    std::string points;
    for (std::size_t k = 0; k < series[i].values.size(); ++k) {
      points += fmt::format("{:.1f},{:.1f} ", x_at(series[i].values[k].value_or(0) / axis.end),
                            y_at(static_cast<double>(k) / 100));
    }
    const bool is_last = i + 1 == series.size();
    const double strength = 0.25 + 0.75 * static_cast<double>(i + 1) / static_cast<double>(series.size());
    out += fmt::format("<polyline class=\"{}\" stroke-opacity=\"{:.2f}\" points=\"{}\"><title>{}</title></polyline>\n",
                       is_last ? "line0" : "line1", is_last ? 1 : strength, points, escape_html(series[i].name));
  }
  return out + "</svg>\n";
}

}  // namespace dormouse::cli
