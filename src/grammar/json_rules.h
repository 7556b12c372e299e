// The parts JSON texts are made of, for one Builder. What is written is compact: no white space but at most one space
// after a comma or a colon, so that a model cannot write blanks for ever.
// Owner: a front end, beside its Builder. PURE.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/builder.h"

namespace dormouse::grammar {

// Digits of a whole number, and of the part after the point. 10^18 - 1 is the greatest that fits int64 whatever its
// digits; 17 digits tell any two doubles apart.
inline constexpr std::uint64_t kMaxWholeDigits = 18;
inline constexpr std::uint64_t kMaxFractionDigits = 17;

enum class CharacterForm { kPlain, kInJsonString };

class JsonRules {
 public:
  explicit JsonRules(Builder& builder) : builder_(builder) {}

  [[nodiscard]] Expr value();   // anything
  [[nodiscard]] Expr object();  // any object
  [[nodiscard]] Expr array();
  [[nodiscard]] Expr string();
  [[nodiscard]] Expr string_of(RepeatBounds characters);
  [[nodiscard]] Expr number();
  [[nodiscard]] Expr integer();
  [[nodiscard]] Expr boolean();
  [[nodiscard]] Expr null();
  [[nodiscard]] Expr comma();
  [[nodiscard]] Expr colon();
  // A string that is none of `names`; no character of it is escaped, so that none is one of them in disguise.
  [[nodiscard]] Expr string_except(const std::vector<std::string>& names);

 private:
  [[nodiscard]] Expr character();
  void define_values();

  Builder& builder_;
  std::optional<Expr> value_;
  std::optional<Expr> object_;
  std::optional<Expr> array_;
  std::optional<Expr> string_;
  std::optional<Expr> number_;
  std::optional<Expr> integer_;
  std::optional<Expr> character_;
};

// Characters as they stand in a text, or within a JSON string: there a quote, a backslash and control characters are
// written as escapes, one way each.
[[nodiscard]] Expr characters_in(Builder& builder, CodePointSet set, CharacterForm form);

// A JSON string literal, quotes and all.
[[nodiscard]] std::string json_literal(std::string_view text);

}  // namespace dormouse::grammar
