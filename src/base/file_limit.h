// How many files this process may have open. Threads: any.
#pragma once

#include <cstddef>

namespace dormouse {

// Raises the soft limit, which is 1,024 by custom, to `wanted` or to the hard limit where that is less; never lowers
// it. Returns what it is then. Children inherit it.
std::size_t raise_file_limit(std::size_t wanted);

}  // namespace dormouse
