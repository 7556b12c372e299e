#include "gateway/admin/csv.h"

#include <fmt/format.h>

namespace dormouse::gateway {

void Csv::separate() {
  if (in_row_) out_ += ',';
  in_row_ = true;
}

Csv& Csv::text(std::string_view value) {
  separate();
  // '\t' and '\r' too: a spreadsheet drops them and looks at what follows.
  const bool formula = !value.empty() && std::string_view("=+-@\t\r").find(value.front()) != std::string_view::npos;
  if (!formula && value.find_first_of(",\"\r\n") == std::string_view::npos) {
    out_ += value;
    return *this;
  }
  out_ += '"';
  if (formula) out_ += '\'';
  for (const char c : value) {
    if (c == '"') out_ += '"';
    out_ += c;
  }
  out_ += '"';
  return *this;
}

Csv& Csv::number(std::int64_t value) {
  separate();
  out_ += std::to_string(value);
  return *this;
}

Csv& Csv::micros(std::int64_t value) {
  separate();
  out_ += six_places(value);
  return *this;
}

Csv& Csv::empty() {
  separate();
  return *this;
}

void Csv::end_row() {
  out_ += "\r\n";
  in_row_ = false;
}

std::string six_places(std::int64_t micros) {
  // Magnitude in unsigned: -INT64_MIN does not exist in int64.
  const auto size =
      micros < 0 ? 0ULL - static_cast<unsigned long long>(micros) : static_cast<unsigned long long>(micros);
  return fmt::format("{}{}.{:06}", micros < 0 ? "-" : "", size / 1'000'000, size % 1'000'000);
}

}  // namespace dormouse::gateway
