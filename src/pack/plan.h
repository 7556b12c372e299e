// Which matrices of a model file are packed, and in what order: the order of their use in a step, so that a step reads
// the file from front to back. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "gguf/file.h"

namespace dormouse::pack {

// Indices into file.tensors() of the matrices a Qwen3 dense model has: layers by number (below qwen3.block_count),
// inside a layer by use; then the output matrix, the embedding last (where tied it is both). Everything else in the
// file is left out: nobody has checked its shape, and padding to whole tiles can make a lying one 256 times its size.
[[nodiscard]] std::vector<std::uint32_t> execution_order(const gguf::File& file);

// A checksum of the source's header: at most 1 MiB from its start (counts, hyper-parameters, the head of the
// vocabulary).
[[nodiscard]] std::uint64_t source_header_checksum(const gguf::File& file);

}  // namespace dormouse::pack
