// Checks a JSON text byte by byte as it comes, and says where in it one is. For text that a model is still writing.
// PURE; no recursion, one bit of memory a level. Threads: one.
#pragma once

#include <cstdint>
#include <string_view>

#include "text/python_json.h"

namespace dormouse::text {

class JsonStream {
 public:
  enum class Place : std::uint8_t {
    kBeforeValue,
    kBeforeFirstElement,  // of an array that may stay empty
    kBeforeFirstKey,      // of an object that may stay empty
    kBeforeKey,
    kInKey,
    kBeforeColon,
    kInString,
    kInNumber,
    kInWord,  // true, false, null
    kAfterValue,
    kEnd,  // only white space may follow
  };

  // False: no JSON text goes on like this, or it is deeper than kMaxJsonDepth. Nothing may be pushed after that.
  [[nodiscard]] bool push(char byte);
  [[nodiscard]] Place place() const { return place_; }
  // Objects and arrays open.
  [[nodiscard]] std::size_t depth() const { return depth_; }

 private:
  enum class Digits : std::uint8_t { kSign, kZero, kInteger, kPoint, kFraction, kExponent, kExponentSign, kPower };

  bool begin_value(char byte);
  bool open(char byte);
  bool close(char byte);
  bool after_value(char byte);
  bool string_byte(char byte, Place after);
  bool number_byte(char byte);
  bool word_byte(char byte);
  void end_value() { place_ = depth_ == 0 ? Place::kEnd : Place::kAfterValue; }
  [[nodiscard]] bool in_object() const { return (objects_ >> (depth_ - 1) & 1) != 0; }

  std::uint64_t objects_ = 0;  // by level: an object, not an array
  std::size_t depth_ = 0;
  Place place_ = Place::kBeforeValue;
  Digits digits_ = Digits::kSign;
  bool escaped_ = false;  // behind a backslash
  int hex_left_ = 0;      // digits of \uXXXX to come
  std::string_view word_left_;
};

static_assert(kMaxJsonDepth <= 64, "a level is a bit of JsonStream::objects_");

}  // namespace dormouse::text
