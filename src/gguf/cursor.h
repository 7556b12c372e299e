// Reads forward through untrusted bytes. Every read says whether it fitted; nothing is ever read past the end.
// Invariant: at <= size. Threads: one.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace dormouse::gguf {

class Cursor {
 public:
  explicit Cursor(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  [[nodiscard]] std::uint64_t at() const { return at_; }
  [[nodiscard]] std::uint64_t remaining() const { return bytes_.size() - at_; }

  template <typename T>
  [[nodiscard]] std::optional<T> read() {
    static_assert(std::is_arithmetic_v<T>);
    if (remaining() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  [[nodiscard]] std::optional<std::span<const std::uint8_t>> take(std::uint64_t count) {
    if (remaining() < count) return std::nullopt;
    const auto out = bytes_.subspan(at_, count);
    at_ += count;
    return out;
  }

  // A u64 length and that many bytes.
  [[nodiscard]] std::optional<std::string_view> read_string(std::uint64_t bytes_max) {
    const std::optional<std::uint64_t> length = read<std::uint64_t>();
    if (!length.has_value() || *length > bytes_max || *length > remaining()) return std::nullopt;
    // reinterpret_cast from std::uint8_t to char: both may alias anything.
    const std::string_view out(reinterpret_cast<const char*>(bytes_.data() + at_), *length);
    at_ += *length;
    return out;
  }

  [[nodiscard]] std::span<const std::uint8_t> since(std::uint64_t begin) const {
    return bytes_.subspan(begin, at_ - begin);
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::uint64_t at_ = 0;
};

}  // namespace dormouse::gguf
