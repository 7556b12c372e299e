// A GGUF v2/v3 file, read without a copy: every count, offset, alignment and type is checked before arithmetic on it
// (reliability notes S-01..S-07); what open() returns can be used without further checks.
// Invariants of an open File: (1) each tensor's [offset, offset + bytes) lies in the file, aligned; (2) no two overlap;
// (3) names and keys are unique, valid UTF-8; (4) shapes are non-zero and rows are whole blocks.
// Threads: const from any. Views live as long as the File.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "base/tensor_type.h"

namespace dormouse::gguf {

// Caps, checked before arithmetic. Far above any Qwen3 file, far below what could hurt.
inline constexpr std::uint64_t kMaxTensors = 1U << 16;
inline constexpr std::uint64_t kMaxKeys = 1U << 16;
inline constexpr std::uint64_t kMaxStringBytes = 16U << 20;
inline constexpr std::uint64_t kMaxArrayElements = 1U << 24;
inline constexpr std::uint64_t kMaxMetadataBytes = 256U << 20;

struct TensorInfo {
  std::string_view name;
  TensorType type = TensorType::kF32;
  // shape[0] is the row length (contiguous), as GGUF writes it; unused dimensions are 1.
  std::array<std::uint64_t, 4> shape{1, 1, 1, 1};
  int dimensions = 0;
  std::uint64_t offset = 0;  // from the start of the file
  std::uint64_t bytes = 0;

  [[nodiscard]] std::uint64_t row_length() const { return shape[0]; }
  [[nodiscard]] std::uint64_t rows() const { return shape[1] * shape[2] * shape[3]; }
};

// A string array in the file: random access, no copies.
using StringArray = std::span<const std::string_view>;

class File {
 public:
  // Errors: kNotFound, kPermissionDenied, kInvalidArgument (not GGUF, or a version we do not read), kDataLoss (damaged:
  // the message names the field, expected and got).
  static Result<File> open(const std::string& path);
  // Parses bytes that outlive the File. The fuzz target's door.
  static Result<File> parse(std::span<const std::uint8_t> bytes);

  File(File&&) noexcept;
  File& operator=(File&&) noexcept;
  ~File();

  [[nodiscard]] std::uint32_t version() const;
  [[nodiscard]] std::uint64_t alignment() const;
  [[nodiscard]] std::uint64_t data_offset() const;
  [[nodiscard]] std::span<const TensorInfo> tensors() const;
  [[nodiscard]] const TensorInfo* find_tensor(std::string_view name) const;  // null: none
  [[nodiscard]] std::span<const std::uint8_t> data(const TensorInfo& tensor) const;
  [[nodiscard]] std::span<const std::uint8_t> bytes() const;
  [[nodiscard]] const MappedFile* mapping() const;  // null when parsed from memory

  // Metadata. A missing key is kNotFound, a wrong type or a value outside [min, max] kDataLoss, both naming the key.
  [[nodiscard]] bool has(std::string_view key) const;
  [[nodiscard]] std::vector<std::string_view> keys() const;
  // Any integer type in the file, widened.
  [[nodiscard]] Result<std::uint64_t> get_uint(std::string_view key, std::uint64_t min, std::uint64_t max) const;
  // F32 or F64 in the file; finite.
  [[nodiscard]] Result<double> get_float(std::string_view key, double min, double max) const;
  [[nodiscard]] Result<bool> get_bool(std::string_view key) const;
  [[nodiscard]] Result<std::string_view> get_string(std::string_view key) const;
  [[nodiscard]] Result<StringArray> get_string_array(std::string_view key) const;
  // Any integer element type, widened into a new vector.
  [[nodiscard]] Result<std::vector<std::int64_t>> get_int_array(std::string_view key) const;

  // The raw encoded value (type id and payload) of a key, so that a writer can copy metadata unchanged.
  struct RawValue {
    std::uint32_t type = 0;
    std::span<const std::uint8_t> payload;
  };
  [[nodiscard]] std::optional<RawValue> raw_value(std::string_view key) const;

 private:
  struct Impl;
  explicit File(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dormouse::gguf
