// Any bytes: an error, or a file whose invariants hold and whose every tensor can be read. Corpus:
// tests/corpus/safetensors_fuzz.
#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/check.h"
#include "worker/convert/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dormouse::worker::SafetensorsFile;
  const auto file = SafetensorsFile::parse("fuzz", {data, size});
  if (!file.has_value()) {
    CHECK(!file.error().message.empty());
    return 0;
  }
  std::uint64_t sum = 0;
  const std::uint8_t* at = data + size;
  for (const auto& tensor : file->tensors()) {
    std::uint64_t weights = 1;
    for (const std::uint64_t length : tensor.shape) weights *= length;
    CHECK(!tensor.shape.empty() && weights > 0);
    CHECK(tensor.bytes.size() == weights * traits(tensor.type).block_bytes);
    CHECK(tensor.bytes.data() > data && tensor.bytes.data() + tensor.bytes.size() <= data + size);
    if (&tensor != &file->tensors().front()) CHECK(tensor.bytes.data() == at);
    at = tensor.bytes.data() + tensor.bytes.size();
    sum += static_cast<std::uint64_t>(tensor.bytes.front()) + tensor.bytes.back();
  }
  CHECK(at == data + size);
  // The sum makes every read above observable.
  return sum == std::numeric_limits<std::uint64_t>::max() ? -1 : 0;
}
