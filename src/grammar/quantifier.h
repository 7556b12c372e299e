// How often a part comes, as regular expressions and grammars both write it: * + ? {m} {m,} {m,n}. PURE.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "grammar/builder.h"

namespace dormouse::grammar {

struct Quantifier {
  std::optional<RepeatBounds> bounds;  // nullopt: `text` begins with none
  std::size_t length = 0;              // of it, in bytes
};

// Of the beginning of `text`. Errors: kInvalidArgument, without the place: a brace that is none of these, counts above
// kMaxNodes, n less than m.
[[nodiscard]] Result<Quantifier> read_quantifier(std::string_view text);

}  // namespace dormouse::grammar
