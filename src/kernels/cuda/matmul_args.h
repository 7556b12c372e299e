// What the kernels that work on rows and matrices are given. All pointers are device addresses; sizes are elements
// unless they say bytes. Plain structs: nvcc and g++ must lay them out alike.
#pragma once

#include <cstdint>

namespace dormouse::cuda {

struct EmbedArgs {};
struct QuantiseArgs {};
struct BestTokensArgs {};
struct MatmulArgs {};

}  // namespace dormouse::cuda
