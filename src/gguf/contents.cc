#include "gguf/contents.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "base/checked_int.h"
#include "gguf/cursor.h"

namespace dormouse::gguf {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read as it lies in the file");

// The least a key (8 + 1 + 4 + 1) and a tensor (8 + 1 + 4 + 8 + 4 + 8) can take: a count above what fits in the bytes
// left is a lie, found before anything is reserved for it.
constexpr std::uint64_t kKeyBytesLeast = 14;
constexpr std::uint64_t kTensorBytesLeast = 33;

template <typename... Args>
Error damaged(fmt::format_string<Args...> format, Args&&... args) {
  return make_error(Code::kDataLoss, "gguf: " + fmt::format(format, std::forward<Args>(args)...));
}

Error truncated(std::string_view what, const Cursor& cursor) {
  return damaged("{}: the file ends or a length is out of range near byte {}", what, cursor.at());
}

class Parser {
 public:
  Parser(std::span<const std::uint8_t> bytes, std::uint64_t file_bytes)
      : file_bytes_(file_bytes),
        cursor_(bytes.first(std::min<std::uint64_t>(bytes.size(), kMaxMetadataBytes))) {}

  Result<Contents> parse() {
    TRY_STATUS(read_header());
    TRY_STATUS(read_entries());
    TRY_STATUS(read_alignment());
    TRY_STATUS(read_tensors());
    TRY_STATUS(place_tensors());
    return std::move(out_);
  }

 private:
  Status read_header();
  Status read_entries();
  Result<Entry> read_entry(std::uint64_t index);
  Status read_array(Entry& entry);
  Status read_alignment();
  Status read_tensors();
  Result<TensorInfo> read_tensor(std::uint64_t index);
  Status place_tensors();

  std::uint64_t file_bytes_;
  Cursor cursor_;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t key_count_ = 0;
  Contents out_;
};

Status Parser::read_header() {
  const auto magic = cursor_.read<std::uint32_t>();
  const auto version = cursor_.read<std::uint32_t>();
  if (!magic.has_value() || (*magic != kMagic && *magic != kMagicBigEndian)) {
    return make_error(Code::kInvalidArgument, "gguf: not a GGUF file (no GGUF magic)");
  }
  if (!version.has_value()) return truncated("version", cursor_);
  const bool is_swapped = *version != 0 && (*version & 0xFFFFU) == 0;  // 3 written big-endian
  if (*magic == kMagicBigEndian || is_swapped) {
    return make_error(Code::kInvalidArgument, "gguf: a big-endian file; convert it to little endian first");
  }
  if (*version < kVersionOldest || *version > kVersionNewest) {
    return make_error(Code::kInvalidArgument, fmt::format("gguf: version {}, want 2 or 3", *version));
  }
  out_.version = *version;
  const auto tensor_count = cursor_.read<std::uint64_t>();
  const auto key_count = cursor_.read<std::uint64_t>();
  if (!tensor_count.has_value() || !key_count.has_value()) return truncated("counts", cursor_);
  if (*tensor_count > kMaxTensors || *tensor_count > cursor_.remaining() / kTensorBytesLeast) {
    return damaged("tensor count {} does not fit the file (at most {})", *tensor_count, kMaxTensors);
  }
  if (*key_count > kMaxKeys || *key_count > cursor_.remaining() / kKeyBytesLeast) {
    return damaged("key count {} does not fit the file (at most {})", *key_count, kMaxKeys);
  }
  tensor_count_ = *tensor_count;
  key_count_ = *key_count;
  return {};
}

// Indices of `count` items sorted by name; an error names the first duplicate.
template <typename NameOf>
Result<std::vector<std::uint32_t>> sorted_unique(std::size_t count, NameOf name_of, std::string_view what) {
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return name_of(a) < name_of(b); });
  const auto twin = std::adjacent_find(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return name_of(a) == name_of(b);
  });
  if (twin != order.end()) return damaged("{} '{}' appears twice", what, name_of(*twin));
  return order;
}

Status Parser::read_entries() {
  out_.entries.reserve(key_count_);
  for (std::uint64_t i = 0; i < key_count_; ++i) {
    TRY(Entry entry, read_entry(i));
    out_.entries.push_back(std::move(entry));
  }
  TRY(out_.entries_by_key, sorted_unique(
      out_.entries.size(), [this](std::uint32_t i) { return out_.entries[i].key; }, "key"));
  return {};
}

Result<Entry> Parser::read_entry(std::uint64_t index) {
  Entry entry;
  const auto key = cursor_.read_string(kKeyBytesMax);
  if (!key.has_value()) return truncated(fmt::format("key {}", index), cursor_);
  if (key->empty() || !is_printable_utf8(*key)) return damaged("key {} is empty or not printable UTF-8", index);
  entry.key = *key;
  const auto type = cursor_.read<std::uint32_t>();
  if (!type.has_value()) return truncated(entry.key, cursor_);
  if (*type > kValueTypeLast) return damaged("key '{}': value type {}, want 0..{}", entry.key, *type, kValueTypeLast);
  entry.type = static_cast<ValueType>(*type);
  const std::uint64_t begin = cursor_.at();
  if (entry.type == ValueType::kArray) {
    TRY_STATUS(read_array(entry));
  } else if (entry.type == ValueType::kString) {
    if (!cursor_.read_string(kMaxStringBytes).has_value()) return truncated(entry.key, cursor_);
  } else if (!cursor_.take(scalar_bytes(entry.type)).has_value()) {
    return truncated(entry.key, cursor_);
  }
  entry.payload = cursor_.since(begin);
  return entry;
}

Status Parser::read_array(Entry& entry) {
  const auto type = cursor_.read<std::uint32_t>();
  const auto count = cursor_.read<std::uint64_t>();
  if (!type.has_value() || !count.has_value()) return truncated(entry.key, cursor_);
  if (*type > kValueTypeLast || static_cast<ValueType>(*type) == ValueType::kArray) {
    return damaged("key '{}': array of type {}, want scalars or strings", entry.key, *type);
  }
  if (*count > kMaxArrayElements) {
    return damaged("key '{}': {} elements, at most {}", entry.key, *count, kMaxArrayElements);
  }
  entry.element_type = static_cast<ValueType>(*type);
  entry.count = *count;
  if (entry.element_type != ValueType::kString) {
    const auto bytes = checked_mul(*count, scalar_bytes(entry.element_type));
    const auto elements = bytes.has_value() ? cursor_.take(*bytes) : std::nullopt;
    if (!elements.has_value()) return truncated(entry.key, cursor_);
    entry.elements = *elements;
    return {};
  }
  if (*count > cursor_.remaining() / sizeof(std::uint64_t)) return truncated(entry.key, cursor_);
  entry.strings.reserve(*count);
  for (std::uint64_t i = 0; i < *count; ++i) {
    const auto text = cursor_.read_string(kMaxStringBytes);
    if (!text.has_value()) return truncated(entry.key, cursor_);
    entry.strings.push_back(*text);
  }
  return {};
}

Status Parser::read_alignment() {
  const Entry* entry = out_.find_entry(kAlignmentKey);
  if (entry == nullptr) return {};
  if (entry->type != ValueType::kUint32) {
    return damaged("{} has value type {}, want u32", kAlignmentKey, static_cast<std::uint32_t>(entry->type));
  }
  const std::uint64_t alignment = Cursor(entry->payload).read<std::uint32_t>().value_or(0);
  if (alignment < kAlignmentMin || alignment > kAlignmentMax || !std::has_single_bit(alignment)) {
    return damaged("{} is {}, want a power of two in {}..{}", kAlignmentKey, alignment, kAlignmentMin, kAlignmentMax);
  }
  out_.alignment = alignment;
  return {};
}

Status Parser::read_tensors() {
  out_.tensors.reserve(tensor_count_);
  for (std::uint64_t i = 0; i < tensor_count_; ++i) {
    TRY(const TensorInfo tensor, read_tensor(i));
    out_.tensors.push_back(tensor);
  }
  TRY(out_.tensors_by_name, sorted_unique(
      out_.tensors.size(), [this](std::uint32_t i) { return out_.tensors[i].name; }, "tensor"));
  return {};
}

// The offset stays relative to the data until place_tensors.
Result<TensorInfo> Parser::read_tensor(std::uint64_t index) {
  TensorInfo tensor;
  const auto name = cursor_.read_string(kNameBytesMax);
  if (!name.has_value()) return truncated(fmt::format("name of tensor {}", index), cursor_);
  if (name->empty() || !is_printable_utf8(*name)) {
    return damaged("name of tensor {} is empty or not printable UTF-8", index);
  }
  tensor.name = *name;
  const auto dimensions = cursor_.read<std::uint32_t>();
  if (!dimensions.has_value()) return truncated(tensor.name, cursor_);
  if (*dimensions == 0 || *dimensions > kDimensionsMax) {
    return damaged("tensor '{}' has {} dimensions, want 1..{}", tensor.name, *dimensions, kDimensionsMax);
  }
  tensor.dimensions = static_cast<int>(*dimensions);
  for (std::uint32_t i = 0; i < *dimensions; ++i) {
    const auto size = cursor_.read<std::uint64_t>();
    if (!size.has_value()) return truncated(tensor.name, cursor_);
    if (*size == 0) return damaged("tensor '{}': dimension {} is zero", tensor.name, i);
    tensor.shape[i] = *size;
  }
  const auto type_id = cursor_.read<std::uint32_t>();
  const auto offset = cursor_.read<std::uint64_t>();
  if (!type_id.has_value() || !offset.has_value()) return truncated(tensor.name, cursor_);
  const auto type = tensor_type_from_id(*type_id);
  if (!type.has_value()) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("gguf: tensor '{}' has type {}, which Dormouse does not read (it reads F32 F16 BF16 "
                                  "Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K)", tensor.name, *type_id));
  }
  tensor.type = *type;
  tensor.offset = *offset;
  const TensorTypeTraits t = traits(*type);
  if (tensor.shape[0] % t.block_elements != 0) {
    return damaged("tensor '{}': rows of {}, want a multiple of {} for {}", tensor.name, tensor.shape[0],
                   t.block_elements, t.name);
  }
  std::optional<std::uint64_t> bytes = checked_mul<std::uint64_t>(tensor.shape[0] / t.block_elements, t.block_bytes);
  for (std::size_t i = 1; i < tensor.shape.size() && bytes.has_value(); ++i) {
    bytes = checked_mul(*bytes, tensor.shape[i]);
  }
  if (!bytes.has_value() || *bytes > file_bytes_) {
    return damaged("tensor '{}' is larger than the file of {} bytes", tensor.name, file_bytes_);
  }
  tensor.bytes = *bytes;
  return tensor;
}

Status Parser::place_tensors() {
  const auto data_offset = checked_align(cursor_.at(), out_.alignment);
  if (!data_offset.has_value()) return damaged("metadata is too long");
  out_.data_offset = *data_offset;
  for (TensorInfo& tensor : out_.tensors) {
    if (tensor.offset % out_.alignment != 0) {
      return damaged("tensor '{}': offset {} is not a multiple of {}", tensor.name, tensor.offset, out_.alignment);
    }
    const auto begin = checked_add(out_.data_offset, tensor.offset);
    const auto end = begin.has_value() ? checked_add(*begin, tensor.bytes) : std::nullopt;
    if (!end.has_value() || *end > file_bytes_) {
      return damaged("tensor '{}': {} bytes at data offset {} end beyond the file of {} bytes", tensor.name,
                     tensor.bytes, tensor.offset, file_bytes_);
    }
    tensor.offset = *begin;
  }
  std::vector<const TensorInfo*> order;
  order.reserve(out_.tensors.size());
  for (const TensorInfo& tensor : out_.tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(),
            [](const TensorInfo* a, const TensorInfo* b) { return a->offset < b->offset; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const TensorInfo& before = *order[i - 1];
    if (before.offset + before.bytes > order[i]->offset) {  // cannot wrap: both ends were checked to lie in the file
      return damaged("tensors '{}' and '{}' overlap", before.name, order[i]->name);
    }
  }
  return {};
}

}  // namespace

const Entry* Contents::find_entry(std::string_view key) const {
  const auto at = std::lower_bound(entries_by_key.begin(), entries_by_key.end(), key,
                                   [this](std::uint32_t i, std::string_view k) { return entries[i].key < k; });
  if (at == entries_by_key.end() || entries[*at].key != key) return nullptr;
  return &entries[*at];
}

const TensorInfo* Contents::find_tensor(std::string_view name) const {
  const auto at = std::lower_bound(tensors_by_name.begin(), tensors_by_name.end(), name,
                                   [this](std::uint32_t i, std::string_view n) { return tensors[i].name < n; });
  if (at == tensors_by_name.end() || tensors[*at].name != name) return nullptr;
  return &tensors[*at];
}

Result<Contents> parse_contents(std::span<const std::uint8_t> bytes, std::uint64_t file_bytes) {
  return Parser(bytes, file_bytes).parse();
}

bool is_printable_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x20 || lead == 0x7F) return false;
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() - i < length) return false;
    std::uint32_t code = lead & (0xFFU >> (length + 1));
    for (std::size_t k = 1; k < length; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      if ((byte & 0xC0U) != 0x80U) return false;
      code = (code << 6) | (byte & 0x3FU);
    }
    const std::uint32_t least = length == 4 ? 0x10000U : length == 3 ? 0x800U : 0x80U;
    if (code < least || code > 0x10FFFFU || (code >= 0xD800U && code <= 0xDFFFU)) return false;
    i += length;
  }
  return true;
}

}  // namespace dormouse::gguf
