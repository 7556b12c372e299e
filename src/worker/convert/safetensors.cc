#include "worker/convert/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/checked_int.h"
#include "worker/tools/json_file.h"

namespace dormouse::worker {
namespace {

namespace json = boost::json;

struct NamedType {
  std::string_view name;
  TensorType type;
};
constexpr std::array kTypes{NamedType{"BF16", TensorType::kBF16}, NamedType{"F16", TensorType::kF16},
                            NamedType{"F32", TensorType::kF32}};

Result<TensorType> read_type(const JsonFields& fields) {
  TRY(const std::string_view name, fields.get_string("dtype"));
  for (const NamedType& known : kTypes) {
    if (known.name == name) return known.type;
  }
  return fields.wrong("dtype", "BF16, F16 or F32: quantised and other types are not read", Code::kInvalidArgument);
}

// The shape, and how many bytes it takes.
struct Extent {
  std::vector<std::uint64_t> shape;
  std::uint64_t bytes = 0;
};

Result<Extent> read_extent(const JsonFields& fields, TensorType type) {
  TRY(const json::array* sizes, fields.get_array("shape"));
  if (sizes->empty() || sizes->size() > kSafetensorsDimensionsMax) {
    return fields.wrong("shape", fmt::format("1 to {} sizes", kSafetensorsDimensionsMax));
  }
  Extent out;
  out.bytes = traits(type).block_bytes;
  for (const json::value& size : *sizes) {
    const std::int64_t* const value = size.if_int64();
    if (value == nullptr || *value <= 0) return fields.wrong("shape", "integers from 1");
    out.shape.push_back(static_cast<std::uint64_t>(*value));
    const auto bytes = checked_mul(out.bytes, out.shape.back());
    if (!bytes.has_value()) return fields.wrong("shape", "a product that 64 bits hold");
    out.bytes = *bytes;
  }
  return out;
}

// data: all bytes behind the header.
Result<SafetensorsTensor> read_tensor(std::string_view name, const JsonFields& fields,
                                      std::span<const std::uint8_t> data) {
  SafetensorsTensor out;
  out.name = name;
  TRY(out.type, read_type(fields));
  TRY(Extent extent, read_extent(fields, out.type));
  TRY(const json::array* offsets, fields.get_array("data_offsets"));
  const std::int64_t* const begin = offsets->size() == 2 ? offsets->front().if_int64() : nullptr;
  const std::int64_t* const end = offsets->size() == 2 ? offsets->back().if_int64() : nullptr;
  if (begin == nullptr || end == nullptr || *begin < 0 || *end < *begin) {
    return fields.wrong("data_offsets", "a begin and an end not before it");
  }
  const auto first = static_cast<std::uint64_t>(*begin);
  const std::uint64_t bytes = static_cast<std::uint64_t>(*end) - first;
  if (bytes != extent.bytes) {
    return fields.wrong("data_offsets",
                        fmt::format("{} bytes between them, as the shape has; there are {}", extent.bytes, bytes));
  }
  if (static_cast<std::uint64_t>(*end) > data.size()) {
    return fields.wrong("data_offsets", fmt::format("an end within the file's {} bytes of data: is the file whole? It "
                                                    "says {}",
                                                    data.size(), *end));
  }
  out.shape = std::move(extent.shape);
  out.bytes = data.subspan(first, bytes);
  return out;
}

// Sorted by where they lie, tensors must follow one another from the first byte of the data to the last: so none
// overlap, nothing is unaccounted for, and a name given twice (of which a JSON reader sees one) shows as a hole.
Status check_layout(const std::string& name, std::span<const SafetensorsTensor> tensors,
                    std::span<const std::uint8_t> data) {
  const std::uint8_t* at = data.data();
  for (const SafetensorsTensor& tensor : tensors) {
    if (tensor.bytes.data() != at) {
      return make_error(
          Code::kDataLoss,
          fmt::format("{}: tensor '{}' begins at byte {} of the data, want {}: tensors overlap or leave a "
                      "hole",
                      name, tensor.name, tensor.bytes.data() - data.data(), at - data.data()));
    }
    at += tensor.bytes.size();
  }
  if (at != data.data() + data.size()) {
    return make_error(Code::kDataLoss,
                      fmt::format("{}: {} bytes of data, its tensors have {}", name, data.size(), at - data.data()));
  }
  return {};
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  TRY(MappedFile mapping, MappedFile::open(path));
  TRY(SafetensorsFile out, parse(path, mapping.bytes()));
  out.mapping_.emplace(std::move(mapping));  // its bytes stay where they are
  return out;
}

void SafetensorsFile::release(const SafetensorsTensor& tensor) const {
  if (!mapping_.has_value()) return;
  mapping_->release(static_cast<std::size_t>(tensor.bytes.data() - mapping_->bytes().data()), tensor.bytes.size());
}

Result<SafetensorsFile> SafetensorsFile::parse(std::string name, std::span<const std::uint8_t> bytes) {
  std::uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes) {
    return make_error(Code::kDataLoss, fmt::format("{}: {} bytes, too short for safetensors", name, bytes.size()));
  }
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  const auto rest = bytes.subspan(sizeof header_bytes);
  if (header_bytes > rest.size()) {
    return make_error(Code::kDataLoss,
                      fmt::format("{}: says its header has {} bytes, the file has {}: not safetensors, "
                                  "or cut off",
                                  name, header_bytes, bytes.size()));
  }
  if (header_bytes > kSafetensorsHeaderMax) {
    return make_error(Code::kTooLarge, fmt::format("{}: header of {} bytes, want at most {}", name, header_bytes,
                                                   kSafetensorsHeaderMax));
  }
  // reinterpret_cast from std::uint8_t to char: both may alias anything.
  const std::string_view header(reinterpret_cast<const char*>(rest.data()), header_bytes);
  TRY(const JsonFile document, JsonFile::parse(name, header));
  const auto data = rest.subspan(header_bytes);
  SafetensorsFile out;
  for (const auto& [key, value] : document.root().object()) {
    const std::string_view tensor_name = key;
    if (tensor_name == "__metadata__") continue;
    if (!is_printable(tensor_name)) {
      return make_error(Code::kDataLoss, name + ": a tensor's name is empty or not printable");
    }
    if (!value.is_object()) return document.root().wrong(tensor_name, "an object");
    const JsonFields fields(fmt::format("{}: tensor '{}' ", name, tensor_name), value.get_object());
    TRY(SafetensorsTensor tensor, read_tensor(tensor_name, fields, data));
    out.tensors_.push_back(std::move(tensor));
  }
  std::sort(out.tensors_.begin(), out.tensors_.end(),
            [](const auto& a, const auto& b) { return a.bytes.data() < b.bytes.data(); });
  TRY_STATUS(check_layout(name, out.tensors_, data));
  out.name_ = std::move(name);
  return out;
}

}  // namespace dormouse::worker
