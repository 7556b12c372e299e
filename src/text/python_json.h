// JSON text rewritten as Python's json.dumps(json.loads(text), ensure_ascii=False) writes it: what Qwen's templates put
// into the prompt for tools and for tool arguments given as an object, so what the model was trained on.
// A scanner, not a parser into values: keys keep their order; a key given twice stays twice (Python keeps the last).
// Differences to Python, on purpose: NaN and Infinity are refused, a lone surrogate becomes U+FFFD.
// Pure; no recursion.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dormouse::text {

inline constexpr std::size_t kMaxJsonDepth = 64;  // reliability notes S-10

// Errors: kInvalidArgument (not JSON, deeper than kMaxJsonDepth, a number of more than 4,300 digits as in Python).
[[nodiscard]] Result<std::string> python_json(std::string_view json);

}  // namespace dormouse::text
