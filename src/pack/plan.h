// Which matrices of a model file are packed, and in what order: the order of their use in a step, so that a step reads
// the file from front to back. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "gguf/file.h"

namespace dormouse::pack {

// Indices into file.tensors() of every two-dimensional tensor: layers by number, inside a layer by use; then the output
// matrix, the embedding last (where tied it is both). Tensors that no Qwen3 layer has come after those that it has.
[[nodiscard]] std::vector<std::uint32_t> execution_order(const gguf::File& file);

// A checksum of the source's header: at most 1 MiB from its start (counts, hyper-parameters, the head of the
// vocabulary).
[[nodiscard]] std::uint64_t source_header_checksum(const gguf::File& file);

}  // namespace dormouse::pack
