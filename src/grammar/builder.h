// Grammars put together from parts: literals, characters, sequences, choices, repetitions, rules. What the front ends
// (json_schema.h, regex.h, gbnf.h) build with, and whoever needs text around a schema:
//   Builder b;
//   TRY(const Expr arguments, add_json_schema(b, schema));
//   const Expr call = b.sequence({b.literal("<tool_call>\n"), arguments, b.literal("\n</tool_call>")});
//   TRY(auto grammar, b.finish(b.repeat(call, {.min = 1})));
// Owner: one function. PURE.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/code_points.h"
#include "grammar/grammar.h"

namespace dormouse::grammar {

struct RepeatBounds {
  std::uint64_t min = 0;
  std::optional<std::uint64_t> max;  // none: without end
};

class Builder {
 public:
  // A part, of this builder.
  enum class Expr : std::uint32_t {};

  Builder();
  ~Builder();
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  [[nodiscard]] Expr empty();
  [[nodiscard]] Expr literal(std::string_view bytes);
  // Any of the texts; what they begin with in common is looked at once.
  [[nodiscard]] Expr one_of(std::vector<std::string> texts);
  [[nodiscard]] Expr characters(CodePointSet set);  // one character
  [[nodiscard]] Expr sequence(std::vector<Expr> parts);
  [[nodiscard]] Expr choice(std::vector<Expr> parts);
  [[nodiscard]] Expr optional(Expr part);
  [[nodiscard]] Expr repeat(Expr part, RepeatBounds bounds);
  // A rule may be used before it is defined, by itself too. The name is for messages.
  [[nodiscard]] Expr declare(std::string name);
  void define(Expr rule, Expr body);

  // Errors: kTooLarge (a cap of grammar.h); kInvalidArgument: a rule that is not defined, calls itself at its own
  // beginning or can never end. Call once.
  Result<std::shared_ptr<const Grammar>> finish(Expr root);

 private:
  friend class Assembly;
  enum class Kind { kLiteral, kOneOf, kCharacters, kSequence, kChoice, kRepeat, kRule };
  struct Part {
    Kind kind = Kind::kLiteral;
    std::vector<std::string> texts;  // kLiteral: one
    CodePointSet set;
    std::vector<Expr> children;
    RepeatBounds bounds;
    std::uint32_t rule = 0;
  };
  struct Rule {
    std::string name;
    std::optional<Expr> body;
  };
  [[nodiscard]] Expr add(Part part);
  [[nodiscard]] const Part& part(Expr expr) const { return parts_[static_cast<std::size_t>(expr)]; }

  std::vector<Part> parts_;
  std::vector<Rule> rules_;
};

using Expr = Builder::Expr;

}  // namespace dormouse::grammar
