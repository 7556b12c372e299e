// Any bytes: an error or a File whose invariants hold and whose every accessor answers. Corpus: tests/corpus/gguf_fuzz.
#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/check.h"
#include "gguf/file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dormouse::gguf::File;
  const auto file = File::parse({data, size});
  if (!file.has_value()) return 0;
  std::uint64_t sum = 0;
  for (const auto& tensor : file->tensors()) {
    CHECK(tensor.bytes > 0 && tensor.bytes <= size && tensor.offset <= size - tensor.bytes);
    CHECK(tensor.offset % file->alignment() == 0);
    CHECK(file->find_tensor(tensor.name) == &tensor);
    const auto bytes = file->data(tensor);
    sum += static_cast<std::uint64_t>(bytes.front()) + bytes.back();
  }
  for (const std::string_view key : file->keys()) {
    CHECK(file->has(key));
    sum += file->get_uint(key, 0, std::numeric_limits<std::uint64_t>::max()).value_or(0);
    (void)file->get_float(key, -1, 1);
    (void)file->get_bool(key);
    (void)file->get_int_array(key);
    const auto text = file->get_string(key);
    if (text.has_value() && !text->empty()) sum += static_cast<unsigned char>(text->back());
    const auto words = file->get_string_array(key);
    if (!words.has_value()) continue;
    for (const std::string_view word : *words) {
      if (!word.empty()) sum += static_cast<unsigned char>(word.back());
    }
  }
  // The sum makes every read above observable.
  return sum == std::numeric_limits<std::uint64_t>::max() ? -1 : 0;
}
