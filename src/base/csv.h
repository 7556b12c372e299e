// The fields of a CSV text (RFC 4180), one after the other, where they lie: no copy, no memory. Lines may end in CRLF;
// a quoted field may hold commas, quotes written twice and line breaks. PURE.
#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <string_view>
#include <system_error>

namespace dormouse {

class Csv {
 public:
  struct Field {
    std::string_view text;  // without its quotes (a quote within still stands twice) and the blanks around
    enum class Ends { kField, kLine } ends = Ends::kField;
  };

  // A byte order mark is skipped. `text` is borrowed.
  explicit Csv(std::string_view text);

  // nullopt: no field is left, or what comes is no CSV, see `broken`.
  std::optional<Field> next();

  [[nodiscard]] bool is_at_end() const { return rest_.empty(); }
  [[nodiscard]] std::size_t line() const { return line_; }  // of what comes next, from 1
  // What is wrong with the field of this line(), once next() found something so; "": nothing.
  [[nodiscard]] std::string_view broken() const { return broken_; }

 private:
  std::optional<Field> next_quoted();
  Field::Ends skip_end(std::size_t end);

  std::string_view rest_;
  std::size_t line_ = 1;
  std::string_view broken_;
};

// nullopt: the whole of `text` is no number of that type.
template <typename Number>
[[nodiscard]] std::optional<Number> csv_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

}  // namespace dormouse
