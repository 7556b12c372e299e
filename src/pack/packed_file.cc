#include "pack/packed_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/checked_int.h"
#include "kernels/layout.h"
#include "pack/checksum.h"
#include "pack/plan.h"

namespace dormouse::pack {
namespace {

Error damaged(const char* what) {
  return make_error(Code::kDataLoss, fmt::format("packed weights: {}", what));
}

Status check_header(const Header& header, std::uint64_t file_bytes, const gguf::File& source) {
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) return damaged("not a packed file");
  if (header.layout_version != kLayoutVersion) return damaged("another layout version");
  Header copy = header;
  copy.header_checksum = 0;
  if (checksum({reinterpret_cast<const std::uint8_t*>(&copy), sizeof copy}) != header.header_checksum) {
    return damaged("the header is damaged");
  }
  if (header.file_bytes != file_bytes) return damaged("the file is cut short or longer than written");
  const MappedFile::Identity identity =
      source.mapping() != nullptr ? source.mapping()->identity() : MappedFile::Identity{0, source.bytes().size(), 0};
  if (header.source_inode != identity.inode || header.source_bytes != identity.size ||
      header.source_mtime_ns != identity.mtime_ns) {
    return damaged("made from another file, or the model file changed since");
  }
  if (header.source_header_checksum != source_header_checksum(source)) return damaged("the model's header changed");
  return {};
}

Status check_entry(const Entry& entry, const Header& header, const gguf::File& source) {
  if (entry.source_index >= source.tensors().size()) return damaged("an entry names a tensor that is not there");
  const gguf::TensorInfo& tensor = source.tensors()[entry.source_index];
  const auto type = tensor_type_from_id(entry.type);
  if (!type.has_value() || *type != tensor.type || tensor.dimensions != 2) return damaged("an entry's type is wrong");
  if (entry.rows <= 0 || entry.columns <= 0 || static_cast<std::uint64_t>(entry.rows) != tensor.rows() ||
      static_cast<std::uint64_t>(entry.columns) != tensor.row_length()) {
    return damaged("an entry's shape is wrong");
  }
  const auto bytes = static_cast<std::uint64_t>(kernels::packed_matrix_bytes(*type, entry.rows, entry.columns));
  const auto end = checked_add(entry.offset, bytes);
  if (entry.bytes != bytes || entry.offset < header.data_offset || entry.offset % kMatrixAlignment != 0 || !end ||
      *end > header.file_bytes) {
    return damaged("an entry lies outside the file");
  }
  return {};
}

Status check_tables(const Header& header) {
  const auto end = checked_add(header.tables_offset, header.tables_bytes);
  if (header.tables_offset < header.data_offset || header.tables_offset % kMatrixAlignment != 0 || !end ||
      *end > header.file_bytes) {
    return damaged("the tokenizer's tables lie outside the file");
  }
  return {};
}

std::string versioned_path(const std::string& source_path, const std::string& directory, std::uint64_t inode,
                           std::uint32_t version) {
  const std::filesystem::path source(source_path);
  const std::filesystem::path folder = directory.empty() ? source.parent_path() : std::filesystem::path(directory);
  return (folder / fmt::format("{}.{:x}.v{}.dpack", source.filename().string(), inode, version)).string();
}

}  // namespace

Result<PackedFile> PackedFile::parse(std::span<const std::uint8_t> bytes, const gguf::File& source) {
  if (bytes.size() < kHeaderBytes) return damaged("shorter than its header");
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  TRY_STATUS(check_header(header, bytes.size(), source));
  if (header.entry_count > kMaxEntries || header.data_offset > bytes.size() ||
      kHeaderBytes + std::uint64_t{header.entry_count} * sizeof(Entry) > header.data_offset) {
    return damaged("the directory lies outside the file");
  }
  const auto directory = bytes.subspan(kHeaderBytes, header.entry_count * sizeof(Entry));
  if (checksum(directory) != header.directory_checksum) return damaged("the directory is damaged");
  TRY_STATUS(check_tables(header));
  PackedFile out;
  out.bytes_ = bytes;
  out.tables_ = bytes.subspan(header.tables_offset, header.tables_bytes);
  out.tables_checksum_ = header.tables_checksum;
  out.data_offset_ = header.data_offset;
  out.entries_.resize(header.entry_count);
  if (!directory.empty()) std::memcpy(out.entries_.data(), directory.data(), directory.size());
  for (const Entry& entry : out.entries_) TRY_STATUS(check_entry(entry, header, source));
  return out;
}

Result<PackedFile> PackedFile::open(const std::string& path, const gguf::File& source) {
  TRY(MappedFile file, MappedFile::open(path, MappedFile::Pages::kHuge));
  TRY(PackedFile out, parse(file.bytes(), source));
  out.mapping_.push_back(std::move(file));
  out.path_ = path;
  return out;
}

Status PackedFile::verify(const std::function<bool()>& is_cancelled) const {
  if (checksum(tables_) != tables_checksum_) {
    return make_error(Code::kDataLoss, "packed weights: the tokenizer's tables are damaged");
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (is_cancelled && is_cancelled()) return {};
    if (checksum(data(entries_[i])) != entries_[i].checksum) {
      return make_error(Code::kDataLoss, fmt::format("packed weights: matrix {} of {} is damaged", i, entries_.size()));
    }
  }
  return {};
}

std::string packed_path(const std::string& source_path, const std::string& directory, std::uint64_t inode) {
  return versioned_path(source_path, directory, inode, kLayoutVersion);
}

void remove_older_versions(const std::string& source_path, const std::string& directory, std::uint64_t inode) {
  for (std::uint32_t version = 1; version < kLayoutVersion; ++version) {
    const std::string path = versioned_path(source_path, directory, inode, version);
    std::error_code ignored;  // what cannot be deleted stays
    std::filesystem::remove(path, ignored);
    std::filesystem::remove(path + ".verified", ignored);
  }
}

}  // namespace dormouse::pack
