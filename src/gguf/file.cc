#include "gguf/file.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>

#include "base/checked_int.h"
#include "gguf/contents.h"
#include "gguf/cursor.h"
#include "gguf/format.h"

namespace dormouse::gguf {
namespace {

Error missing(std::string_view key) { return make_error(Code::kNotFound, fmt::format("gguf: no key '{}'", key)); }

Error wrong_type(const Entry& entry, std::string_view want) {
  return make_error(Code::kDataLoss, fmt::format("gguf: key '{}' has value type {}, want {}", entry.key,
                                                 static_cast<std::uint32_t>(entry.type), want));
}

// An integer of the file: sign and size told apart, so that u64 above 2^63 is not taken for a negative number.
struct WideInt {
  bool is_negative = false;
  std::uint64_t magnitude = 0;  // two's complement bits when negative
};

template <typename T>
std::optional<WideInt> widen(std::span<const std::uint8_t> payload) {
  const std::optional<T> value = Cursor(payload).read<T>();
  if (!value.has_value()) return std::nullopt;
  return WideInt{*value < T{}, static_cast<std::uint64_t>(*value)};
}

std::optional<WideInt> read_int(ValueType type, std::span<const std::uint8_t> payload) {
  switch (type) {
    case ValueType::kUint8: return widen<std::uint8_t>(payload);
    case ValueType::kInt8: return widen<std::int8_t>(payload);
    case ValueType::kUint16: return widen<std::uint16_t>(payload);
    case ValueType::kInt16: return widen<std::int16_t>(payload);
    case ValueType::kUint32: return widen<std::uint32_t>(payload);
    case ValueType::kInt32: return widen<std::int32_t>(payload);
    case ValueType::kUint64: return widen<std::uint64_t>(payload);
    case ValueType::kInt64: return widen<std::int64_t>(payload);
    case ValueType::kFloat32: case ValueType::kFloat64: case ValueType::kBool: case ValueType::kString:
    case ValueType::kArray: return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

struct File::Impl {
  std::optional<MappedFile> mapping;
  std::span<const std::uint8_t> bytes;
  Contents contents;

  [[nodiscard]] Result<const Entry*> find(std::string_view key) const {
    const Entry* entry = contents.find_entry(key);
    if (entry == nullptr) return missing(key);
    return entry;
  }
};

Result<File> File::open(const std::string& path) {
  TRY(MappedFile mapping, MappedFile::open(path));
  auto impl = std::make_unique<Impl>();
  impl->mapping = std::move(mapping);
  impl->bytes = impl->mapping->bytes();
  auto contents = parse_contents(impl->bytes, impl->bytes.size());
  if (!contents.has_value()) {
    return make_error(contents.error().code, path + ": " + contents.error().message);
  }
  impl->contents = *std::move(contents);
  return File(std::move(impl));
}

Result<File> File::parse(std::span<const std::uint8_t> bytes) {
  auto impl = std::make_unique<Impl>();
  impl->bytes = bytes;
  TRY(impl->contents, parse_contents(bytes, bytes.size()));
  return File(std::move(impl));
}

File::File(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
File::File(File&&) noexcept = default;
File& File::operator=(File&&) noexcept = default;
File::~File() = default;

std::uint32_t File::version() const { return impl_->contents.version; }
std::uint64_t File::alignment() const { return impl_->contents.alignment; }
std::uint64_t File::data_offset() const { return impl_->contents.data_offset; }
std::span<const TensorInfo> File::tensors() const { return impl_->contents.tensors; }
const TensorInfo* File::find_tensor(std::string_view name) const { return impl_->contents.find_tensor(name); }
std::span<const std::uint8_t> File::bytes() const { return impl_->bytes; }
bool File::has(std::string_view key) const { return impl_->contents.find_entry(key) != nullptr; }

std::span<const std::uint8_t> File::data(const TensorInfo& tensor) const {
  return impl_->bytes.subspan(tensor.offset, tensor.bytes);
}

const MappedFile* File::mapping() const { return impl_->mapping.has_value() ? &*impl_->mapping : nullptr; }

std::vector<std::string_view> File::keys() const {
  std::vector<std::string_view> out;
  out.reserve(impl_->contents.entries.size());
  for (const Entry& entry : impl_->contents.entries) out.push_back(entry.key);
  return out;
}

Result<std::uint64_t> File::get_uint(std::string_view key, std::uint64_t min, std::uint64_t max) const {
  TRY(const Entry* entry, impl_->find(key));
  const std::optional<WideInt> value = read_int(entry->type, entry->payload);
  if (!value.has_value()) return wrong_type(*entry, "an integer");
  if (value->is_negative || value->magnitude < min || value->magnitude > max) {
    const std::string got = value->is_negative ? std::to_string(static_cast<std::int64_t>(value->magnitude))
                                               : std::to_string(value->magnitude);
    return make_error(Code::kDataLoss, fmt::format("gguf: key '{}' is {}, want {}..{}", key, got, min, max));
  }
  return value->magnitude;
}

Result<double> File::get_float(std::string_view key, double min, double max) const {
  TRY(const Entry* entry, impl_->find(key));
  double value = 0;
  if (entry->type == ValueType::kFloat32) {
    value = static_cast<double>(Cursor(entry->payload).read<float>().value_or(NAN));
  } else if (entry->type == ValueType::kFloat64) {
    value = Cursor(entry->payload).read<double>().value_or(NAN);
  } else {
    return wrong_type(*entry, "a float");
  }
  if (!std::isfinite(value) || value < min || value > max) {
    return make_error(Code::kDataLoss, fmt::format("gguf: key '{}' is {}, want {}..{}", key, value, min, max));
  }
  return value;
}

Result<bool> File::get_bool(std::string_view key) const {
  TRY(const Entry* entry, impl_->find(key));
  if (entry->type != ValueType::kBool) return wrong_type(*entry, "bool");
  const std::uint8_t value = entry->payload.front();
  if (value > 1) return make_error(Code::kDataLoss, fmt::format("gguf: key '{}' is {}, want 0 or 1", key, value));
  return value == 1;
}

Result<std::string_view> File::get_string(std::string_view key) const {
  TRY(const Entry* entry, impl_->find(key));
  if (entry->type != ValueType::kString) return wrong_type(*entry, "a string");
  // The parser has checked this very read.
  return Cursor(entry->payload).read_string(kMaxStringBytes).value_or(std::string_view());
}

Result<StringArray> File::get_string_array(std::string_view key) const {
  TRY(const Entry* entry, impl_->find(key));
  if (entry->type != ValueType::kArray || entry->element_type != ValueType::kString) {
    return wrong_type(*entry, "an array of strings");
  }
  return StringArray(entry->strings);
}

Result<std::vector<std::int64_t>> File::get_int_array(std::string_view key) const {
  TRY(const Entry* entry, impl_->find(key));
  if (entry->type != ValueType::kArray) return wrong_type(*entry, "an array of integers");
  constexpr std::array<std::uint8_t, 8> kZero{};
  if (!read_int(entry->element_type, kZero).has_value()) return wrong_type(*entry, "an array of integers");
  const std::uint64_t stride = scalar_bytes(entry->element_type);
  std::vector<std::int64_t> out;
  out.reserve(entry->count);
  for (std::uint64_t i = 0; i < entry->count; ++i) {
    const auto value = read_int(entry->element_type, entry->elements.subspan(i * stride, stride));
    if (!value.has_value()) return wrong_type(*entry, "an array of integers");
    const auto narrow = static_cast<std::int64_t>(value->magnitude);
    if (!value->is_negative && narrow < 0) {
      return make_error(Code::kDataLoss, fmt::format("gguf: key '{}': element {} is {}, above 2^63", key, i,
                                                     value->magnitude));
    }
    out.push_back(narrow);
  }
  return out;
}

std::optional<File::RawValue> File::raw_value(std::string_view key) const {
  const Entry* entry = impl_->contents.find_entry(key);
  if (entry == nullptr) return std::nullopt;
  return RawValue{static_cast<std::uint32_t>(entry->type), entry->payload};
}

}  // namespace dormouse::gguf
