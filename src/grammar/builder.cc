#include "grammar/builder.h"

#include <utility>

#include "base/check.h"
#include "grammar/assembly.h"

namespace dormouse::grammar {

Builder::Builder() = default;
Builder::~Builder() = default;

Expr Builder::add(Part part) {
  parts_.push_back(std::move(part));
  return static_cast<Expr>(parts_.size() - 1);
}

Expr Builder::empty() {
  return sequence({});
}

Expr Builder::literal(std::string_view bytes) {
  Part part;
  part.kind = Kind::kLiteral;
  part.texts.emplace_back(bytes);
  return add(std::move(part));
}

Expr Builder::one_of(std::vector<std::string> texts) {
  Part part;
  part.kind = Kind::kOneOf;
  part.texts = std::move(texts);
  return add(std::move(part));
}

Expr Builder::characters(CodePointSet set) {
  Part part;
  part.kind = Kind::kCharacters;
  part.set = normalized(std::move(set));
  return add(std::move(part));
}

Expr Builder::sequence(std::vector<Expr> parts) {
  Part part;
  part.kind = Kind::kSequence;
  part.children = std::move(parts);
  return add(std::move(part));
}

Expr Builder::choice(std::vector<Expr> parts) {
  Part part;
  part.kind = Kind::kChoice;
  part.children = std::move(parts);
  return add(std::move(part));
}

Expr Builder::optional(Expr part) {
  return choice({part, empty()});
}

Expr Builder::repeat(Expr part, RepeatBounds bounds) {
  Part out;
  out.kind = Kind::kRepeat;
  out.children = {part};
  out.bounds = bounds;
  return add(std::move(out));
}

Expr Builder::declare(std::string name) {
  rules_.push_back({.name = std::move(name), .body = std::nullopt});
  Part part;
  part.kind = Kind::kRule;
  part.rule = static_cast<std::uint32_t>(rules_.size() - 1);
  return add(std::move(part));
}

void Builder::define(Expr rule, Expr body) {
  CHECK(part(rule).kind == Kind::kRule);
  rules_[part(rule).rule].body = body;
}

Result<std::shared_ptr<const Grammar>> Builder::finish(Expr root) {
  const Expr rule = declare("root");
  define(rule, root);
  return Assembly(*this).assemble(part(rule).rule);
}

}  // namespace dormouse::grammar
