// The GGUF container's constants. Source: ggml's docs/gguf.md, versions 2 and 3 (little endian).
//   magic u32, version u32, tensor count u64, key count u64
//   keys:    { key string, type u32, value }            string = length u64 + bytes
//            an array value = element type u32, count u64, elements
//   tensors: { name string, dimension count u32, dimensions u64[], type u32, offset u64 }
//   padding to general.alignment, then the data; offsets count from there.
#pragma once

#include <cstdint>

namespace dormouse::gguf {

inline constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
inline constexpr std::uint32_t kMagicBigEndian = 0x47475546;
inline constexpr std::uint32_t kVersionOldest = 2;
inline constexpr std::uint32_t kVersionNewest = 3;
inline constexpr std::uint64_t kAlignmentDefault = 32;
inline constexpr std::uint64_t kAlignmentMin = 8;
inline constexpr std::uint64_t kAlignmentMax = 65536;
inline constexpr std::uint64_t kKeyBytesMax = 65535;
inline constexpr std::uint64_t kNameBytesMax = 64;
inline constexpr std::uint32_t kDimensionsMax = 4;
inline constexpr const char* kAlignmentKey = "general.alignment";

enum class ValueType : std::uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};
inline constexpr std::uint32_t kValueTypeLast = 12;

// Bytes of a scalar; 0 for strings and arrays, whose size is in the file.
[[nodiscard]] constexpr std::uint64_t scalar_bytes(ValueType type) {
  switch (type) {
    case ValueType::kUint8: case ValueType::kInt8: case ValueType::kBool: return 1;
    case ValueType::kUint16: case ValueType::kInt16: return 2;
    case ValueType::kUint32: case ValueType::kInt32: case ValueType::kFloat32: return 4;
    case ValueType::kUint64: case ValueType::kInt64: case ValueType::kFloat64: return 8;
    case ValueType::kString: case ValueType::kArray: return 0;
  }
  return 0;
}

}  // namespace dormouse::gguf
