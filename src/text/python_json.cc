#include "text/python_json.h"

#include <fmt/format.h>

#include <array>
#include <bitset>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <system_error>

#include "text/utf8_decode.h"

namespace dormouse::text {

namespace {

constexpr std::size_t kMaxIntegerDigits = 4300;  // CPython's sys.int_info.default_max_str_digits

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void append_utf8(std::uint32_t code_point, std::string& out) {
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | (code_point >> 6));
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | (code_point >> 12));
    put(0x80 | ((code_point >> 6) & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | (code_point >> 18));
    put(0x80 | ((code_point >> 12) & 0x3F));
    put(0x80 | ((code_point >> 6) & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

// One character of a string's value, as json.dumps escapes it: control characters, quote and backslash only.
void append_escaped(std::uint32_t code_point, std::string& out) {
  switch (code_point) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    case '\f': out += "\\f"; return;
    case '\b': out += "\\b"; return;
    default: break;
  }
  if (code_point < 0x20) {
    out += fmt::format("\\u{:04x}", code_point);
  } else {
    append_utf8(code_point, out);
  }
}

// repr(float): the shortest digits that read back, plain from 1e-4 up to 1e16, else with an exponent of two digits.
std::string python_float(double value) {
  if (value == 0.0) return std::signbit(value) ? "-0.0" : "0.0";
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<std::size_t>(end.ptr - buffer.data()));
  const std::size_t at = text.find('e');
  std::string_view exponent_text = text.substr(at + 1);
  if (exponent_text.starts_with('+')) exponent_text.remove_prefix(1);
  int exponent = 0;
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  if (exponent < -4 || exponent >= 16) {
    return fmt::format("{}e{}{:02}", text.substr(0, at), exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  std::array<char, 64> plain{};
  const auto plain_end = std::to_chars(plain.data(), plain.data() + plain.size(), value, std::chars_format::fixed);
  std::string out(plain.data(), plain_end.ptr);
  if (out.find('.') == std::string::npos) out += ".0";
  return out;
}

class Rewriter {
 public:
  explicit Rewriter(std::string_view json) : json_(json) {}

  Result<std::string> run() {
    TRY_STATUS(value());
    while (depth_ > 0) TRY_STATUS(next_in_container());
    skip_space();
    if (at_ != json_.size()) return wrong("more text after the value");
    return std::move(out_);
  }

 private:
  [[nodiscard]] Error wrong(std::string_view what) const {
    return make_error(Code::kInvalidArgument, fmt::format("json: {} at byte {}", what, at_));
  }
  [[nodiscard]] char peek() const { return at_ < json_.size() ? json_[at_] : '\0'; }
  void skip_space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }

  // One scalar, or the opening of a container up to its first value, or a whole empty container.
  Status value() {
    skip_space();
    const char c = peek();
    if (c == '{' || c == '[') return open(c);
    if (c == '"') return string();
    if (c == '-' || is_digit(c)) return number();
    for (const std::string_view word : {"true", "false", "null"}) {
      if (json_.substr(at_).starts_with(word)) {
        out_ += word;
        at_ += word.size();
        return {};
      }
    }
    return wrong("no value");
  }

  Status open(char bracket) {
    if (depth_ == kMaxJsonDepth) return wrong("too deep");
    is_object_[depth_++] = bracket == '{';
    is_new_ = true;
    out_.push_back(bracket);
    ++at_;
    return {};
  }

  // Inside a container: its end, or the separator, the key and the value.
  Status next_in_container() {
    const bool is_object = is_object_[depth_ - 1];
    skip_space();
    if (peek() == (is_object ? '}' : ']')) {
      out_.push_back(json_[at_++]);
      --depth_;
      is_new_ = false;
      return {};
    }
    if (!is_new_) {
      if (peek() != ',') return wrong("no comma");
      ++at_;
      out_ += ", ";
    }
    is_new_ = false;
    if (is_object) {
      skip_space();
      TRY_STATUS(string());
      skip_space();
      if (peek() != ':') return wrong("no colon");
      ++at_;
      out_ += ": ";
    }
    skip_space();
    if (peek() == ']' || peek() == '}') return wrong("no value");
    return value();
  }

  Status number() {
    const std::size_t begin = at_;
    if (peek() == '-') ++at_;
    const std::size_t digits = at_;
    while (is_digit(peek())) ++at_;
    const std::size_t count = at_ - digits;
    if (count == 0 || (count > 1 && json_[digits] == '0')) return wrong("no number");
    bool is_float = false;
    if (peek() == '.') {
      is_float = true;
      ++at_;
      if (!is_digit(peek())) return wrong("no digit");
      while (is_digit(peek())) ++at_;
    }
    if (peek() == 'e' || peek() == 'E') {
      is_float = true;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (!is_digit(peek())) return wrong("no digit");
      while (is_digit(peek())) ++at_;
    }
    const std::string_view text = json_.substr(begin, at_ - begin);
    if (!is_float) {
      if (count > kMaxIntegerDigits) return wrong("a number too long");
      out_ += text == "-0" ? std::string_view("0") : text;
      return {};
    }
    double parsed = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), parsed);
    if (result.ec == std::errc::result_out_of_range) return wrong("a number out of range");
    out_ += python_float(parsed);
    return {};
  }

  std::optional<std::uint32_t> hex4() {
    if (json_.size() - at_ < 4) return std::nullopt;
    std::uint32_t out = 0;
    const char* begin = json_.data() + at_;
    const auto result = std::from_chars(begin, begin + 4, out, 16);
    if (result.ptr != begin + 4) return std::nullopt;
    at_ += 4;
    return out;
  }

  // After "\u".
  Status unicode_escape() {
    const auto high = hex4();
    if (!high) return wrong("a bad \\u escape");
    std::uint32_t code_point = *high;
    if (code_point >= 0xD800 && code_point <= 0xDBFF && json_.substr(at_).starts_with("\\u")) {
      const std::size_t before = at_;
      at_ += 2;
      const auto low = hex4();
      if (!low) return wrong("a bad \\u escape");
      if (*low >= 0xDC00 && *low <= 0xDFFF) {
        code_point = 0x10000 + ((code_point - 0xD800) << 10) + (*low - 0xDC00);
      } else {
        at_ = before;  // an escape of its own
      }
    }
    if (code_point >= 0xD800 && code_point <= 0xDFFF) code_point = 0xFFFD;
    append_escaped(code_point, out_);
    return {};
  }

  Status escape() {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
    const char letter = peek();
    ++at_;
    if (letter == 'u') return unicode_escape();
    const std::size_t index = kLetters.find(letter);
    if (letter == '\0' || index == std::string_view::npos) return wrong("a bad escape");
    append_escaped(static_cast<std::uint8_t>(kValues[index]), out_);
    return {};
  }

  Status string() {
    if (peek() != '"') return wrong("no string");
    ++at_;
    out_.push_back('"');
    while (at_ < json_.size() && json_[at_] != '"') {
      if (json_[at_] == '\\') {
        ++at_;
        TRY_STATUS(escape());
        continue;
      }
      const Utf8Step step = decode_utf8(json_.substr(at_));
      if (step.kind != Utf8Kind::kCharacter) return wrong("invalid UTF-8");
      if (step.code_point < 0x20) return wrong("a control character in a string");
      append_escaped(step.code_point, out_);
      at_ += step.size;
    }
    if (at_ >= json_.size()) return wrong("a string without end");
    ++at_;
    out_.push_back('"');
    return {};
  }

  std::string_view json_;
  std::size_t at_ = 0;
  std::string out_;
  std::bitset<kMaxJsonDepth> is_object_;
  std::size_t depth_ = 0;
  bool is_new_ = false;  // the innermost container has had no element yet
};

}  // namespace

Result<std::string> python_json(std::string_view json) {
  return Rewriter(json).run();
}

}  // namespace dormouse::text
