// Test equipment: GGUF bytes built field by field, with nothing checked, so that a test can lie in any field.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <vector>

#include "gguf/format.h"

namespace dormouse::gguf {

class HostileFile {
 public:
  HostileFile(std::uint64_t tensor_count, std::uint64_t key_count) {
    number(kMagic).number(kVersionNewest).number(tensor_count).number(key_count);
  }

  template <typename T>
  HostileFile& number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
    return *this;
  }
  HostileFile& text(std::string_view value) {
    number<std::uint64_t>(value.size());
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    return *this;
  }
  HostileFile& key(std::string_view name, ValueType type) {
    return text(name).number(static_cast<std::uint32_t>(type));
  }
  HostileFile& tensor(std::string_view name, const std::vector<std::uint64_t>& shape, std::uint32_t type,
                      std::uint64_t offset) {
    text(name).number(static_cast<std::uint32_t>(shape.size()));
    for (const std::uint64_t size : shape) number(size);
    return number(type).number(offset);
  }
  HostileFile& data(std::size_t count, std::uint64_t alignment = kAlignmentDefault) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment + count);
    return *this;
  }
  [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }
  [[nodiscard]] std::vector<std::uint8_t>& bytes() { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

// One of each: every value type, two tensors. 32-byte alignment; the data section is 96 bytes.
inline HostileFile small_valid_file() {
  HostileFile file(2, 10);
  file.key("general.architecture", ValueType::kString).text("qwen3");
  file.key("a.u32", ValueType::kUint32).number(std::uint32_t{7});
  file.key("a.i8", ValueType::kInt8).number(std::int8_t{-3});
  file.key("a.u64", ValueType::kUint64).number(~std::uint64_t{0});
  file.key("a.f32", ValueType::kFloat32).number(1e-6F);
  file.key("a.f64", ValueType::kFloat64).number(2.5);
  file.key("a.flag", ValueType::kBool).number(std::uint8_t{1});
  file.key("a.words", ValueType::kArray).number(std::uint32_t{8}).number(std::uint64_t{3});
  file.text("x").text("").text("\xE7\x9D\xA1\xE9\xBC\xA0");
  file.key("a.ints", ValueType::kArray).number(std::uint32_t{5}).number(std::uint64_t{2});
  file.number(std::int32_t{-1}).number(std::int32_t{5});
  file.key("general.alignment", ValueType::kUint32).number(std::uint32_t{32});
  file.tensor("norm.weight", {8}, 0, 0);          // 32 bytes
  file.tensor("w", {32, 1}, 8, 32);               // one Q8_0 block, 34 bytes
  file.data(96);
  return file;
}

}  // namespace dormouse::gguf
