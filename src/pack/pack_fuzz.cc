// Any bytes as a packed file of a small fixed model: parse() refuses or gives entries and tables that lie inside.
// Corpus: headers.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "pack/packed_file.h"
#include "pack/test_model.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::uint8_t> model = dormouse::pack::small_model();
  static const auto source = dormouse::gguf::File::parse(model);
  const std::span<const std::uint8_t> bytes(data, size);
  const auto packed = dormouse::pack::PackedFile::parse(bytes, *source);
  if (!packed.has_value()) return 0;
  for (const dormouse::pack::Entry& entry : packed->entries()) {
    if (entry.offset + entry.bytes > size) std::abort();
  }
  const std::span<const std::uint8_t> tables = packed->tokenizer_tables();
  if (!tables.empty() && (tables.data() < data || tables.data() + tables.size() > data + size)) std::abort();
  static_cast<void>(packed->verify({}));  // reads all of it
  return 0;
}
