// Regular expressions of the kind that needs no backtracking: ECMAScript's syntax without look-around, back references,
// word borders and Unicode properties. Read by hand in one pass; nesting is bounded by kMaxNesting. PURE.
//   Literals, `.`, [...] and [^...], \d \w \s \D \W \S, \n \r \t \f \v, \xHH \uHHHH, groups ( ) and (?: ),
//   | * + ? {m} {m,} {m,n}, each also with a `?` behind it: which of several matches is taken is no question here.
//   ^ and $ at the ends of the whole or of its outermost alternatives.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "grammar/builder.h"
#include "grammar/json_rules.h"

namespace dormouse::grammar {

// kWhole: the expression is the whole text, whether it says ^ and $ or not. kSomewhere: JSON Schema's `pattern`, which
// may be found anywhere unless it says so.
enum class RegexReach { kWhole, kSomewhere };

// Errors: kInvalidArgument, with the place in bytes.
Result<Expr> add_regex(Builder& builder, std::string_view pattern, RegexReach reach, CharacterForm form);
// Errors: those, and Builder::finish()'s.
Result<std::shared_ptr<const Grammar>> compile_regex(std::string_view pattern);

}  // namespace dormouse::grammar
