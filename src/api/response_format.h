// What an answer is held to, in one form whatever the field it came in. docs/api_structured.md has the fields.
#pragma once

#include <cstddef>
#include <string>

namespace dormouse::api {

// As grammar/'s own bound on a text it compiles.
inline constexpr std::size_t kMaxFormatBytes = 64 * 1024;

struct ResponseFormat {
  enum class Kind { kText, kJsonObject, kJsonSchema, kRegex, kGrammar };
  Kind kind = Kind::kText;
  std::string text;  // kJsonSchema: the schema as json.dumps writes it; kRegex, kGrammar: verbatim
  std::string name;  // kJsonSchema: the schema's, for upstreams that want it back

  friend bool operator==(const ResponseFormat&, const ResponseFormat&) = default;
};

}  // namespace dormouse::api
