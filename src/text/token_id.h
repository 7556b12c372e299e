// The one name for a row of the vocabulary. -1 never means anything: absence is std::optional.
#pragma once

#include <cstdint>

namespace dormouse::text {

using TokenId = std::int32_t;

}  // namespace dormouse::text
