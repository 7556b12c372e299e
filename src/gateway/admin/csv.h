// Comma-separated values (RFC 4180) that a spreadsheet may open: a text that begins like a formula gets a quote in
// front, numbers are written as they are. No I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dormouse::gateway {

class Csv {
 public:
  Csv& text(std::string_view value);
  Csv& number(std::int64_t value);
  // Micro-units and microseconds as units and seconds: six places, no exponent.
  Csv& micros(std::int64_t value);
  Csv& empty();
  void end_row();
  [[nodiscard]] const std::string& str() const { return out_; }

 private:
  void separate();
  std::string out_;
  bool in_row_ = false;
};

// "-0.000001"
[[nodiscard]] std::string six_places(std::int64_t micros);

}  // namespace dormouse::gateway
