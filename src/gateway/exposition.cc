#include "gateway/exposition.h"

#include <algorithm>

namespace dormouse::gateway {
namespace {

// Backslash, quote and newline are what the format wants escaped.
void append_escaped(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
}

void append_label(std::string& out, std::string_view name, std::string_view value) {
  out += out.empty() ? '{' : ',';
  out.append(name).append("=\"");
  append_escaped(out, value);
  out += '"';
}

}  // namespace

void Histogram::observe(double value, std::uint64_t times) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  counts_[static_cast<std::size_t>(bound - bounds_.begin())] += times;
  sum_ += value * static_cast<double>(times);
}

std::string Exposition::label_text(Labels labels, std::string_view bound) {
  std::string out;
  for (const auto& [name, value] : labels) append_label(out, name, value);
  if (!bound.empty()) append_label(out, "le", bound);
  return out.empty() ? out : out + '}';
}

void Exposition::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  fmt::format_to(std::back_inserter(out_), "# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

void Exposition::histogram(Labels labels, const Histogram& values) {
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < values.counts().size(); ++i) {
    cumulative += values.counts()[i];
    const std::string bound = i < values.bounds().size() ? fmt::format("{}", values.bounds()[i]) : "+Inf";
    fmt::format_to(std::back_inserter(out_), "{}_bucket{} {}\n", name_, label_text(labels, bound), cumulative);
  }
  const std::string text = label_text(labels);
  fmt::format_to(std::back_inserter(out_), "{0}_sum{1} {2}\n{0}_count{1} {3}\n", name_, text, values.sum(), cumulative);
}

}  // namespace dormouse::gateway
