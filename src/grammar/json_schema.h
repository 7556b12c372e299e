// JSON Schema (a subset of draft 2020-12) to a grammar whose every text is an instance of the schema. Narrower than the
// schema where JSON allows several spellings (white space, order of properties, exponents): never wider. A keyword that
// would constrain and is not in the subset is refused with its place, never ignored. The subset:
// docs/api_structured.md. PURE.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "grammar/builder.h"

namespace dormouse::grammar {

// Errors: kTooLarge (a cap of grammar.h); kInvalidArgument: not JSON, not in the subset, or a schema that nothing
// satisfies; the message begins with the place, as a JSON pointer: "schema: at #/properties/age: ...".
Result<Expr> add_json_schema(Builder& builder, std::string_view schema);
// Any JSON object: response_format json_object.
[[nodiscard]] Expr add_json_object(Builder& builder);

Result<std::shared_ptr<const Grammar>> compile_json_schema(std::string_view schema);
Result<std::shared_ptr<const Grammar>> compile_json_object();

}  // namespace dormouse::grammar
