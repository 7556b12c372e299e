#include "gguf/writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "base/checked_int.h"
#include "gguf/contents.h"

namespace dormouse::gguf {
namespace {

template <typename T>
void put(std::vector<std::uint8_t>& out, T value) {
  static_assert(std::is_arithmetic_v<T>);
  const std::size_t at = out.size();
  out.resize(at + sizeof(T));
  std::memcpy(out.data() + at, &value, sizeof(T));
}

void put_string(std::vector<std::uint8_t>& out, std::string_view text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  out.insert(out.end(), text.begin(), text.end());
}

template <typename T>
std::vector<std::uint8_t> scalar_payload(T value) {
  std::vector<std::uint8_t> out;
  put(out, value);
  return out;
}

template <typename T>
std::vector<std::uint8_t> array_payload(ValueType type, std::span<const T> values) {
  std::vector<std::uint8_t> out;
  put(out, static_cast<std::uint32_t>(type));
  put(out, static_cast<std::uint64_t>(values.size()));
  const std::size_t at = out.size();
  out.resize(at + values.size_bytes());
  if (!values.empty()) std::memcpy(out.data() + at, values.data(), values.size_bytes());
  return out;
}

// The directory's entry is durable only once the directory itself is synced. A file system that cannot says EINVAL:
// then rename is as durable as it gets there.
Status sync_directory_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open()) return errno_error(directory, errno);
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return errno_error(directory, errno);
  return {};
}

}  // namespace

Writer::~Writer() {
  if (!partial_path_.empty()) ::unlink(partial_path_.c_str());
}

void Writer::add_value(std::string_view key, ValueType type, std::span<const std::uint8_t> payload) {
  CHECK(!fd_.is_open());
  put_string(entries_, key);
  put(entries_, static_cast<std::uint32_t>(type));
  entries_.insert(entries_.end(), payload.begin(), payload.end());
  ++entry_count_;
}

void Writer::add_uint32(std::string_view key, std::uint32_t value) {
  add_value(key, ValueType::kUint32, scalar_payload(value));
}

void Writer::add_float32(std::string_view key, float value) {
  add_value(key, ValueType::kFloat32, scalar_payload(value));
}

void Writer::add_bool(std::string_view key, bool value) {
  add_value(key, ValueType::kBool, scalar_payload(static_cast<std::uint8_t>(value)));
}

void Writer::add_string(std::string_view key, std::string_view value) {
  std::vector<std::uint8_t> payload;
  put_string(payload, value);
  add_value(key, ValueType::kString, payload);
}

void Writer::add_string_array(std::string_view key, std::span<const std::string> values) {
  std::vector<std::uint8_t> payload;
  put(payload, static_cast<std::uint32_t>(ValueType::kString));
  put(payload, static_cast<std::uint64_t>(values.size()));
  for (const std::string& value : values) put_string(payload, value);
  add_value(key, ValueType::kArray, payload);
}

void Writer::add_int32_array(std::string_view key, std::span<const std::int32_t> values) {
  add_value(key, ValueType::kArray, array_payload(ValueType::kInt32, values));
}

void Writer::add_float32_array(std::string_view key, std::span<const float> values) {
  add_value(key, ValueType::kArray, array_payload(ValueType::kFloat32, values));
}

void Writer::add_raw(std::string_view key, const File::RawValue& value) {
  add_value(key, static_cast<ValueType>(value.type), value.payload);
}

void Writer::add_tensor(std::string_view name, TensorType type, std::span<const std::uint64_t> shape) {
  CHECK(!fd_.is_open());
  tensors_.push_back({.name = std::string(name), .type = type, .shape = {shape.begin(), shape.end()}});
}

std::uint64_t Writer::tensor_bytes(TensorType type, std::span<const std::uint64_t> shape) {
  if (shape.empty() || shape[0] % traits(type).block_elements != 0) return 0;
  std::optional<std::uint64_t> bytes =
      checked_mul<std::uint64_t>(shape[0] / traits(type).block_elements, traits(type).block_bytes);
  for (std::size_t i = 1; i < shape.size() && bytes.has_value(); ++i) bytes = checked_mul(*bytes, shape[i]);
  return bytes.value_or(0);
}

Status Writer::lay_out() {
  data_bytes_ = 0;
  for (Planned& tensor : tensors_) {
    tensor.bytes = tensor_bytes(tensor.type, tensor.shape);
    tensor.offset = data_bytes_;
    const auto end = checked_add(data_bytes_, tensor.bytes);
    const auto aligned = end.has_value() ? checked_align(*end, kAlignmentDefault) : std::nullopt;
    if (tensor.bytes == 0 || !aligned.has_value()) {
      return make_error(Code::kInvalidArgument, fmt::format("gguf: tensor '{}': shape does not fit {}", tensor.name,
                                                            traits(tensor.type).name));
    }
    data_bytes_ = *aligned;
  }
  return {};
}

std::vector<std::uint8_t> Writer::encode_header() const {
  std::vector<std::uint8_t> out;
  put(out, kMagic);
  put(out, kVersionNewest);
  put(out, static_cast<std::uint64_t>(tensors_.size()));
  put(out, entry_count_);
  out.insert(out.end(), entries_.begin(), entries_.end());
  for (const Planned& tensor : tensors_) {
    put_string(out, tensor.name);
    put(out, static_cast<std::uint32_t>(tensor.shape.size()));
    for (const std::uint64_t size : tensor.shape) put(out, size);
    put(out, static_cast<std::uint32_t>(tensor.type));
    put(out, tensor.offset);
  }
  out.resize(checked_align(out.size(), kAlignmentDefault).value());
  return out;
}

// The writer's opinion of what is valid is the reader's: the header is parsed as if the data followed.
Status Writer::check_header(std::span<const std::uint8_t> header) const {
  const auto contents = parse_contents(header, header.size() + data_bytes_);
  if (!contents.has_value()) return make_error(Code::kInvalidArgument, contents.error().message);
  if (contents->alignment != kAlignmentDefault) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("gguf: {} is {}; this writer aligns to {}", kAlignmentKey, contents->alignment,
                                  kAlignmentDefault));
  }
  return {};
}

Status Writer::begin(const std::string& path) {
  CHECK(!fd_.is_open());
  TRY_STATUS(lay_out());
  const std::vector<std::uint8_t> header = encode_header();
  TRY_STATUS(check_header(header));
  file_bytes_ = header.size() + data_bytes_;
  path_ = path;
  TRY_STATUS(create_partial(file_bytes_));
  return write_all(header);
}

Status Writer::create_partial(std::uint64_t bytes) {
  const std::string partial = path_ + ".partial";
  UniqueFd fd(::open(partial.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.is_open()) return errno_error(partial, errno);
  // The lock tells a partial file left by a killed process (taken over) from one that is being written (left alone).
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return make_error(Code::kAlreadyExists, partial + ": another process is writing it");
  }
  // Between open and lock the other process may have published that very file: it must not be truncated.
  struct stat locked {};
  struct stat named {};
  if (::fstat(fd.get(), &locked) != 0) return errno_error(partial, errno);
  if (::stat(partial.c_str(), &named) != 0 || named.st_ino != locked.st_ino || named.st_dev != locked.st_dev) {
    return make_error(Code::kAlreadyExists, partial + ": another process has just finished it");
  }
  fd_ = std::move(fd);
  partial_path_ = partial;
  if (::ftruncate(fd_.get(), 0) != 0) return errno_error(partial, errno);
  // A full disk is found now, not after an hour. File systems without fallocate find it later.
  const int error = ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
  if (error != 0 && error != EOPNOTSUPP && error != ENOSYS) return errno_error(partial, error);
  return {};
}

Status Writer::write_all(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno_error(partial_path_, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status Writer::write_padding(std::uint64_t count) {
  constexpr std::array<std::uint8_t, kAlignmentDefault> kZeros{};
  return write_all(std::span(kZeros).first(count));
}

// Pads and leaves every tensor that is complete.
Status Writer::complete_tensors() {
  while (current_ < tensors_.size() && current_done_ == tensors_[current_].bytes) {
    TRY_STATUS(write_padding(checked_align(current_done_, kAlignmentDefault).value() - current_done_));
    ++current_;
    current_done_ = 0;
  }
  return {};
}

Status Writer::append(std::span<const std::uint8_t> bytes) {
  CHECK(fd_.is_open());
  while (!bytes.empty()) {
    CHECK(current_ < tensors_.size());  // more bytes than were declared
    const std::uint64_t missing = tensors_[current_].bytes - current_done_;
    const auto now = bytes.first(std::min<std::uint64_t>(missing, bytes.size()));
    TRY_STATUS(write_all(now));
    current_done_ += now.size();
    bytes = bytes.subspan(now.size());
    TRY_STATUS(complete_tensors());
  }
  return {};
}

Status Writer::finish() {
  CHECK(fd_.is_open());
  if (current_ != tensors_.size()) {
    return make_error(Code::kInternal, fmt::format("gguf: tensor '{}' has {} of {} bytes", tensors_[current_].name,
                                                   current_done_, tensors_[current_].bytes));
  }
  if (::fsync(fd_.get()) != 0) return errno_error(partial_path_, errno);
  if (::rename(partial_path_.c_str(), path_.c_str()) != 0) return errno_error(path_, errno);
  partial_path_.clear();
  fd_.reset();
  return sync_directory_of(path_);
}

}  // namespace dormouse::gguf
