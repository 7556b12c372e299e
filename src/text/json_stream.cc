#include "text/json_stream.h"

namespace dormouse::text {
namespace {

bool is_space(char byte) {
  return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}
bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}
bool is_hex(char byte) {
  return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

}  // namespace

bool JsonStream::push(char byte) {
  switch (place_) {
    case Place::kInKey: return string_byte(byte, Place::kBeforeColon);
    case Place::kInString: return string_byte(byte, Place::kAfterValue);
    case Place::kInNumber: return number_byte(byte);
    case Place::kInWord: return word_byte(byte);
    case Place::kBeforeValue:
    case Place::kBeforeFirstElement:
    case Place::kBeforeFirstKey:
    case Place::kBeforeKey:
    case Place::kBeforeColon:
    case Place::kAfterValue:
    case Place::kEnd: break;
  }
  if (is_space(byte)) return true;
  switch (place_) {
    case Place::kBeforeFirstElement:
      if (byte == ']') return close(byte);
      return begin_value(byte);
    case Place::kBeforeValue: return begin_value(byte);
    case Place::kBeforeFirstKey:
      if (byte == '}') return close(byte);
      [[fallthrough]];
    case Place::kBeforeKey: place_ = Place::kInKey; return byte == '"';
    case Place::kBeforeColon: place_ = Place::kBeforeValue; return byte == ':';
    case Place::kAfterValue: return after_value(byte);
    case Place::kEnd:
    case Place::kInKey:
    case Place::kInString:
    case Place::kInNumber:
    case Place::kInWord: break;
  }
  return false;
}

bool JsonStream::begin_value(char byte) {
  const auto word = [this](std::string_view rest) {
    place_ = Place::kInWord;
    word_left_ = rest;
    return true;
  };
  switch (byte) {
    case '{':
    case '[': return open(byte);
    case '"': place_ = Place::kInString; return true;
    case 't': return word("rue");
    case 'f': return word("alse");
    case 'n': return word("ull");
    default: break;
  }
  if (byte != '-' && !is_digit(byte)) return false;
  place_ = Place::kInNumber;
  digits_ = byte == '-' ? Digits::kSign : byte == '0' ? Digits::kZero : Digits::kInteger;
  return true;
}

bool JsonStream::open(char byte) {
  if (depth_ == kMaxJsonDepth) return false;
  const std::uint64_t bit = std::uint64_t{1} << depth_;
  objects_ = byte == '{' ? objects_ | bit : objects_ & ~bit;
  depth_ += 1;
  place_ = byte == '{' ? Place::kBeforeFirstKey : Place::kBeforeFirstElement;
  return true;
}

bool JsonStream::close(char byte) {
  if (byte != (in_object() ? '}' : ']')) return false;
  depth_ -= 1;
  end_value();
  return true;
}

bool JsonStream::after_value(char byte) {
  if (byte != ',') return close(byte);
  place_ = in_object() ? Place::kBeforeKey : Place::kBeforeValue;
  return true;
}

bool JsonStream::string_byte(char byte, Place after) {
  if (hex_left_ > 0) {
    hex_left_ -= 1;
    return is_hex(byte);
  }
  if (escaped_) {
    escaped_ = false;
    if (byte == 'u') hex_left_ = 4;
    return std::string_view("\"\\/bfnrtu").find(byte) != std::string_view::npos;
  }
  if (byte == '"') {
    place_ = after;
    if (after == Place::kAfterValue) end_value();
    return true;
  }
  escaped_ = byte == '\\';
  return static_cast<unsigned char>(byte) >= 0x20;
}

bool JsonStream::number_byte(char byte) {
  const auto go = [this](Digits next) {
    digits_ = next;
    return true;
  };
  const bool whole = digits_ == Digits::kZero || digits_ == Digits::kInteger;
  if (is_digit(byte)) {
    switch (digits_) {
      case Digits::kSign: return go(byte == '0' ? Digits::kZero : Digits::kInteger);
      case Digits::kZero: return false;
      case Digits::kInteger: return true;
      case Digits::kPoint:
      case Digits::kFraction: return go(Digits::kFraction);
      case Digits::kExponent:
      case Digits::kExponentSign:
      case Digits::kPower: return go(Digits::kPower);
    }
  }
  if (byte == '.' && whole) return go(Digits::kPoint);
  if ((byte == 'e' || byte == 'E') && (whole || digits_ == Digits::kFraction)) return go(Digits::kExponent);
  if ((byte == '+' || byte == '-') && digits_ == Digits::kExponent) return go(Digits::kExponentSign);
  // A number ends where something else begins.
  if (!whole && digits_ != Digits::kFraction && digits_ != Digits::kPower) return false;
  end_value();
  if (is_space(byte)) return true;
  return depth_ > 0 && after_value(byte);
}

bool JsonStream::word_byte(char byte) {
  if (byte != word_left_.front()) return false;
  word_left_.remove_prefix(1);
  if (word_left_.empty()) end_value();
  return true;
}

}  // namespace dormouse::text
