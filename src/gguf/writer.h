// Writes a GGUF v3 file without holding it: declare metadata and tensors, begin(), then append each tensor's bytes in
// the declared order. The bytes go to "<path>.partial"; finish() syncs and renames, so `path` is the old file or the
// whole new one, never half of one. A Writer destroyed before finish() removes its partial file.
// Invariants: (1) what finish() publishes, gguf::File opens; (2) memory is the header plus what the caller holds.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/tensor_type.h"
#include "base/unique_fd.h"
#include "gguf/file.h"
#include "gguf/format.h"

namespace dormouse::gguf {

class Writer {
 public:
  Writer() = default;
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer();

  // Metadata, in file order. begin() refuses duplicate or invalid keys and names.
  void add_uint32(std::string_view key, std::uint32_t value);
  void add_float32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_string(std::string_view key, std::string_view value);
  void add_string_array(std::string_view key, std::span<const std::string> values);
  void add_int32_array(std::string_view key, std::span<const std::int32_t> values);
  void add_float32_array(std::string_view key, std::span<const float> values);
  // A value as it lies in another file.
  void add_raw(std::string_view key, const File::RawValue& value);

  // shape[0] is the row length. Tensors are laid out in the order they are added.
  void add_tensor(std::string_view name, TensorType type, std::span<const std::uint64_t> shape);

  // Lays the file out, checks the header by parsing it, creates "<path>.partial", reserves the disk space and writes
  // the header. Errors: kInvalidArgument (a name, key or shape no reader takes), kAlreadyExists (another process is
  // writing this path), kTooLarge (no space), kPermissionDenied.
  Status begin(const std::string& path);
  // The next bytes of the current tensor; goes on to the next one when it is complete. Errors: as write(2).
  Status append(std::span<const std::uint8_t> bytes);
  // Errors: kInternal if tensor bytes are missing. On any error nothing is published.
  Status finish();

  [[nodiscard]] std::uint64_t file_bytes() const { return file_bytes_; }  // after begin()
  // Bytes of the tensor that append() expects.
  [[nodiscard]] static std::uint64_t tensor_bytes(TensorType type, std::span<const std::uint64_t> shape);

 private:
  struct Planned {
    std::string name;
    TensorType type = TensorType::kF32;
    std::vector<std::uint64_t> shape;
    std::uint64_t offset = 0;  // in the data section
    std::uint64_t bytes = 0;
  };

  void add_value(std::string_view key, ValueType type, std::span<const std::uint8_t> payload);
  Status lay_out();
  [[nodiscard]] std::vector<std::uint8_t> encode_header() const;
  Status check_header(std::span<const std::uint8_t> header) const;
  Status create_partial(std::uint64_t bytes);
  Status write_all(std::span<const std::uint8_t> bytes);
  Status write_padding(std::uint64_t count);
  Status complete_tensors();

  std::vector<std::uint8_t> entries_;  // encoded
  std::uint64_t entry_count_ = 0;
  std::vector<Planned> tensors_;
  std::string path_;
  std::string partial_path_;  // empty: nothing to remove
  UniqueFd fd_;
  std::uint64_t data_bytes_ = 0;
  std::uint64_t file_bytes_ = 0;
  std::size_t current_ = 0;         // the tensor append() fills
  std::uint64_t current_done_ = 0;  // bytes of it that are written
};

}  // namespace dormouse::gguf
