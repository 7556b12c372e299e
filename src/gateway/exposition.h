// Prometheus's text format 0.0.4, written by hand: families, labels, histograms. A label's value is escaped here and
// nowhere else. Threads: one an object.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dormouse::gateway {

// Cumulative buckets, Prometheus's way.
class Histogram {
 public:
  // `bounds`: ascending, of static storage.
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size() + 1, 0) {}
  void observe(double value, std::uint64_t times = 1);
  [[nodiscard]] std::span<const double> bounds() const { return bounds_; }
  [[nodiscard]] const std::vector<std::uint64_t>& counts() const { return counts_; }  // one a bucket, the last is +Inf
  [[nodiscard]] double sum() const { return sum_; }

 private:
  std::span<const double> bounds_;
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
};

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class Exposition {
 public:
  // Begins a family ("counter", "gauge", "histogram"); what is sampled until the next call belongs to it.
  void family(std::string_view name, std::string_view type, std::string_view help);
  template <typename T>
  void sample(Labels labels, T value) {
    fmt::format_to(std::back_inserter(out_), "{}{} {}\n", name_, label_text(labels), value);
  }
  void histogram(Labels labels, const Histogram& values);
  // A family of one sample without labels.
  template <typename T>
  void single(std::string_view name, std::string_view type, T value, std::string_view help) {
    family(name, type, help);
    sample({}, value);
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  // `{a="b",c="d"}`, empty without labels.
  [[nodiscard]] static std::string label_text(Labels labels, std::string_view bound = {});
  std::string name_;
  std::string out_;
};

}  // namespace dormouse::gateway
